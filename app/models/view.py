"""Saved views of the list of runs, a filter and an order under a name; and the columns that somebody wants in it."""

import uuid

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

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
    # As in RunColumns; null where the view leaves that to its reader.
    columns: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    metric: Mapped[str | None]
    created_at: Mapped[Created]


class RunColumns(Base):
    """Which columns of a project's list of runs a user sees: keys of domain/run_columns.py, and a metric's name."""

    __tablename__ = "run_columns"

    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), primary_key=True)
    project_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("project.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    columns: Mapped[list[str]] = mapped_column(ARRAY(Text))
    metric: Mapped[str] = mapped_column(default="", server_default="")
