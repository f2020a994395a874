"""Code that was submitted: an archive named by its content, kept once per project."""

import uuid

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Created


class Snapshot(Base):
    """A gzipped tar in the object store; `digest` is the SHA-256 of its bytes, in hex."""

    __tablename__ = "snapshot"

    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"), primary_key=True)
    digest: Mapped[str] = mapped_column(primary_key=True)
    bytes: Mapped[int]
    files: Mapped[int]
    created_by: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id"))
    created_at: Mapped[Created]
