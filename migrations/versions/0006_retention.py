"""retention of outputs: rules, announcements, and marks on what was removed

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_JSON = postgresql.JSONB(none_as_null=True, astext_type=sa.Text())
_KEPT = "removed_at is null"
_TO_FREE = "removed_at is not null and freed_at is null"


def upgrade() -> None:
    op.create_table(
        "retention_rules",
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("keep_days", sa.BigInteger(), nullable=True),
        sa.Column("keep_last", sa.BigInteger(), nullable=True),
        sa.Column("keep_tags", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("notice_hours", sa.BigInteger(), server_default="24", nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("updated_by", sa.Uuid(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("next_round_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_retention_rules_project_id_project"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["updated_by"], ["user.id"], name=op.f("fk_retention_rules_updated_by_user")),
        sa.PrimaryKeyConstraint("project_id", name=op.f("pk_retention_rules")),
    )
    op.create_index(
        "ix_retention_rules_next_round_at",
        "retention_rules",
        ["next_round_at"],
        postgresql_where=sa.text("next_round_at is not null"),
    )
    op.create_table(
        "retention_plan",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("rules", _JSON, nullable=False),
        sa.Column("state", sa.Text(), server_default="announced", nullable=False),
        sa.Column("runs", sa.BigInteger(), nullable=False),
        sa.Column("files", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("freed_runs", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("freed_files", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("freed_bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("announced_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state in ('announced', 'working', 'done', 'withdrawn')", name=op.f("ck_retention_plan_state")
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_retention_plan_project_id_project"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_retention_plan")),
    )
    op.create_index("ix_retention_plan_project_id_id", "retention_plan", ["project_id", "id"])
    op.create_index(
        "uq_retention_plan_open",
        "retention_plan",
        ["project_id"],
        unique=True,
        postgresql_where=sa.text("state in ('announced', 'working')"),
    )
    op.create_table(
        "retention_plan_run",
        sa.Column("plan_id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("files", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.CheckConstraint("outcome in ('freed', 'spared')", name=op.f("ck_retention_plan_run_outcome")),
        sa.ForeignKeyConstraint(
            ["plan_id"],
            ["retention_plan.id"],
            name=op.f("fk_retention_plan_run_plan_id_retention_plan"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["run.id"], name=op.f("fk_retention_plan_run_run_id_run"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("plan_id", "run_id", name=op.f("pk_retention_plan_run")),
    )
    op.create_index("ix_retention_plan_run_run_id", "retention_plan_run", ["run_id"])
    op.add_column("output", sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("output", sa.Column("removed_by", _JSON, nullable=True))
    op.add_column("output", sa.Column("freed_at", sa.DateTime(timezone=True), nullable=True))
    with op.get_context().autocommit_block():
        op.create_index(
            "ix_output_kept",
            "output",
            ["run_id"],
            postgresql_include=["bytes"],
            postgresql_where=sa.text(_KEPT),
            postgresql_concurrently=True,
            if_not_exists=True,
        )
        op.create_index(
            "ix_output_to_free",
            "output",
            ["run_id"],
            postgresql_where=sa.text(_TO_FREE),
            postgresql_concurrently=True,
            if_not_exists=True,
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.drop_index("ix_output_to_free", table_name="output", postgresql_concurrently=True, if_exists=True)
        op.drop_index("ix_output_kept", table_name="output", postgresql_concurrently=True, if_exists=True)
    op.drop_column("output", "freed_at")
    op.drop_column("output", "removed_by")
    op.drop_column("output", "removed_at")
    op.drop_table("retention_plan_run")
    op.drop_table("retention_plan")
    op.drop_table("retention_rules")
