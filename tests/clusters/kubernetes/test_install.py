"""The guide on installing Berth on Kubernetes, run: the platform's image, the chart, and a run through both."""

import json
import os
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from app.workloads.namespaces import WEB_LABELS, WEB_PORT
from deploy.testcluster import build
from deploy.testcluster.api import ApiError
from deploy.testcluster.cluster import Cluster
from deploy.testcluster.images import PYTHON, RUNTIME
from deploy.testcluster.more_images import BERTH, SERVERS, provide
from deploy.testcluster.places import ROOT
from deploy.testcluster.processes import wait_until
from tests.trial.test_guides import BLOCKS, execute

GUIDE = "install-on-kubernetes.md"
CHART = ROOT / "deploy/helm/berth"
NAMESPACE = "berth"
_yaml = YAML(typ="safe", pure=True)


def _helm(*words: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    program = build.program("helm")
    if not program.exists() and os.environ.get("CI") != "true":
        pytest.skip("the test cluster's helm is not built; `make cluster-build` builds it")
    return subprocess.run(
        [str(program), *words], env={**os.environ, **(environment or {})}, capture_output=True, text=True, check=False
    )


def _render(*sets: str) -> list[dict[str, Any]]:
    given = [f"--set={one}" for one in ("url=https://berth.example.com", "image.name=berth:1", *sets)]
    done = _helm("template", "berth", str(CHART), "--namespace", NAMESPACE, "--kube-version", "1.34.0", *given)
    assert done.returncode == 0, done.stderr
    return [one for one in _yaml.load_all(done.stdout) if one]


def _of(found: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one for one in found if one["kind"] == kind}


@pytest.mark.cluster
def test_what_the_chart_makes(built: None) -> None:
    found = _render("ingress.enabled=true", "ingress.tlsSecret=tls")
    pods = {
        name: one["spec"]["template"]["spec"]
        for kind in ("Deployment", "StatefulSet")
        for name, one in _of(found, kind).items()
    }
    assert set(pods) == {f"berth-{part}" for part in ("web", "worker", "controller", "admission", "postgres", "redis")}
    for name, pod in pods.items():
        assert pod["securityContext"]["runAsNonRoot"], name
        assert pod["securityContext"]["seccompProfile"], name
        has_account = name in ("berth-worker", "berth-controller")
        assert pod.get("automountServiceAccountToken", True) == has_account, name
        for container in [*pod.get("initContainers", []), *pod["containers"]]:
            security = container["securityContext"]
            assert security["capabilities"] == {"drop": ["ALL"]}, name
            assert security["readOnlyRootFilesystem"], name
            assert security["allowPrivilegeEscalation"] is False
            assert set(container["resources"]) == {"requests", "limits"}, name
    web = pods["berth-web"]["containers"][0]
    assert web["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert web["livenessProbe"]["httpGet"]["httpHeaders"] == [{"name": "Host", "value": "berth.example.com"}]
    rules = _of(found, "ClusterRole")["berth-berth"]["rules"]
    assert rules == _yaml.load((ROOT / "deploy/kubernetes/cluster-role.yaml").read_text())["rules"]
    assert not any("*" in words for rule in rules for words in rule.values())
    assert _of(found, "Ingress")["berth"]["spec"]["tls"] == [{"hosts": ["berth.example.com"], "secretName": "tls"}]
    own = {"app.kubernetes.io/name": "berth", "app.kubernetes.io/instance": "berth"}
    ways = {}
    for name, one in _of(found, "NetworkPolicy").items():
        part = name.removeprefix("berth-")
        assert one["spec"]["podSelector"]["matchLabels"] == own | {"app.kubernetes.io/component": part}
        assert one["spec"]["policyTypes"] == ["Ingress"]
        (ways[part],) = one["spec"]["ingress"]
    of_berth = [{"podSelector": {"matchLabels": own}}]
    assert ways == {
        "web": {"ports": [{"protocol": "TCP", "port": WEB_PORT}]},
        "postgres": {"ports": [{"protocol": "TCP", "port": 5432}], "from": of_berth},
        "redis": {"ports": [{"protocol": "TCP", "port": 6379}], "from": of_berth},
    }
    # What runs' pods are let to is what the chart makes.
    web_pod = _of(found, "Deployment")["berth-web"]["spec"]["template"]
    assert web_pod["metadata"]["labels"].items() >= WEB_LABELS.items()
    assert web["ports"] == [{"name": "http", "containerPort": WEB_PORT}]


@pytest.mark.cluster
def test_servers_elsewhere_a_secret_of_ones_own_and_a_bucket(built: None) -> None:
    found = _render(
        "postgres.bundled=false",
        "redis.bundled=false",
        "secret.existing=mine",
        "objects.volume=false",
        "settings.BERTH_OBJECTS__BUCKET=runs",
        "inCluster.enabled=false",
    )
    assert {one["kind"] for one in found} == {"ConfigMap", "Deployment", "NetworkPolicy", "Service"}
    assert set(_of(found, "NetworkPolicy")) == {"berth-web"}
    worker = _of(found, "Deployment")["berth-worker"]["spec"]["template"]["spec"]
    assert worker["automountServiceAccountToken"] is False
    assert worker["containers"][0]["envFrom"][1] == {"secretRef": {"name": "mine"}}
    assert _of(found, "ConfigMap")["berth"]["data"]["BERTH_OBJECTS__BUCKET"] == "runs"


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (["image.name=x"], "url: where people find the console"),
        (["url=http://localhost"], "image.name: the image that is built from deploy/Dockerfile"),
        (["url=http://x", "image.name=x", "postgres.bundled=false"], "secret.databaseUrl: where Postgres is"),
        (["url=http://x", "image.name=x", "redis.bundled=false"], "secret.redisUrl: where Redis is"),
        (["url=http://x", "image.name=x", "objects.volume=false"], "objects: keep a volume, or name a bucket"),
    ],
)
def test_what_is_missing_is_named(built: None, sets: list[str], said: str) -> None:
    done = _helm("template", "berth", str(CHART), "--kube-version", "1.34.0", *(f"--set={one}" for one in sets))
    assert done.returncode != 0
    assert said in done.stderr


def test_the_image_installs_what_the_lock_of_the_clone_names() -> None:
    def pins(path: Path) -> set[str]:
        return {line.split("\\")[0].strip() for line in path.read_text().splitlines() if "==" in line}

    assert pins(ROOT / "deploy/requirements.lock") <= pins(ROOT / "requirements.lock")


def test_a_process_of_an_installation_says_what_is_missing() -> None:
    """As it would run in the image: outside of a trial, with nothing set but what each line says."""

    def run(*words: str, **settings: str) -> tuple[int, str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("BERTH_")}
        environment |= {"BERTH_TRIAL": "false", **settings}
        command = [sys.executable, "-m", "app.server", *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stderr.rstrip()

    code, said = run("web", BERTH_WEB__URL="http://localhost")
    assert code == 1
    assert said.startswith("Berth cannot start: outside trial mode these must be set: BERTH_SECRET_KEY, BERTH_ENC")
    code, said = run(
        "migrate", BERTH_TRIAL="true", BERTH_HOME="/nowhere", BERTH_DATABASE__URL="postgresql://a:b@127.0.0.1:1/c"
    )
    assert code == 1
    assert said.startswith("Postgres does not answer: connection failed")
    assert "Traceback" not in said


@pytest.fixture
def forwarded() -> Iterator[tuple[int, list[tuple[str, int]]]]:
    """What `kubectl port-forward` does: a port of this machine, and a list whose last address it leads to."""
    targets: list[tuple[str, int]] = []
    opened: list[socket.socket] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def serve() -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                try:
                    far = socket.create_connection(targets[-1], timeout=5)
                except (OSError, IndexError):
                    near.close()
                    continue
                opened.extend((near, far))
                far.settimeout(None)
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=pump, args=pair, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1], targets
    for one in (listener, *opened):
        one.close()


@pytest.fixture
def place(cluster: Cluster, tmp_path: Path) -> Iterator[Path]:
    """A namespace with Pod Security "restricted" and a volume for files of runs in it."""
    objects = tmp_path / "objects"
    objects.mkdir()
    objects.chmod(0o777)
    for parent in objects.parents[:3]:
        parent.chmod(parent.stat().st_mode | 0o011)
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    volume = {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteMany"],
        "storageClassName": "",
        "hostPath": {"path": str(objects)},
        "claimRef": {"namespace": NAMESPACE, "name": "objects"},
    }
    claim = {
        "accessModes": ["ReadWriteMany"],
        "storageClassName": "",
        "volumeName": "berth-objects",
        "resources": {"requests": {"storage": "1Gi"}},
    }
    with suppress(ApiError):
        cluster.api.delete(f"/api/v1/namespaces/{NAMESPACE}")
    wait_until("the namespace is gone", lambda: not _exists(cluster, f"/api/v1/namespaces/{NAMESPACE}"))
    for path, manifest in (
        ("/api/v1/namespaces", {"kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}),
        (
            "/api/v1/persistentvolumes",
            {"kind": "PersistentVolume", "metadata": {"name": "berth-objects"}, "spec": volume},
        ),
        (
            f"/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims",
            {"kind": "PersistentVolumeClaim", "metadata": {"name": "objects"}, "spec": claim},
        ),
    ):
        cluster.api.post(path, {"apiVersion": "v1", **manifest})
    yield tmp_path
    for log in cluster.places.state.glob(f"podlogs/{NAMESPACE}_*/*/*.log"):  # for whoever looks at a failure
        print(f"{log.parent.parent.name} {log.parent.name}: {log.read_text(errors='replace')[-4000:]}")
    projects = cluster.api.get("/api/v1/namespaces?labelSelector=berth.dev%2Fproject")["items"]
    for name in (NAMESPACE, *(one["metadata"]["name"] for one in projects)):
        cluster.api.delete(f"/api/v1/namespaces/{name}")
    cluster.api.delete("/api/v1/persistentvolumes/berth-objects")


def _exists(cluster: Cluster, path: str) -> bool:
    try:
        cluster.api.get(path)
    except ApiError as error:
        assert error.status == 404, error
        return False
    return True


def _values(cluster: Cluster, port: int) -> dict[str, Any]:
    servers = provide(cluster, SERVERS)
    return {
        "url": f"http://localhost:{port}",
        "image": {"name": provide(cluster, BERTH)},
        "postgres": {"image": servers, "size": ""},
        "redis": {"image": servers},
        "objects": {"existingClaim": "objects"},
        "web": {"replicas": 1},
        "worker": {"concurrency": 2},
        "service": {"headless": True},
        "inCluster": {"server": cluster.api.server},
        "settings": {"BERTH_CONVERGENCE__SWEEP_SECONDS": "1"},
    }


def _pods(cluster: Cluster) -> dict[str, dict[str, Any]]:
    found = cluster.api.get(f"/api/v1/namespaces/{NAMESPACE}/pods")["items"]
    return {one["metadata"]["labels"].get("app.kubernetes.io/component", ""): one for one in found}


def _in_a_pod(cluster: Cluster, name: str, *command: str) -> str:
    """What a command prints that runs as `kubectl exec` into the web process would run it."""
    spec = _pods(cluster)["web"]["spec"]
    container = {key: spec["containers"][0][key] for key in ("image", "envFrom", "securityContext", "volumeMounts")}
    volumes = [volume for volume in spec["volumes"] if not volume["name"].startswith("kube-api")]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "labels": {"app.kubernetes.io/name": "berth", "app.kubernetes.io/instance": "berth"},
        },
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": spec["securityContext"],
            "volumes": volumes,
            "containers": [{"name": "it", "command": list(command), **container}],
        },
    }
    path = f"/api/v1/namespaces/{NAMESPACE}/pods"
    cluster.api.post(path, pod)
    done = cluster.api.wait(f"{path}/{name}", lambda found: found["status"]["phase"] in ("Succeeded", "Failed"))
    said = str(cluster.api.get(f"{path}/{name}/log"))
    assert done["status"]["phase"] == "Succeeded", said
    cluster.api.delete(f"{path}/{name}")
    return said


@pytest.mark.cluster
def test_the_guide_installs_berth_and_a_run_goes_through_it(
    cluster: Cluster,
    place: Path,
    forwarded: tuple[int, list[tuple[str, int]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port, targets = forwarded
    assert _helm("version").returncode == 0
    monkeypatch.chdir(place)
    (place / "deploy").symlink_to(ROOT / "deploy")
    (place / "values.yaml").write_text(json.dumps(_values(cluster, port)))
    path = os.pathsep.join([str(build.program("helm").parent), str(Path(sys.executable).parent), os.environ["PATH"]])
    told = {"PATH": path, "KUBECONFIG": str(cluster.places.kubeconfig), "XDG_CONFIG_HOME": str(place)}
    told |= {f"HELM_{what}_HOME": str(place / "helm") for what in ("CONFIG", "CACHE", "DATA")}
    told |= {"RUNTIME_IMAGE": RUNTIME, "DEFAULT_IMAGE": PYTHON}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    blocks = [block for block in BLOCKS[GUIDE] if block.info == "cluster"]
    install, add, run, upgrade, remove = blocks
    execute(install, {})
    pods = _pods(cluster)
    assert set(pods) == {"web", "worker", "controller", "admission", "postgres", "redis"}
    targets.append((pods["web"]["status"]["podIP"], 8800))

    link = _in_a_pod(cluster, "link", "python3", "-m", "app.server", "link").strip()
    url, _, key = link.partition("/?k=")
    assert url == f"http://localhost:{port}"
    body = {"key": key, "name": "admin", "password": "long enough to be taken", "project": "demo"}
    headers = {"Content-Type": "application/json", "Origin": url}
    asked = urllib.request.Request(f"{url}/api/v1/setup", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(asked, timeout=30):
        pass
    token = json.loads(_in_a_pod(cluster, "token", "python3", "-m", "app.trial.owner", "token"))["token"]
    for name, value in {"BERTH_SERVER": url, "BERTH_TOKEN": token, "BERTH_PROJECT": "demo"}.items():
        monkeypatch.setenv(name, value)
    execute(add, {})
    execute(run, {})

    secret = f"/api/v1/namespaces/{NAMESPACE}/secrets/berth"
    before = cluster.api.get(secret)["data"]
    execute(upgrade, {})
    assert cluster.api.get(secret)["data"] == before, "an upgrade keeps the keys"
    for part, pod in _pods(cluster).items():
        restarts = [one["restartCount"] for one in pod["status"]["containerStatuses"]]
        assert restarts == [0], part
    execute(remove, {})
    assert cluster.api.get(secret)["data"] == before, "they outlive it"
    assert not _exists(cluster, "/apis/rbac.authorization.k8s.io/v1/clusterroles/berth-berth")
