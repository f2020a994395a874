"""Reading who is in a project. Callers have checked that the actor may see the project."""

import uuid
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import NotFound
from app.models import Membership, User


def list_members(session: Session, project_id: uuid.UUID, after: list[Any] | None, limit: int) -> list[dict[str, Any]]:
    """People and service accounts by (name, kind), the next `limit` after such a pair."""
    statement = _members(project_id).order_by(User.name, User.kind).limit(limit)
    if after is not None:
        name, kind = after
        statement = statement.where((User.name > name) | ((User.name == name) & (User.kind > kind)))
    return [_member(row) for row in session.execute(statement)]


def get_member(session: Session, project_id: uuid.UUID, name: str) -> dict[str, Any]:
    """A person in the project. Raises NotFound."""
    row = session.execute(_members(project_id).where(User.name == name, User.kind == "person")).first()
    if row is None:
        raise NotFound
    return _member(row)


def list_accounts(session: Session, project_id: uuid.UUID, after: str | None, limit: int) -> list[dict[str, Any]]:
    """The project's service accounts by name, the next `limit` after a name."""
    statement = _members(project_id).where(User.kind == "service_account").order_by(User.name).limit(limit)
    if after is not None:
        statement = statement.where(User.name > after)
    return [_account(row) for row in session.execute(statement)]


def get_account(session: Session, project_id: uuid.UUID, name: str) -> dict[str, Any]:
    """A service account of the project. Raises NotFound."""
    row = session.execute(_members(project_id).where(User.name == name, User.kind == "service_account")).first()
    if row is None:
        raise NotFound
    return _account(row)


def _members(project_id: uuid.UUID) -> Any:
    return (
        select(User.name, User.display_name, User.kind, User.disabled_at, Membership.role, Membership.created_at)
        .join(Membership, Membership.user_id == User.id)
        .where(Membership.project_id == project_id)
    )


def _member(row: Any) -> dict[str, Any]:
    return {
        "name": row.name,
        "display_name": row.display_name,
        "kind": row.kind,
        "role": row.role,
        "disabled": row.disabled_at is not None,
        "created_at": row.created_at,
    }


def _account(row: Any) -> dict[str, Any]:
    return {
        "name": row.name,
        "role": row.role,
        "disabled": row.disabled_at is not None,
        "created_at": row.created_at,
    }
