"""What an admin says of a cluster, and how well it is: pure."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from app.domain.placement import read_selector, read_tolerations
from app.domain.pod_egress import parse_egress
from app.errors import N_, BadValue, FieldError

CLUSTER_NAME = re.compile(r"[a-z](?:[a-z0-9-]{0,30}[a-z0-9])?")
NAME_RULE = N_("must start with a letter and have only small letters, digits and dashes, at most 32")
# Names of the registry and of the image, with a tag or a digest; no white space, which a manifest would keep.
_IMAGE = re.compile(r"[a-zA-Z0-9][\w./:-]{0,200}(?:@sha256:[0-9a-f]{64})?")
_RESOURCE = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,200})/[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_PREFIX = re.compile(r"[a-z](?:[a-z0-9-]{0,18}[a-z0-9])?")
_SUBDOMAIN = re.compile(rf"{_LABEL.pattern}(?:\.{_LABEL.pattern})*")
_SECRET = re.compile(rf"{_LABEL.pattern}/{_SUBDOMAIN.pattern}")


class Status(StrEnum):
    """How a cluster is, in one word. The first that is true of: it does not answer, nothing was ever found out, no new
    runs go there, the last check found something that keeps runs from running."""

    AWAY = "away"
    CHECKING = "checking"
    DRAINING = "draining"
    FAILING = "failing"
    READY = "ready"


@dataclass(frozen=True)
class ClusterSettings:
    """What only an admin knows. Empty is not set.

    `berth_url` is where pods reach Berth; `runtime_image` Berth's own that fetches code and sends outputs;
    `default_image` that of runs which name none; `gpu_resource` what a GPU is counted by, and
    `runtime_class` the RuntimeClass of pods that hold some; `pull_secret` the
    "namespace/name" of registry credentials that projects are given, unless Berth was given some; namespaces are named
    after `namespace_prefix`; `egress` is what pods reach besides the name service and Berth (domain/pod_egress.py).
    Pods go to nodes with the labels of `node_selector` and with no taints but those of `tolerations`, see placement.py.
    """

    berth_url: str = ""
    runtime_image: str = ""
    default_image: str = ""
    gpu_resource: str = "nvidia.com/gpu"
    runtime_class: str = ""
    pull_secret: str = ""
    namespace_prefix: str = "berth"
    egress: str = ""
    node_selector: str = ""
    tolerations: str = ""

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> "ClusterSettings":
        """What was stored; names that this version does not know are left alone, what is missing is as by default."""
        known = {field.name for field in fields(cls)}
        return cls(**{name: str(value) for name, value in stored.items() if name in known})

    def changed(self, changes: Mapping[str, str]) -> "ClusterSettings":
        """The same with these changes; an empty text takes a value back to its default."""
        defaults = asdict(ClusterSettings())
        return ClusterSettings(**asdict(self) | {name: text or defaults[name] for name, text in changes.items()})

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


def problems_of(settings: ClusterSettings, at: str = "/settings") -> list[FieldError]:
    """What is wrong with settings, each with its pointer below `at`."""
    rules = {
        "runtime_image": (_IMAGE, N_("is no name of an image")),
        "default_image": (_IMAGE, N_("is no name of an image")),
        "gpu_resource": (_RESOURCE, N_("must be a resource such as nvidia.com/gpu")),
        "runtime_class": (_SUBDOMAIN, N_("must be the name of a RuntimeClass, such as nvidia")),
        "pull_secret": (_SECRET, N_("must be the namespace and the name of a secret, such as berth/registry")),
        "namespace_prefix": (_PREFIX, N_("must be at most 20 small letters, digits and dashes")),
    }
    found = []
    for name, text in settings.as_dict().items():
        rule = rules.get(name)
        if text and rule is not None and not rule[0].fullmatch(text):
            found.append(FieldError(f"{at}/{name}", rule[1]))
    for name, read, message in (
        ("node_selector", read_selector, N_("must be labels of nodes such as tier=train, zone=a")),
        ("tolerations", read_tolerations, N_("must be taints of nodes such as dedicated=ml:NoSchedule, spot")),
    ):
        try:
            read(settings.as_dict()[name])
        except ValueError:
            found.append(FieldError(f"{at}/{name}", message))
    if settings.berth_url and not _is_url(settings.berth_url):
        found.append(FieldError(f"{at}/berth_url", N_("must be an address such as https://berth.example.com")))
    try:
        parse_egress(settings.egress)
    except BadValue as error:
        found.append(FieldError(f"{at}/egress", error.message, slots=error.slots))
    return found


def _is_url(text: str) -> bool:
    if len(text) > 500 or not text.isascii() or not text.isprintable() or " " in text:
        return False
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018  # raises where it is no number
    except ValueError:
        return False
    return (
        parts.scheme in ("http", "https")
        and bool(parts.hostname)
        and not (parts.username or parts.password or parts.query or parts.fragment)
    )


def status_of(state: str, away_since: datetime | None, was_seen: bool, was_checked: bool, worst: str | None) -> Status:
    """`away_since` is set while it does not answer; `worst` is the worst status among what the last check found."""
    if away_since is not None:
        return Status.AWAY
    if not (was_seen and was_checked):
        return Status.CHECKING
    if state == "draining":
        return Status.DRAINING
    return Status.FAILING if worst == "fail" else Status.READY
