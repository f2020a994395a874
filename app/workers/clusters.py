"""The clusters that this process talks to, by the name of the pool that a run asked for."""

from functools import lru_cache

from app.clusters.base import Cluster
from app.clusters.local import LocalCluster
from app.services.snapshots import open_snapshot
from app.settings import get_settings

LOCAL = "local"


def cluster_of(pool: str) -> Cluster:
    """The cluster that the pool belongs to. There is one so far: this machine."""
    assert pool == LOCAL, f"no cluster has a pool {pool}"
    return local_cluster()


@lru_cache
def local_cluster() -> Cluster:
    """This machine, for this process."""
    settings = get_settings()
    return LocalCluster(settings.home, settings.local, settings.limits, open_snapshot, settings.run_url)
