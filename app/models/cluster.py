"""Where runs run, how much of it is there, and what is taken."""

import uuid

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Created, Json, Key, Time


class Cluster(Base):
    """A place that runs runs. `facts` says what is true of it now (isolation in force, interpreter, host name)."""

    __tablename__ = "cluster"

    id: Mapped[Key]
    name: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    facts: Mapped[Json] = mapped_column(default=dict, server_default="{}")
    seen_at: Mapped[Time | None]


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
