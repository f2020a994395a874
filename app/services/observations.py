"""What the watchers saw: the newest status of each of our objects, and which runs have to be looked at for it."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.clusters.base import Capacity, ObjectStatus, ReplicaStatus
from app.services.leases import Term, fence

# Absence is believed when a fresh list has said so twice, this far apart.
_BELIEVED_AFTER_SECONDS = 30

# Runs are locked before their observations, as `converge` does it; the next statement then sees what it did last,
# so that nothing is noted of an attempt that it has just cleaned.
_LOCK = text("select 1 from run where public_id = any(:public_ids) order by id for no key update")
_LOCK_ABSENT = text("""
select 1 from run
 where state in ('starting', 'running') and not public_id = any(:public_ids)
   and pool in (select pool.name from pool join cluster on cluster.id = pool.cluster_id where cluster.name = :cluster)
 order by id for no key update
""")
_RECORD = text("""
with seen as (
  select run.id as run_id, given.attempt, given.status
    from jsonb_to_recordset(cast(:statuses as jsonb)) as given (public_id text, attempt bigint, status jsonb)
    join run on run.public_id = given.public_id
    join attempt on attempt.run_id = run.id and attempt.number = given.attempt and attempt.cleaned_at is null
), changed as (
  insert into observation (run_id, attempt, status) select run_id, attempt, status from seen
  on conflict (run_id, attempt) do update set status = excluded.status, seen_at = now(), missing_since = null
   where observation.status is distinct from excluded.status or observation.missing_since is not null
  returning run_id
), marked as (
  update run set due_at = now() where id in (select run_id from changed) returning 1
)
select pg_notify('berth_due', '') from marked limit 1
""")
_ABSENT = """
with listed as (
  select run.id as run_id, given.attempt
    from jsonb_to_recordset(cast(:listed as jsonb)) as given (public_id text, attempt bigint)
    join run on run.public_id = given.public_id
), absent as (
  select attempt.run_id, attempt.number from attempt
    join run on run.id = attempt.run_id join pool on pool.name = run.pool join cluster on cluster.id = pool.cluster_id
   where cluster.name = :cluster and attempt.state in ('starting', 'running') and attempt.handle is not null
     and attempt.cleaned_at is null
     and not exists (select 1 from listed where listed.run_id = attempt.run_id and listed.attempt = attempt.number)
)
"""
_IS_ANY_ABSENT = text(f"{_ABSENT} select exists (select 1 from absent)")  # noqa: S608 - no value in it
_MISSING = text(f"""
{_ABSENT}, noted as (
  insert into observation (run_id, attempt, status, missing_since)
  select run_id, number, '{{"gone": false, "replicas": [{{"index": 0, "phase": "starting"}}]}}', now() from absent
  on conflict (run_id, attempt) do update
     set missing_since = coalesce(observation.missing_since, now()),
         seen_at = now(),
         status = case when observation.missing_since < now() - make_interval(secs => :after)
                       then cast(:lost as jsonb) else observation.status end
   where observation.status is distinct from cast(:lost as jsonb)
  returning run_id, status
), believed as (
  select run_id from noted where status = cast(:lost as jsonb)
), marked as (
  update run set due_at = now() where id in (select run_id from believed) returning 1
)
select pg_notify('berth_due', '') from marked limit 1
""")  # noqa: S608 - no value in it
_LOST = {"gone": True, "replicas": [{"index": 0, "phase": "lost", "cause": "lost"}]}


def status_document(status: ObjectStatus) -> dict[str, Any]:
    """What is stored of an object: everything but the ids, which are the row's key."""
    made: dict[str, Any] = {"gone": status.gone, "replicas": [_replica(one) for one in status.replicas]}
    made |= {"image": status.image} if status.image else {}
    return made | ({"described": True} if status.described else {})


def _replica(status: ReplicaStatus) -> dict[str, Any]:
    made = asdict(status)
    if status.pod is None:  # what was written before there were any stays the same
        made.pop("pod")
    return made


def record_statuses(session: Session, term: Term, statuses: Sequence[ObjectStatus]) -> None:
    """Stores what changed and marks those runs due. Objects that are not ours any more are passed over."""
    fence(session, term)
    given = [
        {"public_id": status.run_id, "attempt": status.attempt, "status": status_document(status)}
        for status in statuses
    ]
    session.execute(_LOCK, {"public_ids": [status.run_id for status in statuses]})
    session.execute(_RECORD, {"statuses": json.dumps(given)})


def is_any_absent(session: Session, cluster: str, statuses: Sequence[ObjectStatus]) -> bool:
    """Whether something that was started there is not among these."""
    found: bool = session.execute(_IS_ANY_ABSENT, {"listed": _listed(statuses), "cluster": cluster}).scalar_one()
    return found


def record_missing(session: Session, term: Term, cluster: str, statuses: Sequence[ObjectStatus]) -> None:
    """Takes a full and fresh list, and notes which objects that should be there are not in it."""
    fence(session, term)
    public_ids = [status.run_id for status in statuses]
    session.execute(_LOCK_ABSENT, {"public_ids": public_ids, "cluster": cluster})
    session.execute(
        _MISSING,
        {
            "listed": _listed(statuses),
            "cluster": cluster,
            "lost": json.dumps(_LOST),
            "after": _BELIEVED_AFTER_SECONDS,
        },
    )


def _listed(statuses: Sequence[ObjectStatus]) -> str:
    return json.dumps([{"public_id": status.run_id, "attempt": status.attempt} for status in statuses])


def leftovers(session: Session, statuses: Sequence[ObjectStatus]) -> list[tuple[str, int]]:
    """Objects of runs we know whose attempt is over and cleaned: a start that came after its own end."""
    rows = session.execute(
        text("""
        select given.public_id, given.attempt
          from jsonb_to_recordset(cast(:listed as jsonb)) as given (public_id text, attempt bigint)
          join run on run.public_id = given.public_id
          join attempt on attempt.run_id = run.id and attempt.number = given.attempt
         where attempt.cleaned_at is not null
        """),
        {"listed": _listed(statuses)},
    )
    return [(row.public_id, row.attempt) for row in rows]


def record_cluster(
    session: Session, term: Term, name: str, kind: str, capacity: Capacity, facts: dict[str, Any]
) -> None:
    """The cluster answered: its facts, and the size of its pool. A pool of the same name is made with it."""
    fence(session, term)
    session.execute(
        text("""
        with seen as (
          insert into cluster (id, name, kind, facts, seen_at)
          values (gen_random_uuid(), :name, :kind, cast(:facts as jsonb), now())
          on conflict (name) do update set facts = excluded.facts, seen_at = now() returning id
        )
        insert into pool (name, cluster_id, cpu_millis, memory_bytes, gpus)
        select :name, id, :cpu_millis, :memory_bytes, :gpus from seen
        on conflict (name) do update
           set cpu_millis = excluded.cpu_millis, memory_bytes = excluded.memory_bytes, gpus = excluded.gpus
         where (pool.cpu_millis, pool.memory_bytes, pool.gpus)
               is distinct from (excluded.cpu_millis, excluded.memory_bytes, excluded.gpus)
        """),
        {"name": name, "kind": kind, "facts": json.dumps(facts), **asdict(capacity)},
    )
