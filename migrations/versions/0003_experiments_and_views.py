"""experiments, archived runs and saved views

The lists' indexes are made anew with `archived` in them, each before the one it takes the place of goes, and
without a lock on the table. What is made before them is committed with them, so all of it may be done twice.

Revision ID: 0003
Revises: 0002
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_ORDERS = ([], ["state"], ["name"], ["created_by"])


def upgrade() -> None:
    op.add_column("run", sa.Column("experiment", sa.Text(), nullable=True), if_not_exists=True)
    archived = sa.Column("archived", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    op.add_column("run", archived, if_not_exists=True)
    op.create_table(
        "saved_view",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("q", sa.Text(), nullable=False),
        sa.Column("sort", sa.Text(), nullable=False),
        sa.Column("is_shared", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("sort in ('created', '-created', 'name', '-name')", name=op.f("ck_saved_view_sort")),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_saved_view_project_id_project"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_saved_view_user_id_user"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saved_view")),
        if_not_exists=True,
    )
    op.create_index(
        "uq_saved_view_project_id_user_id_name",
        "saved_view",
        ["project_id", "user_id", "name"],
        unique=True,
        if_not_exists=True,
    )
    op.create_index("ix_saved_view_user_id", "saved_view", ["user_id"], unique=False, if_not_exists=True)
    with op.get_context().autocommit_block():
        for order in _ORDERS:
            _make(["project_id", "archived", *order, "id"])
        _make(["project_id", "archived", "experiment", "id"], sa.text("experiment is not null"))
        for order in _ORDERS:
            _drop(["project_id", *order, "id"])


def downgrade() -> None:
    with op.get_context().autocommit_block():
        for order in _ORDERS:
            _make(["project_id", *order, "id"])
        _drop(["project_id", "archived", "experiment", "id"])
        for order in _ORDERS:
            _drop(["project_id", "archived", *order, "id"])
    op.drop_table("saved_view")
    op.drop_column("run", "archived")
    op.drop_column("run", "experiment")


def _name(columns: Sequence[str]) -> str:
    return f"ix_run_{'_'.join(columns)}"


def _make(columns: Sequence[str], where: sa.TextClause | None = None) -> None:
    # A build that was broken off leaves an index that is never used: it is made anew.
    _drop(columns)
    op.create_index(_name(columns), "run", list(columns), postgresql_concurrently=True, postgresql_where=where)


def _drop(columns: Sequence[str]) -> None:
    op.drop_index(_name(columns), table_name="run", postgresql_concurrently=True, if_exists=True)
