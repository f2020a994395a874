"""What somebody's start page shows: their own runs that live, failed lately or wait long, and counts of their projects.

All of it starts from the projects that the actor is a member of; an administrator's start page shows no others'.
"""

import datetime
import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from app.db import driver
from app.domain.access import Actor
from app.repositories.runs import RunRow, list_by_public_ids

__all__ = ["RunRow"]

MOST = 1000  # counts go no further


class ProjectCounts(NamedTuple):
    """A project's runs that are not over, each count at most `MOST` + 1, and how many people are in it."""

    running: int
    waiting: int
    members: int


class NewestRun(NamedTuple):
    """Of somebody's newest run: where it is, how it is, and its spec as it was stored."""

    project: str
    project_id: uuid.UUID
    state: str
    spec: dict[str, Any]


_LIVE = """
  select public_id from run r
  where created_by = %s and state in ('queued', 'starting', 'running') and project_id = any(%s)
  order by id desc limit %s
"""
# `offset 0` keeps the order inside: it is that of an index, which one of the projects' would have to be sorted into.
_FAILED = """
  select public_id from (
    select public_id, project_id from run
    where created_by = %s and state = 'failed' and finished_at > %s order by finished_at desc offset 0
  ) r where project_id = any(%s) limit %s
"""
_WAITING = """
  select public_id from run r
  where created_by = %s and state in ('queued', 'starting', 'running') and state = 'queued' and queued_at < %s
    and project_id = any(%s)
  order by id limit %s
"""
_NEWEST = """
  select p.name, p.id, r.state, r.spec from project p cross join lateral (
    select id, state, spec from run
    where project_id = p.id and not archived and created_by = %s order by id desc limit 1
  ) r where p.id = any(%s) order by r.id desc limit 1
"""
_ANY = """
  select exists (
    select 1 from unnest(%s::uuid[]) as p (id)
    cross join lateral (select 1 from run where project_id = p.id and not archived limit 1) r
  )
"""
# The limits stand inside, so that a project with a very long line costs no more than one with a thousand in it.
_COUNTS = """
  select p.name,
    (select count(*) from (select 1 from run where project_id = p.id and state = 'starting' limit %(most)s) a)
    + (select count(*) from (select 1 from run where project_id = p.id and state = 'running' limit %(most)s) b),
    (select count(*) from (select 1 from run where project_id = p.id and state = 'queued' limit %(most)s) c),
    (select count(*) from (select 1 from membership m join "user" u on u.id = m.user_id
       where m.project_id = p.id and u.kind = 'person' limit %(most)s) d)
  from project p where p.name = any(%(projects)s) and p.deleted_at is null
"""


def list_live(session: Session, actor: Actor, limit: int) -> list[RunRow]:
    """The actor's own runs that are not over, newest first."""
    return _rows(session, actor, _LIVE, [actor.user_id, _projects(actor), limit])


def list_failed(session: Session, actor: Actor, since: datetime.datetime, limit: int) -> list[RunRow]:
    """The actor's own runs that failed after `since`, the last one first."""
    return _rows(session, actor, _FAILED, [actor.user_id, since, _projects(actor), limit])


def list_waiting(session: Session, actor: Actor, before: datetime.datetime, limit: int) -> list[RunRow]:
    """The actor's own runs that have waited since `before`, the oldest first."""
    return _rows(session, actor, _WAITING, [actor.user_id, before, _projects(actor), limit])


def find_newest(session: Session, actor: Actor) -> NewestRun | None:
    """The actor's own run that was submitted last, whatever became of it; None before the first."""
    row = driver(session).execute(_NEWEST, [actor.user_id, _projects(actor)]).fetchone()
    return NewestRun(*row) if row else None


def has_runs(session: Session, actor: Actor) -> bool:
    """Whether anybody has run anything in the actor's projects."""
    row = driver(session).execute(_ANY, [_projects(actor)]).fetchone()
    return bool(row and row[0])


def count_runs(session: Session, projects: Sequence[str]) -> dict[str, ProjectCounts]:
    """Counts by the project's name. Callers have checked that the actor may see them."""
    values = {"projects": list(projects), "most": MOST + 1}
    rows = driver(session).execute(_COUNTS, values).fetchall()
    return {key: ProjectCounts(*counts) for key, *counts in rows}


def _projects(actor: Actor) -> list[uuid.UUID]:
    return list(actor.roles)


def _rows(session: Session, actor: Actor, statement: str, values: list[object]) -> list[RunRow]:
    found = [key for (key,) in driver(session).execute(statement, values).fetchall()]
    rows = {row.public_id: row for row in list_by_public_ids(session, actor, found)} if found else {}
    return [rows[key] for key in found if key in rows]
