"""How a run moves from one state to the next: its row, its event, its audit entry and what others are told, at once.

Whoever calls this holds the run's row, as `app.services.convergence` does by its lease.
"""

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from app.domain import gangs
from app.domain.pod_reasons import POD_REASONS
from app.domain.states import TERMINAL, Cause, RunState, advance, may_retry
from app.queue import wake_admission


def record_stopped_in_line(session: Session, run: Row[Any]) -> None:
    """A run that was to stop while it waited has ended."""
    _move(session, run, RunState.STOPPED, code="stopped", reason=_stopped_by(session, run))
    wake_admission(session)


def record_running(session: Session, run: Row[Any], attempt: Row[Any]) -> None:
    """Its program runs, since the time that the cluster tells."""
    replicas = attempt.status["replicas"]
    started = min((replica["started_at"] for replica in replicas if replica.get("started_at")), default=None)
    _write_replicas(session, run, attempt)
    session.execute(
        text("""
        update attempt set state = 'running', started_at = coalesce(to_timestamp(:started), now())
         where run_id = :id and number = :number
        """),
        {"id": run.id, "number": attempt.number, "started": started},
    )
    _move(session, run, RunState.RUNNING, code="started", started=started, data={"attempt": attempt.number})


def record_waiting(session: Session, run: Row[Any], attempt: Row[Any]) -> None:
    """Why it has not begun although its cluster has it, or why nobody knows whether it still runs; nothing where all is
    well."""
    replicas = attempt.status["replicas"]
    found = next((one for one in replicas if (one.get("finding") or {}).get("code") in POD_REASONS), None)
    finding = {**found["finding"], **gangs.which(found, replicas)} if found else {}
    code = finding.pop("code", None)
    session.execute(
        text("""
        update run set reason_code = :code, reason = cast(:args as jsonb), version = version + 1
         where id = :id and state in ('starting', 'running')
           and (reason_code, reason) is distinct from (cast(:code as text), cast(:args as jsonb))
        """),
        {"id": run.id, "code": code, "args": json.dumps(finding if code else {})},
    )


def record_end(session: Session, run: Row[Any], attempt: Row[Any], retries: dict[Cause, int]) -> None:
    """The attempt's result, and what follows from it for the run: another attempt, or its end."""
    result = _result(run, attempt)
    _write_replicas(session, run, attempt)
    session.execute(
        text("""
        update attempt set state = :state, cause = :cause, reason_code = :code, reason = cast(:args as jsonb),
               exit_code = :exit_code, first_error = :first_error,
               started_at = coalesce(started_at, to_timestamp(:started)),
               finished_at = coalesce(finished_at, to_timestamp(:finished), now())
         where run_id = :id and number = :number
        """),
        {"id": run.id, "number": attempt.number, **result.columns()},
    )
    used = {
        Cause(row.cause): row.times
        for row in session.execute(
            text("""
            select cause, count(*) as times from attempt
             where run_id = :id and cause is not null and number < :number group by cause
            """),
            {"id": run.id, "number": attempt.number},
        )
    }
    wants_more = run.desired != RunState.STOPPED
    if result.cause and wants_more and may_retry(result.cause, attempt.number, retries, used):
        data = {"attempt": attempt.number, "next": attempt.number + 1, "cause": result.cause}
        _move(session, run, RunState.QUEUED, code="retrying", data=data, result=result)
        wake_admission(session)
    else:
        _move(session, run, result.state, code="ended", data={"attempt": attempt.number}, result=result)


@dataclass(frozen=True)
class _Result:
    state: RunState
    cause: Cause | None
    code: str | None
    args: dict[str, Any]
    exit_code: int | None
    first_error: str | None
    started: float | None
    finished: float | None

    def columns(self) -> dict[str, Any]:
        return {
            "state": self.state,
            "cause": self.cause,
            "code": self.code,
            "args": json.dumps(self.args) if self.code else None,
            "exit_code": self.exit_code,
            "first_error": self.first_error,
            "started": self.started,
            "finished": self.finished,
        }


def _result(run: Row[Any], attempt: Row[Any]) -> _Result:
    """From the replica that failed first, or from the first one when all went well."""
    replicas = attempt.status["replicas"]
    failed = [replica for replica in replicas if replica.get("cause") or replica.get("phase") == "lost"]
    first = min(failed or replicas, key=gangs.order_of_failure)
    cause = Cause(first.get("cause") or Cause.LOST) if failed else None
    if run.desired == RunState.STOPPED and cause in {Cause.LOST, Cause.FAILED}:
        cause = Cause.STOPPED
    state = {None: RunState.SUCCEEDED, Cause.STOPPED: RunState.STOPPED}.get(cause, RunState.FAILED)
    code = None if cause is None else {Cause.FAILED: "EXIT_CODE"}.get(cause, cause.upper())
    args = {
        "EXIT_CODE": {"exit_code": first.get("exit_code")},
        "OOM_KILLED": {"memory": run.spec.get("memory", "1Gi")},
        "TIMED_OUT": {"timeout": run.spec.get("timeout", "")},
        "START_FAILED": {"message": first.get("message", "")},
        "STOPPED": {"by": ""},
    }.get(code or "", {})
    finding = dict(first.get("finding") or {})
    if cause is not Cause.STOPPED and finding.get("code") in POD_REASONS:
        code, args = finding.pop("code"), finding
    if cause not in {None, Cause.STOPPED, Cause.TIMED_OUT}:
        args = {**args, **gangs.which(first, replicas)}
    return _Result(
        state=state,
        cause=cause,
        code=code,
        args=args,
        exit_code=first.get("exit_code"),
        first_error=(first.get("first_error") or None) if cause != Cause.STOPPED else None,
        started=min((r["started_at"] for r in replicas if r.get("started_at")), default=None),
        finished=max((r["finished_at"] for r in replicas if r.get("finished_at")), default=None),
    )


def _write_replicas(session: Session, run: Row[Any], attempt: Row[Any]) -> None:
    rows = [
        {
            "id": run.id,
            "attempt": attempt.number,
            "index": replica["index"],
            "state": _replica_state(replica),
            "exit_code": replica.get("exit_code"),
            "usage": json.dumps(replica.get("usage") or {}),
        }
        for replica in attempt.status["replicas"]
    ]
    session.execute(
        text("""
        insert into replica (run_id, attempt, index, state, exit_code, usage)
        values (:id, :attempt, :index, :state, :exit_code, cast(:usage as jsonb))
        on conflict (run_id, attempt, index) do update
           set state = excluded.state, exit_code = excluded.exit_code, usage = excluded.usage
        """),
        rows,
    )


def _replica_state(replica: dict[str, Any]) -> RunState:
    phase = replica["phase"]
    if phase == "ended":
        if not replica.get("cause"):
            return RunState.SUCCEEDED
        return RunState.STOPPED if replica["cause"] == Cause.STOPPED else RunState.FAILED
    return {"starting": RunState.STARTING, "running": RunState.RUNNING}.get(phase, RunState.FAILED)


def _stopped_by(session: Session, run: Row[Any]) -> tuple[str, dict[str, Any]]:
    name = session.scalar(
        text('select "user".name from run join "user" on "user".id = run.stopped_by where run.id = :id'), {"id": run.id}
    )
    return "STOPPED", {"by": name or "system"}


def _move(
    session: Session,
    run: Row[Any],
    new: RunState,
    *,
    code: str,
    reason: tuple[str, dict[str, Any]] | None = None,
    data: dict[str, Any] | None = None,
    started: float | None = None,
    result: _Result | None = None,
) -> None:
    """The only way a run's state changes after admission: the row, its event and its audit entry together."""
    advance(RunState(run.state), new)
    if result is not None and result.code == "STOPPED":
        reason = _stopped_by(session, run)
    elif result is not None and result.code is not None:
        reason = (result.code, result.args)
    is_retry = new == RunState.QUEUED
    session.execute(
        _MOVE,
        {
            "id": run.id,
            "public_id": run.public_id,
            "project_id": run.project_id,
            "old": run.state,
            "new": new,
            "attempt": run.attempt + is_retry,
            "of_attempt": run.attempt,
            "reason_code": "JUST_SUBMITTED" if is_retry else reason[0] if reason else None,
            "reason": json.dumps(reason[1] if reason and not is_retry else {}),
            "exit_code": result.exit_code if result and not is_retry else None,
            "first_error": result.first_error if result and not is_retry else None,
            "is_retry": is_retry,
            "is_end": new in TERMINAL,
            "started": started or (result.started if result and not is_retry else None),
            "finished": result.finished if result else None,
            "code": code,
            "data": json.dumps((data or {}) | ({"reason": {"code": reason[0], "args": reason[1]}} if reason else {})),
        },
    )


_MOVE = text("""
with moved as (
  update run set state = :new, attempt = :attempt, version = version + 1,
         reason_code = :reason_code, reason = cast(:reason as jsonb),
         exit_code = :exit_code, first_error = :first_error,
         queued_at = case when :is_retry then now() else queued_at end,
         started_at = case when :is_retry then null else coalesce(to_timestamp(:started), started_at) end,
         finished_at = case when :is_end then coalesce(to_timestamp(:finished), now()) end
   where id = :id and state = :old returning id
), told as (
  insert into run_event (run_id, code, attempt, old_state, new_state, data)
  select id, :code, :of_attempt, :old, :new, cast(:data as jsonb) from moved returning id, run_id
), to_notify as (
  insert into notification_event (event_id, run_id) select id, run_id from told where :is_end
  returning pg_notify('berth_notification', '')
)
insert into audit_entry (actor_name, verb, object_type, object_id, project_id, before, after)
select 'system', 'run.' || :code, 'run', :public_id, :project_id,
       jsonb_build_object('state', cast(:old as text)), jsonb_build_object('state', cast(:new as text)) from moved
""")
