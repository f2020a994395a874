"""Changing many runs by one request: stop, label, archive, run again. Statements are about all of them at once.

What applies to a run is decided on rows that are locked in one order, so two such requests wait for each other
instead of for ever. Doing the same twice changes nothing the second time.
"""

# ruff: noqa: S608 - statements are put together from constants; values are always passed beside them

import datetime
import json
import uuid
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import ValidationError
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from app.db import driver
from app.domain import bulk
from app.domain.access import Action, Actor
from app.domain.bulk import MOST_RUNS, Change, Skip, Target, Verb
from app.domain.capsule import digest_of
from app.domain.filters import Term
from app.domain.names import RUN_ID, new_run_id
from app.domain.pool_sizes import PoolSize
from app.domain.quota import Resources
from app.errors import N_, Invalid
from app.queue import mark_all_due, wake_admission
from app.repositories import runs as repository
from app.services.identity import require
from app.services.runs import MadeOf, manifest_of, read_pool_sizes
from app.settings import get_settings
from app.workloads.registry import KINDS


class TooManyRuns(Invalid):
    """More than one request may change."""

    code = "TOO_MANY_RUNS"
    title = N_("Too many runs for one request")
    detail = N_("More than {most} runs match. Nothing was changed.")
    hint = N_("Narrow the filter, for example by created:<7d, and do it in several steps.")


@dataclass(frozen=True)
class Item:
    """What became, or would become, of one run. `new_id` is the run that takes its place in line."""

    id: str
    name: str
    skip: Skip | None
    new_id: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What a change did, or would do, run by run."""

    items: list[Item]

    @property
    def changed(self) -> int:
        return sum(item.skip is None for item in self.items)

    @property
    def skips(self) -> dict[Skip, int]:
        """How many were left as they are, by the reason."""
        return dict(Counter(item.skip for item in self.items if item.skip is not None))


class _Row(NamedTuple):
    id: uuid.UUID
    public_id: str
    name: str
    state: str
    desired: str
    archived: bool
    tags: list[str]
    experiment: str | None
    pool: str
    cpu_millis: int
    memory_bytes: int
    gpus: int
    replicas: int
    was_rerun: bool
    manifest: str | None = None  # what it would be if it were submitted again now


def change_runs(
    session: Session,
    actor: Actor,
    project_id: uuid.UUID,
    change: Change,
    *,
    ids: Sequence[str] | None = None,
    terms: Sequence[Term] = (),
    dry_run: bool = False,
    now: datetime.datetime,
) -> Outcome:
    """Changes the runs of a project with these ids, or else those that `terms` describe, and says what it did.

    With `dry_run` it says what it would do and changes nothing. Raises TooManyRuns for more than `MOST_RUNS`.
    """
    require(actor, Action.RUN_WRITE, project_id)
    missing: list[str] = []
    if ids is None:
        found = repository.list_runs(session, actor, project_id, terms=terms, limit=MOST_RUNS, now=now)
        keys = [row.public_id for row in found]
    else:
        keys = list(dict.fromkeys(ids))
    if len(keys) > MOST_RUNS:
        raise TooManyRuns(most=MOST_RUNS)
    rows = {row.public_id: row for row in _read(session, project_id, keys, is_locked=not dry_run)}
    if ids is not None:
        missing = [key for key in keys if key not in rows]
    ordered = [rows[key] for key in keys if key in rows]
    judged = _judge(session, project_id, change, ordered)
    applies = [row for row, skip in judged if skip is None]
    made: dict[uuid.UUID, str] = {}
    if applies and not dry_run:
        made = _CHANGES[change.verb](session, actor, project_id, change, applies)
    items = [Item(row.public_id, row.name, skip, made.get(row.id)) for row, skip in judged]
    return Outcome(items + [Item(key, "", Skip.NOT_FOUND) for key in missing])


def _read(session: Session, project_id: uuid.UUID, keys: Sequence[str], *, is_locked: bool) -> list[_Row]:
    values = {"keys": [key for key in keys if RUN_ID.fullmatch(key)], "project": project_id}
    lock = "for no key update of r" if is_locked else ""
    rows = driver(session).execute(f"{_READ} {lock}", values)
    return [_Row(*row) for row in rows.fetchall()]


_READ = """
  select r.id, r.public_id, r.name, r.state, r.desired, r.archived, r.tags, r.experiment, r.pool, r.cpu_millis,
    r.memory_bytes, r.gpus, r.replicas, exists (select 1 from run child where child.parent_id = r.id)
  from run r where r.public_id = any(%(keys)s) and r.project_id = %(project)s order by r.id
"""


def _judge(
    session: Session, project_id: uuid.UUID, change: Change, rows: Sequence[_Row]
) -> list[tuple[_Row, Skip | None]]:
    pools: dict[str, PoolSize] = {}
    room = 0
    if change.verb == Verb.RERUN:
        manifests = _manifests(session, project_id, rows)
        rows = [row._replace(manifest=manifests.get(row.id)) for row in rows]
        pools = read_pool_sizes(session)
        room = _room(session, project_id)
    judged: list[tuple[_Row, Skip | None]] = []
    for row in rows:
        asked = Resources(row.cpu_millis, row.memory_bytes, row.gpus)
        fits = bulk.fits(asked, row.replicas, pools.get(row.pool), are_pools_known=bool(pools))
        target = Target(
            row.state, row.desired, row.archived, row.tags, row.experiment, row.was_rerun, fits, bool(row.manifest)
        )
        skip = bulk.obstacle(change, target)
        if skip is None and change.verb == Verb.RERUN:
            skip = None if room > 0 else Skip.LINE_FULL
            room -= 1
        judged.append((row, skip))
    return judged


def _manifests(session: Session, project_id: uuid.UUID, rows: Sequence[_Row]) -> dict[uuid.UUID, str]:
    """What each run would be if it were submitted again now; without those that could not be."""
    found = driver(session).execute(_PARTS, {"ids": [row.id for row in rows], "project": project_id}).fetchall()
    secrets = {name for (name,) in driver(session).execute(_SECRETS, [project_id]).fetchall()}
    made = {}
    for run_id, kind, stored, has_code, *definition in found:
        with suppress(ValidationError, KeyError):
            spec = KINDS[kind].spec.model_validate(stored)
            if has_code and all(use.name in secrets for use in spec.secrets):
                made[run_id] = manifest_of(spec, MadeOf(*definition) if definition[0] else None)
    return made


_PARTS = """
  select r.id, r.kind, r.spec, r.spec->>'snapshot' is null or exists (
      select 1 from snapshot s where s.project_id = r.project_id and s.digest = r.spec->>'snapshot'),
    r.definition_id, r.definition_version, d.name
  from run r left join definition d on d.id = r.definition_id
  where r.id = any(%(ids)s) and r.project_id = %(project)s
"""
_SECRETS = "select name from secret where project_id = %s"


def _room(session: Session, project_id: uuid.UUID) -> int:
    """How many runs the project's line still takes."""
    limit = get_settings().limits.waiting_runs_per_project
    [(waiting,)] = (
        driver(session)
        .execute(
            "select count(*) from (select 1 from run where project_id = %s and not archived and state = 'queued'"
            " limit %s) line",
            [project_id, limit],
        )
        .fetchall()
    )
    return int(limit - waiting)


def _values(actor: Actor, project_id: uuid.UUID, rows: Sequence[_Row]) -> dict[str, Any]:
    return {
        "ids": [row.id for row in rows],
        "project_id": project_id,
        "actor_id": actor.user_id,
        "actor_name": actor.name,
        "address": actor.address,
        "request_id": actor.request_id,
    }


_AUDIT = """
  insert into audit_entry (actor_id, actor_name, verb, object_type, object_id, project_id, before, after,
                           address, request_id)
  select %(actor_id)s, %(actor_name)s, '{verb}', 'run', public_id, %(project_id)s, {before}, {after},
         %(address)s, %(request_id)s from {source}
"""

_STOP = f"""
with changed as (
  update run set desired = 'stopped', generation = generation + 1, stopped_by = %(actor_id)s, version = version + 1
   where id = any(%(ids)s)
  returning id, public_id, attempt, state
), told as (
  insert into run_event (run_id, code, attempt, actor_id, data)
  select id, 'stop_requested', attempt, %(actor_id)s, jsonb_build_object('by', %(actor_name)s::text) from changed
)
{
    _AUDIT.format(
        verb="run.stop",
        before="jsonb_build_object('desired', 'running', 'state', state)",
        after="jsonb_build_object('desired', 'stopped')",
        source="changed",
    )
}
"""
_ARCHIVE = """
with changed as (
  update run set archived = {flag}, version = version + 1 where id = any(%(ids)s) returning public_id
)
{audit}
"""
_ARCHIVING = {
    flag: _ARCHIVE.format(
        flag=flag,
        audit=_AUDIT.format(
            verb=verb,
            before=f"jsonb_build_object('archived', not {flag})",
            after=f"jsonb_build_object('archived', {flag})",
            source="changed",
        ),
    )
    for flag, verb in (("true", "run.archive"), ("false", "run.unarchive"))
}
_TAG = f"""
with wanted as (
  select * from jsonb_to_recordset(%(wanted)s::jsonb) as w(id uuid, tags text[], experiment text)
), before as (
  select id, tags, experiment from run where id = any(%(ids)s)
), changed as (
  update run r set tags = w.tags, experiment = w.experiment, version = r.version + 1
  from wanted w where r.id = w.id
  returning r.id, r.public_id, r.tags, r.experiment
), both_of_them as (
  select changed.public_id, before.tags as old_tags, before.experiment as old_experiment, changed.tags,
    changed.experiment
  from changed join before using (id)
)
{
    _AUDIT.format(
        verb="run.tag",
        before="jsonb_build_object('tags', old_tags, 'experiment', old_experiment)",
        after="jsonb_build_object('tags', tags, 'experiment', experiment)",
        source="both_of_them",
    )
}
"""
_RERUN = f"""
with given as (
  select * from unnest(%(ids)s::uuid[], %(new_ids)s::uuid[], %(new_names)s::text[], %(manifests)s::text[],
                       %(digests)s::text[]) as g(old, id, public_id, manifest, digest)
), made as (
  insert into run (id, public_id, project_id, created_by, name, kind, spec, source, tags, experiment, parent_id,
                   definition_id, definition_version, pool, priority, cpu_millis, memory_bytes, gpus, replicas,
                   reason_code, reason)
  select g.id, g.public_id, r.project_id, %(actor_id)s, r.name, r.kind,
         (r.spec - 'tags' - 'experiment') || jsonb_strip_nulls(
           jsonb_build_object('tags', r.tags, 'experiment', r.experiment)),
         r.source, r.tags, r.experiment, r.id, r.definition_id, r.definition_version, r.pool, r.priority,
         r.cpu_millis, r.memory_bytes, r.gpus, r.replicas,
         'JUST_SUBMITTED', '{{}}'
  from given g join run r on r.id = g.old
  returning *
), kept as (
  insert into capsule (run_id, manifest, digest, source_text)
  select g.id, g.manifest, g.digest, c.source_text from given g left join capsule c on c.run_id = g.old
), told as (
  insert into run_event (run_id, code, attempt, new_state, actor_id, data)
  select id, 'submitted', 1, 'queued', created_by, jsonb_build_object('by', %(actor_name)s::text) from made
)
{
    _AUDIT.format(
        verb="run.submit", before="null", after="jsonb_build_object('name', name, 'state', state)", source="made"
    )
}
"""


def _stop(
    session: Session, actor: Actor, project_id: uuid.UUID, change: Change, rows: Sequence[_Row]
) -> dict[uuid.UUID, str]:
    del change
    driver(session).execute(_STOP, _values(actor, project_id, rows))
    mark_all_due(session, [row.id for row in rows])
    return {}


def _archive(
    session: Session, actor: Actor, project_id: uuid.UUID, change: Change, rows: Sequence[_Row]
) -> dict[uuid.UUID, str]:
    statement = _ARCHIVING["true" if change.verb == Verb.ARCHIVE else "false"]
    driver(session).execute(statement, _values(actor, project_id, rows))
    return {}


def _tag(
    session: Session, actor: Actor, project_id: uuid.UUID, change: Change, rows: Sequence[_Row]
) -> dict[uuid.UUID, str]:
    wanted = []
    for row in rows:
        target = Target(row.state, row.desired, row.archived, row.tags, row.experiment)
        tags, experiment = bulk.relabelled(change, target)
        wanted.append({"id": str(row.id), "tags": tags, "experiment": experiment})
    driver(session).execute(_TAG, _values(actor, project_id, rows) | {"wanted": json.dumps(wanted)})
    return {}


def _rerun(
    session: Session, actor: Actor, project_id: uuid.UUID, change: Change, rows: Sequence[_Row]
) -> dict[uuid.UUID, str]:
    del change
    names = [new_run_id() for _ in rows]
    manifests = [row.manifest or "" for row in rows]
    more = {
        "new_ids": [uuid7() for _ in rows],
        "new_names": names,
        "manifests": manifests,
        "digests": [digest_of(manifest) for manifest in manifests],
    }
    driver(session).execute(_RERUN, _values(actor, project_id, rows) | more)
    wake_admission(session)
    return {row.id: name for row, name in zip(rows, names, strict=True)}


_CHANGES = {
    Verb.STOP: _stop,
    Verb.TAG: _tag,
    Verb.ARCHIVE: _archive,
    Verb.UNARCHIVE: _archive,
    Verb.RERUN: _rerun,
}


def set_labels(session: Session, actor: Actor, run: repository.RunRow, changes: dict[str, Any]) -> None:
    """Gives a run the tags and the experiment in `changes`, in place of those it has; what is not in it stays."""
    require(actor, Action.RUN_WRITE, run.project_id)
    tags = list(dict.fromkeys(changes.get("tags", run.tags)))
    experiment = changes.get("experiment", run.experiment)
    if (tags, experiment) == (run.tags, run.experiment):
        return
    wanted = [{"id": str(run.id), "tags": tags, "experiment": experiment}]
    driver(session).execute(_TAG, _values(actor, run.project_id, []) | {"ids": [run.id], "wanted": json.dumps(wanted)})


def lock_run(session: Session, public_id: str) -> None:
    """Holds a run's row until the end of the transaction, so that what is then read of it stays as it is."""
    driver(session).execute("select 1 from run where public_id = %s for no key update", [public_id])
