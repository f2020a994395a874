"""Projects, and who may do what in them."""

import uuid

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Created, Key, Time


class Project(Base):
    """A tenant: everything users make belongs to exactly one.

    A deleted one has no members and a name that nobody can give, until housekeeping has removed what was in it.
    """

    __tablename__ = "project"

    id: Mapped[Key]
    name: Mapped[str] = mapped_column(unique=True)
    title: Mapped[str] = mapped_column(default="", server_default="")
    created_at: Mapped[Created]
    version: Mapped[int] = mapped_column(default=1, server_default="1")
    deleted_at: Mapped[Time | None]


class Membership(Base):
    """A user's role in a project."""

    __tablename__ = "membership"
    __table_args__ = (CheckConstraint("role in ('owner', 'editor', 'viewer')", name="role"),)

    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), primary_key=True, index=True)
    role: Mapped[str]
    created_at: Mapped[Created]
