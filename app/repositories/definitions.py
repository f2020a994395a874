"""Reading job definitions and their versions; every read is of one project that the caller was found to see."""

import datetime
import uuid
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.domain.names import DEFINITION_NAME
from app.errors import NotFound


class DefinitionRow(NamedTuple):
    """A definition as lists show it. `last_run` and `last_state` are of the newest run made of it, if there is one."""

    id: uuid.UUID
    name: str
    title: str
    newest: int
    archived_at: datetime.datetime | None
    created_by: str
    created_at: datetime.datetime
    updated_at: datetime.datetime
    revision: int
    last_run: str | None
    last_state: str | None
    last_at: datetime.datetime | None


class VersionRow(NamedTuple):
    """One version. The source is the YAML as it was written."""

    number: int
    created_by: str
    created_at: datetime.datetime
    document: dict[str, Any]
    source: str


_ROW = """
  select d.id, d.name, d.title, d.newest, d.archived_at, u.name, d.created_at, d.updated_at, d.revision,
         r.public_id, r.state, r.created_at
    from definition d join "user" u on u.id = d.created_by
    left join lateral (
      select public_id, state, created_at from run
       where project_id = d.project_id and archived = false and definition_id = d.id
       order by id desc limit 1) r on true
   where d.project_id = :project_id
"""
_LIST = text(
    f"""{_ROW} and (d.archived_at is not null) = :archived and (cast(:after as text) is null or d.name > :after)
   order by d.name limit :limit"""
)
_ONE = text(f"{_ROW} and d.name = :name")
_VERSION = """
  select v.number, u.name, v.created_at, {document}, {source}
    from definition_version v join "user" u on u.id = v.created_by
   where v.definition_id = :id
"""
_GET_VERSION = text(_VERSION.format(document="v.document", source="v.source") + " and v.number = :number")
_LIST_VERSIONS = text(
    _VERSION.format(document="'{}'::json", source="''")
    + " and (cast(:before as bigint) is null or v.number < :before) order by v.number desc limit :limit"
)


def list_definitions(
    session: Session, project_id: uuid.UUID, *, archived: bool = False, after: str | None = None, limit: int
) -> list[DefinitionRow]:
    """At most `limit` definitions by name, from after the name `after` on: those in use, or the archived ones."""
    values = {"project_id": project_id, "archived": archived, "after": after, "limit": limit}
    return [DefinitionRow(*row) for row in session.execute(_LIST, values)]


def get_definition(session: Session, project_id: uuid.UUID, name: str) -> DefinitionRow:
    """A definition by its name. Raises NotFound."""
    if not DEFINITION_NAME.fullmatch(name):
        raise NotFound
    row = session.execute(_ONE, {"project_id": project_id, "name": name}).one_or_none()
    if row is None:
        raise NotFound
    return DefinitionRow(*row)


def list_versions(
    session: Session, definition_id: uuid.UUID, *, before: int | None = None, limit: int
) -> list[VersionRow]:
    """At most `limit` versions, newest first, older than `before`; without what they say."""
    values = {"id": definition_id, "before": before, "limit": limit}
    return [VersionRow(*row) for row in session.execute(_LIST_VERSIONS, values)]


def get_version(session: Session, definition_id: uuid.UUID, number: int) -> VersionRow:
    """One version with what it says. Raises NotFound."""
    row = session.execute(_GET_VERSION, {"id": definition_id, "number": number}).one_or_none()
    if row is None:
        raise NotFound
    return VersionRow(*row)
