"""Job definitions: named in a project, with versions that never change."""

import uuid
from typing import Any

from sqlalchemy import JSON, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Created, Key, Time


class Definition(Base):
    """A definition: what all its versions have in common. `title` is the newest version's, for lists."""

    __tablename__ = "definition"
    __table_args__ = (UniqueConstraint("project_id", "name"),)

    id: Mapped[Key]
    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"))
    name: Mapped[str]
    title: Mapped[str]
    newest: Mapped[int]  # its versions are 1 to this
    archived_at: Mapped[Time | None]
    created_by: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id"))
    created_at: Mapped[Created]
    updated_at: Mapped[Created]
    revision: Mapped[int] = mapped_column(default=1, server_default="1")  # rises with every change (ETag)


class DefinitionVersion(Base):
    """One version: the YAML as it was written, byte for byte, and what it says."""

    __tablename__ = "definition_version"

    definition_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("definition.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    source: Mapped[str]
    document: Mapped[dict[str, Any]] = mapped_column(JSON)  # not JSONB, which forgets the order of keys
    created_by: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id"))
    created_at: Mapped[Created]
