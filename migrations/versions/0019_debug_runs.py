"""debug runs: which runs only hold a pod open for somebody to look around in, and their list

Revision ID: 0019
Revises: 0018
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_INDEX = "ix_run_project_id_archived_debug_id"


def upgrade() -> None:
    op.add_column("run", sa.Column("is_debug", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    with op.get_context().autocommit_block():
        op.create_index(
            _INDEX,
            "run",
            ["project_id", "archived", "id"],
            postgresql_where=sa.text("is_debug"),
            postgresql_concurrently=True,
            if_not_exists=True,
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.drop_index(_INDEX, table_name="run", postgresql_concurrently=True, if_exists=True)
    op.drop_column("run", "is_debug")
