"""Files that runs left in $BERTH_OUTPUT."""

import uuid

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Created


class Output(Base):
    """One file: where its bytes are, how many, and their SHA-256 in hex."""

    __tablename__ = "output"

    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"), primary_key=True)
    path: Mapped[str] = mapped_column(primary_key=True)
    attempt: Mapped[int]
    bytes: Mapped[int]
    sha256: Mapped[str]
    object_key: Mapped[str]
    created_at: Mapped[Created]
