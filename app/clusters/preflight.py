"""Looking at a cluster before runs go there: what domain/preflight.py judges is asked and tried here.

What has to be tried is tried in a namespace of its own, which is removed again; nothing else is made or changed.
"""

import contextlib
import secrets
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from app.clusters import preflight_pods
from app.clusters.base import ClusterRejected, ClusterUnavailable
from app.clusters.kubernetes_api import AlreadyThere, Api, Gone, NotThere, Raw
from app.domain.clusters import ClusterSettings
from app.domain.placement import gpu_toleration, is_of_pool, read_selector, read_tolerations
from app.domain.preflight_facts import NEEDED, NEEDLESS, Facts, NodeFacts, PodFacts, permission
from app.domain.quantities import QuantityError, parse_cpu, parse_memory

_T = TypeVar("_T")

_LABEL = "berth.dev/check"
_RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
_GPU_LABELS = ("nvidia.com/gpu.present", "amd.com/gpu.present", "cloud.google.com/gke-accelerator")
_LOOKS = 5  # for the time that an answer takes
_OLD = timedelta(minutes=15)  # no check takes so long: what is older was left by one that was killed
_REFUSALS = (ClusterUnavailable, ClusterRejected, NotThere, AlreadyThere, Gone)


def collect(api: Api, settings: ClusterSettings, patience: float = 60.0) -> Facts:
    """Everything that can be found out of the cluster. `patience`: seconds for a pod to run. Raises nothing of the
    cluster's: a server that cannot be asked is a finding, too."""
    try:
        looks = [api.get_version() for _ in range(_LOOKS)]
        permissions = _permissions(api)
    except ClusterUnavailable as error:
        return Facts(trouble=str(error), is_trouble_of_access=is_access(error))
    except _REFUSALS as error:
        return Facts(trouble=str(error) or "it is no API server")
    found: dict[str, Any] = {
        "version": looks[0][0],
        "latency_ms": [look[2] for look in looks],
        "clock_seconds": _apart(looks[-1][1]),
        "permissions": permissions,
        "nodes": _ask(lambda: nodes_of(api, settings)),
        "default_classes": _ask(lambda: _default_classes(api)),
        "has_network_policies": _ask(lambda: _has_network_policies(api)),
        "gpu_resource": settings.gpu_resource,
        "berth_url": settings.berth_url,
        "pull_secret": settings.pull_secret,
    }
    credentials, found["pull_secret_trouble"] = _pull_secret(api, settings.pull_secret)
    _ask(lambda: _remove_old(api))
    with _namespace(api, settings.namespace_prefix) as (namespace, left):
        found |= _try_out(api, namespace, settings, credentials, patience) if namespace else {"pod": PodFacts()}
    return Facts(**found, left_behind="".join(left))


def is_access(error: Exception) -> bool:
    """Whether the server answered, and does not know who asks."""
    return ": 401 " in str(error)


def nodes_of(api: Api, settings: ClusterSettings) -> list[NodeFacts]:
    """All nodes."""
    return [_node(node, settings) for page in api.list_pages("/api/v1/nodes") for node in page["items"]]


def _node(node: Raw, settings: ClusterSettings) -> NodeFacts:
    labels = node["metadata"].get("labels", {})
    status = node.get("status", {})
    conditions = {one["type"]: one["status"] for one in status.get("conditions", ())}
    allocatable = status.get("allocatable", {})
    gpus = str(allocatable.get(settings.gpu_resource, "0"))
    selector, tolerations = read_selector(settings.node_selector), read_tolerations(settings.tolerations)
    takes_gpu_runs = is_of_pool(node, selector, (*tolerations, gpu_toleration(settings.gpu_resource)))
    return NodeFacts(
        node["metadata"]["name"],
        conditions.get("Ready") == "True",
        bool(node.get("spec", {}).get("unschedulable")),
        int(gpus) if gpus.isdecimal() else 0,
        any(labels.get(label) not in (None, "", "false") for label in _GPU_LABELS),
        _read(parse_cpu, allocatable.get("cpu")),
        _read(parse_memory, allocatable.get("memory")),
        takes_gpu_runs,
        takes_gpu_runs and not is_of_pool(node, selector, tolerations),
    )


def _read(parse: Callable[[str], int], text: object) -> int:
    try:
        return parse(str(text))
    except QuantityError:
        return 0


def _ask(look: Callable[[], _T]) -> _T | None:
    try:
        return look()
    except _REFUSALS:
        return None


def _apart(date: str) -> float | None:
    """How far the server's clock is ahead. Its second has no fraction, so half of one is added."""
    try:
        told = parsedate_to_datetime(date)
    except ValueError:
        return None
    return (told - datetime.now(UTC)).total_seconds() + 0.5


def _permissions(api: Api) -> dict[str, bool]:
    """What may be done in every namespace, asked one by one: a list of rules leaves out what webhooks grant."""
    found = {}
    for verb, resource in (*NEEDED, *NEEDLESS):
        kind, _, name = resource.partition(":")
        kind, _, group = kind.partition(".")
        kind, _, part = kind.partition("/")
        asked = {"verb": verb, "resource": kind, "subresource": part, "group": group, "name": name}
        body = {"spec": {"resourceAttributes": asked}}
        try:
            answer = api.create("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body)
        except (ClusterRejected, NotThere):
            continue
        found[permission(verb, resource)] = bool(answer["status"].get("allowed"))
    return found


def _default_classes(api: Api) -> list[str]:
    classes = api.get("/apis/storage.k8s.io/v1/storageclasses")["items"]
    return [
        one["metadata"]["name"]
        for one in classes
        if one["metadata"].get("annotations", {}).get(_DEFAULT_CLASS) == "true"
    ]


def _has_network_policies(api: Api) -> bool:
    try:
        found = api.get("/apis/networking.k8s.io/v1")["resources"]
    except NotThere:
        return False
    return any(one["name"] == "networkpolicies" for one in found)


def _pull_secret(api: Api, name: str) -> tuple[Raw | None, str | None]:
    """(what signs in at registries, what is wrong with it: "" for nothing, None for not known)."""
    if not name:
        return None, ""
    namespace, _, own = name.partition("/")
    try:
        found = api.get(f"/api/v1/namespaces/{namespace}/secrets/{own}")
    except NotThere:
        return None, "there is no such secret"
    except _REFUSALS:
        return None, None
    kind = found.get("type")
    if kind != "kubernetes.io/dockerconfigjson":
        return None, f"it is of type {kind}, not kubernetes.io/dockerconfigjson"
    return {"type": kind, "data": found["data"]}, ""


def _remove_old(api: Api) -> None:
    """What a check left that was killed."""
    for namespace in api.get("/api/v1/namespaces", labelSelector=_LABEL)["items"]:
        made = datetime.fromisoformat(namespace["metadata"]["creationTimestamp"])
        if datetime.now(UTC) - made > _OLD:
            api.delete(f"/api/v1/namespaces/{namespace['metadata']['name']}")


@contextlib.contextmanager
def _namespace(api: Api, prefix: str) -> Iterator[tuple[str, list[str]]]:
    """A namespace with Pod Security "restricted", "" where none can be made; its name is put into the list where it
    cannot be removed afterwards."""
    name, left = f"{prefix}-check-{secrets.token_hex(4)}", list[str]()
    labels = {_LABEL: "true", "app.kubernetes.io/managed-by": "berth", **_RESTRICTED}
    try:
        api.create("/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
    except _REFUSALS:
        yield "", left
        return
    try:
        yield name, left
    finally:
        try:
            api.delete(f"/api/v1/namespaces/{name}")
        except _REFUSALS:
            left.append(name)


def _try_out(
    api: Api, namespace: str, settings: ClusterSettings, credentials: Raw | None, patience: float
) -> dict[str, Any]:
    path = f"/api/v1/namespaces/{namespace}"
    _wait(10.0, lambda: _ask(lambda: api.get(f"{path}/serviceaccounts/default")))
    image = settings.runtime_image or settings.default_image
    secret = None
    if credentials is not None:
        secret = "registry"
        _ask(lambda: api.create(f"{path}/secrets", {"metadata": {"name": secret}, **credentials}))
    plain = preflight_pods.pod("dry", image or "none", None, settings.berth_url)
    refusal = _refusal(api, path, plain)
    is_refused = _refusal(api, path, preflight_pods.privileged(plain))
    return {
        "restricted_refusal": refusal,
        "is_privileged_refused": None if is_refused is None else bool(is_refused),
        "is_quota_counted": _is_quota_counted(api, path),
        "pod": preflight_pods.run(api, namespace, image, secret, settings.berth_url, patience) if image else PodFacts(),
    }


def _refusal(api: Api, path: str, pod: Raw) -> str | None:
    """Why the pod would be refused: "" where it would not, None where that cannot be found out."""
    try:
        api.create(f"{path}/pods", pod, dryRun="All")
    except ClusterRejected as error:
        return str(error)[:500] or "it was refused"
    except (ClusterUnavailable, NotThere, AlreadyThere):
        return None
    return ""


def _is_quota_counted(api: Api, path: str) -> bool | None:
    name = "check"
    body = {"metadata": {"name": name}, "spec": {"hard": {"pods": "10"}}}
    try:
        api.create(f"{path}/resourcequotas", body)
        found = _wait(15.0, lambda: api.get(f"{path}/resourcequotas/{name}").get("status", {}).get("hard"))
    except _REFUSALS:
        return None
    return bool(found)


def _wait(seconds: float, look: Callable[[], _T]) -> _T:
    """What `look` returns once it is something, or at the end."""
    end = time.monotonic() + seconds
    while not (found := look()) and time.monotonic() < end:
        time.sleep(0.2)
    return found
