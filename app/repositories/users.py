"""Reading users. The whole list is for platform admins; everybody reads themselves."""

import datetime
import uuid
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from app.domain.access import Actor
from app.errors import NotFound
from app.models import ApiToken, AuditEntry, Membership, Project, User, UserSession

_Key = aliased(AuditEntry)
# Looked up by index for each row of a page, within its one statement. A session that has ended leaves its
# sign-in and what was done in the audit log.
_LAST_SEEN = func.greatest(
    select(func.max(UserSession.seen_at)).where(UserSession.user_id == User.id).scalar_subquery(),
    select(func.max(ApiToken.used_at))
    .where(ApiToken.user_id == User.id, ApiToken.revoked_at.is_(None))
    .scalar_subquery(),
    # The key first, from an index alone: asked for the row Postgres may read the newest of everybody.
    select(AuditEntry.at)
    .where(AuditEntry.id == select(func.max(_Key.id)).where(_Key.actor_id == User.id).correlate(User).scalar_subquery())
    .correlate(User)
    .scalar_subquery(),
)
_SESSIONS = (
    select(func.count())
    .select_from(UserSession)
    .where(UserSession.user_id == User.id, UserSession.expires_at > func.now())
    .scalar_subquery()
)
_COLUMNS = (
    User.id,
    User.name,
    User.display_name,
    User.is_admin,
    User.disabled_at,
    User.created_at,
    _LAST_SEEN.label("last_seen_at"),
    _SESSIONS.label("sessions"),
)


def list_users(session: Session, after: str | None, limit: int, q: str = "") -> list[dict[str, Any]]:
    """People by name, the next `limit` after a name. With `q` those whose name or display name contains it."""
    statement = select(*_COLUMNS).where(User.kind == "person").order_by(User.name).limit(limit)
    if q:
        statement = statement.where(
            User.name.icontains(q, autoescape=True) | User.display_name.icontains(q, autoescape=True)
        )
    if after is not None:
        statement = statement.where(User.name > after)
    return [_user(row) for row in session.execute(statement)]


def get_user(session: Session, name: str) -> dict[str, Any]:
    """A person, with the projects they are in. Raises NotFound."""
    row = session.execute(select(*_COLUMNS).where(User.kind == "person", User.name == name)).first()
    if row is None:
        raise NotFound
    return _user(row) | {"projects": _projects(session, row.id)}


def get_session(session: Session, actor: Actor) -> dict[str, Any]:
    """What GET /session says: who the actor is, what the credentials are good for, and the projects."""
    user = session.execute(
        select(User.name, User.display_name, User.is_admin, User.kind, User.language, User.theme).where(
            User.id == actor.user_id
        )
    ).one()
    expires_at = None
    if actor.session_hash is not None:
        expires_at = session.scalar(select(UserSession.expires_at).where(UserSession.token_hash == actor.session_hash))
    projects = _projects(session, actor.user_id, actor.only_project)
    only = next((item["name"] for item in projects), None) if actor.only_project else None
    return {
        "user": dict(user._mapping),
        "scope": actor.scope.name.lower(),
        "project": only,
        "projects": projects,
        "expires_at": expires_at,
    }


def id_of_session() -> Any:
    """The first bytes of the stored hash in hex: names a session in lists, and says nothing of its cookie."""
    return func.encode(func.substr(UserSession.token_hash, 1, 8), "hex")


def list_sessions(
    session: Session, actor: Actor, after: tuple[datetime.datetime, str] | None, limit: int
) -> list[dict[str, Any]]:
    """The actor's own browsers that are signed in, the newest first, the next `limit` after a (created_at, id)."""
    key = id_of_session()
    statement = (
        select(
            key.label("id"),
            UserSession.address,
            UserSession.agent,
            UserSession.created_at,
            UserSession.seen_at,
            UserSession.expires_at,
            (UserSession.token_hash == (actor.session_hash or b"")).label("is_this"),
        )
        .where(UserSession.user_id == actor.user_id, UserSession.expires_at > func.now())
        .order_by(UserSession.created_at.desc(), key)
        .limit(limit)
    )
    if after is not None:
        at, last = after
        statement = statement.where((UserSession.created_at < at) | ((UserSession.created_at == at) & (key > last)))
    return [dict(row._mapping) for row in session.execute(statement)]


def _user(row: Any) -> dict[str, Any]:
    return {
        "name": row.name,
        "display_name": row.display_name,
        "is_admin": row.is_admin,
        "disabled": row.disabled_at is not None,
        "disabled_at": row.disabled_at,
        "created_at": row.created_at,
        "last_seen_at": row.last_seen_at,
        "sessions": row.sessions,
    }


def _projects(session: Session, user_id: uuid.UUID, only: uuid.UUID | None = None) -> list[dict[str, Any]]:
    statement = (
        select(Project.name, Project.title, Membership.role)
        .join(Membership, Membership.project_id == Project.id)
        .where(Membership.user_id == user_id, Project.deleted_at.is_(None))
        .order_by(Project.name)
        .limit(1000)
    )
    if only is not None:
        statement = statement.where(Project.id == only)
    return [dict(row._mapping) for row in session.execute(statement)]


def name_of(session: Session, user_id: uuid.UUID) -> str:
    """The user's name. Raises NotFound."""
    name = session.scalar(select(User.name).where(User.id == user_id))
    if name is None:
        raise NotFound
    return name
