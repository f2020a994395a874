"""Projects: made by administrators, described by their owners."""

import uuid
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.domain.access import Actor
from app.domain.names import PROJECT_NAME
from app.errors import N_, Conflict, FieldError, Invalid
from app.models import Membership, Project
from app.services import audit

NAME_RULE = N_("must start with a letter and have only small letters, digits and dashes, at most 32")


class ProjectExists(Conflict):
    """Names are unique in the whole installation."""

    code = "PROJECT_EXISTS"
    title = N_("There is a project by that name")
    detail = N_("A project named {name} exists already.")
    hint = N_("Choose another name.")


def create_project(session: Session, actor: Actor, name: str, title: str = "") -> uuid.UUID:
    """A new project, owned by who makes it; its id. Raises ProjectExists, Invalid."""
    if not PROJECT_NAME.fullmatch(name):
        raise Invalid([FieldError("/name", NAME_RULE)])
    try:
        with session.begin_nested():
            statement = insert(Project).values(name=name, title=title).returning(Project.id)
            project_id: uuid.UUID | None = session.scalar(statement)
    except IntegrityError:
        raise ProjectExists(name=name) from None
    assert project_id is not None
    session.execute(insert(Membership).values(project_id=project_id, user_id=actor.user_id, role="owner"))
    audit.record(session, actor, "project.create", "project", name, project_id, after={"title": title})
    audit.record(session, actor, "member.set", "member", actor.name, project_id, after={"role": "owner"})
    return project_id


def lock_project(session: Session, project_id: uuid.UUID) -> dict[str, Any]:
    """The project as it is, locked against other changes until the end of the transaction."""
    row = session.execute(
        select(Project.name, Project.title, Project.version, Project.created_at)
        .where(Project.id == project_id)
        .with_for_update()
    ).one()
    return dict(row._mapping)


def update_project(session: Session, actor: Actor, project_id: uuid.UUID, before: dict[str, Any], title: str) -> None:
    """Sets the title of a project that `lock_project` returned as `before`."""
    if before["title"] == title:
        return
    session.execute(update(Project).where(Project.id == project_id).values(title=title, version=Project.version + 1))
    audit.record(
        session,
        actor,
        "project.update",
        "project",
        before["name"],
        project_id,
        before={"title": before["title"]},
        after={"title": title},
    )
