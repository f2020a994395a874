"""Where runs run, how much of it is there, and what is taken."""

import uuid

from sqlalchemy import CheckConstraint, ForeignKey, Index, func
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Created, Json, Key, Time


class Cluster(Base):
    """A place that runs runs. `facts` says what is true of it now (isolation in force, interpreter, host name).

    What is known of one that an admin added: `state` is active or draining, `server` the address of its API server,
    the sealed kubeconfig (services/sealing.py; none where Berth runs inside of it) with the number of its change,
    `settings` as domain/clusters.py reads them, `findings` what the last check found and when (`checked_at`);
    `passed_at` is when a check first found nothing that fails, `check_due_at` is set while one was asked for and has
    not ended. `trouble` is why it did not answer when it was last looked at. `version` counts what people changed, for
    If-Match.
    """

    __tablename__ = "cluster"

    id: Mapped[Key]
    name: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    facts: Mapped[Json] = mapped_column(default=dict, server_default="{}")
    seen_at: Mapped[Time | None]
    state: Mapped[str] = mapped_column(default="active", server_default="active")
    server: Mapped[str | None]
    key_id: Mapped[str | None]
    wrapped_key: Mapped[bytes | None]
    ciphertext: Mapped[bytes | None]
    credentials_version: Mapped[int] = mapped_column(default=0, server_default="0")
    credentials_at: Mapped[Time | None]
    settings: Mapped[Json] = mapped_column(default=dict, server_default="{}")
    check_due_at: Mapped[Time | None]
    checked_at: Mapped[Time | None]
    findings: Mapped[Json | None]
    trouble: Mapped[str | None]
    looked_at: Mapped[Time | None]
    passed_at: Mapped[Time | None]
    version: Mapped[int] = mapped_column(default=1, server_default="1")
    created_at: Mapped[Created]
    created_by: Mapped[str | None]  # a name, as in the audit log: it outlives the account


class Pool(Base):
    """A group of equal nodes of a cluster: the unit that a run asks for and that capacity is counted in."""

    __tablename__ = "pool"

    name: Mapped[str] = mapped_column(primary_key=True)
    cluster_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("cluster.id", ondelete="CASCADE"))
    cpu_millis: Mapped[int]
    memory_bytes: Mapped[int]
    gpus: Mapped[int]


class Reservation(Base):
    """What an admitted attempt holds. Written by the admission loop alone; released when its processes are gone."""

    __tablename__ = "reservation"
    __table_args__ = (Index("ix_reservation_held", "pool", postgresql_where="released_at is null"),)

    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    pool: Mapped[str] = mapped_column(ForeignKey("pool.name"))
    cpu_millis: Mapped[int]
    memory_bytes: Mapped[int]
    gpus: Mapped[int]
    created_at: Mapped[Created]
    released_at: Mapped[Time | None]


class Installation(Base):
    """One row: the id by which this Berth knows its own objects in clusters, also after a change of all keys."""

    __tablename__ = "installation"
    __table_args__ = (CheckConstraint("is_one", name="one"),)

    is_one: Mapped[bool] = mapped_column(primary_key=True, server_default="true")
    id: Mapped[uuid.UUID] = mapped_column(server_default=func.gen_random_uuid())
    created_at: Mapped[Created]
