"""Limits of memory and processor time by control groups, version 1 or 2, below the group that Berth runs in.

A group is made below our own one, so limits that somebody put around Berth hold for its runs too. Under
version 2 a group with processes cannot have limited children, so the nearest one above that can is taken.
"""

import os
import signal
import time
from contextlib import suppress
from typing import NamedTuple

from app.clusters.local_wrapper import processes

PERIOD = 100_000  # microseconds over which processor time is counted
MAX_TASKS = 16_384  # makes a fork bomb finite


class Place(NamedTuple):
    """Where groups can be made: the version, and the folder per controller (one for all in version 2)."""

    version: int
    folders: dict[str, str]


class Group:
    """The control group of one attempt. Every method works on a group that is gone, too."""

    def __init__(self, version: int, folders: dict[str, str]) -> None:
        self.version = version
        self.folders = folders

    @property
    def entries(self) -> list[str]:
        """The files that a process writes "0" to in order to enter."""
        return [f"{folder}/cgroup.procs" for folder in dict.fromkeys(self.folders.values())]

    def limit(self, cpu_millis: int, memory_bytes: int) -> None:
        """Sets the limits. Raises OSError where they cannot be set."""
        memory, cpu = self.folders["memory"], self.folders["cpu"]
        quota = max(1_000, cpu_millis * PERIOD // 1_000)
        if self.version == 1:
            _write(f"{memory}/memory.limit_in_bytes", memory_bytes)
            if os.path.exists(f"{memory}/memory.memsw.limit_in_bytes"):
                _write(f"{memory}/memory.memsw.limit_in_bytes", memory_bytes)
            _write(f"{cpu}/cpu.cfs_period_us", PERIOD)
            _write(f"{cpu}/cpu.cfs_quota_us", quota)
        else:
            _write(f"{memory}/memory.max", memory_bytes)
            if os.path.exists(f"{memory}/memory.swap.max"):
                _write(f"{memory}/memory.swap.max", 0)
            _write(f"{cpu}/cpu.max", f"{quota} {PERIOD}")
        if "pids" in self.folders:
            _write(f"{self.folders['pids']}/pids.max", MAX_TASKS)

    def members(self) -> list[int]:
        """The pids inside now."""
        with suppress(OSError), open(f"{self.folders['memory']}/cgroup.procs") as file:
            return [int(line) for line in file]
        return []

    def kill(self) -> bool:
        """Kills all that is inside, repeatedly, since a process may fork meanwhile. Whether it is empty now."""
        for turn in range(50):
            if self.version == 2:
                with suppress(OSError):
                    _write(f"{self.folders['memory']}/cgroup.kill", 1)
            alive = [stat for pid in self.members() if (stat := processes.read_stat(pid))]
            if not alive:
                return True
            for stat in alive:
                processes.send(stat.process, signal.SIGKILL)
            time.sleep(0.001 * (turn + 1))
        return False

    def oom_kills(self) -> int:
        """How many processes the kernel killed here because memory ran out."""
        memory = self.folders["memory"]
        name = "memory.oom_control" if self.version == 1 else "memory.events"
        return _fields(f"{memory}/{name}").get("oom_kill", 0)

    def cpu_seconds(self) -> float | None:
        """Processor time used by all processes that were ever inside."""
        if self.version == 1:
            with suppress(KeyError, OSError), open(f"{self.folders['cpuacct']}/cpuacct.usage") as file:
                return int(file.read()) / 1e9
            return None
        usage = _fields(f"{self.folders['cpu']}/cpu.stat").get("usage_usec")
        return None if usage is None else usage / 1e6

    def resident_bytes(self) -> int:
        """Memory of the processes now, without the file cache."""
        stat = _fields(f"{self.folders['memory']}/memory.stat")
        return stat.get("total_rss", stat.get("anon", 0))

    def remove(self) -> None:
        """Removes the empty group; one that is not empty stays."""
        for folder in dict.fromkeys(self.folders.values()):
            with suppress(OSError):
                os.rmdir(folder)


def create(name: str, cpu_millis: int, memory_bytes: int) -> Group:
    """A group of that name (made anew or taken over), with its limits. Raises OSError with the reason."""
    place = find_place()
    group = Group(place.version, {key: f"{folder}/{name}" for key, folder in place.folders.items()})
    try:
        for folder in dict.fromkeys(group.folders.values()):
            with suppress(FileExistsError):
                os.mkdir(folder, 0o755)
        group.limit(cpu_millis, memory_bytes)
        if os.geteuid() != 0:
            _try_entering(group)
    except OSError:
        group.remove()
        raise
    return group


def find_place(mounts: str = "/proc/mounts", own: str = "/proc/self/cgroup") -> Place:
    """Where groups with limits of memory and processor time can be made. Raises OSError with the reason."""
    mounted: dict[str, str] = {}
    unified = None
    with open(mounts) as file:
        for line in file:
            _, target, kind, options = line.split()[:4]
            if kind == "cgroup":
                mounted.update(dict.fromkeys(options.split(","), target))
            elif kind == "cgroup2":
                unified = target
    with open(own) as file:
        paths = dict(line.rstrip("\n").split(":", 2)[1:] for line in file)
    paths = {key: path for keys, path in paths.items() for key in keys.split(",")}
    if "memory" in mounted and "cpu" in mounted:
        return _place_v1(mounted, paths)
    if unified is None:
        raise OSError("no control groups are mounted")
    return _place_v2(unified, paths.get("", "/"))


def _place_v1(mounted: dict[str, str], paths: dict[str, str]) -> Place:
    folders: dict[str, str] = {}
    for key in ("memory", "cpu", "cpuacct", "pids"):
        if key not in mounted:
            continue
        folder = (mounted[key] + paths.get(key, "/")).rstrip("/")
        folder = folder if os.path.isdir(folder) else mounted[key]
        if os.access(f"{folder}/cgroup.procs", os.W_OK) and os.access(folder, os.W_OK):
            folders[key] = folder
        elif key in ("memory", "cpu"):
            raise OSError(f"{folder} is not writable")
    return Place(1, folders)


def _place_v2(mount: str, path: str) -> Place:
    folder = (mount + path).rstrip("/")
    while len(folder) >= len(mount):
        if os.access(folder, os.W_OK) and os.access(f"{folder}/cgroup.procs", os.W_OK):
            with suppress(OSError):  # refused where processes are inside; then the one above may do
                if not {"memory", "cpu"} <= _words(f"{folder}/cgroup.subtree_control"):
                    _write(f"{folder}/cgroup.subtree_control", "+memory +cpu")
                with suppress(OSError):
                    _write(f"{folder}/cgroup.subtree_control", "+pids")
                given = _words(f"{folder}/cgroup.subtree_control")
                if {"memory", "cpu"} <= given:
                    return Place(2, dict.fromkeys(given & {"memory", "cpu", "pids"}, folder))
        folder = folder.rpartition("/")[0]
    raise OSError(f"no control group from {mount}{path} upwards lets us limit memory and processor time")


def _try_entering(group: Group) -> None:
    """Entering needs rights that making and limiting do not show (version 2, delegation)."""
    pid = os.fork()
    if pid == 0:
        try:
            for entry in group.entries:
                _write(entry, 0)
            os._exit(0)
        except OSError as error:
            os._exit(error.errno or 1)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code:
        raise OSError(code, f"a process cannot enter {group.folders['memory']}: {os.strerror(code)}")


def _write(path: str, value: object) -> None:
    with open(path, "w") as file:
        file.write(str(value))


def _words(path: str) -> set[str]:
    with open(path) as file:
        return set(file.read().split())


def _fields(path: str) -> dict[str, int]:
    with suppress(OSError, ValueError), open(path) as file:
        return {key: int(value) for key, value in (line.split() for line in file)}
    return {}
