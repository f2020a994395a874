"""A project's namespace on a real cluster, under the platform's own role: made, changed behind Berth's back, put right,
looked into by a read-only account, and deleted."""

import contextlib
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.clusters.base import ClusterRejected, ClusterUnavailable
from app.clusters.kubeconfig import Connection, read_kubeconfig
from app.clusters.kubernetes_api import Api, NotThere
from app.clusters.namespaces import delete_namespace, ensure_namespace, find_suspects, viewer_token
from app.domain.pod_egress import parse_egress
from app.workloads.namespaces import ACCOUNT, PULL_SECRET, VIEWER, PullSecret, Tenancy, build_contents
from deploy.testcluster.cluster import Cluster
from tests.clusters.kubernetes.test_add_a_cluster import kubeconfig as kubeconfig
from tests.clusters.kubernetes.world import Namespace, pod

pytestmark = pytest.mark.cluster


@pytest.fixture
def api(kubeconfig: Path) -> Iterator[Api]:
    """As Berth's own account, with the rights of deploy/kubernetes."""
    made = Api("east", read_kubeconfig(kubeconfig.read_text()))
    yield made
    made.close()


@pytest.fixture
def admin(cluster: Cluster) -> Iterator[Api]:
    """Somebody with all rights."""
    made = Api("admin", read_kubeconfig(cluster.places.kubeconfig.read_text()))
    yield made
    made.close()


@pytest.fixture
def tenancy(cluster: Cluster) -> Iterator[Tenancy]:
    name = f"berth-{uuid.uuid4().hex[:12]}"
    egress = parse_egress("10.20.0.0/16:443 0.0.0.0/0:5000-5010/udp [2001:db8::/32]")
    pull_secret = PullSecret("kubernetes.io/dockerconfigjson", {".dockerconfigjson": "e30="}, "1")
    yield Tenancy(str(uuid.uuid4()), str(uuid.uuid4()), name, "https://10.1.2.3:8443", pull_secret, egress)
    cluster.api.delete(f"/api/v1/namespaces/{name}")


def _paths(tenancy: Tenancy) -> dict[str, str]:
    """The path of each object, by kind and name."""
    contents = build_contents(tenancy)
    return {f"{one['kind']} {one['metadata']['name']}": path for path, one in contents.items()}


def _as(cluster: Cluster, token: str) -> Api:
    """Whoever has that token."""
    admin = read_kubeconfig(cluster.places.kubeconfig.read_text())
    return Api("viewer", Connection(admin.server, admin.ca, token))


def test_it_is_made_kept_and_looked_into(api: Api, admin: Api, cluster: Cluster, tenancy: Tenancy) -> None:
    made = ensure_namespace(api, tenancy)
    assert [one.difference.object for one in made.repairs] == [f"Namespace {tenancy.namespace}"]
    while (made := ensure_namespace(api, tenancy)).is_counting:
        pass
    assert made.repairs == [], "what was made is as it was wanted, by the API server's own spelling"
    assert list(find_suspects(api, {tenancy.namespace: tenancy})) == []

    path = _paths(tenancy)
    namespace = f"/api/v1/namespaces/{tenancy.namespace}"
    admin.delete(path["NetworkPolicy berth"])
    admin.patch(path["ResourceQuota berth"], {"spec": {"hard": {"pods": "1", "requests.cpu": "0"}}})
    admin.patch(path["LimitRange berth"], {"spec": {"limits": []}})
    admin.patch(path[f"Role {VIEWER}"], {"rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]})
    admin.patch(path[f"Secret {PULL_SECRET}"], {"data": {".dockerconfigjson": "e30K"}, "metadata": {"labels": None}})
    admin.patch(path[f"ServiceAccount {ACCOUNT}"], {"automountServiceAccountToken": True, "imagePullSecrets": []})
    admin.patch(namespace, {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged", "team": "x"}}})
    assert set(find_suspects(api, {tenancy.namespace: tenancy})) == {tenancy.namespace}
    repairs = ensure_namespace(api, tenancy).repairs
    differences = [one.difference for one in repairs]
    found = {(one.object, one.field): (one.was, one.should) for one in differences}
    assert not any(one.trouble for one in repairs)
    assert found["NetworkPolicy berth", ""] == ("", "")
    assert found["ResourceQuota berth", "spec.hard.pods"] == ('"1"', '"5k"')
    assert found["ResourceQuota berth", "spec.hard.requests.cpu"] == ('"0"', "")
    assert found[f"Secret {PULL_SECRET}", "data..dockerconfigjson"] == ("•••", "•••")
    assert found[f"ServiceAccount {ACCOUNT}", "automountServiceAccountToken"] == ("true", "false")
    enforce = "metadata.labels.pod-security.kubernetes.io/enforce"
    assert found[f"Namespace {tenancy.namespace}", enforce] == ('"privileged"', '"restricted"')
    assert {name for name, _ in found} == {f"Namespace {tenancy.namespace}", *path} - {
        f"RoleBinding {VIEWER}",
        f"ServiceAccount {VIEWER}",
    }
    while (again := ensure_namespace(api, tenancy)).is_counting:
        pass
    assert again.repairs == []
    assert "requests.cpu" not in admin.get(path["ResourceQuota berth"])["spec"]["hard"]
    assert admin.get(namespace)["metadata"]["labels"]["team"] == "x", "what others say there stays"
    # One that lost its label is not in the list, and is found all the same; so is a policy that lets somebody in.
    admin.patch(path["NetworkPolicy berth"], {"spec": {"ingress": [{}]}})
    admin.patch(path["LimitRange berth"], {"metadata": {"labels": None}})
    assert set(find_suspects(api, {tenancy.namespace: tenancy})) == {tenancy.namespace}
    assert {one.difference.object for one in ensure_namespace(api, tenancy).repairs} == {
        "NetworkPolicy berth",
        "LimitRange berth",
    }
    without = replace(tenancy, pull_secret=None)
    ensure_namespace(api, without)
    with pytest.raises(NotThere):
        admin.get(path[f"Secret {PULL_SECRET}"])
    assert "imagePullSecrets" not in admin.get(path[f"ServiceAccount {ACCOUNT}"])

    inside = Namespace(cluster, tenancy.namespace)
    inside.add(pod("one", "print('canary')"))
    inside.wait_phase("one", "Succeeded")
    token, _ = viewer_token(api, tenancy.namespace, 3600)
    with contextlib.closing(_as(cluster, token)) as viewer:
        assert [one["metadata"]["name"] for one in viewer.get(f"{namespace}/pods")["items"]] == ["one"]
        assert viewer.get(f"{namespace}/pods/one")["status"]["phase"] == "Succeeded"
        assert b"".join(viewer.stream(f"{namespace}/pods/one/log")) == b"canary\n"
        for method, refused in [
            ("GET", f"{namespace}/secrets"),
            ("GET", f"{namespace}/configmaps"),
            ("GET", f"{namespace}/events"),
            ("DELETE", f"{namespace}/pods/one"),
            ("POST", f"{namespace}/pods"),
            ("POST", f"{namespace}/pods/one/exec?command=sh"),
            ("GET", f"{namespace}/pods/one/exec?command=sh"),
            ("POST", f"{namespace}/serviceaccounts/{ACCOUNT}/token"),
            ("GET", "/api/v1/namespaces/kube-system/pods"),
            ("GET", "/api/v1/pods"),
            ("GET", "/api/v1/nodes"),
        ]:
            with pytest.raises((ClusterUnavailable, ClusterRejected), match=r"cannot|forbidden"):
                viewer._json(method, refused, {}, {} if method == "POST" else None)
    with pytest.raises(ClusterUnavailable, match="cannot create resource"):
        api.create(f"{namespace}/serviceaccounts/{ACCOUNT}/token", {"spec": {"expirationSeconds": 3600}})

    assert delete_namespace(api, tenancy.namespace, "another installation"), "it is not its own"
    assert not delete_namespace(api, tenancy.namespace, tenancy.install)
