"""How long a project keeps its runs' outputs, and what was announced and freed by it."""

import datetime
import uuid

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from app.models.base import Base, Created, Json, Key, Time


class RetentionRules(Base):
    """A project's rules. What none of them keeps is removed; without days and runs nothing is."""

    __tablename__ = "retention_rules"
    __table_args__ = (
        Index("ix_retention_rules_next_round_at", "next_round_at", postgresql_where=text("next_round_at is not null")),
    )

    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"), primary_key=True)
    keep_days: Mapped[int | None]
    keep_last: Mapped[int | None]
    keep_tags: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list, server_default="{}")
    keep_experiments: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list, server_default="{}")
    notice_hours: Mapped[int] = mapped_column(default=24, server_default="24")
    version: Mapped[int] = mapped_column(default=1, server_default="1")
    updated_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("user.id"))
    updated_at: Mapped[Created]
    next_round_at: Mapped[Time | None]  # when housekeeping looks for what to announce; none without rules


class RetentionPlan(Base):
    """One announcement: which runs' outputs will be removed, how many bytes, and from when on. Then what was freed."""

    __tablename__ = "retention_plan"
    __table_args__ = (
        CheckConstraint("state in ('announced', 'working', 'done', 'withdrawn')", name="state"),
        Index("ix_retention_plan_project_id_id", "project_id", "id"),
        Index(
            "uq_retention_plan_open",
            "project_id",
            unique=True,
            postgresql_where=text("state in ('announced', 'working')"),
        ),
    )

    id: Mapped[Key]
    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"))
    rules: Mapped[Json]
    state: Mapped[str] = mapped_column(default="announced", server_default="announced")
    runs: Mapped[int]
    files: Mapped[int]
    bytes: Mapped[int]
    freed_runs: Mapped[int] = mapped_column(default=0, server_default="0")
    freed_files: Mapped[int] = mapped_column(default=0, server_default="0")
    freed_bytes: Mapped[int] = mapped_column(default=0, server_default="0")
    announced_at: Mapped[Created]
    due_at: Mapped[Time]
    finished_at: Mapped[datetime.datetime | None]


class RetentionPlanRun(Base):
    """A run of an announcement. `outcome` is "freed", or "spared" where something has kept it since."""

    __tablename__ = "retention_plan_run"
    __table_args__ = (
        CheckConstraint("outcome in ('freed', 'spared')", name="outcome"),
        Index("ix_retention_plan_run_run_id", "run_id"),
    )

    plan_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("retention_plan.id", ondelete="CASCADE"), primary_key=True)
    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"), primary_key=True)
    files: Mapped[int]
    bytes: Mapped[int]
    outcome: Mapped[str | None]
