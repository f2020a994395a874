"""Secrets of projects: values that runs are given and that nobody reads again."""

import uuid

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Created, Key


class Secret(Base):
    """A name and an encrypted value (services/sealing.py says how). `version` counts the values it has had."""

    __tablename__ = "secret"
    __table_args__ = (UniqueConstraint("project_id", "name"),)  # also the order of lists

    id: Mapped[Key]
    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"))
    name: Mapped[str]
    description: Mapped[str] = mapped_column(default="", server_default="")
    version: Mapped[int] = mapped_column(default=1, server_default="1")
    key_id: Mapped[str]
    wrapped_key: Mapped[bytes]
    ciphertext: Mapped[bytes]
    created_at: Mapped[Created]
    created_by: Mapped[str]  # names, as in the audit log: they outlive the accounts
    updated_at: Mapped[Created]
    updated_by: Mapped[str]


class SecretUse(Base):
    """A run that was given a secret when it started."""

    __tablename__ = "secret_use"
    __table_args__ = (Index("ix_secret_use_secret_id_used_at", "secret_id", text("used_at desc")),)

    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"), primary_key=True)
    secret_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("secret.id", ondelete="CASCADE"), primary_key=True)
    used_at: Mapped[Created]
