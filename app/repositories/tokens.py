"""Reading tokens: never the secret, which is not stored."""

import uuid
from typing import Any

from sqlalchemy import func, select, union_all
from sqlalchemy.orm import Session

from app.models import ApiToken, Project, User


def list_tokens(session: Session, user_id: uuid.UUID, after: uuid.UUID | None, limit: int) -> list[dict[str, Any]]:
    """Tokens of a user that still work, newest first, the next `limit` after an id."""
    statement = (
        select(
            ApiToken.id,
            ApiToken.name,
            ApiToken.hint,
            ApiToken.scope,
            Project.name.label("project"),
            ApiToken.created_at,
            ApiToken.expires_at,
            ApiToken.used_at,
        )
        .outerjoin(Project, Project.id == ApiToken.project_id)
        .where(
            ApiToken.user_id == user_id,
            ApiToken.revoked_at.is_(None),
            ApiToken.expires_at.is_(None) | (ApiToken.expires_at > func.now()),
        )
        .order_by(ApiToken.id.desc())
        .limit(limit)
    )
    if after is not None:
        statement = statement.where(ApiToken.id < after)
    return [dict(row._mapping) for row in session.execute(statement)]


def list_project_tokens(
    session: Session, project_id: uuid.UUID, after: uuid.UUID | None, limit: int
) -> list[dict[str, Any]]:
    """Tokens that work in this project only: of its service accounts, and people's that are narrowed to it."""
    works: list[Any] = [
        ApiToken.revoked_at.is_(None),
        ApiToken.expires_at.is_(None) | (ApiToken.expires_at > func.now()),
    ]
    if after is not None:
        works.append(ApiToken.id < after)
    accounts = select(User.id).where(User.project_id == project_id, User.kind == "service_account")
    # A page of each, by its own index, and of both together the newest.
    parts = [
        select(ApiToken.id).where(condition, *works).order_by(ApiToken.id.desc()).limit(limit)
        for condition in (
            ApiToken.project_id == project_id,
            ApiToken.user_id.in_(accounts) & ApiToken.project_id.is_(None),
        )
    ]
    keys = union_all(*(part.subquery().select() for part in parts)).subquery()
    statement = (
        select(
            ApiToken.id,
            ApiToken.name,
            ApiToken.hint,
            ApiToken.scope,
            User.name.label("user"),
            User.kind,
            ApiToken.created_at,
            ApiToken.expires_at,
            ApiToken.used_at,
        )
        .join(keys, keys.c.id == ApiToken.id)
        .join(User, User.id == ApiToken.user_id)
        .order_by(ApiToken.id.desc())
        .limit(limit)
    )
    return [dict(row._mapping) for row in session.execute(statement)]
