"""From a cluster's row to the object that works it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from app.clusters.base import Cluster
from app.clusters.local import FetchSnapshot, LocalCluster
from app.settings import Settings
from app.workloads.pods import Place

if TYPE_CHECKING:
    from app.clusters.kubernetes_api import Api


class Row(Protocol):
    """As much of a row as is needed here."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> str: ...


@dataclass(frozen=True)
class Access:
    """What working a Kubernetes takes: a connection, the id of this installation, the place of a project by its id."""

    api: "Api"
    install: str
    place_of: Callable[[str], Place]


def build_cluster(row: Row, settings: Settings, fetch_snapshot: FetchSnapshot, access: Access | None = None) -> Cluster:
    """The cluster of that row. `fetch_snapshot`: (project id, sha256) -> bytes; FileNotFoundError without one.
    `access` is needed for a Kubernetes.

    Raises LookupError for a kind that this version does not know.
    """
    if row.kind == "local":
        return LocalCluster(settings.home, settings.local, settings.limits, fetch_snapshot, settings.run_url)
    if row.kind == "kubernetes" and access is not None:
        # Loaded with the first such cluster: an installation without one does not pay for it.
        from app.clusters.kubernetes import KubernetesCluster, hope_of

        hope = hope_of(settings.clusters.image_patience_seconds)
        return KubernetesCluster(row.name, access.api, access.install, access.place_of, hope)
    raise LookupError(f"there is no kind of cluster called {row.kind!r}")
