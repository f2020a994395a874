"""The admission loop's work: read the line and what is free, decide, write reservations and reasons.

Nobody else writes reservations. The transaction is fenced by the leader's term, and pools are locked, so
even two leaders could not give out the same room twice.
"""

import json
import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from app.domain import admission
from app.domain.quota import Resources
from app.domain.reasons import Reason
from app.queue import mark_due
from app.repositories import pools
from app.services.identity import token_hash
from app.services.leases import Term, fence
from app.services.run_tokens import run_token

# More than ever fit at once. What is further back gets its reason by one statement.
_HEAD_OF_LINE = 200

_LOCK = text("select 1 from pool order by name for update")
_LINE = text("""
select id, public_id, cpu_millis, memory_bytes, gpus, attempt, reason_code, reason
  from run where pool = :pool and state = 'queued' and desired = 'running'
 order by priority desc, id limit :limit for update skip locked
""")
_ADMIT = text("""
with moved as (
  update run set state = 'starting', reason_code = null, reason = null, due_at = now(), version = version + 1
   where id = :run_id and state = 'queued' and desired = 'running' returning id, attempt, project_id, public_id
), made as (
  insert into attempt (run_id, number, state, token_hash)
  select id, attempt, 'starting', :token_hash from moved
), held as (
  insert into reservation (run_id, attempt, pool, cpu_millis, memory_bytes, gpus)
  select id, attempt, :pool, :cpu_millis, :memory_bytes, :gpus from moved
), told as (
  insert into run_event (run_id, code, attempt, old_state, new_state, data)
  select id, 'admitted', attempt, 'queued', 'starting',
         jsonb_build_object('asked', cast(:asked as text), 'pool', cast(:pool as text)) from moved
), audited as (
  insert into audit_entry (actor_name, verb, object_type, object_id, project_id, before, after)
  select 'system', 'run.admit', 'run', public_id, project_id,
         jsonb_build_object('state', 'queued'), jsonb_build_object('state', 'starting', 'attempt', attempt) from moved
)
select count(*) from moved
""")
_UNTOLD = text("""
select id, public_id, cpu_millis, memory_bytes, gpus, reason_code, reason
  from run where pool = :pool and state = 'queued' and desired = 'running' and reason_code = 'JUST_SUBMITTED'
   and id <> all(:known) order by id limit 1000 for update skip locked
""")
_SET_REASON = text("""
update run set reason_code = :code, reason = cast(:args as jsonb), version = version + 1 where id = :id
""")


def admit(session: Session, term: Term, away_seconds: float) -> int:
    """One round. Returns how many runs were admitted. Raises FenceLost."""
    fence(session, term)
    session.execute(_LOCK)
    admitted = 0
    for pool in pools.list_rooms(session, away_seconds):
        line = session.execute(_LINE, {"pool": pool.name, "limit": _HEAD_OF_LINE}).all()
        if not line:
            continue
        state = pool.with_line([_waiting(row) for row in line])
        decision = admission.decide(state)
        for run, row in zip(decision.admitted, line, strict=False):
            admitted += _admit(session, pool.name, run, row.attempt)
        if decision.reasons:
            known = [row.id for row in line]
            untold = session.execute(_UNTOLD, {"pool": pool.name, "known": known}).all()
            decision.reasons.update(admission.behind(state, [_waiting(row) for row in untold]))
            _write_reasons(session, [*line, *untold], decision.reasons)
    return admitted


def _waiting(row: Row[Any]) -> admission.Waiting:
    return admission.Waiting(row.id, row.public_id, Resources(row.cpu_millis, row.memory_bytes, row.gpus))


def _admit(session: Session, pool: str, run: admission.Waiting, attempt: int) -> int:
    moved = session.scalar(
        _ADMIT,
        {
            "run_id": run.id,
            "pool": pool,
            "asked": str(run.asked),
            "cpu_millis": run.asked.cpu_millis,
            "memory_bytes": run.asked.memory_bytes,
            "gpus": run.asked.gpus,
            "token_hash": token_hash(run_token(run.public_id, attempt)),
        },
    )
    if moved:
        mark_due(session, run.id)
    return moved or 0


def _write_reasons(session: Session, rows: Sequence[Row[Any]], reasons: dict[uuid.UUID, Reason]) -> None:
    """Only what changed, so that a line that stands still costs nothing."""
    changed = [
        {"id": row.id, "code": reason.code, "args": json.dumps(reason.args)}
        for row in rows
        if (reason := reasons.get(row.id)) and (reason.code, reason.args) != (row.reason_code, row.reason)
    ]
    if changed:
        session.execute(_SET_REASON, changed)
