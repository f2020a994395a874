"""Reading runs: lists by keyset, one run with its attempts, its events. Rows are tuples with names, never entities.

Statements are SQL on the driver's connection: to build and run a page's by SQLAlchemy takes several times
what Postgres takes for it.
"""

# ruff: noqa: S608 - statements are put together from constants; values are always passed beside them

import datetime
import uuid
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

from sqlalchemy.orm import Session

from app.db import driver
from app.domain.access import Actor
from app.domain.filters import Term
from app.errors import NotFound
from app.repositories.beside import IN_SIGHT, Beside
from app.repositories.run_filters import JOINED, PRIORITY_NAMES, Position, build_listing

__all__ = ["JOINED", "PRIORITY_NAMES", "Position"]  # of the rows and of the lists that are read here

Sort = Literal["-created", "created", "name", "-name"]
PLACES = 100  # how far back in line a place is counted


class RunRow(NamedTuple):
    """A run as lists show it; what stands last is read by `get_run` only."""

    id: uuid.UUID
    public_id: str
    project_id: uuid.UUID
    project: str
    name: str
    kind: str
    state: str
    desired: str
    tags: list[str]
    experiment: str | None
    archived: bool
    created_by: str
    priority: int
    pool: str
    cpu_millis: int
    memory_bytes: int
    gpus: int
    replicas: int
    attempt: int
    reason_code: str | None
    reason: dict[str, Any] | None
    exit_code: int | None
    first_error: str | None
    progress_done: int | None
    progress_total: int | None
    created_at: datetime.datetime
    queued_at: datetime.datetime
    started_at: datetime.datetime | None
    finished_at: datetime.datetime | None
    is_debug: bool
    version: int
    # Only of one run. Attempts are dicts; the place in line is None farther back than `PLACES`. Pods are those that one
    # can go into: only of a debug run that runs.
    spec: dict[str, Any] = {}
    source: dict[str, Any] = {}
    generation: int = 0
    observed_generation: int = 0
    parent: str | None = None
    definition: str | None = None  # its name, and which version
    definition_version: int | None = None
    definition_id: uuid.UUID | None = None
    attempts: list[dict[str, Any]] = []
    place: int | None = None
    pods: list[dict[str, Any]] | None = None


class EventRow(NamedTuple):
    """A line of a run's history."""

    id: int
    at: datetime.datetime
    code: str
    attempt: int
    old_state: str | None
    new_state: str | None
    data: dict[str, Any]
    actor: str | None


# How many are before run r in its pool's line, and one; null farther back than `PLACES`.
PLACE = f"""(
      select nullif(count(*) + 1, {PLACES} + 1) from (
        select 1 from run q where q.pool = r.pool and q.state = 'queued' and q.desired = 'running'
          and q.priority > r.priority
        union all
        select 1 from run q where q.pool = r.pool and q.state = 'queued' and q.desired = 'running'
          and q.priority = r.priority and q.id < r.id
        limit {PLACES}) ahead)"""
# Statements name the run r, its project p and who submitted it u.
_ELSEWHERE = {
    "project": "p.name",
    "created_by": "u.name",
    "parent": "(select parent.public_id from run parent where parent.id = r.parent_id)",
    "definition": "(select d.name from definition d where d.id = r.definition_id)",
    "attempts": """(
      select coalesce(jsonb_agg(jsonb_build_object(
          'number', a.number, 'state', a.state, 'cause', a.cause, 'reason_code', a.reason_code, 'reason', a.reason,
          'exit_code', a.exit_code, 'first_error', a.first_error, 'admitted_at', a.admitted_at,
          'started_at', a.started_at, 'finished_at', a.finished_at, 'image', a.image,
          'replicas', (
            select coalesce(jsonb_agg(jsonb_build_object('index', c.index, 'state', c.state,
                'exit_code', c.exit_code, 'usage', c.usage) order by c.index), '[]')
            from replica c where c.run_id = r.id and c.attempt = a.number)
        ) order by a.number), '[]')
      from attempt a where a.run_id = r.id)""",
    "pods": """case when r.is_debug and r.state = 'running' then (
      select jsonb_agg(jsonb_build_object('namespace', a.handle ->> 'namespace', 'name', c ->> 'pod')
                       order by c -> 'index')
      from attempt a join observation o on o.run_id = a.run_id and o.attempt = a.number
        cross join lateral jsonb_array_elements(o.status -> 'replicas') c
      where a.run_id = r.id and a.number = r.attempt and c ->> 'phase' = 'running' and c ->> 'pod' is not null
        and a.handle ->> 'namespace' is not null) end""",
    "place": f"case when r.state = 'queued' and r.desired = 'running' then {PLACE} end",
}
_LAST_LISTED = RunRow._fields.index("version") + 1
_LISTED = ", ".join(_ELSEWHERE.get(name, f"r.{name}") for name in RunRow._fields[:_LAST_LISTED])
DETAIL = ", ".join(_ELSEWHERE.get(name, f"r.{name}") for name in RunRow._fields)

# What `list_run_items` can give of a run, as Postgres makes it; the API adds what needs words.
ITEM_FIELDS = {
    "id": "r.public_id",
    "project": "p.name",
    "name": "r.name",
    "kind": "r.kind",
    "state": "r.state",
    "desired": "r.desired",
    "tags": "r.tags",
    "experiment": "r.experiment",
    "archived": "r.archived",
    "created_by": "u.name",
    "priority": "case r.priority when -10 then 'low' when 10 then 'high' else 'normal' end",
    "pool": "r.pool",
    "gpus": "r.gpus",
    "replicas": "r.replicas",
    "attempt": "r.attempt",
    "exit_code": "r.exit_code",
    "first_error": "r.first_error",
    "progress": "case when r.progress_done is not null then"
    " json_build_object('done', r.progress_done, 'total', r.progress_total) end",
    "created_at": "r.created_at",
    "queued_at": "r.queued_at",
    "started_at": "r.started_at",
    "finished_at": "r.finished_at",
    "waited_seconds": "trim_scale(round("
    "extract(epoch from coalesce(r.started_at, r.finished_at, now()) - r.queued_at), 3))",
    "ran_seconds": "trim_scale(round(extract(epoch from coalesce(r.finished_at, now()) - r.started_at), 3))",
    "version": "r.version",
    "parent": _ELSEWHERE["parent"],
    "debug_of": f"case when r.is_debug then {_ELSEWHERE['parent']} end",
    "definition": "case when r.definition_id is not null then json_build_object("
    f"'name', {_ELSEWHERE['definition']}, 'version', r.definition_version) end",
}


class ItemRow(NamedTuple):
    """A run of a list as JSON, and what is missing in it."""

    id: uuid.UUID
    public_id: str
    name: str
    cpu_millis: int
    memory_bytes: int
    reason_code: str | None
    reason: dict[str, Any] | None
    json: str


def list_runs(
    session: Session,
    actor: Actor,
    project_id: uuid.UUID,
    *,
    terms: Sequence[Term] = (),
    sort: str = "-created",
    after: Position | None = None,
    limit: int = 50,
    now: datetime.datetime,
) -> list[RunRow]:
    """At most `limit` + 1 rows of a project: one more than asked says that there are more."""
    parts = build_listing(session, actor, project_id, terms, sort, after, limit, now)
    rows = driver(session).execute(f"select {_LISTED} from {parts.tables} {parts.rest}", parts.values)
    return [RunRow(*row) for row in rows.fetchall()]


def list_run_items(
    session: Session,
    actor: Actor,
    project_id: uuid.UUID,
    fields: Iterable[str],
    *,
    terms: Sequence[Term] = (),
    sort: str = "-created",
    after: Position | None = None,
    limit: int = 50,
    now: datetime.datetime,
) -> list[ItemRow]:
    """As `list_runs`, with those of `ITEM_FIELDS` that are in `fields` as JSON: Postgres writes it at a
    third of what it takes to read the columns here and to write it then."""
    parts = build_listing(session, actor, project_id, terms, sort, after, limit, now)
    wanted = ", ".join(f"{ITEM_FIELDS[name]} as {name}" for name in fields)
    rows = driver(session).execute(
        f"select {_ITEM} from {parts.tables} cross join lateral (select {wanted}) item {parts.rest}", parts.values
    )
    return [ItemRow(*row) for row in rows.fetchall()]


_ITEM = "r.id, r.public_id, r.name, r.cpu_millis, r.memory_bytes, r.reason_code, r.reason, row_to_json(item)::text"


def visible_to(actor: Actor) -> tuple[str, list[Any]]:
    """The condition that every read of runs of more than one project starts from."""
    if actor.sees_all_projects:
        return "p.deleted_at is null", []
    projects = [actor.only_project] if actor.only_project and actor.role_in(actor.only_project) else []
    if actor.only_project is None:
        projects = list(actor.roles)
    if actor.run is not None:
        return "r.project_id = any(%s) and r.id = %s", [projects, actor.run]
    return "r.project_id = any(%s)", [projects]


def get_run(session: Session, actor: Actor, public_id: str) -> RunRow:
    """One run with its spec, its attempts (a list of dicts) and its place in line. Raises NotFound."""
    visible, values = visible_to(actor)
    row = (
        driver(session)
        .execute(f"select {DETAIL} from run r {JOINED} where r.public_id = %s and {visible}", [public_id, *values])
        .fetchone()
    )
    if row is None:
        raise NotFound
    return RunRow(*row)


_BESIDE = f"select {DETAIL} from run r {JOINED} where r.public_id = %s and {IN_SIGHT}"
_REF_BESIDE = f"""
  select r.id, r.public_id, r.project_id, p.name
  from run r join project p on p.id = r.project_id where r.public_id = %s and {IN_SIGHT}
"""


def run_beside(public_id: str) -> Beside:
    """The columns of a RunRow as `get_run` reads it, beside who asks."""
    return Beside(_BESIDE, (public_id,))


def ref_beside(public_id: str) -> Beside:
    """Key, public id, project's key and name of a run, beside who asks."""
    return Beside(_REF_BESIDE, (public_id,))


def get_runs(session: Session, actor: Actor, project_id: uuid.UUID, public_ids: Sequence[str]) -> list[RunRow]:
    """Several runs of a project as `get_run` gives one, in the order asked for; those that are not there are not."""
    visible, values = visible_to(actor)
    rows = driver(session).execute(
        f"select {DETAIL} from run r {JOINED} where r.public_id = any(%s) and r.project_id = %s and {visible}",
        [[*public_ids], project_id, *values],
    )
    found = {row.public_id: row for row in (RunRow(*row) for row in rows.fetchall())}
    return [found[public_id] for public_id in public_ids if public_id in found]


def find_previous(session: Session, project_id: uuid.UUID, name: str, before: uuid.UUID) -> str | None:
    """The public id of the newest run of the project with this name that was submitted before the one given."""
    found = driver(session).execute(
        "select public_id from run where project_id = %s and not archived and name = %s and id < %s"
        " order by id desc limit 1",
        [project_id, name, before],
    )
    previous = found.fetchone()
    return previous[0] if previous else None


class RunRef(NamedTuple):
    """Just enough of a run to ask what may be done with it."""

    id: uuid.UUID
    public_id: str
    project_id: uuid.UUID
    state: str
    attempt: int
    version: int


def get_run_ref(session: Session, actor: Actor, public_id: str) -> RunRef:
    """A run by its public id. Raises NotFound."""
    visible, values = visible_to(actor)
    row = (
        driver(session)
        .execute(
            "select r.id, r.public_id, r.project_id, r.state, r.attempt, r.version"
            f" from run r {JOINED} where r.public_id = %s and {visible}",
            [public_id, *values],
        )
        .fetchone()
    )
    if row is None:
        raise NotFound
    return RunRef(*row)


_EVENTS = """
  select e.id, e.at, e.code, e.attempt, e.old_state, e.new_state, e.data, u.name
  from run_event e left join "user" u on u.id = e.actor_id
  where e.run_id = %s and e.id > %s order by e.id limit %s
"""


def list_events(session: Session, run_id: uuid.UUID, *, after: int = 0, limit: int = 100) -> list[EventRow]:
    """A run's history, oldest first; at most `limit` + 1 rows. The caller has found the run by `get_run_ref`."""
    rows = driver(session).execute(_EVENTS, [run_id, after, limit + 1])
    return [EventRow(*row) for row in rows.fetchall()]


_NEWEST_EVENTS = """
  select e.id, e.at, e.code, e.attempt, e.old_state, e.new_state, e.data, u.name
  from run_event e left join "user" u on u.id = e.actor_id
  where e.run_id = %(run)s and e.id < %(before)s and e.id > %(after)s
    and (%(codes)s::text[] is null or e.code = any(%(codes)s))
    and (%(attempt)s::int is null or e.attempt = %(attempt)s)
  order by e.id desc limit %(limit)s
"""


def list_newest_events(
    session: Session,
    run_id: uuid.UUID,
    *,
    before: int = 2**62,
    after: int = 0,
    codes: Sequence[str] | None = None,
    attempt: int | None = None,
    limit: int = 100,
) -> list[EventRow]:
    """A run's history between two ids, newest first, of these codes and this attempt; at most `limit` rows."""
    values = {"run": run_id, "before": before, "after": after, "attempt": attempt, "limit": limit}
    rows = driver(session).execute(_NEWEST_EVENTS, values | {"codes": None if codes is None else [*codes]})
    return [EventRow(*row) for row in rows.fetchall()]


def list_by_public_ids(session: Session, actor: Actor, public_ids: Sequence[str]) -> list[RunRow]:
    """The rows of a list for runs that a page already shows; what is gone or not visible is left out."""
    visible, values = visible_to(actor)
    rows = driver(session).execute(
        f"select {_LISTED} from run r {JOINED} where r.public_id = any(%s) and {visible}", [[*public_ids], *values]
    )
    return [RunRow(*row) for row in rows.fetchall()]


def list_definition_versions(session: Session, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, int]:
    """Which version of their job definition runs that the caller has read were made of, by their keys."""
    rows = driver(session).execute("select id, definition_version from run where id = any(%s)", [list(ids)])
    return {key: number for key, number in rows.fetchall() if number is not None}
