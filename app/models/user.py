"""Who acts: people, and service accounts, which belong to one project and outlive the people in it."""

import uuid

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Created, Key, Time


class User(Base):
    """A person or a service account. A disabled one can do nothing, from the same moment on."""

    __tablename__ = "user"
    __table_args__ = (
        CheckConstraint("kind in ('person', 'service_account')", name="kind"),
        CheckConstraint("(kind = 'service_account') = (project_id is not null)", name="service_account_project"),
        Index("ix_user_name", "name"),
        Index("uq_user_person_name", "name", unique=True, postgresql_where="kind = 'person'"),
        Index(
            "uq_user_service_account_name",
            "project_id",
            "name",
            unique=True,
            postgresql_where="kind = 'service_account'",
        ),
    )

    id: Mapped[Key]
    kind: Mapped[str] = mapped_column(default="person", server_default="person")
    name: Mapped[str]
    display_name: Mapped[str] = mapped_column(default="", server_default="")
    password_hash: Mapped[str | None]
    is_admin: Mapped[bool] = mapped_column(default=False, server_default="false")
    disabled_at: Mapped[Time | None]
    project_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"))
    language: Mapped[str | None]
    theme: Mapped[str | None]
    created_at: Mapped[Created]


class UserSession(Base):
    """A browser that is signed in. The cookie's value is stored as its SHA-256 only."""

    __tablename__ = "user_session"

    token_hash: Mapped[bytes] = mapped_column(primary_key=True)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), index=True)
    address: Mapped[str]
    agent: Mapped[str]
    created_at: Mapped[Created]
    seen_at: Mapped[Created]
    expires_at: Mapped[Time]


class OneTimeLink(Base):
    """A secret that works once: the first admin's link, an invitation, a sign-in, a terminal that signs in."""

    __tablename__ = "one_time_link"
    __table_args__ = (CheckConstraint("kind in ('setup', 'invitation', 'sign_in', 'terminal')", name="kind"),)

    id: Mapped[Key]
    kind: Mapped[str]
    token_hash: Mapped[bytes] = mapped_column(unique=True)
    user_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"))
    project_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"))
    role: Mapped[str | None]
    name: Mapped[str] = mapped_column(default="", server_default="")
    # Terminal only: what the person types or checks, and who said yes.
    user_code: Mapped[str | None] = mapped_column(unique=True)
    approved_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"))
    created_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("user.id", ondelete="SET NULL"))
    created_at: Mapped[Created]
    expires_at: Mapped[Time]
    used_at: Mapped[Time | None]
