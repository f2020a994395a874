"""API tokens of people and service accounts, and the run-scoped tokens that a job gets."""

import uuid

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Created, Key, Time


class ApiToken(Base):
    """A bearer token, stored as SHA-256. `project_id` narrows it to one project."""

    __tablename__ = "api_token"
    __table_args__ = (
        CheckConstraint("scope in ('read', 'write', 'admin')", name="scope"),
        Index("ix_api_token_user_id_id", "user_id", "id", postgresql_where="revoked_at is null"),
        Index(
            "ix_api_token_project_id_id",
            "project_id",
            "id",
            postgresql_where="project_id is not null and revoked_at is null",
        ),
    )

    id: Mapped[Key]
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"))
    name: Mapped[str]
    hint: Mapped[str]  # the first characters, enough to recognise a token in a list
    token_hash: Mapped[bytes] = mapped_column(unique=True)
    scope: Mapped[str]
    project_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"))
    created_at: Mapped[Created]
    expires_at: Mapped[Time | None]
    used_at: Mapped[Time | None]
    revoked_at: Mapped[Time | None]
