"""notifications: subscriptions, the outbox of runs that ended, messages, attempts, mutes

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_NOW = sa.text("now()")
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "notification",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("user_id", sa.Uuid(), sa.ForeignKey("user.id", ondelete="CASCADE")),
        sa.Column("project_id", sa.Uuid(), sa.ForeignKey("project.id", ondelete="CASCADE")),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("events", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("wait_seconds", sa.BigInteger(), server_default="3600", nullable=False),
        sa.Column("whose", sa.Text(), nullable=False),
        sa.Column("tags", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("language", sa.Text(), server_default="en", nullable=False),
        sa.Column("muted", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("secret_number", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("old_secret_until", _TIME),
        sa.Column("troubled_at", _TIME),
        sa.Column("created_by", sa.Uuid(), sa.ForeignKey("user.id", ondelete="SET NULL")),
        sa.Column("created_at", _TIME, server_default=_NOW, nullable=False),
        sa.CheckConstraint("user_id is not null or project_id is not null", name=op.f("ck_notification_owner")),
        sa.CheckConstraint("channel in ('webhook', 'mail')", name=op.f("ck_notification_channel")),
        sa.CheckConstraint("whose in ('mine', 'all')", name=op.f("ck_notification_whose")),
        sa.CheckConstraint("whose = 'all' or user_id is not null", name=op.f("ck_notification_mine")),
    )
    op.create_index(
        "ix_notification_user_id_id",
        "notification",
        ["user_id", "id"],
        postgresql_where=sa.text("user_id is not null"),
    )
    op.create_index(
        "ix_notification_project_id_id",
        "notification",
        ["project_id", "id"],
        postgresql_where=sa.text("user_id is null"),
    )
    op.create_table(
        "notification_event",
        sa.Column("event_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("run_id", sa.Uuid(), sa.ForeignKey("run.id", ondelete="CASCADE"), nullable=False),
    )
    op.create_table(
        "notification_message",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), primary_key=True),
        sa.Column("message_id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("notification_id", sa.Uuid(), sa.ForeignKey("notification.id", ondelete="CASCADE"), nullable=False),
        sa.Column("event_key", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("data", postgresql.JSONB(none_as_null=True), nullable=False),
        sa.Column("reason", postgresql.JSONB(none_as_null=True)),
        sa.Column("state", sa.Text(), server_default="pending", nullable=False),
        sa.Column("attempts", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("due_at", _TIME, server_default=_NOW, nullable=False),
        sa.Column("lease_token", sa.Uuid()),
        sa.Column("created_at", _TIME, server_default=_NOW, nullable=False),
        sa.Column("ended_at", _TIME),
        sa.CheckConstraint(
            "state in ('pending', 'sent', 'failed', 'cancelled')", name=op.f("ck_notification_message_state")
        ),
        sa.UniqueConstraint("message_id"),
        sa.UniqueConstraint("notification_id", "event_key"),
    )
    op.create_index("ix_notification_message_notification_id_id", "notification_message", ["notification_id", "id"])
    op.create_index("ix_notification_message_created_at", "notification_message", ["created_at"])
    op.create_index(
        "ix_notification_message_due",
        "notification_message",
        ["notification_id", "due_at"],
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_table(
        "notification_attempt",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), primary_key=True),
        sa.Column(
            "message_id", sa.BigInteger(), sa.ForeignKey("notification_message.id", ondelete="CASCADE"), nullable=False
        ),
        sa.Column("at", _TIME, server_default=_NOW, nullable=False),
        sa.Column("ok", sa.Boolean(), nullable=False),
        sa.Column("status", sa.BigInteger()),
        sa.Column("error", sa.Text()),
        sa.Column("milliseconds", sa.BigInteger(), nullable=False),
        sa.Column("answer", sa.Text(), server_default="", nullable=False),
    )
    op.create_index("ix_notification_attempt_message_id_id", "notification_attempt", ["message_id", "id"])
    op.create_table(
        "notification_mute",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("run_id", sa.Uuid(), sa.ForeignKey("run.id", ondelete="CASCADE"), nullable=False),
        sa.Column("user_id", sa.Uuid(), sa.ForeignKey("user.id", ondelete="CASCADE")),
        sa.Column("project_id", sa.Uuid(), sa.ForeignKey("project.id", ondelete="CASCADE")),
        sa.Column("created_at", _TIME, server_default=_NOW, nullable=False),
        sa.CheckConstraint("(user_id is null) <> (project_id is null)", name=op.f("ck_notification_mute_owner")),
    )
    op.create_index(
        "uq_notification_mute_user",
        "notification_mute",
        ["run_id", "user_id"],
        unique=True,
        postgresql_where=sa.text("user_id is not null"),
    )
    op.create_index(
        "uq_notification_mute_project",
        "notification_mute",
        ["run_id"],
        unique=True,
        postgresql_where=sa.text("project_id is not null"),
    )


def downgrade() -> None:
    for table in (
        "notification_mute",
        "notification_attempt",
        "notification_message",
        "notification_event",
        "notification",
    ):
        op.drop_table(table)
