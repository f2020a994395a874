"""Files that runs left in $BERTH_OUTPUT."""

import uuid
from typing import Any

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Created, Time


class Output(Base):
    """One file: where its bytes are, how many, and their SHA-256 in hex.

    A file that the project's rules removed keeps its row: `removed_at`, `removed_by` (the rules as they were),
    and `freed_at` once the object store has nothing of it any more.
    """

    __tablename__ = "output"
    __table_args__ = (
        Index("ix_output_kept", "run_id", postgresql_include=["bytes"], postgresql_where=text("removed_at is null")),
        Index(
            "ix_output_to_free",
            "run_id",
            postgresql_where=text("removed_at is not null and freed_at is null"),
        ),
    )

    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"), primary_key=True)
    path: Mapped[str] = mapped_column(primary_key=True)
    attempt: Mapped[int]
    bytes: Mapped[int]
    sha256: Mapped[str]
    object_key: Mapped[str]
    created_at: Mapped[Created]
    removed_at: Mapped[Time | None]
    removed_by: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    freed_at: Mapped[Time | None]
