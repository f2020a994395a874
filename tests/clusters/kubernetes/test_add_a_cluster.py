"""The guide on adding a cluster, run against a real Berth and a real cluster; and looks of the controller's loop."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.trial.demo_server import DemoServer
from app.trial.embedded import find
from deploy.testcluster.cluster import Cluster
from deploy.testcluster.faults import Faults
from deploy.testcluster.images import PYTHON
from tests.clusters.kubernetes.berth_account import remove_account, write_account
from tests.clusters.kubernetes.test_preflight import berth as berth
from tests.trial.test_guides import BLOCKS, execute

pytestmark = pytest.mark.cluster

GUIDE = "add-a-cluster.md"


@pytest.fixture
def kubeconfig(cluster: Cluster, tmp_path: Path) -> Iterator[Path]:
    """What the guide makes by kubectl: the account, and its kubeconfig `east.yaml`."""
    path = tmp_path / "east.yaml"
    write_account(cluster, path)
    yield path
    remove_account(cluster)


@pytest.fixture
def server() -> Iterator[DemoServer]:
    """A Berth of its own."""
    folder = Path(tempfile.mkdtemp(prefix="berth-t-"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BERTH_HOME", str(folder))
        patch.setenv("BERTH_CONVERGENCE__SWEEP_SECONDS", "1")
        with DemoServer(lambda _: None) as made:
            yield made
    servers = find(folder, folder)
    for each in (servers.postgres, servers.valkey):
        if each is not None:
            each.stop()
    shutil.rmtree(folder, ignore_errors=True)


def test_the_guide_does_what_it_says_and_a_cluster_that_is_away_is_shown(
    server: DemoServer,
    kubeconfig: Path,
    faults: Faults,
    berth: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(kubeconfig.parent)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    more = {"PATH": path, "XDG_CONFIG_HOME": str(kubeconfig.parent), "BERTH_FOR_PODS": berth, "RUNTIME_IMAGE": PYTHON}
    for name, value in (server.environment("demo") | more).items():
        monkeypatch.setenv(name, value)
    blocks = BLOCKS[GUIDE]
    (last,) = (number for number, block in enumerate(blocks) if "berth cluster drain" in block.text)
    for block in blocks[:last]:
        execute(block, {})
    with server.client() as client:
        found = client.clusters.get("east").raw
        assert (found["status"], found["nodes"], found["credentials_version"]) == ("ready", 3, 2)
        statuses = {one["code"]: one["status"] for one in found["findings"]}
        assert statuses["EXCESS"] == statuses["PERMISSIONS"] == statuses["BERTH_URL"] == "ok"
        assert "fail" not in statuses.values()
        with faults.api_server_away():
            client.clusters.check("east")
            found = client.clusters.wait("east", 60).raw
            assert [one["code"] for one in found["findings"]] == ["REACHABLE"]
            assert found["trouble"]
        client.clusters.check("east")
        assert client.clusters.wait("east", 120).raw["status"] == "ready"
    for block in blocks[last:]:
        execute(block, {})
