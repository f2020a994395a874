"""A project's namespace in a cluster: made, looked at, put right again by server-side apply, and deleted."""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from app.clusters.base import ClusterRejected, ClusterUnavailable
from app.clusters.kubernetes_api import AlreadyThere, Api, Gone, NotThere, Raw
from app.workloads.namespace_drift import Difference, find_differences, removal_of
from app.workloads.namespaces import (
    PULL_SECRET,
    VIEWER,
    PullSecret,
    Tenancy,
    build_contents,
    build_namespace,
    pull_secret_path,
)
from app.workloads.pods import LABEL, Manifest

_REFUSALS = (ClusterRejected, NotThere, Gone, AlreadyThere)


@dataclass(frozen=True)
class Repair:
    """What differed of an object. `trouble` is why it differs still, "" where it was put right."""

    difference: Difference
    trouble: str = ""


@dataclass(frozen=True)
class Ensured:
    """A namespace as it should be. `repairs` is what was not before; `is_counting`: the quota is so new that the API
    server would still refuse what it bounds."""

    repairs: list[Repair]
    is_counting: bool


def ensure_namespace(api: Api, tenancy: Tenancy) -> Ensured:
    """All of it is there afterwards, as Berth wants it. Raises ClusterUnavailable; also for a refusal, which an admin
    has to mend and which is no fault of the run that comes first."""
    path = f"/api/v1/namespaces/{tenancy.namespace}"
    is_counting = False
    try:
        found = _find(api, path)
        if found is not None and "deletionTimestamp" in found["metadata"]:
            raise ClusterUnavailable(f"{api.name}: the namespace {tenancy.namespace} is being deleted")
        repairs = _put_right(api, path, build_namespace(tenancy), found)
        for below, manifest in build_contents(tenancy).items():
            there = _find(api, below) if found is not None else None
            made = _put_right(api, below, manifest, there)
            repairs += made if found is not None else []  # with its namespace it was gone, too
            if manifest["kind"] == "ResourceQuota":
                is_counting = not _is_counted(api.get(below) if made or there is None else there)
        if tenancy.pull_secret is None and _is_ours(_find(api, pull_secret_path(tenancy)), tenancy):
            api.delete(pull_secret_path(tenancy))
    except _REFUSALS as error:
        raise ClusterUnavailable(f"{api.name}: the namespace of the project cannot be made: {error}", 30.0) from error
    return Ensured(repairs, is_counting)


def find_suspects(api: Api, tenancies: Mapping[str, Tenancy]) -> Iterator[str]:
    """The namespaces, of those given by name, in which something is not as Berth wants it, by one list of each kind for
    all of them; a name may come several times. Pull secrets are not looked at: Berth may list no secrets.

    What lost its label is not listed and so is suspect, too. Raises ClusterUnavailable, and Gone where it lasted long.
    """
    if not tenancies:
        return
    install = next(iter(tenancies.values())).install
    wanted: dict[str, dict[tuple[str, str], str]] = {}  # for each list (namespace, name) -> the path of the object
    for name, tenancy in tenancies.items():
        wanted.setdefault("/api/v1/namespaces", {})["", name] = ""
        for path, manifest in build_contents(tenancy).items():
            if manifest["kind"] != "Secret":
                below, _, kind = path.rpartition("/")[0].rpartition("/")
                at = f"{below.partition('/namespaces/')[0]}/{kind}"
                wanted.setdefault(at, {})[name, manifest["metadata"]["name"]] = path
    for at, missing in wanted.items():
        for page in api.list_pages(at, labelSelector=f"{LABEL}/install={install}"):
            for found in page["items"]:
                namespace, own = found["metadata"].get("namespace", ""), found["metadata"]["name"]
                if (namespace, own) not in missing:
                    continue
                below = missing.pop((namespace, own))
                tenancy = tenancies[namespace or own]
                manifest = build_contents(tenancy)[below] if below else build_namespace(tenancy)
                if find_differences(manifest, found):
                    yield namespace or own
        for namespace, own in missing:
            yield namespace or own


def delete_namespace(api: Api, name: str, install: str) -> bool:
    """Whether it is gone; else its deletion was asked for. One that is not Berth's own counts as gone. Raises
    ClusterUnavailable."""
    path = f"/api/v1/namespaces/{name}"
    try:
        found = _find(api, path)
        if found is None or found["metadata"].get("labels", {}).get(f"{LABEL}/install") != install:
            return True
        if "deletionTimestamp" not in found["metadata"]:
            api.delete(path)
    except _REFUSALS as error:
        raise ClusterUnavailable(f"{api.name}: the namespace {name} cannot be deleted: {error}", 30.0) from error
    return False


def viewer_token(api: Api, namespace: str, seconds: int) -> tuple[str, str]:
    """(a token that may look at the namespace's pods, when it ends, as the API server writes it). Raises
    ClusterUnavailable, ClusterRejected, NotThere."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": seconds}}
    made = api.create(f"/api/v1/namespaces/{namespace}/serviceaccounts/{VIEWER}/token", body)
    return str(made["status"]["token"]), str(made["status"]["expirationTimestamp"])


def find_pull_secret(api: Api, name: str) -> PullSecret | None:
    """What signs in at the registries, by "namespace/name"; None for "". Raises ClusterUnavailable."""
    if not name:
        return None
    namespace, _, own = name.partition("/")
    try:
        found = api.get(f"/api/v1/namespaces/{namespace}/secrets/{own}")
    except (NotThere, ClusterRejected) as error:
        raise ClusterUnavailable(f"{api.name}: the pull secret {name} cannot be read: {error}", 30.0) from error
    return PullSecret(found["type"], found["data"], f"{name}@{found['metadata']['resourceVersion']}")


def kubeconfig_text(server: str, ca: str, server_name: str, namespace: str, token: str, name: str) -> Raw:
    """A kubeconfig with that token, for one namespace; `ca` is PEM."""
    cluster = {"server": server}
    if ca:
        cluster["certificate-authority-data"] = base64.b64encode(ca.encode()).decode()
    if server_name:
        cluster["tls-server-name"] = server_name
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "contexts": [{"name": name, "context": {"cluster": name, "user": VIEWER, "namespace": namespace}}],
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": VIEWER, "user": {"token": token}}],
    }


def _find(api: Api, path: str) -> Raw | None:
    try:
        return api.get(path)
    except NotThere:
        return None


def _put_right(api: Api, path: str, wanted: Manifest, found: Raw | None) -> list[Repair]:
    """Makes the object as it is wanted; what differed."""
    differences = find_differences(wanted, found)
    if not differences:
        return []
    try:
        left = find_differences(wanted, api.apply(path, wanted))
        if patch := removal_of(left):
            left = find_differences(wanted, api.patch(path, patch))
    except ClusterRejected as error:
        if found is None:
            raise
        if wanted["metadata"]["name"] == PULL_SECRET:  # its type cannot be changed
            api.delete(path)
            api.apply(path, wanted)
            return [Repair(one) for one in differences]
        return [Repair(one, str(error)[:500]) for one in differences]
    still = {one.path for one in left}
    return [Repair(one, "it was changed again" if one.path in still else "") for one in differences]


def _is_counted(quota: Raw) -> bool:
    return set(quota["spec"]["hard"]) <= set(quota.get("status", {}).get("hard", {}))


def _is_ours(found: Raw | None, tenancy: Tenancy) -> bool:
    return found is not None and found["metadata"].get("labels", {}).get(f"{LABEL}/install") == tenancy.install
