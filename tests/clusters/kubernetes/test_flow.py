"""Runs all the way: a real Berth, a cluster that is added to it as anybody would, and real pods."""

import hashlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import berth
from app.trial.demo_server import DemoServer
from app.trial.embedded import find
from deploy.testcluster import registry
from deploy.testcluster.cluster import Cluster
from deploy.testcluster.images import PYTHON, REGISTRY, RUNTIME
from tests.clusters.kubernetes.test_add_a_cluster import kubeconfig as kubeconfig

pytestmark = pytest.mark.cluster

SECRET = "canary-of-the-flow-4b1d"
LINES = 3_000
PROGRAM = f"""
import os, pathlib, sys, time
import berth
import helper
run = berth.run()
for step in range(5):
    run.log({{"loss": 1 / (step + 1)}}, step=step)
for number in range({LINES}):
    print("line", number)
print("rate is", os.environ["BERTH_PARAM_RATE"], helper.WORD)
print("key is", os.environ["KEY"], flush=True)
output = pathlib.Path(os.environ["BERTH_OUTPUT"])
(output / "deep").mkdir()
(output / "deep" / "model.bin").write_bytes(bytes(range(256)) * 1024)
(output / "length").write_text(str(len(os.environ["KEY"])))
"""


@pytest.fixture
def server() -> Iterator[DemoServer]:
    """A Berth of its own that pods can reach."""
    folder = Path(tempfile.mkdtemp(prefix="berth-t-"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BERTH_HOME", str(folder))
        patch.setenv("BERTH_CONVERGENCE__SWEEP_SECONDS", "1")
        patch.setenv("BERTH_WEB__HOST", "0.0.0.0")
        with DemoServer(lambda _: None) as made:
            yield made
        for name in ("controller", "worker"):  # for whoever looks at a failure
            print((folder / "processes" / f"{name}.log").read_text()[-20_000:])
    servers = find(folder, folder)
    for each in (servers.postgres, servers.valkey):
        if each is not None:
            each.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def client(server: DemoServer, cluster: Cluster, kubeconfig: Path) -> Iterator[berth.Client]:
    """With the cluster "east" added and checked; afterwards its namespaces are gone."""
    settings = {
        "berth_url": f"http://{cluster.places.address}:{urlsplit(server.url).port}",
        "runtime_image": cluster.image_by_digest(RUNTIME),
        "default_image": cluster.image_by_digest(PYTHON),
    }
    with server.client("demo") as made:
        made.clusters.add("east", kubeconfig.read_text(), settings)
        yield made
    for namespace in _namespaces(cluster):
        cluster.api.delete(f"/api/v1/namespaces/{namespace['metadata']['name']}")


def _namespaces(cluster: Cluster) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cluster.api.get("/api/v1/namespaces?labelSelector=berth.dev%2Fproject")["items"]
    return found


def wait(look: Callable[[], Any], seconds: float = 60.0) -> Any:
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end
        time.sleep(0.2)
    return found


def _submit(client: berth.Client, program: list[str], **fields: Any) -> Any:
    return client.runs.submit(program, pool="east", cpu="200m", memory="128Mi", grace="2s", **fields)


def _code(client: berth.Client, run: Any) -> str | None:
    reason = client.runs.get(run.id).reason
    return reason.code if reason else None


def test_runs_go_to_pods_and_come_back_whole(client: berth.Client, cluster: Cluster, tmp_path: Path) -> None:
    wait(lambda: client.clusters.get("east").raw["pools"] == ["east"])
    early = _submit(client, ["true"], name="early")  # while the cluster is being checked
    plan = client.runs.plan({"command": ["true"], "pool": "east"})
    if client.clusters.get("east").raw["checking"]:
        assert plan["reason"]["code"] == "CLUSTER_UNCHECKED"
    checked = client.clusters.wait("east", 120).raw
    assert checked["status"] == "ready", checked["findings"]

    code = tmp_path / "code"
    code.mkdir()
    (code / "main.py").write_text(PROGRAM)
    (code / "helper.py").write_text("WORD = 'helpful'\n")
    client.secrets.set("key", SECRET)
    whole = _submit(
        client,
        ["python3", "main.py"],
        name="whole",
        folder=code,
        parameters={"rate": 0.5},
        secrets=[{"name": "key", "env": "KEY"}],
    )
    first = cluster.image_by_digest(PYTHON).partition("@")[2]
    registry.move_tag(cluster.registry_port, "python", first, "moving")
    tagged = _submit(client, ["true"], name="tagged", image=f"{REGISTRY}/python:moving")
    missing = _submit(client, ["true"], name="missing", image=f"{REGISTRY}/nothing:here")
    endless = _submit(client, ["python3", "-c", "import time; print('on', flush=True); time.sleep(600)"], name="on")
    failing = _submit(client, ["python3", "-c", "import sys; print('Error: no data'); sys.exit(7)"], name="failing")

    two = "import os, sys, time; me = os.environ['RANK']; print(me); me == '1' and sys.exit(3); time.sleep(600)"
    gang = _submit(client, ["python3", "-c", two], name="gang", replicas=2)
    waiting = _submit(client, ["true"], name="waiting", volumes=[{"claim": "nothing", "path": "/mnt/data"}])
    with pytest.raises(berth.BerthError, match="NEVER_FITS"):
        _submit(client, ["true"], name="never", gpus=9)  # more than a node has, and less than all of them

    done = client.runs.wait(whole.id, 120)
    log = [line.text for line in client.runs.logs(whole.id)]
    assert done.state == "succeeded", (done, log[-20:])
    assert log[:LINES] == [f"line {number}" for number in range(LINES)]
    assert log[LINES] == "rate is 0.5 helpful"
    assert log[LINES + 1].startswith("key is ")
    assert SECRET not in "".join(log)
    assert client.runs.metrics(whole.id)["loss"].last[-1] == pytest.approx(0.2)
    files = {
        str(path.relative_to(tmp_path / "out")): path for path in client.runs.download(whole.id, to=tmp_path / "out")
    }
    assert set(files) == {"deep/model.bin", "length"}
    expected = hashlib.sha256(bytes(range(256)) * 1024).hexdigest()
    assert hashlib.sha256(files["deep/model.bin"].read_bytes()).hexdigest() == expected
    assert files["length"].read_text() == str(len(SECRET))
    assert client.runs.capsule(whole.id)["manifest"]

    # What a tag meant is kept, and what repeats the run gets the same after the tag has moved.
    assert client.runs.wait(tagged.id, 60).state == "succeeded"
    registry.move_tag(cluster.registry_port, "python", "next", "moving")
    again = client.runs.rerun(tagged.id)
    assert client.runs.wait(again.id, 60).state == "succeeded"
    images = [client.runs.capsule(one)["image"] for one in (tagged.id, again.id)]
    assert images == [{"name": f"{REGISTRY}/python:moving", "digest": first}] * 2
    assert client.runs.capsule(whole.id)["image"] == {"name": None, "digest": first}

    wait(lambda: _code(client, waiting) == "VOLUME_MISSING")
    assert client.runs.get(waiting.id).state == "starting"
    client.runs.stop(waiting.id)
    assert client.runs.wait(waiting.id, 60).state == "stopped"
    wait(lambda: client.runs.get(endless.id).state == "running")
    client.runs.stop(endless.id)
    assert client.runs.wait(endless.id, 60).state == "stopped"
    failed = client.runs.wait(failing.id, 60)
    assert (failed.state, failed.exit_code) == ("failed", 7)
    assert client.runs.wait(early.id, 60).state == "succeeded"
    fell = client.runs.wait(gang.id, 90)
    assert fell.reason
    assert (fell.state, fell.exit_code, fell.reason.code) == ("failed", 3, "EXIT_CODE")
    assert fell.reason.text == "Replica 1 of 2 exited with code 3."
    assert [line.text for line in client.runs.logs(gang.id, replica=1)] == ["1"]
    (attempt,) = fell.attempts
    assert [(one.index, one.state) for one in attempt.replicas] == [(0, "stopped"), (1, "failed")]
    refused = client.runs.wait(missing.id, 150)
    assert refused.reason
    assert (refused.state, refused.reason.code) == ("failed", "IMAGE_NOT_FOUND")
    assert refused.reason.text == f"There is no image {REGISTRY}/nothing:here."

    (namespace,) = _namespaces(cluster)
    labels = namespace["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    name = namespace["metadata"]["name"]
    assert name.startswith("berth-")
    wait(lambda: not cluster.api.get(f"/api/v1/namespaces/{name}/pods")["items"])
    secrets = cluster.api.get(f"/api/v1/namespaces/{name}/secrets")["items"]
    assert secrets == [], "nothing of a run's secrets is left"
    policies = cluster.api.get(f"/apis/networking.k8s.io/v1/namespaces/{name}/networkpolicies")["items"]
    assert sorted(one["metadata"]["name"] for one in policies) == ["berth", f"{gang.id}-1"]
    assert cluster.api.get(f"/api/v1/namespaces/{name}/services")["items"] == []
