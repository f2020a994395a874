"""Run capsules: what runs really were. What changes from attempt to attempt stands in its row."""

import uuid

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Created, Json


class Capsule(Base):
    """A run's manifest as canonical JSON, and its SHA-256 in hex. Written with the run and never altered."""

    __tablename__ = "capsule"

    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"), primary_key=True)
    manifest: Mapped[str]
    digest: Mapped[str]
    source_text: Mapped[str | None]  # the YAML that it was submitted as, where it was


class Environment(Base):
    """An interpreter with its packages, kept once per project under the SHA-256 of its document."""

    __tablename__ = "environment"

    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"), primary_key=True)
    digest: Mapped[str] = mapped_column(primary_key=True)
    document: Mapped[Json]
    created_at: Mapped[Created]
