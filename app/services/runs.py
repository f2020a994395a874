"""Submitting runs, and changing what is wanted of them. What then happens to them is services/convergence.py."""

import json
import time
import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Row, text
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from app.db import after_commit, driver
from app.domain import capsule
from app.domain.access import Action, Actor
from app.domain.names import new_run_id
from app.domain.pool_sizes import Obstacle, PoolSize
from app.domain.quantities import format_cpu, format_memory
from app.domain.quota import Resources
from app.domain.states import TERMINAL, Desired, RunState
from app.errors import N_, FieldError, Invalid, NotFound, TooMany
from app.faults import crash_point
from app.queue import mark_due, wake_admission_of_many
from app.repositories import capsules
from app.repositories.clusters import LOCAL
from app.repositories.runs import PLACE, RunRow, get_run
from app.services import idempotency, secrets
from app.services.identity import require
from app.settings import get_settings
from app.workloads.base import PRIORITIES, Spec
from app.workloads.registry import KINDS

_POOLS_KEPT_SECONDS = 5.0


class NeverFits(Invalid):
    """More than the pool has in all, or for one replica than any of its nodes: it would wait for ever."""

    code = "NEVER_FITS"
    title = N_("No machine of this pool is that large")
    detail = N_("It asks for {asked}, and the most that pool {pool} has for it is {capacity}, so it could never start.")
    hint = N_("The nearest that fits is {nearest}.")


class UnknownPool(Invalid):
    """A pool that is not there."""

    code = "UNKNOWN_POOL"
    title = N_("There is no such pool")
    detail = N_("There is no pool {pool}. There are: {pools}.")
    hint = N_("Leave the pool out for the default, or name one of those.")


class OneReplicaOnly(Invalid):
    """Several replicas in a place that runs one process for a run."""

    code = "ONE_REPLICA_ONLY"
    title = N_("This pool runs one replica")
    detail = N_("It asks for {replicas} replicas, and pool {pool} is this machine, which runs one process for a run.")
    hint = N_("Ask for one replica, or name the pool of a cluster.")


class PoolDraining(Invalid):
    """Nothing new is to start there."""

    code = "POOL_DRAINING"
    title = N_("The pool takes no new runs")
    detail = N_("Pool {pool} belongs to a cluster that an administrator is draining, so nothing new starts there.")
    hint = N_("Name another pool, or submit it when the cluster is in use again.")


class UnknownSnapshot(Invalid):
    """Code that was never uploaded to this project."""

    code = "UNKNOWN_SNAPSHOT"
    title = N_("That code was not uploaded")
    detail = N_("No snapshot with this digest was uploaded to this project.")
    hint = N_("Upload it first: PUT /api/v1/projects/<project>/snapshots/<sha256>. `berth run submit` does both.")


class MadeOf(NamedTuple):
    """The job definition that a run is made of, and which version of it."""

    id: uuid.UUID
    version: int
    name: str


class Recorded(NamedTuple):
    """What is kept of a run's spec: as it was sent, and the manifest with all defaults."""

    sent: dict[str, Any]
    manifest: str


class TooManyWaiting(TooMany):
    """The project's line is full."""

    code = "TOO_MANY_WAITING"
    title = N_("Too many runs are waiting")
    detail = N_("The project has {limit} waiting runs, which is as many as it may have.")
    hint = N_("Wait until some have started, or stop some of them.")


def _submit_statement(*, with_key: bool) -> str:
    """One statement, so the run is there with its history and its audit row or not at all. It gives what Postgres
    alone knows of the new run; with a key that was used before, or in a project that is being deleted, nothing."""
    once = """once as (
      insert into idempotency_key (user_id, route, key, body_hash, status, location)
      select %(actor_id)s, %(route)s, %(key)s, %(body_hash)s, 202, %(public_id)s from home
      on conflict do nothing returning key
    ),"""
    return f"""
    with home as (
      select id, name from project where id = %(project_id)s and deleted_at is null for key share
    ), {once if with_key else ""} made as (
      insert into run (id, public_id, project_id, created_by, name, kind, spec, source, tags, experiment, parent_id,
                       definition_id, definition_version, pool, priority, cpu_millis, memory_bytes, gpus, replicas,
                       image, is_debug, reason_code, reason)
      select %(id)s, %(public_id)s, %(project_id)s, %(actor_id)s, %(name)s, %(kind)s, %(spec)s, %(source)s,
             %(tags)s, %(experiment)s, %(parent_id)s, %(definition_id)s, %(definition_version)s, %(pool)s,
             %(priority)s, %(cpu_millis)s, %(memory_bytes)s, %(gpus)s, %(replicas)s, %(image)s, %(is_debug)s,
             'JUST_SUBMITTED', '{{}}' from {"once" if with_key else "home"}
      returning id, pool, priority, created_at, queued_at
    ), kept as (
      insert into capsule (run_id, manifest, digest, source_text)
      select id, %(manifest)s, %(digest)s, %(source_text)s from made
    ), told as (
      insert into run_event (run_id, code, attempt, new_state, actor_id, data)
      select id, 'submitted', 1, 'queued', %(actor_id)s, jsonb_build_object('by', %(actor_name)s::text) from made
    ), audited as (
      insert into audit_entry
        (actor_id, actor_name, verb, object_type, object_id, project_id, after, address, request_id)
      select %(actor_id)s, %(actor_name)s, 'run.submit', 'run', %(public_id)s, %(project_id)s,
             jsonb_build_object('name', %(name)s::text, 'state', 'queued') || %(audited)s::jsonb,
             %(address)s, %(request_id)s from made
    )
    select home.name, r.created_at, r.queued_at, {PLACE} from made r, home
    """  # noqa: S608 - constants only


_SUBMIT = _submit_statement(with_key=False)
_SUBMIT_ONCE = _submit_statement(with_key=True)


def submit_run(
    session: Session,
    actor: Actor,
    project_id: uuid.UUID,
    spec: Spec,
    source: dict[str, Any],
    *,
    once: idempotency.Claim | None = None,
    parent: RunRow | None = None,
    definition: MadeOf | None = None,
    exactly: Recorded | None = None,
    source_text: str | None = None,
    keeps_image: bool = True,
    is_debug: bool = False,
) -> RunRow:
    """Puts a run in line and returns it; it starts when its pool has room.

    With a `once` that was used before, the run that it made. `exactly` is what another run has, which this one
    repeats; else it is made of the spec. `source_text` is the YAML that the sender wrote. One that names the same image
    as its parent gets the very same, also where the tag has moved, unless `keeps_image` is false. `is_debug` marks one
    that only holds a place as its parent's. Nothing is reserved here: this refuses only what could never start.
    Raises NeverFits, UnknownPool, OneReplicaOnly, UnknownSnapshot, UnknownSecret, TooManyWaiting.
    """
    require(actor, Action.RUN_WRITE, project_id)
    check_startable(session, project_id, spec)
    asked = spec.resources
    if exactly is None:
        # What was written is kept, a default that was written out too: it stays when the default changes.
        sent = spec.model_dump(mode="json", exclude_unset=True)
        exactly = Recorded(sent, manifest_of(spec, definition))
    stored = exactly.sent | {"kind": _kind(spec), "name": spec.name}
    values: dict[str, Any] = {
        "id": uuid7(),
        "public_id": new_run_id(),
        "project_id": project_id,
        "actor_id": actor.user_id,
        "actor_name": actor.name,
        "address": actor.address,
        "request_id": actor.request_id,
        "name": spec.name,
        "kind": stored["kind"],
        "spec": json.dumps(stored),
        "source": json.dumps(source),
        "tags": spec.tags,
        "experiment": spec.experiment,
        "parent_id": parent.id if parent else None,
        "definition_id": definition.id if definition else None,
        "definition_version": definition.version if definition else None,
        "manifest": exactly.manifest,
        "digest": capsule.digest_of(exactly.manifest),
        "source_text": source_text,
        "pool": spec.pool,
        "priority": PRIORITIES[spec.priority],
        "cpu_millis": asked.cpu_millis,
        "memory_bytes": asked.memory_bytes,
        "gpus": asked.gpus,
        "replicas": spec.replicas,
        "is_debug": is_debug,
        "audited": json.dumps({"debug_of": parent.public_id} if parent and is_debug else {}),
        "image": _image_of(session, parent, spec) if parent and keeps_image else None,
    }
    if once is not None:
        values |= {"route": once.route, "key": once.key, "body_hash": once.body_hash}
    crash_point("submit.before_commit")
    made = driver(session).execute(_SUBMIT if once is None else _SUBMIT_ONCE, values).fetchone()
    after_commit(session, _submitted)
    wake_admission_of_many(session)
    if made is not None:
        return _new_row(values, spec, stored, source, made, parent, definition)
    # Nothing was made: the key was used before, or the project was deleted since the caller found it.
    answer = None if once is None else idempotency.find(session, once)
    if answer is None:
        raise NotFound
    return get_run(session, actor, answer.location or "")


def _image_of(session: Session, parent: RunRow, spec: Spec) -> str | None:
    """What the parent ran in, by digest, where that is what the spec asks for. One that names no image gets that of
    its cluster, so only in the same pool it is the same."""
    if spec.image != parent.spec.get("image") or (spec.image is None and spec.pool != parent.pool):
        return None
    return capsules.find_image(session, parent.id)


def _new_row(
    values: dict[str, Any],
    spec: Spec,
    stored: dict[str, Any],
    source: dict[str, Any],
    made: tuple[Any, ...],
    parent: RunRow | None,
    definition: MadeOf | None,
) -> RunRow:
    """The run as `get_run` would read it: reading it back costs Postgres a third of what making it does.

    What stands here as a constant is what the columns have by default.
    """
    project, created_at, queued_at, place = made
    asked = spec.resources
    return RunRow(
        id=values["id"],
        public_id=values["public_id"],
        project_id=values["project_id"],
        project=project,
        name=spec.name,
        kind=stored["kind"],
        state=RunState.QUEUED.value,
        desired=Desired.RUNNING.value,
        tags=spec.tags,
        experiment=spec.experiment,
        archived=False,
        created_by=values["actor_name"],
        priority=values["priority"],
        pool=spec.pool,
        cpu_millis=asked.cpu_millis,
        memory_bytes=asked.memory_bytes,
        gpus=asked.gpus,
        replicas=spec.replicas,
        attempt=1,
        reason_code="JUST_SUBMITTED",
        reason={},
        exit_code=None,
        first_error=None,
        progress_done=None,
        progress_total=None,
        created_at=created_at,
        queued_at=queued_at,
        started_at=None,
        finished_at=None,
        is_debug=values["is_debug"],
        version=1,
        spec=stored,
        source=source,
        generation=1,
        observed_generation=0,
        parent=parent.public_id if parent else None,
        definition=definition.name if definition else None,
        definition_version=definition.version if definition else None,
        definition_id=definition.id if definition else None,
        attempts=[],
        place=place,
    )


def manifest_of(spec: Spec, definition: MadeOf | None) -> str:
    """What a run of this spec is, as canonical JSON."""
    named = (definition.name, definition.version) if definition else None
    return capsule.make_manifest(spec.model_dump(mode="json"), _kind(spec), named)


def _submitted() -> None:
    crash_point("submit.after_commit")


def _kind(spec: Spec) -> str:
    return next(name for name, kind in KINDS.items() if isinstance(spec, kind.spec))


def check_startable(session: Session, project_id: uuid.UUID, spec: Spec) -> None:
    """Refuses what could never start in this project, and what finds its line full."""
    check_possible(session, project_id, spec)
    limit = get_settings().limits.waiting_runs_per_project
    if _line_length(session, project_id, limit) >= limit:
        raise TooManyWaiting(limit=limit)


def check_possible(session: Session, project_id: uuid.UUID, spec: Spec) -> None:
    """Refuses what could never start in this project, all of it at once. Changes and counts nothing.

    Raises the first reason that there is, with what is to be mended for the others among its errors.
    """
    found = [
        _problem_of_pool(session, spec),
        _problem_of_snapshot(session, project_id, spec),
        secrets.find_unknown(session, project_id, spec),
    ]
    problems = [problem for problem in found if problem is not None]
    if problems:
        problems[0].errors = [error for problem in problems for error in problem.errors]
        raise problems[0]


def _problem_of_pool(session: Session, spec: Spec) -> Invalid | None:
    pools = pool_sizes(session, wanted=spec.pool)
    if spec.pool in _draining_seen:
        others = sorted(pools.keys() - _draining_seen)
        said = FieldError("/spec/pool", N_("belongs to a cluster that is being drained"), others[0] if others else None)
        return PoolDraining([said], pool=spec.pool)
    size = pools.get(spec.pool)
    if pools and size is None:
        return UnknownPool(
            [FieldError("/spec/pool", N_("there is no such pool"), min(pools))],
            pool=spec.pool,
            pools=", ".join(sorted(pools)),
        )
    if spec.replicas > 1 and spec.pool == LOCAL:
        said = FieldError("/spec/replicas", N_("is more than this machine runs of one run"), "1")
        return OneReplicaOnly([said], replicas=spec.replicas, pool=spec.pool)
    obstacle = None if size is None else size.obstacle(spec.resources, spec.replicas)
    return None if obstacle is None else _never_fits(spec, obstacle)


def _problem_of_snapshot(session: Session, project_id: uuid.UUID, spec: Spec) -> Invalid | None:
    if spec.snapshot is None or has_snapshot(session, project_id, spec.snapshot):
        return None
    return UnknownSnapshot([FieldError("/spec/snapshot", N_("was not uploaded to this project"))])


def has_snapshot(session: Session, project_id: uuid.UUID, digest: str) -> bool:
    """Whether the code was uploaded to the project and is known still."""
    statement = text("select 1 from snapshot where project_id = :project_id and digest = :digest")
    return session.scalar(statement, {"project_id": project_id, "digest": digest}) is not None


def _never_fits(spec: Spec, obstacle: Obstacle) -> NeverFits:
    asked, nearest = spec.resources // spec.replicas, obstacle.nearest
    more = N_("is more than any node has that takes it") if obstacle.is_of_node else N_("is more than the pool has")
    fixes = []
    if nearest.cpu_millis < asked.cpu_millis:
        fixes.append(FieldError("/spec/cpu", more, format_cpu(nearest.cpu_millis)))
    if nearest.memory_bytes < asked.memory_bytes:
        fixes.append(FieldError("/spec/memory", more, format_memory(nearest.memory_bytes // 2**20 * 2**20)))
    if nearest.gpus < asked.gpus:
        fixes.append(FieldError("/spec/gpus", more, str(nearest.gpus)))
    elif nearest.gpus > asked.gpus:
        fixes.append(
            FieldError(
                "/spec/gpus", N_("must be some: the nodes of this pool take only runs with GPUs"), str(nearest.gpus)
            )
        )
    shown = nearest if obstacle.is_of_node else nearest * spec.replicas
    return NeverFits(fixes, asked=str(obstacle.asked), pool=spec.pool, capacity=str(obstacle.room), nearest=str(shown))


_LINE_LENGTH = text("""
select count(*) from (select 1 from run where project_id = :id and not archived and state = 'queued' limit :limit) line
""")

_POOLS = text("""
select pool.name, cpu_millis, memory_bytes, gpus, facts, cluster.state = 'draining' as is_draining
  from pool join cluster on cluster.id = pool.cluster_id
""")

# Both change rarely and are only a first wall, so a submit does not pay a query for them each time.
_pools_seen: tuple[float, dict[str, PoolSize]] = (-_POOLS_KEPT_SECONDS, {})
_draining_seen: set[str] = set()
_lines_seen: dict[uuid.UUID, tuple[float, int]] = {}


def forget_what_was_seen() -> None:
    """Makes the next submit look at pools and lines afresh, for tests that change them."""
    global _pools_seen
    _pools_seen = (-_POOLS_KEPT_SECONDS, {})
    _lines_seen.clear()


def pool_sizes(session: Session, wanted: str = "") -> dict[str, PoolSize]:
    """How large each pool is, by its name, as it was at most some seconds ago; as it is now where a `wanted` one was
    not there then."""
    global _pools_seen, _draining_seen
    seen, pools = _pools_seen
    if time.monotonic() - seen > _POOLS_KEPT_SECONDS or (wanted and wanted not in pools):
        rows = session.execute(_POOLS).all()
        _draining_seen = {row.name for row in rows if row.is_draining}
        pools = _sizes_of(rows)
        _pools_seen = (time.monotonic(), pools)
    return pools


def read_pool_sizes(session: Session) -> dict[str, PoolSize]:
    """The same as it is now."""
    return _sizes_of(session.execute(_POOLS).all())


def _sizes_of(rows: Sequence[Row[Any]]) -> dict[str, PoolSize]:
    return {row.name: PoolSize.of(Resources(row.cpu_millis, row.memory_bytes, row.gpus), row.facts) for row in rows}


def _line_length(session: Session, project_id: uuid.UUID, limit: int) -> int:
    seen, length = _lines_seen.get(project_id, (-_POOLS_KEPT_SECONDS, 0))
    if time.monotonic() - seen > _POOLS_KEPT_SECONDS:
        length = session.scalar(_LINE_LENGTH, {"id": project_id, "limit": limit}) or 0
        seen = time.monotonic()
    if len(_lines_seen) > 10_000:
        _lines_seen.clear()
    _lines_seen[project_id] = (seen, length + 1)
    return length


_STOP = text("""
with asked as (
  update run set desired = 'stopped', generation = generation + 1, stopped_by = :actor_id, version = version + 1
   where id = :id and desired = 'running' and state in ('queued', 'starting', 'running')
  returning id, attempt, state
), told as (
  insert into run_event (run_id, code, attempt, actor_id, data)
  select id, 'stop_requested', attempt, :actor_id, jsonb_build_object('by', cast(:actor_name as text)) from asked
), audited as (
  insert into audit_entry (actor_id, actor_name, verb, object_type, object_id, project_id, before, after,
                           address, request_id)
  select :actor_id, :actor_name, 'run.stop', 'run', :public_id, :project_id,
         jsonb_build_object('desired', 'running', 'state', state), jsonb_build_object('desired', 'stopped'),
         :address, :request_id from asked
)
select id from asked
""")


def stop_run(session: Session, actor: Actor, public_id: str) -> RunRow:
    """Asks a run to end; asking again, or asking of one that has ended, changes nothing. Returns the run."""
    run = get_run(session, actor, public_id)
    require(actor, Action.RUN_WRITE, run.project_id)
    if run.state in TERMINAL or run.desired == Desired.STOPPED:
        return run
    asked = session.scalar(
        _STOP,
        {
            "id": run.id,
            "public_id": public_id,
            "project_id": run.project_id,
            "actor_id": actor.user_id,
            "actor_name": actor.name,
            "address": actor.address,
            "request_id": actor.request_id,
        },
    )
    if asked is not None:
        mark_due(session, run.id)
    return get_run(session, actor, public_id)


def made_of(run: RunRow) -> MadeOf | None:
    """What definition a run was made of, None for one that was not."""
    if run.definition_id is None or run.definition_version is None:
        return None
    return MadeOf(run.definition_id, run.definition_version, run.definition or "")
