"""Notifications: who wants to hear of what, what has to be told, and how telling it went."""

import uuid
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, func
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from app.models.base import Base, Created, Json, Key, Serial, Time


class Notification(Base):
    """A subscription: of a user when `user_id` is set (in one project or in all of the user's), else of a project."""

    __tablename__ = "notification"
    __table_args__ = (
        CheckConstraint("user_id is not null or project_id is not null", name="owner"),
        CheckConstraint("channel in ('webhook', 'mail', 'chat')", name="channel"),
        CheckConstraint("whose in ('mine', 'all')", name="whose"),
        CheckConstraint("whose = 'all' or user_id is not null", name="mine"),
        Index("ix_notification_user_id_id", "user_id", "id", postgresql_where="user_id is not null"),
        Index("ix_notification_project_id_id", "project_id", "id", postgresql_where="user_id is null"),
    )

    id: Mapped[Key]
    user_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"))
    project_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"))
    name: Mapped[str]
    channel: Mapped[str]
    # Of a chat service what may be shown; its address is a secret and encrypted (services/notification_targets.py).
    target: Mapped[str]
    target_key_id: Mapped[str | None]
    target_wrapped_key: Mapped[bytes | None]
    target_ciphertext: Mapped[bytes | None]
    events: Mapped[list[str]] = mapped_column(ARRAY(Text))
    wait_seconds: Mapped[int] = mapped_column(default=3600, server_default="3600")
    whose: Mapped[str]
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list, server_default="{}")
    language: Mapped[str] = mapped_column(default="en", server_default="en")
    muted: Mapped[bool] = mapped_column(default=False, server_default="false")
    # The secrets are derived from the installation's key and this number; see domain/notifications.py.
    secret_number: Mapped[int] = mapped_column(default=1, server_default="1")
    old_secret_until: Mapped[Time | None]
    # Its receiver failed or was slow the last time: it is told in the lane of those, so that others need not wait.
    troubled_at: Mapped[Time | None]
    created_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("user.id", ondelete="SET NULL"))
    created_at: Mapped[Created]


class NotificationEvent(Base):
    """A run's end that nobody was told of yet. Written with the run's own event, taken out with its messages."""

    __tablename__ = "notification_event"

    event_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"))


class NotificationMessage(Base):
    """One message, made once for each event and subscription. `message_id` is what receivers tell repeats by."""

    __tablename__ = "notification_message"
    __table_args__ = (
        UniqueConstraint("notification_id", "event_key"),
        CheckConstraint("state in ('pending', 'sent', 'failed', 'cancelled')", name="state"),
        Index("ix_notification_message_notification_id_id", "notification_id", "id"),
        Index("ix_notification_message_due", "notification_id", "due_at", postgresql_where="state = 'pending'"),
        Index("ix_notification_message_created_at", "created_at"),
    )

    id: Mapped[Serial]
    message_id: Mapped[uuid.UUID] = mapped_column(unique=True, server_default=func.gen_random_uuid())
    notification_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("notification.id", ondelete="CASCADE"))
    event_key: Mapped[str]
    type: Mapped[str]
    at: Mapped[Time]
    data: Mapped[Json]
    # For the sentence in a mail: figures that the thin event does not carry.
    reason: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    state: Mapped[str] = mapped_column(default="pending", server_default="pending")
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    # While it is being sent this is when the lease ends, so that a sender that died is followed by another.
    due_at: Mapped[Created]
    lease_token: Mapped[uuid.UUID | None]
    created_at: Mapped[Created]
    ended_at: Mapped[Time | None]


class NotificationAttempt(Base):
    """One try to deliver a message. `answer` is the beginning of what the receiver said, as plain text."""

    __tablename__ = "notification_attempt"
    __table_args__ = (Index("ix_notification_attempt_message_id_id", "message_id", "id"),)

    id: Mapped[Serial]
    message_id: Mapped[int] = mapped_column(ForeignKey("notification_message.id", ondelete="CASCADE"))
    at: Mapped[Created]
    ok: Mapped[bool]
    status: Mapped[int | None]  # of HTTP or SMTP; none where there was no answer
    error: Mapped[str | None]  # a code of domain/notifications.py:FAILURES
    milliseconds: Mapped[int]
    answer: Mapped[str] = mapped_column(default="", server_default="")


class NotificationMute(Base):
    """A run of which a user, or a project, wants to hear nothing more."""

    __tablename__ = "notification_mute"
    __table_args__ = (
        CheckConstraint("(user_id is null) <> (project_id is null)", name="owner"),
        Index("uq_notification_mute_user", "run_id", "user_id", unique=True, postgresql_where="user_id is not null"),
        Index("uq_notification_mute_project", "run_id", unique=True, postgresql_where="project_id is not null"),
    )

    id: Mapped[Key]
    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"))
    user_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"))
    project_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"))
    created_at: Mapped[Created]
