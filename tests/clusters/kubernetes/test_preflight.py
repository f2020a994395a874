"""What the check of a cluster finds on a real one, as it is and with something of it broken."""

import base64
import datetime
import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.clusters import preflight as collector
from app.clusters.kubeconfig import Connection, in_cluster, read_kubeconfig
from app.clusters.kubernetes_api import Api
from app.domain import preflight
from app.domain.clusters import ClusterSettings
from app.domain.preflight_facts import NEEDED, Facts, Finding, Status
from deploy.testcluster.api import ApiError
from deploy.testcluster.cluster import Cluster
from deploy.testcluster.faults import Faults, all_rights
from deploy.testcluster.images import PYTHON
from deploy.testcluster.proxy import Rule
from tests.clusters.kubernetes.world import Namespace

pytestmark = pytest.mark.cluster

OK, WARN, FAIL, UNKNOWN = Status.OK, Status.WARN, Status.FAIL, Status.UNKNOWN
SETTINGS = ClusterSettings(runtime_image=PYTHON)


@pytest.fixture
def berth(cluster: Cluster) -> Iterator[str]:
    """Something that answers where pods can reach it."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
            return

    server = http.server.ThreadingHTTPServer((cluster.places.address, 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://{cluster.places.address}:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def _connection(path: Path) -> Connection:
    return read_kubeconfig(path.read_text())


def _collect(connection: Connection, settings: ClusterSettings = SETTINGS, patience: float = 40.0) -> Facts:
    api = Api("test", connection)
    try:
        return collector.collect(api, settings, patience)
    finally:
        api.close()


def _judge(facts: Facts) -> dict[str, Finding]:
    return {finding.code: finding for finding in preflight.judge(facts)}


def _statuses(found: dict[str, Finding]) -> dict[str, Status]:
    return {code: finding.status for code, finding in found.items()}


def _checks_left(cluster: Cluster) -> list[str]:
    """Namespaces of checks that nobody is removing."""
    found = cluster.api.get("/api/v1/namespaces?labelSelector=berth.dev%2Fcheck")["items"]
    return [one["metadata"]["name"] for one in found if one["status"]["phase"] != "Terminating"]


def test_a_cluster_as_it_is(cluster: Cluster, berth: str) -> None:
    found = _judge(_collect(_connection(cluster.places.kubeconfig), replace(SETTINGS, berth_url=berth)))
    assert _statuses(found) == dict.fromkeys(preflight.TITLES, OK) | {
        "EXCESS": WARN,  # the kubeconfig is that of an administrator
        "STORAGE_CLASS": WARN,
        "NETWORK_POLICY": WARN,  # this cluster's network enforces none
        "LATENCY": found["LATENCY"].status,  # of a machine that others use
    }
    assert found["EXCESS"].slots["held"].startswith("everything")
    assert found["VERSION"].slots["version"].startswith("v1.34.")
    assert found["GPU_PLUGIN"].slots["gpus"] == 16
    assert found["CLOCK"].slots["seconds"] < 2
    assert _checks_left(cluster) == []


def test_what_pods_and_volumes_meet_where_something_is_wrong(cluster: Cluster, namespace: Namespace) -> None:
    """Several at once, as each check takes a while: they do not hide each other."""
    cluster.api.post(f"{namespace.core}/secrets", {"metadata": {"name": "plain"}, "stringData": {"a": "b"}})
    classes = "/apis/storage.k8s.io/v1/storageclasses"
    is_default = {"storageclass.kubernetes.io/is-default-class": "true"}
    for name in ("one", "two"):
        body = {"metadata": {"name": f"test-{name}", "annotations": is_default}, "provisioner": "example.com/none"}
        cluster.api.post(classes, body)
    try:
        settings = ClusterSettings(
            runtime_image="registry.berth.test/nothing:1",
            gpu_resource="example.com/gpu",
            pull_secret=f"{namespace.name}/plain",
            berth_url="http://127.0.0.1:1",
        )
        found = _judge(_collect(_connection(cluster.places.kubeconfig), settings))
    finally:
        for name in ("one", "two"):
            cluster.api.delete(f"{classes}/test-{name}")
    assert found["POD_START"].status is FAIL
    assert "could not be pulled" in found["POD_START"].says
    assert found["DNS"].status is found["BERTH_URL"].status is found["NETWORK_POLICY"].status is UNKNOWN
    assert found["STORAGE_CLASS"].slots["names"] == "test-one, test-two"
    assert found["GPU_PLUGIN"].status is WARN
    assert found["PULL_SECRET"].status is FAIL
    assert "Opaque" in found["PULL_SECRET"].slots["error"]
    assert _checks_left(cluster) == []


def test_a_private_image_is_pulled_with_the_secret_and_berth_is_not_where_it_was_said(
    cluster: Cluster, namespace: Namespace
) -> None:
    login = base64.b64encode(b"berth:berth-test").decode()
    config = json.dumps({"auths": {"private.berth.test": {"auth": login}}})
    body = {"metadata": {"name": "pull"}, "type": "kubernetes.io/dockerconfigjson"}
    cluster.api.post(f"{namespace.core}/secrets", body | {"stringData": {".dockerconfigjson": config}})
    settings = ClusterSettings(
        default_image=PYTHON.replace("registry.", "private."),
        pull_secret=f"{namespace.name}/pull",
        berth_url=f"http://{cluster.places.address}:1",
    )
    found = _judge(_collect(_connection(cluster.places.kubeconfig), settings))
    assert found["PULL_SECRET"].status is found["POD_START"].status is OK
    assert found["BERTH_URL"].status is FAIL
    assert "refused" in found["BERTH_URL"].slots["error"]


def test_an_account_without_rights(cluster: Cluster, namespace: Namespace) -> None:
    cluster.api.post(f"{namespace.core}/serviceaccounts", {"metadata": {"name": "nobody"}})
    token = cluster.api.post(f"{namespace.core}/serviceaccounts/nobody/token", {"spec": {"expirationSeconds": 600}})
    admin = _connection(cluster.places.kubeconfig)
    nobody = Connection(admin.server, admin.ca, token["status"]["token"])
    found = _judge(_collect(nobody))
    assert found["PERMISSIONS"].status is FAIL
    assert found["PERMISSIONS"].slots["count"] == len(NEEDED)
    assert found["EXCESS"].status is OK
    for code in ("NODES", "STORAGE_CLASS", "POD_SECURITY", "QUOTA", "POD_START"):
        assert found[code].status is UNKNOWN, code


def test_inside_of_a_cluster_the_files_of_its_pods_are_used(cluster: Cluster, tmp_path: Path) -> None:
    admin = _connection(cluster.places.kubeconfig)
    (tmp_path / "token").write_text(all_rights(cluster.api) + "\n")
    (tmp_path / "ca.crt").write_text(admin.ca)
    api = Api("test", in_cluster(tmp_path, admin.server))
    assert api.get_version()[0].startswith("v1.34.")
    api.close()


def test_credentials_that_are_not_known(cluster: Cluster) -> None:
    admin = _connection(cluster.places.kubeconfig)
    found = _judge(_collect(Connection(admin.server, admin.ca, "nonsense")))
    assert list(found) == ["REACHABLE"]
    assert "does not accept" in found["REACHABLE"].says


def test_a_slow_server_that_lets_privileged_pods_through_and_one_that_is_away(cluster: Cluster, faults: Faults) -> None:
    with faults.api_calls() as proxy:
        proxy.rules.append(Rule("GET", "/version", delay=0.4))
        proxy.rules.append(Rule("POST", "/pods\\?", status=500))
        found = _judge(_collect(_connection(proxy.kubeconfig)))
        assert found["LATENCY"].status is WARN
        assert found["POD_SECURITY"].status is UNKNOWN
        assert found["POD_START"].status is FAIL
    with faults.api_server_away():
        found = _judge(_collect(_connection(cluster.places.kubeconfig)))
    assert list(found) == ["REACHABLE"]
    assert "does not answer" in found["REACHABLE"].says


def test_what_a_killed_check_left_is_removed_by_the_next(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    body = {"metadata": {"name": "berth-check-left", "labels": {"berth.dev/check": "true"}}}
    try:
        cluster.api.post("/api/v1/namespaces", body)
    except ApiError as error:
        assert error.status == 409
    monkeypatch.setattr(collector, "_OLD", datetime.timedelta(0))
    facts = _collect(_connection(cluster.places.kubeconfig), ClusterSettings())
    assert facts.pod is not None
    assert not facts.pod.image
    assert _checks_left(cluster) == []
