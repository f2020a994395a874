"""A cluster that came down leaves the machine as it was."""

import subprocess
from pathlib import Path

import pytest

from deploy.testcluster import machine
from deploy.testcluster.cluster import Cluster
from tests.clusters.kubernetes.world import Namespace, pod

pytestmark = pytest.mark.cluster


def test_nothing_is_left_of_a_cluster_with_running_pods_and_a_dead_kubelet(built: None) -> None:
    made = Cluster(9)
    before = seen()
    made.up()
    try:
        namespace = Namespace(made, "ends")
        namespace.create()
        namespace.add(pod("runs", "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.pause()"))
        namespace.wait_phase("runs", "Running")
        # As different as it gets from what was there before: else the comparison below would show nothing.
        assert {line.split()[0] for line in machine.left_behind(made.places)} >= {
            "process",
            "mount",
            "bridge",
            "control",
        }
        assert machine.network_namespaces(made.places)
        made.processes.kill("kubelet")
        made.processes.kill("kube-apiserver")
    finally:
        made.down()
    assert machine.left_behind(made.places) == []
    assert seen() == before
    made.down()  # once more does no harm


def seen() -> dict[str, object]:
    """All that a cluster could change on the machine, other clusters' processes and groups aside."""
    shown = subprocess.run(["iptables-save"], capture_output=True, text=True, check=False).stdout
    rules = [line for line in shown.splitlines() if line.startswith("-A")]
    return {
        "mounts": Path("/proc/self/mounts").read_text().count("\n"),
        "interfaces": sorted(path.name for path in Path("/sys/class/net").iterdir()),
        "network namespaces": sorted(path.name for path in Path("/run/netns").glob("*")),
        "forwarding": machine.FORWARD.read_text(),
        "rules": rules,
        "others' folders": sorted(
            str(path) for folder in machine.FOREIGN for path in (folder, *folder.rglob("*")) if path.exists()
        ),
        "control groups": sorted(
            str(folder) for hierarchy in machine.CGROUPS.iterdir() for folder in hierarchy.glob("berthtest*")
        ),
        "folders": {
            name: sorted(path.name for path in Path(name).glob("*"))
            for name in ("/etc", "/opt", "/var/lib", "/var/log", "/usr/libexec")
        },
    }
