"""What is found out of a cluster, what Berth needs there, and the form of what is said of it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

# What Berth does in a cluster: verbs on a resource, with its API group where it has one, and behind a colon the name of
# the one object that it is about. deploy/kubernetes/cluster-role.yaml grants these and nothing else.
NEEDED: tuple[tuple[str, str], ...] = tuple(
    (verb, resource)
    for resource, verbs in {
        "namespaces": "get list create patch delete",
        "pods": "get list watch create patch delete",
        "pods/log": "get",
        "services": "get create delete",
        "secrets": "get create patch delete",
        "serviceaccounts": "get list create patch",
        # Of this name only: whoever makes tokens for any account is whoever has the most rights.
        "serviceaccounts/token:berth-viewer": "create",
        "resourcequotas": "get list create patch",
        "limitranges": "get list create patch",
        "events": "list",
        "nodes": "list",
        "jobs.batch": "get list watch create patch delete",
        "roles.rbac.authorization.k8s.io": "get list create patch",
        "rolebindings.rbac.authorization.k8s.io": "get list create patch",
        "networkpolicies.networking.k8s.io": "get list create patch",
        "storageclasses.storage.k8s.io": "list",
    }.items()
    for verb in verbs.split()
)
# What Berth has no use for, and whoever takes it over has.
NEEDLESS: tuple[tuple[str, str], ...] = (
    ("*", "*.*"),
    ("escalate", "clusterroles.rbac.authorization.k8s.io"),
    ("impersonate", "users"),
    ("create", "pods/exec"),
    ("update", "nodes"),
)


class Status(StrEnum):
    """`fail` keeps runs from running, or from being kept apart; `warn` costs something; `unknown` was not found out."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """One check: what was found and how to mend it, as templates that `slots` fill."""

    code: str
    status: Status
    says: str
    fix: str = ""
    slots: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """As it is stored."""
        return asdict(self) | {"status": str(self.status)}

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> "Finding":
        """From what was stored."""
        return cls(stored["code"], Status(stored["status"]), stored["says"], stored["fix"], dict(stored["slots"]))


@dataclass(frozen=True)
class NodeFacts:
    """What matters of a node. `gpus`, `cpu_millis` and `memory_bytes` are what pods may have of it, `is_gpu_machine`
    is what its labels say. `is_of_pool`: runs may go there, those that ask for GPUs at least;
    `is_for_gpus`: only those."""

    name: str
    is_ready: bool
    is_cordoned: bool = False
    gpus: int = 0
    is_gpu_machine: bool = False
    cpu_millis: int = 0
    memory_bytes: int = 0
    is_of_pool: bool = True
    is_for_gpus: bool = False


@dataclass(frozen=True)
class PodFacts:
    """What became of the short pod. `image` is empty where none was told, and then there was no pod.

    `seconds` is from its creation until its program ran; None where that did not happen in `patience` seconds, and
    `trouble` says why. `dns` and `reaches_berth` are what its program found: "" for yes, else the error; None where it
    did not get to look. `denied_reached` is whether the second pod, which a network policy cuts off, got through.
    """

    image: str = ""
    seconds: float | None = None
    patience: float = 0.0
    trouble: str = ""
    is_pull_trouble: bool = False
    dns: str | None = None
    reaches_berth: str | None = None
    denied_reached: bool | None = None


@dataclass(frozen=True)
class Facts:
    """All that was found out. None is what could not be. `trouble` is why nothing could."""

    trouble: str = ""
    is_trouble_of_access: bool = False
    version: str = ""
    latency_ms: Sequence[float] = ()
    clock_seconds: float | None = None  # the server's less Berth's
    permissions: Mapping[str, bool] = field(default_factory=dict)  # "create jobs.batch" -> held
    nodes: Sequence[NodeFacts] | None = None
    default_classes: Sequence[str] | None = None
    is_privileged_refused: bool | None = None
    restricted_refusal: str | None = None  # why a pod as Berth makes them was refused; "" where it was not
    is_quota_counted: bool | None = None
    has_network_policies: bool | None = None
    pull_secret: str = ""
    pull_secret_trouble: str | None = None  # "" where it is as it should be
    gpu_resource: str = "nvidia.com/gpu"
    berth_url: str = ""
    pod: PodFacts | None = None
    left_behind: str = ""  # the namespace of the check, where it could not be removed


def permission(verb: str, resource: str) -> str:
    """The name of a permission among the facts."""
    return f"{verb} {resource}"


def some(names: Sequence[str], most: int = 8) -> str:
    """Names for a sentence; how many more there are where they are many."""
    more = f" + {len(names) - most}" if len(names) > most else ""
    return ", ".join(names[:most]) + more
