"""Who is in a project, and as what."""

import uuid

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.domain.access import Actor
from app.errors import N_, Conflict, NotFound
from app.models import Membership, Project, User
from app.services import audit


class UnknownUser(NotFound):
    """No such person, or disabled."""

    code = "UNKNOWN_USER"
    title = N_("There is no such user")
    detail = N_("There is no enabled user by that name.")
    hint = N_("Check the name. Administrators invite new people.")


class LastOwner(Conflict):
    """Nobody but administrators could look after the project any more."""

    code = "LAST_OWNER"
    title = N_("This is the last owner of the project")
    detail = N_("{name} is the only enabled person who is an owner of the project, and there must be one.")
    hint = N_("Make somebody else an owner first.")


def set_member(session: Session, actor: Actor, project_id: uuid.UUID, name: str, role: str) -> bool:
    """Gives a person a role; True when it is a new member. Raises UnknownUser, LastOwner.

    Service accounts have their role from where they are made (services/service_accounts.py).
    """
    user_id = session.scalar(
        select(User.id)
        .where(User.name == name, User.kind == "person", User.disabled_at.is_(None))
        .with_for_update(key_share=True)
    )
    if user_id is None:
        raise UnknownUser
    if role != "owner":
        _keep_an_owner(session, project_id, user_id, name)
    return set_role(session, actor, project_id, user_id, name, role)


def set_role(session: Session, actor: Actor, project_id: uuid.UUID, user_id: uuid.UUID, name: str, role: str) -> bool:
    """Writes the membership and its audit row; True when it is new. Nothing happens for the same role."""
    before = session.scalar(
        select(Membership.role)
        .where(Membership.project_id == project_id, Membership.user_id == user_id)
        .with_for_update()
    )
    if before == role:
        return False
    session.execute(
        insert(Membership)
        .values(project_id=project_id, user_id=user_id, role=role)
        .on_conflict_do_update(index_elements=["project_id", "user_id"], set_={"role": role})
    )
    audit.record(
        session,
        actor,
        "member.set",
        "member",
        name,
        project_id,
        before={"role": before} if before else None,
        after={"role": role},
    )
    return before is None


def remove_member(session: Session, actor: Actor, project_id: uuid.UUID, name: str) -> None:
    """Takes a person out of the project. Raises LastOwner, and NotFound for somebody who is not in it."""
    user_id = session.scalar(select(User.id).where(User.name == name, User.kind == "person"))
    if user_id is not None:
        _keep_an_owner(session, project_id, user_id, name)
    role = session.scalar(
        delete(Membership)
        .where(Membership.project_id == project_id, Membership.user_id == user_id)
        .returning(Membership.role)
    )
    if role is None:
        raise NotFound
    audit.record(session, actor, "member.remove", "member", name, project_id, before={"role": role})


def _keep_an_owner(session: Session, project_id: uuid.UUID, user_id: uuid.UUID, name: str) -> None:
    """Raises LastOwner where `user_id` is the only one.

    Under the project's row: of two owners who take each other out, the second one waits and is then the last.
    """
    session.execute(select(Project.id).where(Project.id == project_id).with_for_update(key_share=True))
    owners = session.scalars(
        select(User.id)
        .join(Membership, Membership.user_id == User.id)
        .where(
            Membership.project_id == project_id,
            Membership.role == "owner",
            User.kind == "person",
            User.disabled_at.is_(None),
        )
        .limit(2)
    ).all()
    if list(owners) == [user_id]:
        raise LastOwner(name=name)
