"""experiments whose runs keep their outputs

Revision ID: 0013
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    experiments = postgresql.ARRAY(sa.Text())
    op.add_column("retention_rules", sa.Column("keep_experiments", experiments, server_default="{}", nullable=False))


def downgrade() -> None:
    op.drop_column("retention_rules", "keep_experiments")
