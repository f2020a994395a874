"""Reading saved views of the list of runs, and the columns that somebody wants in it."""

import uuid
from typing import NamedTuple

from sqlalchemy.orm import Session

from app.db import driver
from app.domain import run_columns
from app.domain.run_columns import Choice
from app.errors import NotFound

MOST = 100  # that somebody is shown of a project


class ViewRow(NamedTuple):
    """A view as its readers see it; `is_own` says whether it is the reader's."""

    id: uuid.UUID
    name: str
    q: str
    sort: str
    is_shared: bool
    owner: str
    is_own: bool
    columns: list[str] | None = None
    metric: str | None = None

    @property
    def choice(self) -> Choice | None:
        """The columns that the view keeps; None where it leaves them to its reader."""
        return None if self.columns is None else run_columns.read(self.columns, self.metric or "")


_LISTED = """
  select v.id, v.name, v.q, v.sort, v.is_shared, u.name, v.user_id = %(user_id)s, v.columns, v.metric
  from saved_view v join "user" u on u.id = v.user_id
  where v.project_id = %(project_id)s and (v.is_shared or v.user_id = %(user_id)s)
"""


def list_views(session: Session, project_id: uuid.UUID, user_id: uuid.UUID) -> list[ViewRow]:
    """A user's own views of a project and those that others share, by name; at most `MOST`."""
    values = {"project_id": project_id, "user_id": user_id}
    rows = driver(session).execute(f"{_LISTED} order by v.name, v.id limit {MOST}", values)
    return [ViewRow(*row) for row in rows.fetchall()]


def get_view(session: Session, project_id: uuid.UUID, user_id: uuid.UUID, view_id: uuid.UUID) -> ViewRow:
    """One of them. Raises NotFound, also for a view that somebody else keeps to themselves."""
    values = {"project_id": project_id, "user_id": user_id, "id": view_id}
    row = driver(session).execute(f"{_LISTED} and v.id = %(id)s", values).fetchone()
    if row is None:
        raise NotFound
    return ViewRow(*row)


def find_own(session: Session, project_id: uuid.UUID, user_id: uuid.UUID, name: str) -> ViewRow | None:
    """A user's own view of that name, or None."""
    values = {"project_id": project_id, "user_id": user_id, "name": name}
    statement = f"{_LISTED} and v.user_id = %(user_id)s and v.name = %(name)s"
    row = driver(session).execute(statement, values).fetchone()
    return ViewRow(*row) if row else None


def get_columns(session: Session, project_id: uuid.UUID, user_id: uuid.UUID) -> Choice:
    """Which columns a user wants to see in a project's list of runs; all where nothing was chosen."""
    statement = "select columns, metric from run_columns where user_id = %s and project_id = %s"
    row = driver(session).execute(statement, (user_id, project_id)).fetchone()
    return run_columns.DEFAULT if row is None else run_columns.read(row[0], row[1])
