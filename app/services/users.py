"""People: the first administrator, invitations, passwords, disabling. Writes only; each change has its audit row."""

import uuid
from typing import Any

from sqlalchemy import func, insert, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.domain.access import Actor
from app.domain.names import PROJECT_NAME, USER_NAME
from app.errors import N_, Conflict, FieldError, Forbidden, Invalid, NotFound
from app.i18n import LANGUAGES
from app.models import ApiToken, Membership, Project, User
from app.services import audit, links, passwords, projects, sessions

THEMES = ("light", "dark", "system")
_FIRST_ADMIN_LOCK = 0x62657274  # "bert": any number, as long as it is always the same


class UserExists(Conflict):
    """Names are unique among people."""

    code = "USER_EXISTS"
    title = N_("There is a user by that name")
    detail = N_("A user named {name} exists already.")
    hint = N_("Choose another name, or change the user that exists.")


class LastAdmin(Conflict):
    """Nobody could administer Berth any more."""

    code = "LAST_ADMIN"
    title = N_("This is the last administrator")
    detail = N_("{name} is the only enabled administrator, and there must be one.")
    hint = N_("Make somebody else an administrator first.")


class UserDisabled(Conflict):
    """A disabled user gets no link."""

    code = "USER_DISABLED"
    title = N_("The user is disabled")
    detail = N_("{name} is disabled and cannot sign in.")
    hint = N_("Enable the user first.")


class WrongOldPassword(Invalid):
    """Changing a password needs the old one."""

    code = "WRONG_OLD_PASSWORD"
    title = N_("The old password is wrong")
    detail = N_("The password was not changed.")
    hint = N_("Somebody who forgot it asks an administrator for a link.")


def create_sign_in_link(session: Session) -> str:
    """A key for whoever owns this machine: to set up the first administrator, or to sign in as the oldest one."""
    admin = session.execute(
        select(User.id, User.name).where(*_ENABLED_ADMINS).order_by(User.created_at, User.id).limit(1)
    ).first()
    if admin is None:
        return links.create(session, links.SETUP)
    audit.record(session, None, "link.create", "user", admin.name, after={"kind": links.SIGN_IN})
    return links.create(session, links.SIGN_IN, user_id=admin.id)


def create_first_admin(
    session: Session, key: str, name: str, password: str, project: str = "sandbox"
) -> tuple[uuid.UUID, str]:
    """The first administrator and the first project: (id, name). Raises LinkNotValid, Invalid."""
    check_name(name, "/name")
    if not PROJECT_NAME.fullmatch(project):
        raise Invalid([FieldError("/project", projects.NAME_RULE)])
    passwords.check_new(password, name)
    session.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _FIRST_ADMIN_LOCK})
    links.redeem(session, links.SETUP, key)
    if session.scalar(select(User.id).where(*_ENABLED_ADMINS).limit(1)) is not None:
        raise links.LinkNotValid
    user_id = _insert(session, name=name, password_hash=passwords.hash_password(password), is_admin=True)
    actor = Actor(user_id, name, is_admin=True)
    audit.record(session, actor, "user.create", "user", name, after={"is_admin": True})
    projects.create_project(session, actor, project)
    return user_id, name


def create_user(
    session: Session,
    actor: Actor,
    name: str,
    *,
    display_name: str = "",
    is_admin: bool = False,
    project: str | None = None,
    role: str | None = None,
) -> str:
    """A person without a password, and the key of the invitation to set one. Raises UserExists, Invalid."""
    check_name(name, "/name")
    if (project is None) != (role is None):
        raise Invalid([FieldError("/role", N_("project and role belong together"))])
    user_id = _insert(session, name=name, display_name=display_name, is_admin=is_admin)
    audit.record(session, actor, "user.create", "user", name, after={"is_admin": is_admin})
    if project is not None and role is not None:
        # Held until the end: a project that is being deleted gets no more members.
        project_id = session.scalar(
            select(Project.id).where(Project.name == project, Project.deleted_at.is_(None)).with_for_update(read=True)
        )
        if project_id is None:
            raise Invalid([FieldError("/project", N_("is not a project"))])
        session.execute(insert(Membership).values(project_id=project_id, user_id=user_id, role=role))
        audit.record(session, actor, "member.set", "member", name, project_id, after={"role": role})
    return links.create(session, links.INVITATION, user_id=user_id, created_by=actor.user_id)


def accept_invitation(session: Session, key: str, password: str) -> tuple[uuid.UUID, str]:
    """Sets the password of the user whom the link is for: (id, name). Raises LinkNotValid, Invalid."""
    link = links.redeem(session, links.INVITATION, key)
    name = session.scalar(
        select(User.name).where(User.id == link.user_id, User.disabled_at.is_(None)).with_for_update()
    )
    if link.user_id is None or name is None:
        raise links.LinkNotValid
    passwords.check_new(password, name)
    links.withdraw(session, link.user_id)
    _set_password(session, link.user_id, password)
    sessions.end_all(session, link.user_id)
    audit.record(session, Actor(link.user_id, name), "user.password", "user", name, after={"by": "link"})
    return link.user_id, name


def change_password(session: Session, actor: Actor, old: str, new: str) -> None:
    """Sets a new password and ends all other sessions. Raises WrongOldPassword, Invalid."""
    _require_person(actor)
    stored = session.scalar(select(User.password_hash).where(User.id == actor.user_id).with_for_update())
    if not passwords.verify(old, stored):
        raise WrongOldPassword([FieldError("/old", N_("is not the present password"))])
    passwords.check_new(new, actor.name, "/new")
    _set_password(session, actor.user_id, new)
    sessions.end_all(session, actor.user_id, keep=actor.session_hash)
    links.withdraw(session, actor.user_id)
    audit.record(session, actor, "user.password", "user", actor.name, after={"by": "self"})


def create_reset_link(session: Session, actor: Actor | None, name: str) -> str:
    """Takes the user's password and sessions away and returns the key of a link to set a new one.

    `actor` None is somebody with access to the machine. Raises NotFound, UserDisabled.
    """
    found = session.execute(
        select(User.id, User.disabled_at).where(User.name == name, User.kind == "person").with_for_update()
    ).first()
    if found is None:
        raise NotFound
    if found.disabled_at is not None:
        raise UserDisabled(name=name)
    links.withdraw(session, found.id)
    session.execute(update(User).where(User.id == found.id).values(password_hash=None))
    sessions.end_all(session, found.id)
    audit.record(session, actor, "user.reset_password", "user", name)
    return links.create(session, links.INVITATION, user_id=found.id, created_by=actor.user_id if actor else None)


def reset_password(session: Session, name: str) -> str:
    """For `berth admin reset-password` on the machine itself: the URL to set a new password at."""
    return links.url_of(links.INVITATION, create_reset_link(session, None, name))


def end_sessions(session: Session, actor: Actor, name: str) -> None:
    """Signs a person out of every browser, but for the one that the actor comes with. Raises NotFound."""
    user_id = session.scalar(select(User.id).where(User.name == name, User.kind == "person").with_for_update())
    if user_id is None:
        raise NotFound
    sessions.end_all(session, user_id, keep=actor.session_hash)
    audit.record(session, actor, "session.delete_all", "user", name)


def update_user(session: Session, actor: Actor, name: str, changes: dict[str, Any]) -> None:
    """Changes display_name, is_admin or disabled. Disabling ends sessions, tokens and links at once.

    Raises NotFound, LastAdmin.
    """
    loses_admin = changes.get("is_admin") is False or changes.get("disabled") is True
    # Locked in the order of their keys: of two administrators who disable each other, the second one waits
    # and then finds itself the last.
    admins = (
        session.scalars(select(User.id).where(*_ENABLED_ADMINS).order_by(User.id).with_for_update()).all()
        if loses_admin
        else []
    )
    row = session.execute(
        select(User.id, User.display_name, User.is_admin, User.disabled_at)
        .where(User.name == name, User.kind == "person")
        .with_for_update()
    ).first()
    if row is None:
        raise NotFound
    if loses_admin and list(admins) == [row.id]:
        raise LastAdmin(name=name)
    before = {"display_name": row.display_name, "is_admin": row.is_admin, "disabled": row.disabled_at is not None}
    changed = {key: value for key, value in changes.items() if before[key] != value}
    if not changed:
        return
    values = {key: value for key, value in changed.items() if key != "disabled"}
    if "disabled" in changed:
        values["disabled_at"] = func.now() if changed["disabled"] else None
    session.execute(update(User).where(User.id == row.id).values(**values))
    if changed.get("disabled"):
        end_credentials(session, row.id)
    audit.record(
        session, actor, "user.update", "user", name, before={key: before[key] for key in changed}, after=changed
    )


def update_me(session: Session, actor: Actor, changes: dict[str, Any]) -> None:
    """Changes one's own display_name, language or theme. Raises Invalid for an unknown language or theme."""
    _require_person(actor)
    for name, known in (("language", tuple(LANGUAGES)), ("theme", THEMES)):
        value = changes.get(name)
        if value is not None and value not in known:
            slots = {"expected": ", ".join(known)}
            raise Invalid([FieldError(f"/{name}", N_("must be one of {expected}"), slots=slots)])
    if changes:
        session.execute(update(User).where(User.id == actor.user_id).values(**changes))
        audit.record(session, actor, "user.update", "user", actor.name, after=changes)


def end_credentials(session: Session, user_id: uuid.UUID) -> None:
    """Ends all sessions, tokens and links of a user, whether a person or a service account."""
    sessions.end_all(session, user_id)
    links.withdraw(session, user_id)
    session.execute(
        update(ApiToken).where(ApiToken.user_id == user_id, ApiToken.revoked_at.is_(None)).values(revoked_at=func.now())
    )


def check_name(name: str, pointer: str) -> None:
    """Raises Invalid for what cannot be a user's name."""
    if not USER_NAME.fullmatch(name):
        raise Invalid([FieldError(pointer, NAME_RULE)])


NAME_RULE = N_("must start with a letter and have only small letters, digits, dots, underscores and dashes, at most 64")
_ENABLED_ADMINS = (User.is_admin.is_(True), User.kind == "person", User.disabled_at.is_(None))


def _insert(session: Session, **values: Any) -> uuid.UUID:
    try:
        with session.begin_nested():
            made: uuid.UUID | None = session.scalar(insert(User).values(**values).returning(User.id))
    except IntegrityError:
        raise UserExists(name=values["name"]) from None
    assert made is not None
    return made


def _set_password(session: Session, user_id: uuid.UUID, password: str) -> None:
    session.execute(update(User).where(User.id == user_id).values(password_hash=passwords.hash_password(password)))


def _require_person(actor: Actor) -> None:
    if actor.is_service_account:
        raise Forbidden
