"""what namespaces of projects need: when they were applied, their end, drift, registries, and keys to look into them

New tables, and columns that may be empty. The namespace of a project outlives its row, as the note that its name was
used and that it has to be deleted in the cluster.

Revision ID: 0017
Revises: 0016
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def _cluster(table: str) -> list[sa.schema.SchemaItem]:
    return [
        sa.Column("cluster_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["cluster_id"], ["cluster.id"], name=op.f(f"fk_{table}_cluster_id_cluster"), ondelete="CASCADE"
        ),
    ]


def upgrade() -> None:
    op.drop_constraint(op.f("fk_project_namespace_project_id_project"), "project_namespace", type_="foreignkey")
    op.add_column("project_namespace", sa.Column("fingerprint", sa.Text(), nullable=True))
    for name in ("applied_at", "deleting_at", "gone_at"):
        op.add_column("project_namespace", sa.Column(name, _TIME, nullable=True))
    op.create_index(
        op.f("ix_project_namespace_deleting"),
        "project_namespace",
        ["cluster_id"],
        postgresql_where="deleting_at is not null",
    )
    op.create_table(
        "namespace_drift",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        *_cluster("namespace_drift"),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("object", sa.Text(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("was", sa.Text(), nullable=False),
        sa.Column("should", sa.Text(), nullable=False),
        sa.Column("trouble", sa.Text(), nullable=True),
        sa.Column("times", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("first_at", _TIME, server_default=sa.func.now(), nullable=False),
        sa.Column("last_at", _TIME, server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_namespace_drift")),
    )
    op.create_index(op.f("ix_namespace_drift_cluster_id_last_at"), "namespace_drift", ["cluster_id", "last_at"])
    op.create_table(
        "cluster_registry",
        sa.Column("id", sa.Uuid(), nullable=False),
        *_cluster("cluster_registry"),
        sa.Column("server", sa.Text(), nullable=False),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=False),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=False),
        sa.Column("updated_at", _TIME, server_default=sa.func.now(), nullable=False),
        sa.Column("updated_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cluster_registry")),
        sa.UniqueConstraint("cluster_id", "server", name=op.f("uq_cluster_registry_cluster_id_server")),
    )
    op.create_table(
        "project_kubeconfig",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        *_cluster("project_kubeconfig"),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("hours", sa.BigInteger(), nullable=False),
        sa.Column("created_at", _TIME, server_default=sa.func.now(), nullable=False),
        sa.Column("made_at", _TIME, nullable=True),
        sa.Column("expires_at", _TIME, nullable=True),
        sa.Column("fetched_at", _TIME, nullable=True),
        sa.Column("trouble", sa.Text(), nullable=True),
        sa.Column("key_id", sa.Text(), nullable=True),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=True),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_project_kubeconfig_project_id_project"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name=op.f("fk_project_kubeconfig_user_id_user"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_project_kubeconfig")),
    )
    op.create_index(op.f("ix_project_kubeconfig_project_id"), "project_kubeconfig", ["project_id"])
    op.create_index(
        op.f("ix_project_kubeconfig_asked"),
        "project_kubeconfig",
        ["cluster_id"],
        postgresql_where="made_at is null and trouble is null",
    )


def downgrade() -> None:
    for table in ("project_kubeconfig", "cluster_registry", "namespace_drift"):
        op.drop_table(table)
    op.drop_index(op.f("ix_project_namespace_deleting"), "project_namespace")
    for name in ("gone_at", "deleting_at", "applied_at", "fingerprint"):
        op.drop_column("project_namespace", name)
    op.execute("delete from project_namespace where project_id not in (select id from project)")
    op.create_foreign_key(
        op.f("fk_project_namespace_project_id_project"),
        "project_namespace",
        "project",
        ["project_id"],
        ["id"],
        ondelete="CASCADE",
    )
