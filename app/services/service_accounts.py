"""Service accounts: automation that belongs to a project and outlives the people in it."""

import uuid
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.domain.access import Actor
from app.errors import N_, Conflict, NotFound
from app.models import User
from app.services import audit, members, users


class ServiceAccountExists(Conflict):
    """Names are unique in a project."""

    code = "SERVICE_ACCOUNT_EXISTS"
    title = N_("There is a service account by that name")
    detail = N_("This project has a service account named {name} already.")
    hint = N_("Choose another name.")


def create_account(session: Session, actor: Actor, project_id: uuid.UUID, name: str, role: str) -> None:
    """A service account with a role in its project. Raises ServiceAccountExists, Invalid."""
    users.check_name(name, "/name")
    try:
        with session.begin_nested():
            account_id = session.scalar(
                insert(User).values(kind="service_account", project_id=project_id, name=name).returning(User.id)
            )
    except IntegrityError:
        raise ServiceAccountExists(name=name) from None
    assert account_id is not None
    audit.record(session, actor, "service_account.create", "service_account", name, project_id)
    members.set_role(session, actor, project_id, account_id, name, role)


def update_account(session: Session, actor: Actor, project_id: uuid.UUID, name: str, changes: dict[str, Any]) -> None:
    """Changes its role, or disables or enables it. Disabling ends its tokens at once. Raises NotFound."""
    row = session.execute(_of(project_id, name).with_for_update()).first()
    if row is None:
        raise NotFound
    if "role" in changes:
        members.set_role(session, actor, project_id, row.id, name, changes["role"])
    disabled = changes.get("disabled")
    if disabled is not None and disabled != (row.disabled_at is not None):
        session.execute(update(User).where(User.id == row.id).values(disabled_at=func.now() if disabled else None))
        if disabled:
            users.end_credentials(session, row.id)
        audit.record(
            session,
            actor,
            "service_account.update",
            "service_account",
            name,
            project_id,
            before={"disabled": not disabled},
            after={"disabled": disabled},
        )


def get_account(session: Session, project_id: uuid.UUID, name: str) -> uuid.UUID:
    """The id of a service account of the project. Raises NotFound."""
    row = session.execute(_of(project_id, name)).first()
    if row is None:
        raise NotFound
    account_id: uuid.UUID = row.id
    return account_id


def _of(project_id: uuid.UUID, name: str) -> Any:
    return select(User.id, User.disabled_at).where(
        User.project_id == project_id, User.kind == "service_account", User.name == name
    )
