"""the runs of a definition, found by project and definition together

Postgres takes a project and its definition for independent of each other, so it expects a twentieth of the runs that
there are where each of 20 projects has as many. With the definition alone in an index it then read all runs of the
definition and sorted them. With both in front it expects as few, and reads the page in order.

Revision ID: 0011
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_OLD = "ix_run_definition_id_archived_id"
_NEW = "ix_run_project_id_archived_definition_id_id"


def upgrade() -> None:
    _replace(_OLD, _NEW, ["project_id", "archived", "definition_id", "id"])


def downgrade() -> None:
    _replace(_NEW, _OLD, ["definition_id", "archived", "id"])


def _replace(old: str, new: str, columns: list[str]) -> None:
    # Beside those who write; the one that goes stays until the other is there.
    with op.get_context().autocommit_block():
        # What an interrupted build left behind is no index.
        op.drop_index(new, table_name="run", postgresql_concurrently=True, if_exists=True)
        where = sa.text("definition_id is not null")
        op.create_index(new, "run", columns, postgresql_where=where, postgresql_concurrently=True)
        op.drop_index(old, table_name="run", postgresql_concurrently=True, if_exists=True)
