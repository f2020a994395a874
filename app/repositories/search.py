"""What the palette finds by a few letters: runs and job definitions that the actor may see. Bounded at any size."""

# ruff: noqa: S608 - statements are put together from constants; values are always passed beside them

import uuid
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from app.db import driver
from app.domain.access import Actor
from app.repositories.runs import JOINED, visible_to

# A name is looked for in so many of a project's newest runs; the list's filter looks through all of them.
NEWEST = 500


class FoundRun(NamedTuple):
    """A run: enough to name it and to lead to it."""

    public_id: str
    project: str
    name: str
    state: str


class FoundDefinition(NamedTuple):
    """A job definition of the project that was asked about."""

    name: str
    title: str


def find_runs_by_id(session: Session, actor: Actor, prefix: str, limit: int) -> list[FoundRun]:
    """Runs of all projects whose id begins so."""
    visible, values = visible_to(actor)
    rows = driver(session).execute(
        f"select r.public_id, p.name, r.name, r.state from run r {JOINED}"
        f" where r.public_id >= %s and r.public_id < %s and {visible} order by r.public_id limit %s",
        [prefix, prefix + "~", *values, limit],
    )
    return [FoundRun(*row) for row in rows.fetchall()]


def find_runs_by_name(session: Session, project_id: uuid.UUID, part: str, limit: int) -> list[FoundRun]:
    """Of a project's newest runs those whose name has the part, in any case, newest first."""
    rows = driver(session).execute(
        "select r.public_id, p.name, r.name, r.state from (select * from run where project_id = %s"
        " and archived = false order by id desc limit %s) r join project p on p.id = r.project_id"
        " where strpos(lower(r.name), lower(%s)) > 0 order by r.id desc limit %s",
        [project_id, NEWEST, part, limit],
    )
    return [FoundRun(*row) for row in rows.fetchall()]


def find_definitions(session: Session, project_id: uuid.UUID, part: str, limit: int) -> list[FoundDefinition]:
    """Job definitions of a project whose name or title has the part, in any case, by name."""
    rows = driver(session).execute(
        "select name, title from definition where project_id = %s and archived_at is null"
        " and (strpos(lower(name), lower(%s)) > 0 or strpos(lower(title), lower(%s)) > 0) order by name limit %s",
        [project_id, part, part, limit],
    )
    found: list[Any] = rows.fetchall()
    return [FoundDefinition(*row) for row in found]
