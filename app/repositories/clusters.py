"""Reading clusters, for platform administrators: what they are, how they are, and what is on them."""

import datetime
import uuid
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from app.domain.clusters import ClusterSettings, Status, status_of
from app.domain.preflight import worst
from app.domain.preflight_facts import Finding
from app.domain.quota import Resources
from app.errors import NotFound

LOCAL = "local"


@dataclass(frozen=True)
class ClusterRow:
    """A cluster. `away_since` is set while it does not answer, with `trouble` as the last error.

    `findings` are those of the last check, at `checked_at`; `is_checking` while another was asked for. `in_cluster`:
    Berth runs in it and has no kubeconfig. `running` counts runs that hold room there, `waiting` those in its lines.
    """

    id: uuid.UUID
    name: str
    kind: str
    state: str
    status: Status
    server: str | None
    in_cluster: bool
    credentials_version: int
    credentials_at: datetime.datetime | None
    settings: ClusterSettings
    facts: dict[str, Any]
    seen_at: datetime.datetime | None
    away_since: datetime.datetime | None
    trouble: str | None
    is_checking: bool
    checked_at: datetime.datetime | None
    findings: list[Finding]
    pools: list[str]
    capacity: Resources
    running: int
    waiting: int
    version: int
    created_at: datetime.datetime
    created_by: str | None


class Target(NamedTuple):
    """As much of a Kubernetes as it takes to work it."""

    id: uuid.UUID
    name: str
    kind: str
    credentials_version: int
    settings: ClusterSettings


_TARGETS = """
select c.id, c.name, c.kind, c.credentials_version, c.settings from cluster c
"""
_TARGET_OF = text(f"{_TARGETS} join pool on pool.cluster_id = c.id where pool.name = :pool")
_ALL_TARGETS = text(f"{_TARGETS} where c.kind = 'kubernetes' order by c.name")
# The counts read one partial index each: of what is held, and of the lines.
_ROWS = """
select c.id, c.name, c.kind, c.state, c.server, c.key_id is null and c.kind = 'kubernetes' as in_cluster,
       c.credentials_version, c.credentials_at, c.settings, c.facts, c.seen_at, c.trouble, c.checked_at, c.findings,
       c.check_due_at is not null as is_checking, c.version, c.created_at, c.created_by,
       case when c.seen_at < now() - make_interval(secs => :away) then c.seen_at
            when c.seen_at is null and c.trouble is not null then c.created_at end as away_since,
       p.names as pools, p.cpu_millis, p.memory_bytes, p.gpus,
       (select count(*) from reservation v where v.released_at is null and v.pool = any(p.names)) as running,
       (select count(*) from run r where r.state = 'queued' and r.desired = 'running' and r.pool = any(p.names))
         as waiting
  from cluster c left join lateral (
    select coalesce(array_agg(name order by name), '{}') as names, coalesce(sum(cpu_millis), 0)::bigint as cpu_millis,
           coalesce(sum(memory_bytes), 0)::bigint as memory_bytes, coalesce(sum(gpus), 0)::bigint as gpus
      from pool where pool.cluster_id = c.id
  ) p on true
"""
_LIST = text(f"{_ROWS} where (cast(:after as text) is null or c.name > :after) order by c.name limit :limit")
_ONE = text(f"{_ROWS} where c.name = :name")
_RUNS = text("""
select r.public_id, r.name, r.state, r.started_at, project.name as project
  from reservation v join pool on pool.name = v.pool join cluster c on c.id = pool.cluster_id
  join run r on r.id = v.run_id join project on project.id = r.project_id
 where v.released_at is null and c.name = :name order by r.id desc limit :limit
""")


def find_target(session: Session, pool: str) -> Target | None:
    """The cluster of a pool; None for a pool that is gone with its cluster."""
    row = session.execute(_TARGET_OF, {"pool": pool}).one_or_none()
    return None if row is None else _target(row)


def list_targets(session: Session) -> list[Target]:
    """All that are a Kubernetes."""
    return [_target(row) for row in session.execute(_ALL_TARGETS)]


def _target(row: Row[Any]) -> Target:
    return Target(row.id, row.name, row.kind, row.credentials_version, ClusterSettings.of(row.settings))


def list_clusters(session: Session, away_seconds: float, after: str | None, limit: int) -> list[ClusterRow]:
    """By name, the next `limit` after a name. One that was not seen for `away_seconds` does not answer."""
    rows = session.execute(_LIST, {"away": away_seconds, "after": after, "limit": limit})
    return [_row(row) for row in rows]


def get_cluster(session: Session, away_seconds: float, name: str) -> ClusterRow:
    """One. Raises NotFound."""
    row = session.execute(_ONE, {"away": away_seconds, "name": name.replace("\0", "")}).one_or_none()
    if row is None:
        raise NotFound
    return _row(row)


def list_runs(session: Session, name: str, limit: int) -> list[dict[str, Any]]:
    """The runs that hold room on a cluster, newest first: `public_id`, `name`, `state`, `started_at`, `project`."""
    return [dict(row._mapping) for row in session.execute(_RUNS, {"name": name, "limit": limit})]


def _row(row: Row[Any]) -> ClusterRow:
    findings = [Finding.of(one) for one in (row.findings or {}).get("findings", ())]
    is_local = row.kind == LOCAL
    status = status_of(
        row.state,
        row.away_since,
        row.seen_at is not None,
        is_local or row.checked_at is not None,
        str(worst(findings)) if findings else None,
    )
    return ClusterRow(
        row.id,
        row.name,
        row.kind,
        row.state,
        status,
        row.server,
        row.in_cluster,
        row.credentials_version,
        row.credentials_at,
        ClusterSettings.of(row.settings),
        row.facts,
        row.seen_at,
        row.away_since,
        row.trouble,
        row.is_checking,
        row.checked_at,
        findings,
        list(row.pools),
        Resources(row.cpu_millis, row.memory_bytes, row.gpus),
        row.running,
        row.waiting,
        row.version,
        row.created_at,
        row.created_by,
    )
