"""Reading saved views of the list of runs."""

import uuid
from typing import NamedTuple

from sqlalchemy.orm import Session

from app.db import driver
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


_LISTED = """
  select v.id, v.name, v.q, v.sort, v.is_shared, u.name, v.user_id = %(user_id)s
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
