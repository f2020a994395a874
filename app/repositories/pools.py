"""Reading pools: what is true of the clusters they belong to, what is free in them, and who waits for them."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.domain.admission import PoolState, Waiting
from app.domain.quota import Resources
from app.models import Cluster, Pool


@dataclass(frozen=True)
class Room:
    """A pool as it is now. `holders` are public ids of the runs that have room in it, oldest first; `away_since` is
    set while its cluster does not answer, `is_draining` while no new runs are to go there, `is_unchecked` until it has
    passed its check."""

    name: str
    cluster: str
    capacity: Resources
    held: Resources
    holders: Sequence[str] = ()
    away_since: datetime.datetime | None = None
    is_draining: bool = False
    is_unchecked: bool = False

    @property
    def free(self) -> Resources:
        """What nobody holds, of each at least nothing."""
        left = self.capacity - self.held
        return Resources(max(left.cpu_millis, 0), max(left.memory_bytes, 0), max(left.gpus, 0))

    def with_line(self, line: Sequence[Waiting]) -> PoolState:
        """What admission decides about, with these runs waiting, the head first."""
        return PoolState(
            name=self.name,
            cluster=self.cluster,
            capacity=self.capacity,
            held=self.held,
            holders=self.holders,
            line=line,
            away_since=self.away_since.isoformat(timespec="seconds") if self.away_since else None,
            is_draining=self.is_draining,
            is_unchecked=self.is_unchecked,
        )


_ROOMS = text("""
select pool.name, pool.cpu_millis, pool.memory_bytes, pool.gpus, cluster.name as cluster,
       case when cluster.seen_at < now() - make_interval(secs => :away) then cluster.seen_at end as away_since,
       cluster.state = 'draining' as is_draining,
       cluster.kind = 'kubernetes' and cluster.passed_at is null as is_unchecked,
       coalesce(held.cpu_millis, 0) as held_cpu, coalesce(held.memory_bytes, 0) as held_memory,
       coalesce(held.gpus, 0) as held_gpus, held.holders
  from pool join cluster on cluster.id = pool.cluster_id
  left join (
    select reservation.pool, sum(reservation.cpu_millis)::bigint as cpu_millis,
           sum(reservation.memory_bytes)::bigint as memory_bytes, sum(reservation.gpus)::bigint as gpus,
           array_agg(run.public_id order by reservation.created_at, run.id) as holders
      from reservation join run on run.id = reservation.run_id
     where reservation.released_at is null group by reservation.pool
  ) held on held.pool = pool.name
 order by pool.name
""")
_AHEAD = text("""
select id, public_id, cpu_millis, memory_bytes, gpus from run
 where pool = :pool and state = 'queued' and desired = 'running' and priority >= :priority
 order by priority desc, id limit :limit
""")


def find_facts(session: Session, pool: str) -> dict[str, Any]:
    """The facts of the pool's cluster with its name as `cluster`; empty for a pool that is gone."""
    row = session.execute(
        select(Cluster.name, Cluster.facts).join(Pool, Pool.cluster_id == Cluster.id).where(Pool.name == pool)
    ).one_or_none()
    return {**row.facts, "cluster": row.name} if row else {}


def list_rooms(session: Session, away_seconds: float) -> list[Room]:
    """All pools by name. A cluster that was not seen for `away_seconds` does not answer."""
    return [
        Room(
            row.name,
            row.cluster,
            Resources(row.cpu_millis, row.memory_bytes, row.gpus),
            Resources(row.held_cpu, row.held_memory, row.held_gpus),
            row.holders or (),
            row.away_since,
            row.is_draining,
            row.is_unchecked,
        )
        for row in session.execute(_ROOMS, {"away": away_seconds})
    ]


def list_ahead(session: Session, pool: str, priority: int, limit: int) -> list[Waiting]:
    """The runs in line that would be tried before a new one of this priority, the head first."""
    rows = session.execute(_AHEAD, {"pool": pool, "priority": priority, "limit": limit})
    return [Waiting(row.id, row.public_id, Resources(row.cpu_millis, row.memory_bytes, row.gpus)) for row in rows]
