"""usage: what each replica used of processors, memory, disk and GPUs

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "usage",
        sa.Column("run_id", sa.Uuid(), sa.ForeignKey("run.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("attempt", sa.BigInteger(), primary_key=True),
        sa.Column("replica", sa.BigInteger(), primary_key=True),
        sa.Column("end_offset", sa.BigInteger(), nullable=False),
        sa.Column("slices", sa.LargeBinary(), nullable=False),
        sa.Column("gpu_meter", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
    )
    # It is compressed already: Postgres must not try again with each write.
    op.execute("alter table usage alter column slices set storage external")


def downgrade() -> None:
    op.drop_table("usage")
