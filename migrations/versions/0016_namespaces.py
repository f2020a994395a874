"""namespaces of projects, the installation's own id, and which clusters have passed a check

New tables, and a column that may be empty, so that the release before goes on writing rows without it.

Revision ID: 0016
Revises: 0015
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "installation",
        sa.Column("is_one", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.func.gen_random_uuid(), nullable=False),
        sa.Column("created_at", _TIME, server_default=sa.func.now(), nullable=False),
        sa.CheckConstraint("is_one", name=op.f("ck_installation_one")),
        sa.PrimaryKeyConstraint("is_one", name=op.f("pk_installation")),
    )
    op.create_table(
        "project_namespace",
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("cluster_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", _TIME, server_default=sa.func.now(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_project_namespace_project_id_project"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["cluster_id"], ["cluster.id"], name=op.f("fk_project_namespace_cluster_id_cluster"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "cluster_id", name=op.f("pk_project_namespace")),
        sa.UniqueConstraint("name", name=op.f("uq_project_namespace_name")),
    )
    op.create_index(op.f("ix_project_namespace_cluster_id"), "project_namespace", ["cluster_id"])
    op.add_column("cluster", sa.Column("passed_at", _TIME, nullable=True))


def downgrade() -> None:
    op.drop_column("cluster", "passed_at")
    op.drop_table("project_namespace")
    op.drop_table("installation")
