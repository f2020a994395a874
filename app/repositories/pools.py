"""Reading pools and what is true of the clusters they belong to."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models import Cluster, Pool


def find_facts(session: Session, pool: str) -> dict[str, Any]:
    """The facts of the pool's cluster with its name as `cluster`; empty for a pool that is gone."""
    row = session.execute(
        select(Cluster.name, Cluster.facts).join(Pool, Pool.cluster_id == Cluster.id).where(Pool.name == pool)
    ).one_or_none()
    return {**row.facts, "cluster": row.name} if row else {}
