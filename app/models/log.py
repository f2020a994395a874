"""Logs: chunks of lines with their line index in Postgres; sealed chunks keep their bytes in the object store."""

import builtins
import uuid

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Time


class LogChunk(Base):
    """Consecutive lines of one replica of one attempt, numbered from 1.

    An open chunk has its bytes in `data`; a sealed one is compressed in the object store under `object_key`.
    `end_offset` is where the source continues, which is all that the shipper needs to resume.
    """

    __tablename__ = "log_chunk"

    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    replica: Mapped[int] = mapped_column(primary_key=True)
    first_line: Mapped[int] = mapped_column(primary_key=True)
    lines: Mapped[int]
    bytes: Mapped[int]
    gaps: Mapped[int] = mapped_column(default=0, server_default="0")  # how many of the lines stand for lost ones
    end_offset: Mapped[int]
    first_at: Mapped[Time]
    last_at: Mapped[Time]
    data: Mapped[builtins.bytes | None]
    object_key: Mapped[str | None]
