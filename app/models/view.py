"""Saved views: a filter and an order of the list of runs, under a name."""

import uuid

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Created, Key


class SavedView(Base):
    """One view of a project's list. `is_shared` shows it to all members; otherwise to its maker alone."""

    __tablename__ = "saved_view"
    __table_args__ = (
        CheckConstraint("sort in ('created', '-created', 'name', '-name')", name="sort"),
        Index("uq_saved_view_project_id_user_id_name", "project_id", "user_id", "name", unique=True),
        Index("ix_saved_view_user_id", "user_id"),
    )

    id: Mapped[Key]
    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"))
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"))
    name: Mapped[str]
    q: Mapped[str]
    sort: Mapped[str]
    is_shared: Mapped[bool]
    created_at: Mapped[Created]
