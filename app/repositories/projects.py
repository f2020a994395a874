"""Reading projects: those an actor is a member of, or all of them for platform admins."""

import uuid
from typing import Any

from sqlalchemy import literal, select
from sqlalchemy.orm import Session

from app.domain.access import Actor
from app.models import Membership, Project


def visible_to(actor: Actor) -> Any:
    """Projects that the actor may see, with its role in each."""
    columns = (Project.name, Project.title, Project.version, Project.created_at)
    statement: Any
    if actor.is_admin:
        statement = select(*columns, literal("owner").label("role"))
    else:
        statement = select(*columns, Membership.role).join(
            Membership, (Membership.project_id == Project.id) & (Membership.user_id == actor.user_id)
        )
    statement = statement.where(Project.deleted_at.is_(None))
    return statement.where(Project.id == actor.only_project) if actor.only_project is not None else statement


def list_projects(session: Session, actor: Actor, after: str | None, limit: int) -> list[dict[str, Any]]:
    """Visible projects by name, the next `limit` after a name."""
    statement = visible_to(actor).order_by(Project.name).limit(limit)
    if after is not None:
        statement = statement.where(Project.name > after)
    return [dict(row._mapping) for row in session.execute(statement)]


def get_project(session: Session, actor: Actor, project_id: uuid.UUID) -> dict[str, Any]:
    """A project that the actor was found to see."""
    return dict(session.execute(visible_to(actor).where(Project.id == project_id)).one()._mapping)
