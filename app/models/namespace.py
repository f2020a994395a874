"""Namespaces of projects in clusters: their rows, what was changed behind Berth's back, and keys to look into them."""

import uuid

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Created, Key, Serial, Time


class ProjectNamespace(Base):
    """The namespace of a project in a cluster. Its name ends at random, so that it is never that of another one.

    `fingerprint` is of what Berth wanted of it when it was applied last (workloads/namespaces.py). The row outlives the
    project: then `deleting_at` says since when the namespace has to go, and `gone_at` since when it is gone.
    """

    __tablename__ = "project_namespace"
    __table_args__ = (Index("ix_project_namespace_deleting", "cluster_id", postgresql_where="deleting_at is not null"),)

    project_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    cluster_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("cluster.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    name: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[Created]
    fingerprint: Mapped[str | None]
    applied_at: Mapped[Time | None]
    deleting_at: Mapped[Time | None]
    gone_at: Mapped[Time | None]


class NamespaceDrift(Base):
    """A field that somebody changed of what Berth applies, once for each value that it was changed to.

    `was` and `should` are JSON, empty for nothing, and never values of secrets. `trouble` says why it could not be put
    right, if so. The newest hundred of a cluster are kept.
    """

    __tablename__ = "namespace_drift"
    __table_args__ = (Index("ix_namespace_drift_cluster_id_last_at", "cluster_id", "last_at"),)

    id: Mapped[Serial]
    cluster_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("cluster.id", ondelete="CASCADE"))
    project_id: Mapped[uuid.UUID]
    namespace: Mapped[str]
    object: Mapped[str]
    field: Mapped[str]
    was: Mapped[str]
    should: Mapped[str]
    trouble: Mapped[str | None]
    times: Mapped[int] = mapped_column(default=1, server_default="1")
    first_at: Mapped[Created]
    last_at: Mapped[Created]


class ClusterRegistry(Base):
    """What signs in at an image registry from a cluster; the password is sealed (services/sealing.py)."""

    __tablename__ = "cluster_registry"
    __table_args__ = (UniqueConstraint("cluster_id", "server"),)

    id: Mapped[Key]
    cluster_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("cluster.id", ondelete="CASCADE"))
    server: Mapped[str]
    username: Mapped[str]
    key_id: Mapped[str]
    wrapped_key: Mapped[bytes]
    ciphertext: Mapped[bytes]
    updated_at: Mapped[Created]
    updated_by: Mapped[str]  # a name, as in the audit log: it outlives the account


class ProjectKubeconfig(Base):
    """A kubeconfig that somebody asked for, to look at a project's pods in a cluster.

    The controller makes it: then it is sealed here until whoever asked has fetched it, which forgets it. `trouble` is
    why it could not be made. `expires_at` is when its token ends.
    """

    __tablename__ = "project_kubeconfig"
    __table_args__ = (
        Index("ix_project_kubeconfig_asked", "cluster_id", postgresql_where="made_at is null and trouble is null"),
    )

    id: Mapped[Key]
    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"), index=True)
    cluster_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("cluster.id", ondelete="CASCADE"))
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"))
    hours: Mapped[int]
    created_at: Mapped[Created]
    made_at: Mapped[Time | None]
    expires_at: Mapped[Time | None]
    fetched_at: Mapped[Time | None]
    trouble: Mapped[str | None]
    key_id: Mapped[str | None]
    wrapped_key: Mapped[bytes | None]
    ciphertext: Mapped[bytes | None]
