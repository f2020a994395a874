"""The account that Berth works as in a cluster, made of deploy/kubernetes as `kubectl apply -f` makes it."""

import base64
import contextlib
import json
import time
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from deploy.testcluster.api import ApiError
from deploy.testcluster.cluster import Cluster
from deploy.testcluster.faults import token_of
from deploy.testcluster.pki import write_kubeconfig

_PLACES = {
    "Namespace": "/api/v1/namespaces",
    "ServiceAccount": "/api/v1/namespaces/berth/serviceaccounts",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
}


def manifests() -> list[dict[str, Any]]:
    """What `kubectl apply -f deploy/kubernetes` applies."""
    texts = [path.read_text() for path in sorted((Path(__file__).parents[3] / "deploy" / "kubernetes").glob("*.yaml"))]
    return [one for text in texts for one in YAML(typ="safe", pure=True).load_all(text)]


def make_account(cluster: Cluster) -> str:
    """Makes it where it is not there yet; a token of it."""
    for manifest in manifests():
        try:
            cluster.api.post(_PLACES[manifest["kind"]], manifest)
        except ApiError as error:
            if error.status != 409:
                raise
    return token_of(cluster.api, "berth", "berth")


def write_account(cluster: Cluster, path: Path) -> None:
    """Its kubeconfig, straight to the API server."""
    content = json.loads(cluster.places.kubeconfig.read_text())["clusters"][0]["cluster"]
    authority = base64.b64decode(content["certificate-authority-data"])
    write_kubeconfig(path, content["server"], authority, {"token": make_account(cluster)})


def remove_account(cluster: Cluster) -> None:
    for kind in ("ClusterRoleBinding", "ClusterRole", "Namespace"):
        cluster.api.delete(f"{_PLACES[kind]}/berth")
    end = time.monotonic() + 60  # for the next test, which makes it again
    with contextlib.suppress(ApiError):
        while time.monotonic() < end:
            cluster.api.get(f"{_PLACES['Namespace']}/berth")
            time.sleep(0.2)
