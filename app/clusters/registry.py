"""From a cluster's row to the object that works it."""

from app.clusters.base import Cluster
from app.clusters.local import FetchSnapshot, LocalCluster
from app.models.cluster import Cluster as ClusterRow
from app.settings import Settings


def build_cluster(row: ClusterRow, settings: Settings, fetch_snapshot: FetchSnapshot) -> Cluster:
    """The cluster of that row. `fetch_snapshot`: (project id, sha256) -> bytes; FileNotFoundError without one.

    Raises LookupError for a kind that this version does not know.
    """
    if row.kind == "local":
        return LocalCluster(settings.home, settings.local, settings.limits, fetch_snapshot, settings.run_url)
    raise LookupError(f"there is no kind of cluster called {row.kind!r}")
