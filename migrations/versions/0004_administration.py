"""Deleting projects, the filters of the audit log, and the lists of the start page.

A deleted project stays as a row without members until housekeeping has removed what belonged to it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Name, table, columns, condition. Built without locking writers out: each of these tables can be large.
_INDEXES = [
    ("ix_audit_entry_at", "audit_entry", ["at"], None),
    ("ix_audit_entry_verb_id", "audit_entry", ["verb", "id"], None),
    ("ix_api_token_project_id_id", "api_token", ["project_id", "id"], "project_id is not null and revoked_at is null"),
    ("ix_run_mine_live", "run", ["created_by", "id"], "state in ('queued', 'starting', 'running')"),
    ("ix_run_mine_failed", "run", ["created_by", "finished_at"], "state = 'failed'"),
]


def upgrade() -> None:
    op.add_column("project", sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True))
    with op.get_context().autocommit_block():
        for name, table, columns, condition in _INDEXES:
            # What an interrupted build left behind is no index.
            op.drop_index(name, table_name=table, if_exists=True, postgresql_concurrently=True)
            where = sa.text(condition) if condition else None
            op.create_index(name, table, columns, postgresql_where=where, postgresql_concurrently=True)


def downgrade() -> None:
    with op.get_context().autocommit_block():
        for name, table, _, _ in reversed(_INDEXES):
            op.drop_index(name, table_name=table, if_exists=True, postgresql_concurrently=True)
    # What was deleted must not come back under a name that nobody gave it.
    op.execute("delete from project where deleted_at is not null")
    op.drop_column("project", "deleted_at")
