"""clusters as things: credentials, settings, draining and what was found there

All columns may be empty or have a constant default, so that the release before goes on writing rows without them.

Revision ID: 0015
Revises: 0014
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_JSON = postgresql.JSONB(none_as_null=True, astext_type=sa.Text())
_TIME = sa.DateTime(timezone=True)
_COLUMNS = (
    ("state", sa.Text(), {"nullable": False, "server_default": "active"}),
    ("server", sa.Text(), {"nullable": True}),
    ("key_id", sa.Text(), {"nullable": True}),
    ("wrapped_key", sa.LargeBinary(), {"nullable": True}),
    ("ciphertext", sa.LargeBinary(), {"nullable": True}),
    ("credentials_version", sa.BigInteger(), {"nullable": False, "server_default": "0"}),
    ("credentials_at", _TIME, {"nullable": True}),
    ("settings", _JSON, {"nullable": False, "server_default": "{}"}),
    ("check_due_at", _TIME, {"nullable": True}),
    ("checked_at", _TIME, {"nullable": True}),
    ("findings", _JSON, {"nullable": True}),
    ("trouble", sa.Text(), {"nullable": True}),
    ("looked_at", _TIME, {"nullable": True}),
    ("version", sa.BigInteger(), {"nullable": False, "server_default": "1"}),
    ("created_at", _TIME, {"nullable": False, "server_default": sa.func.now()}),
    ("created_by", sa.Text(), {"nullable": True}),
)


def upgrade() -> None:
    for name, kind, options in _COLUMNS:
        op.add_column("cluster", sa.Column(name, kind, **options))


def downgrade() -> None:
    # The release before knows clusters of its own kind only.
    op.execute(
        "delete from reservation using pool, cluster where reservation.pool = pool.name"
        " and pool.cluster_id = cluster.id and cluster.kind <> 'local'"
    )
    op.execute("delete from cluster where kind <> 'local'")
    for name, _, _ in reversed(_COLUMNS):
        op.drop_column("cluster", name)
