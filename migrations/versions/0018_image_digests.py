"""images by digest: what attempts ran in, and what runs that repeat others are to run in

Columns that may be empty, so that the release before goes on writing rows without them.

Revision ID: 0018
Revises: 0017
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("attempt", sa.Column("image", sa.Text(), nullable=True))
    op.add_column("run", sa.Column("image", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("run", "image")
    op.drop_column("attempt", "image")
