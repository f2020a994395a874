"""the text that a run was submitted as

It stands beside the manifest, so that lists of runs, which read no capsule, cost what they did.

Revision ID: 0012
Revises: 0011
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("capsule", sa.Column("source_text", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("capsule", "source_text")
