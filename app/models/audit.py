"""Who changed what: one row for each change, in the change's own transaction."""

import uuid
from typing import Any

from sqlalchemy import Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Created, Serial


class AuditEntry(Base):
    """Kept when its actor, object or project is gone, so it holds names and has no foreign keys."""

    __tablename__ = "audit_entry"
    __table_args__ = (
        Index("ix_audit_entry_project_id_id", "project_id", "id"),
        Index("ix_audit_entry_actor_id_id", "actor_id", "id"),
        Index("ix_audit_entry_verb_id", "verb", "id"),
        Index("ix_audit_entry_at", "at"),
        Index("ix_audit_entry_object_type_object_id_id", "object_type", "object_id", "id"),
    )

    id: Mapped[Serial]
    at: Mapped[Created]
    actor_id: Mapped[uuid.UUID | None]
    actor_name: Mapped[str]  # "system" for what Berth did by itself
    verb: Mapped[str]  # such as run.submit, member.add
    object_type: Mapped[str]
    object_id: Mapped[str]
    project_id: Mapped[uuid.UUID | None]
    before: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    after: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    address: Mapped[str | None]
    request_id: Mapped[str | None]
