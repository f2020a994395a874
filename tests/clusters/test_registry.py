"""From a row to the cluster."""

from pathlib import Path

import pytest

from app.clusters.local import LocalCluster
from app.clusters.registry import build_cluster
from app.models.cluster import Cluster
from app.settings import Settings


def test_the_kind_decides(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    cluster = build_cluster(Cluster(name="here", kind="local"), settings, lambda *_: iter([]))
    assert isinstance(cluster, LocalCluster)
    with pytest.raises(LookupError, match="mainframe"):
        build_cluster(Cluster(name="there", kind="mainframe"), settings, lambda *_: iter([]))
