"""What a cluster's page says of the namespaces in it, in the reader's words: pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.services.cluster_registries import Registry
from app.services.namespace_drift import Drift
from app.web import tabs
from app.web.deps import Visitor


@dataclass(frozen=True)
class DriftLine:
    """Something that was changed. `field` is "" where the whole object was gone."""

    namespace: str
    project: str
    object: str
    field: str
    was: str
    should: str
    trouble: str
    times: int
    last: tabs.Stamp


@dataclass(frozen=True)
class RegistryLine:
    """Credentials that Berth was given."""

    server: str
    username: str
    by: str
    updated: tabs.Stamp


@dataclass
class NamespaceParts:
    """The sections. `deleting` are namespaces of deleted projects."""

    drift: list[DriftLine] = field(default_factory=list)
    registries: list[RegistryLine] = field(default_factory=list)
    deleting: str = ""


def drift_lines(visitor: Visitor, rows: Sequence[Drift]) -> list[DriftLine]:
    """The newest first."""
    return [
        DriftLine(
            row.namespace,
            row.project or "",
            row.object,
            row.field,
            row.was or "–",
            row.should or "–",
            row.trouble or "",
            row.times,
            tabs.stamp(visitor, row.last_at),
        )
        for row in rows
    ]


def registry_lines(visitor: Visitor, rows: Sequence[Registry]) -> list[RegistryLine]:
    """By server."""
    return [RegistryLine(row.server, row.username, row.updated_by, tabs.stamp(visitor, row.updated_at)) for row in rows]
