"""What runs used of the machine."""

import uuid

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Created


class Usage(Base):
    """All that one replica of one attempt used, in one row of at most some 30 KiB, however long it ran.

    `slices` is packed by domain/usage.py. `end_offset` is where the reading of the replica's file goes on: it moves
    with the slices by one statement, so that a line is taken in exactly once.
    """

    __tablename__ = "usage"

    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    replica: Mapped[int] = mapped_column(primary_key=True)
    end_offset: Mapped[int]
    slices: Mapped[bytes]
    gpu_meter: Mapped[str]  # what measures GPUs on that machine; empty where there is nothing
    updated_at: Mapped[Created]
