"""Job definitions: named, versioned, and recorded with the runs that are made of them.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The index is made outside of the transaction; what comes before it may be there already the second time.
    op.create_table(
        "definition",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("newest", sa.BigInteger(), nullable=False),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("revision", sa.BigInteger(), server_default="1", nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_definition_project_id_project"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["created_by"], ["user.id"], name=op.f("fk_definition_created_by_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_definition")),
        sa.UniqueConstraint("project_id", "name", name=op.f("uq_definition_project_id_name")),
        if_not_exists=True,
    )
    op.create_table(
        "definition_version",
        sa.Column("definition_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["definition_id"],
            ["definition.id"],
            name=op.f("fk_definition_version_definition_id_definition"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["created_by"], ["user.id"], name=op.f("fk_definition_version_created_by_user")),
        sa.PrimaryKeyConstraint("definition_id", "number", name=op.f("pk_definition_version")),
        if_not_exists=True,
    )
    # Nullable and without defaults: no row of the large table is rewritten or read.
    op.add_column("run", sa.Column("definition_id", sa.Uuid(), nullable=True), if_not_exists=True)
    op.add_column("run", sa.Column("definition_version", sa.BigInteger(), nullable=True), if_not_exists=True)
    op.execute("alter table run drop constraint if exists fk_run_definition_id_definition")
    op.execute(
        "alter table run add constraint fk_run_definition_id_definition foreign key (definition_id)"
        " references definition (id) on delete set null not valid"
    )
    with op.get_context().autocommit_block():
        op.create_index(
            "ix_run_definition_id_archived_id",
            "run",
            ["definition_id", "archived", "id"],
            postgresql_where=sa.text("definition_id is not null"),
            postgresql_concurrently=True,
            if_not_exists=True,
        )
        # Beside work that goes on: validating takes no lock that writers wait for.
        op.execute("alter table run validate constraint fk_run_definition_id_definition")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.drop_index(
            "ix_run_definition_id_archived_id", table_name="run", postgresql_concurrently=True, if_exists=True
        )
    op.drop_column("run", "definition_version")
    op.drop_column("run", "definition_id")
    op.drop_table("definition_version")
    op.drop_table("definition")
