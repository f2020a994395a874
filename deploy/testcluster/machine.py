"""What a cluster takes of the machine: a bridge, control groups, mounts, network namespaces; given back afterwards."""

import contextlib
import json
import subprocess
from pathlib import Path

from deploy.testcluster.places import Places
from deploy.testcluster.processes import NotUp, started_at, wait_until

CGROUPS = Path("/sys/fs/cgroup")
FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
LOG_LINKS = Path("/var/log/containers")
NETWORK_RESULTS = Path("/var/lib/cni/results")
DEVICE_SOCKET = Path("/var/lib/kubelet/device-plugins/kubelet.sock")
# What kubelet, containerd and the network's plugins make, wherever their own folders are.
FOREIGN = (LOG_LINKS, NETWORK_RESULTS.parent, Path("/var/lib/kubelet"), Path("/run/containerd"), Path("/run/netns"))


def cgroup_folders(places: Places) -> list[Path]:
    """The cluster's control groups, one in each hierarchy; below them lie those of the pods."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS / places.cgroup]
    return [folder / places.cgroup for folder in sorted(CGROUPS.iterdir()) if (folder / "cgroup.procs").exists()]


def mount_state(places: Places) -> None:
    """Puts the cluster's folder into memory: unpacked images come and go ten times faster than on a disk that is told
    of each block that is free. Takes about 500 MB, at most 4 GB."""
    options = "mode=0711,size=4g"
    words = ["mount", "-t", "tmpfs", "-o", options, "berth-testcluster", str(places.state)]
    subprocess.run(words, check=True, capture_output=True)


def prepare(places: Places) -> None:
    """Makes the bridge and the control groups, and remembers what was set otherwise before."""
    # With an address of its own: else it has the lowest of its members', which changes as pods come and go, and what
    # a pod sends to the old one is lost until it asks again, after up to a minute.
    _ip("link", "add", places.bridge, "address", f"02:00:00:00:00:{places.number:02x}", "type", "bridge")
    _ip("address", "replace", f"{places.address}/16", "dev", places.bridge)
    _ip("link", "set", places.bridge, "up")
    (places.state / "machine.json").write_text(json.dumps(_before(places)))
    FORWARD.write_text("1\n")
    for folder in cgroup_folders(places):
        folder.mkdir(exist_ok=True)
        # In the first version of control groups a new cpuset is empty, and nothing may run in it.
        for name in ("cpuset.cpus", "cpuset.mems"):
            if (folder / name).exists() and (folder.parent / name).exists():
                (folder / name).write_text((folder.parent / name).read_text())
    if (CGROUPS / "cgroup.controllers").exists():
        wanted = {"cpu", "cpuset", "memory", "pids", "io"} & set((CGROUPS / "cgroup.controllers").read_text().split())
        words = " ".join(f"+{name}" for name in sorted(wanted))
        for folder in (CGROUPS, *cgroup_folders(places)):
            (folder / "cgroup.subtree_control").write_text(words)


def give_back(places: Places) -> None:
    """Undoes `prepare` and what containerd and the kubelet left: mounts, namespaces, links of logs. Repeatable."""
    for name in network_namespaces(places):
        subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)
    if has_bridge(places):
        _ip("link", "delete", places.bridge)
    for file in (*_log_links(places), *_network_results(places), *_shim_sockets(places)):
        file.unlink(missing_ok=True)
    with contextlib.suppress(OSError, ValueError):
        before = json.loads((places.state / "machine.json").read_text())
        if not _others(places):
            _restore(before)
    for mount in mounts(places):
        subprocess.run(["umount", "--lazy", mount], check=False, capture_output=True)
    for folder in cgroup_folders(places):
        with contextlib.suppress(NotUp):
            wait_until(f"{folder} is empty", lambda folder=folder: _remove_groups(folder), 5)  # type: ignore[misc]


def left_behind(places: Places) -> list[str]:
    """What of a cluster is still there, one line each; empty after a clean end."""
    found = [f"process {pid}: {words[:120]}" for pid, words in processes(places)]
    found += [f"mount {mount}" for mount in mounts(places)]
    found += [f"network namespace {name}" for name in network_namespaces(places)]
    found += [f"control group {folder}" for folder in cgroup_folders(places) if folder.exists()]
    found += [f"file {file}" for file in (*_log_links(places), *_network_results(places))]
    if has_bridge(places):
        found.append(f"bridge {places.bridge}")
    if places.state.exists():
        found.append(f"folder {places.state}")
    return found


def processes(places: Places, but: int = 0) -> list[tuple[int, str]]:
    """Processes that name the cluster's folder, or run in its control groups: (pid, command line), except `but`."""
    mine = f"{places.state}/"
    groups = f"/{places.cgroup}/"
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == but:
            continue
        try:
            words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            inside = any(f":{groups}" in f"{line}/" for line in (folder / "cgroup").read_text().splitlines())
        except OSError:
            continue
        if (mine in words or inside) and started_at(int(folder.name)) is not None:
            found.append((int(folder.name), words))
    return found


def mounts(places: Places) -> list[str]:
    """Mount points in the cluster's folder, innermost first; the folder itself is the last."""
    points = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    return sorted((point for point in points if f"{point}/".startswith(f"{places.state}/")), reverse=True)


def network_namespaces(places: Places) -> list[str]:
    """Names of the network namespaces of pods whose address is one of this cluster's."""
    found = []
    for path in Path("/run/netns").glob("cni-*"):
        shown = subprocess.run(
            ["ip", "netns", "exec", path.name, "ip", "-o", "-4", "address"], capture_output=True, text=True, check=False
        )
        if f" {places.network}." in shown.stdout:
            found.append(path.name)
    return found


def has_bridge(places: Places) -> bool:
    return Path(f"/sys/class/net/{places.bridge}").exists()


def _others(places: Places) -> list[Path]:
    """What other clusters that are up remember of the machine."""
    files = places.state.parent.glob("*/machine.json")
    return [file for file in files if file.parent != places.state]


def _before(places: Places) -> dict[str, object]:
    """How the machine was before the first of the clusters that are up."""
    for file in _others(places):
        known: dict[str, object] = json.loads(file.read_text())
        return known
    return {"forward": FORWARD.read_text().strip(), "absent": [str(path) for path in FOREIGN if not path.exists()]}


def _restore(before: dict[str, object]) -> None:
    """Removes the folders that were not there, as far as nobody else put anything into them."""
    FORWARD.write_text(f"{before['forward']}\n")
    absent = before["absent"]
    if not isinstance(absent, list):
        return
    for name in absent:
        folder = Path(name)
        if DEVICE_SOCKET.is_relative_to(folder):
            DEVICE_SOCKET.unlink(missing_ok=True)
        for inner in (*sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True), folder):
            with contextlib.suppress(OSError):
                inner.rmdir()


def _network_results(places: Places) -> list[Path]:
    """What the network's plugins remember of this cluster's pods: NETWORK-CONTAINER-INTERFACE each."""
    mine = set()
    for file in NETWORK_RESULTS.glob("berth-*-*"):
        with contextlib.suppress(OSError):
            if f'"{places.network}.' in file.read_text():
                mine.add(file.name.split("-")[1])
    return [file for container in mine for file in NETWORK_RESULTS.glob(f"*-{container}-*")]


def _log_links(places: Places) -> list[Path]:
    """The kubelet links each log in /var/log/containers, wherever its own folder is."""
    if not LOG_LINKS.is_dir():
        return []
    return [
        link for link in LOG_LINKS.iterdir() if link.is_symlink() and str(link.readlink()).startswith(str(places.state))
    ]


def _shim_sockets(places: Places) -> list[Path]:
    """Each container's shim listens on a socket in /run/containerd, which its bundle names."""
    found = []
    for file in (places.state / "containerd/state").glob("io.containerd.runtime.v2.task/*/*/address"):
        with contextlib.suppress(OSError):
            found.append(Path(file.read_text().strip().removeprefix("unix://")))
    return found


def _remove_groups(folder: Path) -> bool:
    if folder.exists():
        inner = sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True)
        for path in (*inner, folder):
            path.rmdir()
    return True


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
