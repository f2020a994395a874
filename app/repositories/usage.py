"""Rows of what runs used: one for each replica of an attempt, extended as its file grows."""

import datetime
import json
import uuid
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.domain.usage import Lines, extend, join, pack, unpack


@dataclass(frozen=True, slots=True)
class UsageSource:
    """A replica's usage file, and where reading it goes on."""

    run_id: uuid.UUID
    public_id: str
    attempt: int
    replica: int
    offset: int


class UsageRow(NamedTuple):
    """What a replica used so far; `slices` is packed."""

    slices: bytes
    gpu_meter: str
    updated_at: datetime.datetime


# The first minute is shown as it is measured; later every ten seconds will do, since each time the row is rewritten.
_SOURCES = text("""
    select r.id, r.public_id, r.attempt, i.index, coalesce(u.end_offset, 0)
    from run r
    join pool p on p.name = r.pool
    join cluster k on k.id = p.cluster_id and k.name = :cluster
    cross join lateral generate_series(0, r.replicas - 1) as i(index)
    left join usage u on u.run_id = r.id and u.attempt = r.attempt and u.replica = i.index
    where r.state in ('starting', 'running')
      and (u.updated_at is null or u.updated_at < now() - interval '9 seconds'
           or r.started_at > now() - interval '1 minute')
    order by r.id, i.index
    limit :limit
""")
_SOURCES_OF = text("""
    select r.id, r.public_id, cast(:attempt as bigint), i.index, coalesce(u.end_offset, 0)
    from run r
    cross join lateral generate_series(0, r.replicas - 1) as i(index)
    left join usage u on u.run_id = r.id and u.attempt = :attempt and u.replica = i.index
    where r.id = :run_id order by i.index
""")


def list_sources(session: Session, cluster: str, limit: int = 5_000) -> list[UsageSource]:
    """The files of a cluster's live runs that may have grown enough to be read again."""
    return [UsageSource(*row) for row in session.execute(_SOURCES, {"cluster": cluster, "limit": limit})]


def list_sources_of(session: Session, run_id: uuid.UUID, attempt: int) -> list[UsageSource]:
    """The files of one attempt."""
    return [UsageSource(*row) for row in session.execute(_SOURCES_OF, {"run_id": run_id, "attempt": attempt})]


_MAKE = text("""
    insert into usage (run_id, attempt, replica, end_offset, slices, gpu_meter)
    values (:run_id, :attempt, :replica, 0, :slices, '') on conflict do nothing
""")
_HOLD = text("""
    select end_offset, slices, gpu_meter from usage
    where run_id = :run_id and attempt = :attempt and replica = :replica for update
""")
_STORE = text("""
    update usage set end_offset = :end_offset, slices = :slices, gpu_meter = :gpu_meter, updated_at = now()
    where run_id = :run_id and attempt = :attempt and replica = :replica
""")
# What the facts of a run show while it runs; at its end the same figures come with its exit code.
_TELL = text("""
    update replica set usage = coalesce(usage, '{}') || cast(:usage as jsonb)
    where run_id = :run_id and attempt = :attempt and index = :replica and state = 'running'
""")


def add_lines(session: Session, source: UsageSource, lines: Lines, end_offset: int) -> bool:
    """Takes in what was read from `source.offset` to `end_offset`; False, and nothing changed, where somebody else
    has done so meanwhile."""
    key = {"run_id": source.run_id, "attempt": source.attempt, "replica": source.replica}
    session.execute(_MAKE, key | {"slices": pack([])})
    held = session.execute(_HOLD, key).one()
    if held.end_offset != source.offset:
        return False
    slices = extend(unpack(held.slices), lines.slices)
    meter = held.gpu_meter if lines.gpu_meter is None else lines.gpu_meter
    session.execute(_STORE, key | {"end_offset": end_offset, "slices": pack(slices), "gpu_meter": meter})
    if slices:
        whole = join(slices)
        told = {"cpu_seconds": whole.cpu_us / 1e6, "max_rss_bytes": whole.memory_high}
        session.execute(_TELL, key | {"usage": json.dumps(told)})
    return True


_FIND = text("""
    select slices, gpu_meter, updated_at from usage
    where run_id = :run_id and attempt = :attempt and replica = :replica
""")


def find_usage(session: Session, run_id: uuid.UUID, attempt: int, replica: int = 0) -> UsageRow | None:
    """What one replica used; None before anything came."""
    row = session.execute(_FIND, {"run_id": run_id, "attempt": attempt, "replica": replica}).one_or_none()
    return None if row is None else UsageRow(*row)
