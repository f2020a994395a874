"""`make demo-kubernetes`: the demo in real pods, what it says where it cannot, and that nothing is left of it."""

import os
import re
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from app.trial.demo import EPOCHS, RATES
from deploy.testcluster import demo
from deploy.testcluster.cluster import Cluster
from deploy.testcluster.places import ROOT, SETTING
from deploy.testcluster.processes import NotUp, wait_until


@pytest.mark.cluster
def test_the_demo_runs_in_pods_and_leaves_nothing(cluster: Cluster) -> None:
    before = _traces(cluster)
    done = subprocess.run(
        ["make", "--no-print-directory", "demo-kubernetes", f"args=--number {cluster.places.number}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout
    assert done.returncode == 0, (said, done.stderr)
    checks = re.findall(r"^  (ok |NOT)  (.*)$", said, re.M)
    expected = ["three trainings succeeded"]
    expected += [f"lr {rate}: {EPOCHS} epochs x 2 series" for rate in RATES]
    expected += [f"lr {rate}: the model gives the logged accuracy" for rate in RATES]
    expected += ["the failed run names its error and exit code", "the stopped run is stopped"]
    assert [what for _, what in checks[:-1]] == expected
    assert re.fullmatch(r"nothing is left of it \([1-9]\d* process(es)? before\)", checks[-1][1])
    assert {verdict for verdict, _ in checks} == {"ok "}
    assert "the model is in /berth/output/model.npz" in said, "it ran in a pod"
    assert said.endswith("Berth has ended; nothing of it is left.\n")

    def is_gone() -> bool:
        folders, processes, names = _traces(cluster)  # what earlier tests left to be deleted may go meanwhile
        return folders <= before[0] and processes <= before[1] and names <= before[2]

    wait_until("its namespaces are gone", is_gone)


def _traces(cluster: Cluster) -> tuple[set[Path], set[int], set[str]]:
    """Folders in the place for temporary ones, and processes, that belong to some demo; namespaces and roles."""
    found = set()
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if "/berth-k-" in process.environ().get("BERTH_HOME", ""):
                found.add(process.pid)
    temporary = Path(tempfile.gettempdir())
    folders = {*temporary.glob("berth-k-*"), *temporary.glob("berth-demo-*")}
    kinds = ("api/v1/namespaces", "apis/rbac.authorization.k8s.io/v1/clusterroles")
    names = {one["metadata"]["name"] for kind in kinds for one in cluster.api.get(f"/{kind}")["items"]}
    return folders, found, names


def test_without_root_it_says_what_does_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(NotUp, match=r"needs Linux and root; `make demo` does the same with processes"):
        demo.run(9, print)


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs Linux and root to come so far")
def test_without_go_it_says_what_to_install(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BERTH_")}
    done = subprocess.run(
        [sys.executable, "-m", "deploy.testcluster", "demo"],
        cwd=ROOT,
        env=environment | {"PATH": str(tmp_path), SETTING: str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"Go is missing: install Go [\d.]+ or later, https://\S+\n", done.stderr)
    assert list(tmp_path.iterdir()) == []
