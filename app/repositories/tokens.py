"""Reading tokens: never the secret, which is not stored."""

import uuid
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.models import ApiToken, Project


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
