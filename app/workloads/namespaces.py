"""The objects of a project in a cluster: its namespace, and what bounds the pods in it.

Everything is built here, field by field, from the project's id and the admin's settings; nothing that a user wrote
gets in. Each object is applied, so what somebody else changed of these fields is put right again.
"""

import hashlib
import ipaddress
import json
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from app.domain.pod_egress import Way, spared
from app.workloads.pods import LABEL, Manifest

ACCOUNT = "berth-run"
"""The service account of all pods of runs. It may do nothing, and its token is in none of them."""
VIEWER = "berth-viewer"
"""The service account of read-only kubeconfigs: it may look at pods and their logs, and no pod runs as it."""
PULL_SECRET = "berth-registry"
# Far above what a project has at once, and below what would trouble a cluster. Jobs that are over stay for an hour.
# Numbers are written as the API server gives them back.
OBJECT_COUNTS = {"pods": "5k", "count/jobs.batch": "20k", "secrets": "10k", "services": "5k", "configmaps": "100"}
# Those of deploy/helm/berth, whose Service of the console is named RELEASE-web.
WEB_LABELS = {"app.kubernetes.io/name": "berth", "app.kubernetes.io/component": "web"}
WEB_PORT = 8800
_WEB = "-web"
_OWN = "berth"
_EVERYWHERE = "0.0.0.0/0", "::/0"
_RBAC = "rbac.authorization.k8s.io"


@dataclass(frozen=True)
class PullSecret:
    """What signs in at registries. `stamp` differs where the content does, and says nothing of it."""

    type: str
    data: dict[str, str]
    stamp: str


@dataclass(frozen=True)
class Tenancy:
    """A project's place in one cluster. `url` is where its pods reach Berth, `egress` what else they may reach;
    `pull_secret` is what the admin gave for registries, if any."""

    install: str
    project_id: str
    namespace: str
    url: str
    pull_secret: PullSecret | None = None
    egress: tuple[Way, ...] = ()

    @property
    def labels(self) -> dict[str, str]:
        """What Berth's own objects are known by."""
        return {
            "app.kubernetes.io/managed-by": "berth",
            f"{LABEL}/install": self.install,
            f"{LABEL}/project": self.project_id,
        }


def build_namespace(tenancy: Tenancy) -> Manifest:
    """The namespace. Pod Security refuses in it what is not "restricted", by the newest rules that the server knows."""
    security = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}
    versions = {f"pod-security.kubernetes.io/{mode}-version": "latest" for mode in ("enforce", "audit", "warn")}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": tenancy.namespace, "labels": {**tenancy.labels, **security, **versions}},
    }


def build_contents(tenancy: Tenancy) -> dict[str, Manifest]:
    """What is in it, by the path below the API server at which each is applied; bounds before what may use them."""
    core = f"/api/v1/namespaces/{tenancy.namespace}"
    networking = f"/apis/networking.k8s.io/v1/namespaces/{tenancy.namespace}"
    rbac = f"/apis/{_RBAC}/v1/namespaces/{tenancy.namespace}"
    made = {
        f"{networking}/networkpolicies/{_OWN}": _network_policy(tenancy),
        f"{core}/resourcequotas/{_OWN}": _quota(tenancy),
        f"{core}/limitranges/{_OWN}": _limits(tenancy),
        f"{core}/serviceaccounts/{ACCOUNT}": _account(tenancy, ACCOUNT),
        f"{core}/serviceaccounts/{VIEWER}": _account(tenancy, VIEWER),
        f"{rbac}/roles/{VIEWER}": _viewer_role(tenancy),
        f"{rbac}/rolebindings/{VIEWER}": _viewer_binding(tenancy),
    }
    if tenancy.pull_secret is not None:
        content = {"type": tenancy.pull_secret.type, "data": tenancy.pull_secret.data}
        made[pull_secret_path(tenancy)] = _object(tenancy, "v1", "Secret", PULL_SECRET) | content
    return made


def pull_secret_path(tenancy: Tenancy) -> str:
    """Where the registry credentials of the project are, or would be."""
    return f"/api/v1/namespaces/{tenancy.namespace}/secrets/{PULL_SECRET}"


def fingerprint(tenancy: Tenancy) -> str:
    """Differs where Berth wants something else of the namespace than before; says nothing of the credentials."""
    made = [build_namespace(tenancy), *build_contents(tenancy).values()]
    for manifest in made:
        if manifest["kind"] == "Secret" and tenancy.pull_secret is not None:
            manifest["data"] = tenancy.pull_secret.stamp
    return hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()


def _object(tenancy: Tenancy, version: str, kind: str, name: str) -> Manifest:
    metadata = {"name": name, "namespace": tenancy.namespace, "labels": tenancy.labels}
    return {"apiVersion": version, "kind": kind, "metadata": metadata}


def _account(tenancy: Tenancy, name: str) -> Manifest:
    secrets = [{"name": PULL_SECRET}] if name == ACCOUNT and tenancy.pull_secret is not None else []
    made = {"automountServiceAccountToken": False, "imagePullSecrets": secrets}
    return _object(tenancy, "v1", "ServiceAccount", name) | made


def _viewer_role(tenancy: Tenancy) -> Manifest:
    """No more than Berth may itself: the API server refuses a role that grants what its maker does not hold."""
    rules = [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
    ]
    return _object(tenancy, f"{_RBAC}/v1", "Role", VIEWER) | {"rules": rules}


def _viewer_binding(tenancy: Tenancy) -> Manifest:
    made = {
        "roleRef": {"apiGroup": _RBAC, "kind": "Role", "name": VIEWER},
        "subjects": [{"kind": "ServiceAccount", "name": VIEWER, "namespace": tenancy.namespace}],
    }
    return _object(tenancy, f"{_RBAC}/v1", "RoleBinding", VIEWER) | made


def _limits(tenancy: Tenancy) -> Manifest:
    """For containers that say nothing, such as those that somebody debugs with. Berth's own say what they need."""
    limit = {
        "type": "Container",
        "default": {"cpu": "500m", "memory": "512Mi"},
        "defaultRequest": {"cpu": "50m", "memory": "64Mi"},
    }
    return _object(tenancy, "v1", "LimitRange", _OWN) | {"spec": {"limits": [limit]}}


def _quota(tenancy: Tenancy) -> Manifest:
    """No way in from outside, and a bound on how many objects there may be, whoever makes them. How much runs may use
    is counted by Berth's admission, not here."""
    hard = {"services.loadbalancers": "0", "services.nodeports": "0", **OBJECT_COUNTS}
    return _object(tenancy, "v1", "ResourceQuota", _OWN) | {"spec": {"hard": hard}}


def _network_policy(tenancy: Tenancy) -> Manifest:
    """Nobody gets in; out go questions to the cluster's name service, what pods tell Berth, and what an admin
    allows."""
    names = {
        "to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}],
        "ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")],
    }
    spec = {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [],
        "egress": [names, _to_berth(tenancy.url), *_allowed(tenancy.egress)],
    }
    return _object(tenancy, "networking.k8s.io/v1", "NetworkPolicy", _OWN) | {"spec": spec}


def _to_berth(url: str) -> Manifest:
    """The way to Berth. A policy knows addresses and namespaces and no names, so a name outside of the cluster leaves
    only its port to go by. Behind a Service it is the pod's port that counts: that of the chart's web pods is known;
    of another Service the ports are its own and that of Berth, wherever in its namespace."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    service, namespace, kind = [*host.split("."), "", ""][:3]
    to: list[Manifest]
    if kind == "svc":
        ports = {WEB_PORT} if service.endswith(_WEB) else {WEB_PORT, port}
        pods = {"podSelector": {"matchLabels": WEB_LABELS}} if service.endswith(_WEB) else {}
        to = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}} | pods]
    else:
        ports = {port}
        try:
            to = [_block(str(ipaddress.ip_network(host)))]
        except ValueError:
            to = [_block(block) for block in _EVERYWHERE]
    return {"to": to, "ports": [{"protocol": "TCP", "port": one} for one in sorted(ports)]}


def _allowed(ways: tuple[Way, ...]) -> Iterator[Manifest]:
    for way in ways:
        port: Manifest = {"protocol": way.protocol}
        if way.port is not None:
            port["port"] = way.port
        if way.last_port is not None:
            port["endPort"] = way.last_port
        yield {"to": [_block(way.cidr)]} | ({"ports": [port]} if way.port is not None else {})


def _block(cidr: str) -> Manifest:
    """Without the addresses at which clouds give out the credentials of their machines."""
    without = spared(cidr)
    return {"ipBlock": {"cidr": cidr} | ({"except": list(without)} if without else {})}
