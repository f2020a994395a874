"""which columns of the list of runs somebody wants to see

Kept by project, as metrics are named differently in each. A view keeps them where its maker asks for it.

Revision ID: 0014
Revises: 0013
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "run_columns",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("columns", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("metric", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_run_columns_project_id_project"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_run_columns_user_id_user"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user_id", "project_id", name=op.f("pk_run_columns")),
    )
    op.create_index(op.f("ix_run_columns_project_id"), "run_columns", ["project_id"])
    op.add_column("saved_view", sa.Column("columns", postgresql.ARRAY(sa.Text()), nullable=True))
    op.add_column("saved_view", sa.Column("metric", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("saved_view", "metric")
    op.drop_column("saved_view", "columns")
    op.drop_table("run_columns")
