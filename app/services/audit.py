"""The record of who changed what. Called by services with the change's own session, so both happen or neither."""

import uuid
from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from app.domain.access import Actor
from app.models import AuditEntry

SYSTEM = "system"


def record(
    session: Session,
    actor: Actor | None,
    verb: str,
    object_type: str,
    object_id: str,
    project_id: uuid.UUID | None = None,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """Writes one entry. `actor` None is Berth itself. `before` and `after` are JSON and never hold a secret."""
    session.execute(
        insert(AuditEntry),
        {
            "actor_id": actor.user_id if actor else None,
            "actor_name": actor.name if actor else SYSTEM,
            "verb": verb,
            "object_type": object_type,
            "object_id": object_id,
            "project_id": project_id,
            "before": before,
            "after": after,
            "address": actor.address if actor else None,
            "request_id": actor.request_id if actor else None,
        },
    )
