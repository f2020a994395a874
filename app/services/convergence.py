"""What has to be done for a run next, and the record of what was done.

The worker claims a run's lease, asks `next_step`, acts on the cluster outside any transaction, records the
result, and asks again. Every write is guarded by the lease's token: whoever lost the lease throws its
result away. Nothing here talks to a cluster.
"""

import json
import uuid
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from app.clusters.base import NO_SECRETS, SecretValues
from app.domain import capsule
from app.domain.quantities import parse_cpu, parse_duration, parse_memory
from app.domain.states import TERMINAL, Cause, RunState
from app.queue import wake_admission
from app.repositories import capsules
from app.services import secrets, transitions
from app.services.run_tokens import run_token
from app.settings import get_settings
from app.workloads.base import Spec
from app.workloads.plans import RunPlan, SecretRef, VolumeRef
from app.workloads.registry import KINDS, read_spec

# How long logs and outputs may keep an ended attempt from being shown as ended.
_LOG_PATIENCE_SECONDS = 60


class LeaseLostError(Exception):
    """Another worker has the run now; what this one found out is thrown away."""


@dataclass(frozen=True)
class Claim:
    """The right to act for a run, until its lease ends."""

    run_id: uuid.UUID
    token: uuid.UUID


class Act(StrEnum):
    """What the worker has to do outside the transaction."""

    NOTHING = "nothing"
    START = "start"
    STOP = "stop"
    DESCRIBE = "describe"
    STORE_OUTPUTS = "store_outputs"
    CLEAN_UP = "clean_up"


@dataclass(frozen=True)
class Step:
    """The one next thing. `again_in`: when to look again without being told, in seconds; None for never."""

    act: Act
    pool: str = ""
    public_id: str = ""
    project_id: str = ""
    attempt: int = 0
    plan: RunPlan | None = None
    secrets: SecretValues = NO_SECRETS
    grace_seconds: int = 0
    is_last: bool = False
    again_in: float | None = None


_CLAIM = text("""
update run set lease_token = :token, lease_until = now() + make_interval(secs => :seconds),
               due_at = now() + make_interval(secs => :seconds)
 where id = (select id from run where id = :run_id and (lease_until is null or lease_until < now())
               for update skip locked)
returning id
""")
# Somebody who marked the run due while it was held set due_at back: only then do the two times differ.
_PROLONG = text("""
update run set due_at = case when due_at = lease_until then now() + make_interval(secs => :seconds) else due_at end,
               lease_until = now() + make_interval(secs => :seconds)
 where id = :run_id and lease_token = :token
""")
_RELEASE = text("""
with freed as (
  update run set lease_token = null, lease_until = null, failures = case when :failed then failures + 1 else 0 end,
         due_at = case when due_at is distinct from lease_until then now()
                       when :failed then now() + make_interval(secs => power(2, least(failures, 8)) * (0.5 + random()))
                       when cast(:again_in as float) is not null then now() + make_interval(secs => :again_in) end
   where id = :run_id and lease_token = :token returning due_at)
select pg_notify('berth_due', '') from freed where due_at <= now()
""")
_RUN = text("""
select id, public_id, project_id, name, pool, spec, image, desired, state, attempt, generation, observed_generation,
       reason_code
  from run where id = :run_id and lease_token = :token for update
""")
_ATTEMPTS = text("""
select attempt.number, attempt.state, attempt.handle is not null as is_started, attempt.finished_at,
       attempt.logs_sealed_at, attempt.outputs_stored_at, attempt.environment, attempt.image,
       observation.status,
       extract(epoch from now() - attempt.admitted_at) as age,
       extract(epoch from now() - observation.seen_at) as seen_ago
  from attempt left join observation on observation.run_id = attempt.run_id and observation.attempt = attempt.number
 where attempt.run_id = :run_id and attempt.cleaned_at is null order by attempt.number
""")


# What an earlier attempt ran in, so that a tag that has moved since changes nothing.
_FIRST_IMAGE = text("""
select image from attempt where run_id = :id and number < :number and image like '%@%' order by number limit 1
""")
_GIVE_BACK = text("""
with ended as (
  update attempt set finished_at = coalesce(to_timestamp(:finished), now()) where run_id = :id and number = :number
)
update reservation set released_at = now() where run_id = :id and attempt = :number and released_at is null
""")


def claim(session: Session, run_id: uuid.UUID) -> Claim | None:
    """Takes the run's lease; None while another holds it or the run is gone."""
    token = uuid.uuid4()
    seconds = get_settings().convergence.lease_seconds
    found = session.scalar(_CLAIM, {"run_id": run_id, "token": token, "seconds": seconds})
    return Claim(run_id, token) if found else None


def prolong(session: Session, held: Claim) -> bool:
    """Keeps the lease for another term; False when it is lost."""
    seconds = get_settings().convergence.lease_seconds
    done = session.execute(_PROLONG, {"run_id": held.run_id, "token": held.token, "seconds": seconds})
    return bool(done.rowcount)  # type: ignore[attr-defined]


def release(session: Session, held: Claim, again_in: float | None, *, failed: bool = False) -> None:
    """Gives the lease back, and says when to look again. A failure is tried again after a growing, random wait."""
    session.execute(_RELEASE, {"run_id": held.run_id, "token": held.token, "again_in": again_in, "failed": failed})


def next_step(session: Session, held: Claim) -> Step:
    """The next thing to do for the run, after recording whatever needs no cluster. Raises LeaseLostError."""
    run = session.execute(_RUN, {"run_id": held.run_id, "token": held.token}).one_or_none()
    if run is None:
        raise LeaseLostError(str(held.run_id))
    attempts = session.execute(_ATTEMPTS, {"run_id": run.id}).all()
    if run.state == RunState.QUEUED and run.desired == RunState.STOPPED:
        transitions.record_stopped_in_line(session, run)
        run = session.execute(_RUN, {"run_id": held.run_id, "token": held.token}).one()
    for attempt in attempts:
        step = _step_of(session, run, attempt)
        if step is not None:
            return step
    return Step(Act.NOTHING)


def _step_of(session: Session, run: Row[Any], attempt: Row[Any]) -> Step | None:
    """The next thing for one attempt, or None when nothing is left to do for it now."""
    here = {"pool": run.pool, "public_id": run.public_id, "project_id": str(run.project_id), "attempt": attempt.number}
    if attempt.state in TERMINAL:
        is_last = run.state in TERMINAL and attempt.number == run.attempt
        return Step(Act.CLEAN_UP, is_last=is_last, **here)
    status = attempt.status
    if status is not None and status.get("image") and attempt.image is None:
        session.execute(
            text("update attempt set image = :image where run_id = :id and number = :number"),
            {"id": run.id, "number": attempt.number, "image": status["image"]},
        )
    if status is not None and status.get("described") and attempt.environment is None:
        return Step(Act.DESCRIBE, **here)
    if status is not None and status["gone"]:
        return _step_after_end(session, run, attempt, here)
    if run.desired == RunState.STOPPED:
        grace = parse_duration(_spec(session, run).grace)
        return Step(Act.STOP, grace_seconds=grace, again_in=10.0, **here)
    phases = {replica["phase"] for replica in status["replicas"]} if status else {"starting"}
    if "starting" not in phases and attempt.state == RunState.STARTING:
        transitions.record_running(session, run, attempt)
        return None
    is_told = status is not None and (run.reason_code or any(one.get("finding") for one in status["replicas"]))
    if is_told or (status is not None and "starting" in phases):
        transitions.record_waiting(session, run, attempt)
    # Started, but nothing of it was seen since: start again, which finds what is there.
    is_overdue = attempt.is_started and phases == {"starting"} and attempt.age > 5 and (attempt.seen_ago or 99) > 5
    if not attempt.is_started or is_overdue:
        pinned = session.scalar(_FIRST_IMAGE, {"id": run.id, "number": attempt.number})
        plan = plan_of(run, _spec(session, run), attempt.number, pinned or run.image)
        values = secrets.resolve(session, run.id, run.project_id, plan.secrets)
        return Step(Act.START, plan=plan, secrets=values, again_in=10.0, **here)
    if phases == {"starting"}:
        # Nothing may ever be seen of it again, if what was to start it died: that has to be looked for.
        return Step(Act.NOTHING, again_in=10.0)
    return None


def _step_after_end(session: Session, run: Row[Any], attempt: Row[Any], here: dict[str, Any]) -> Step | None:
    """Gives back what the attempt held, keeps what it left, and only then shows it as ended."""
    if attempt.finished_at is None:
        # From here on the shipper reads its log to the end, and others may have its room.
        finished = max((r["finished_at"] for r in attempt.status["replicas"] if r.get("finished_at")), default=None)
        session.execute(_GIVE_BACK, {"id": run.id, "number": attempt.number, "finished": finished})
        wake_admission(session)
    if attempt.outputs_stored_at is None:
        return Step(Act.STORE_OUTPUTS, **here)
    if attempt.logs_sealed_at is None and (attempt.seen_ago or 0) < _LOG_PATIENCE_SECONDS:
        return Step(Act.NOTHING, again_in=1.0)
    transitions.record_end(session, run, attempt, _spec(session, run).retries)
    is_retried = run.desired != RunState.STOPPED and _is_queued(session, run.id)
    return Step(Act.CLEAN_UP, is_last=not is_retried, **here)


def _is_queued(session: Session, run_id: uuid.UUID) -> bool:
    state: str | None = session.scalar(text("select state from run where id = :id"), {"id": run_id})
    return state == RunState.QUEUED


def _spec(session: Session, run: Row[Any]) -> Spec:
    """The spec as it was meant when the run was submitted: its manifest has all defaults, which may differ today."""
    kept = capsules.find_manifest(session, run.id)
    return read_spec(capsule.spec_of(kept.manifest, run.spec) if kept else run.spec)


def plan_of(run: Row[Any], spec: Spec, attempt: int, image: str | None = None) -> RunPlan:
    """The same plan however often it is made: a repeated start must find what the first one made.

    `image` by digest, where what the run is to run in is known, takes the place of its spec's.
    """
    settings = get_settings()
    env = dict(spec.env)
    for name, value in spec.parameters.items():
        env["BERTH_PARAM_" + name.upper().replace(".", "_").replace("-", "_")] = (
            json.dumps(value) if isinstance(value, bool) else str(value)
        )
    env |= {
        "BERTH_RUN_ID": run.public_id,
        "BERTH_ATTEMPT": str(attempt),
        "BERTH_REPLICAS": str(spec.replicas),
        "BERTH_PARAMETERS": json.dumps(spec.parameters),
        "BERTH_URL": settings.run_url,
        "BERTH_TOKEN": run_token(run.public_id, attempt),
    }
    return RunPlan(
        run_id=run.public_id,
        attempt=attempt,
        replicas=spec.replicas,
        command=KINDS[run.spec["kind"]].command(spec),
        env=env,
        snapshot_digest=spec.snapshot,
        project_id=str(run.project_id),
        python=spec.python,
        requirements=spec.requirements,
        cpu_millis=parse_cpu(spec.cpu),
        memory_bytes=parse_memory(spec.memory),
        timeout_seconds=parse_duration(spec.timeout) if spec.timeout else None,
        grace_seconds=parse_duration(spec.grace),
        log_bytes=settings.limits.log_bytes_per_attempt,
        image=image or spec.image,
        gpus=spec.gpus,
        shared_memory_bytes=parse_memory(spec.shared_memory) if spec.shared_memory else None,
        secrets=[SecretRef(use.name, use.env, use.file) for use in spec.secrets],
        volumes=[VolumeRef(use.claim, use.path, use.read_only) for use in spec.volumes],
    )


def record_started(session: Session, held: Claim, attempt: int, handle: dict[str, Any]) -> None:
    """The cluster has the attempt. Raises LeaseLostError."""
    _guard(session, held)
    session.execute(
        text("update attempt set handle = cast(:handle as jsonb) where run_id = :id and number = :number"),
        {"id": held.run_id, "number": attempt, "handle": json.dumps(handle)},
    )


def record_rejected(session: Session, held: Claim, attempt: int, message: str) -> None:
    """The cluster refused for good: as if it had ended before it began. Raises LeaseLostError."""
    run = _guard(session, held)
    status = {
        "gone": True,
        "replicas": [{"index": 0, "phase": "ended", "cause": Cause.START_FAILED, "message": message}],
    }
    session.execute(
        text("""
        insert into observation (run_id, attempt, status) values (:id, :attempt, cast(:status as jsonb))
        on conflict (run_id, attempt) do update set status = excluded.status
        """),
        {"id": run.id, "attempt": attempt, "status": json.dumps(status)},
    )
    session.execute(
        text("update attempt set logs_sealed_at = now() where run_id = :id and number = :number"),
        {"id": run.id, "number": attempt},
    )


def record_described(session: Session, held: Claim, attempt: int, found: dict[str, Any]) -> None:
    """What the attempt runs in, as its cluster tells. Raises LeaseLostError."""
    run = _guard(session, held)
    text_of = capsule.canonical(capsule.read_environment(found).document())
    session.execute(
        text("""
        with kept as (
          insert into environment (project_id, digest, document)
          values (:project_id, :digest, cast(:document as jsonb)) on conflict do nothing
        )
        update attempt set environment = :digest, platform = cast(:platform as jsonb)
         where run_id = :id and number = :number and environment is null
        """),
        {
            "id": run.id,
            "project_id": run.project_id,
            "number": attempt,
            "digest": capsule.digest_of(text_of),
            "document": text_of,
            "platform": json.dumps(capsule.read_platform(found.get("platform"))),
        },
    )


def record_stop_asked(session: Session, held: Claim) -> None:
    """The cluster knows that the run is to end. Raises LeaseLostError."""
    _guard(session, held)
    session.execute(text("update run set observed_generation = generation where id = :id"), {"id": held.run_id})


def record_cleaned(session: Session, held: Claim, attempt: int) -> None:
    """Nothing of the attempt is left in its cluster. Raises LeaseLostError."""
    _guard(session, held)
    where = {"id": held.run_id, "number": attempt}
    session.execute(text("update attempt set cleaned_at = now() where run_id = :id and number = :number"), where)
    session.execute(text("delete from observation where run_id = :id and attempt = :number"), where)


def _guard(session: Session, held: Claim) -> Row[Any]:
    run = session.execute(_RUN, {"run_id": held.run_id, "token": held.token}).one_or_none()
    if run is None:
        raise LeaseLostError(str(held.run_id))
    return run
