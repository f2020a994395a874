"""Runs: what is wanted of them, what was seen of them, and everything that happened to them."""

import uuid
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from app.models.base import Base, Created, Json, Key, Serial, Time


class Run(Base):
    """One piece of work that a user asked for. `desired` is wanted, `state` is what was last seen."""

    __tablename__ = "run"
    __table_args__ = (
        CheckConstraint("state in ('queued', 'starting', 'running', 'succeeded', 'failed', 'stopped')", name="state"),
        CheckConstraint("desired in ('running', 'stopped')", name="desired"),
        # Lists show what is archived or what is not, so that stands before what they are ordered by.
        Index("ix_run_project_id_archived_id", "project_id", "archived", "id"),
        Index("ix_run_project_id_archived_state_id", "project_id", "archived", "state", "id"),
        Index("ix_run_project_id_archived_name_id", "project_id", "archived", "name", "id"),
        Index("ix_run_project_id_archived_created_by_id", "project_id", "archived", "created_by", "id"),
        Index(
            "ix_run_project_id_archived_experiment_id",
            "project_id",
            "archived",
            "experiment",
            "id",
            postgresql_where=text("experiment is not null"),
        ),
        Index(
            "ix_run_mine_live",
            "created_by",
            "id",
            postgresql_where=text("state in ('queued', 'starting', 'running')"),
        ),
        Index("ix_run_mine_failed", "created_by", "finished_at", postgresql_where=text("state = 'failed'")),
        Index("ix_run_tags", "tags", postgresql_using="gin"),
        Index("ix_run_parent_id", "parent_id", postgresql_where=text("parent_id is not null")),
        Index(
            "ix_run_project_id_archived_definition_id_id",
            "project_id",
            "archived",
            "definition_id",
            "id",
            postgresql_where=text("definition_id is not null"),
        ),
        Index(
            "ix_run_project_id_archived_debug_id",
            "project_id",
            "archived",
            "id",
            postgresql_where=text("is_debug"),
        ),
        Index("ix_run_due", "due_at", postgresql_where=text("due_at is not null")),
        Index(
            "ix_run_queue",
            "pool",
            text("priority desc"),
            "id",
            postgresql_where=text("state = 'queued' and desired = 'running'"),
        ),
        Index("ix_run_live", "id", postgresql_where=text("state in ('starting', 'running')")),
        Index("ix_run_lease", "lease_until", postgresql_where=text("lease_until is not null")),
    )

    id: Mapped[Key]  # UUIDv7, so the order of keys is the order of submission
    public_id: Mapped[str] = mapped_column(unique=True)
    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"))
    created_by: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id"))
    name: Mapped[str]
    kind: Mapped[str]
    spec: Mapped[Json]
    source: Mapped[Json] = mapped_column(default=dict, server_default="{}")  # git commit, branch, dirty, entry point
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list, server_default="{}")
    experiment: Mapped[str | None]
    archived: Mapped[bool] = mapped_column(default=False, server_default=text("false"))  # hidden from lists
    parent_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("run.id", ondelete="SET NULL"))
    # Whether it is its parent with a sleep in place of the program, for somebody to look around in.
    is_debug: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    # The job definition that it was made of, and which version of it.
    definition_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("definition.id", ondelete="SET NULL"))
    definition_version: Mapped[int | None]
    # What it asks for, taken out of the spec because admission and lists read it.
    pool: Mapped[str]
    priority: Mapped[int] = mapped_column(default=0, server_default="0")
    cpu_millis: Mapped[int]
    memory_bytes: Mapped[int]
    gpus: Mapped[int]
    replicas: Mapped[int] = mapped_column(default=1, server_default="1")
    image: Mapped[str | None]  # by digest: what the run that this one repeats ran in
    # Wanted and seen.
    desired: Mapped[str] = mapped_column(default="running", server_default="running")
    generation: Mapped[int] = mapped_column(default=1, server_default="1")
    observed_generation: Mapped[int] = mapped_column(default=0, server_default="0")
    state: Mapped[str] = mapped_column(default="queued", server_default="queued")
    attempt: Mapped[int] = mapped_column(default=1, server_default="1")
    # Why it waits or why it ended: a code of domain/reasons.py and the figures of its sentence.
    reason_code: Mapped[str | None]
    reason: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    exit_code: Mapped[int | None]
    first_error: Mapped[str | None]
    stopped_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("user.id"))
    progress_done: Mapped[int | None]
    progress_total: Mapped[int | None]
    created_at: Mapped[Created]
    queued_at: Mapped[Created]
    started_at: Mapped[Time | None]  # of the current attempt's process
    finished_at: Mapped[Time | None]
    # Convergence: when somebody has to look again, and who is looking now.
    due_at: Mapped[Time | None]
    lease_token: Mapped[uuid.UUID | None]
    lease_until: Mapped[Time | None]
    failures: Mapped[int] = mapped_column(default=0, server_default="0")  # of converging in a row, for the backoff
    version: Mapped[int] = mapped_column(default=1, server_default="1")  # rises with every visible change (ETag, polls)


class Attempt(Base):
    """One try of a run. Each keeps its own times, exit code, reason and log."""

    __tablename__ = "attempt"
    __table_args__ = (
        Index("ix_attempt_unsealed", "run_id", "number", postgresql_where=text("logs_sealed_at is null")),
    )

    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[str]
    cause: Mapped[str | None]  # of domain/states.py:Cause, once it ended other than well
    reason_code: Mapped[str | None]
    reason: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    exit_code: Mapped[int | None]
    first_error: Mapped[str | None]
    handle: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))  # opaque, the cluster's own
    token_hash: Mapped[bytes | None] = mapped_column(unique=True)  # of the run-scoped token
    admitted_at: Mapped[Created]
    started_at: Mapped[Time | None]
    finished_at: Mapped[Time | None]
    logs_sealed_at: Mapped[Time | None]
    outputs_stored_at: Mapped[Time | None]
    cleaned_at: Mapped[Time | None]  # nothing of it is left in its cluster
    environment: Mapped[str | None]  # the digest of what its program ran in, see models/capsule.py
    platform: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))  # Berth, system, machine
    image: Mapped[str | None]  # the container image by its digest, see domain/images.py


class Replica(Base):
    """One process (or pod) of an attempt, by its index, as it was last seen."""

    __tablename__ = "replica"

    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    index: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[str]
    exit_code: Mapped[int | None]
    usage: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))


class Observation(Base):
    """The newest status of one of our objects in a cluster, as the watcher wrote it. `converge` reads this."""

    __tablename__ = "observation"

    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    status: Mapped[Json]
    seen_at: Mapped[Created]
    # An object that a fresh list did not have, and since when: absence is believed only the second time.
    missing_since: Mapped[Time | None]


class RunEvent(Base):
    """One line of a run's history; written with the change it tells of and never altered."""

    __tablename__ = "run_event"
    __table_args__ = (Index("ix_run_event_run_id_id", "run_id", "id"),)

    id: Mapped[Serial]
    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"))
    at: Mapped[Created]
    code: Mapped[str]
    attempt: Mapped[int]
    old_state: Mapped[str | None]
    new_state: Mapped[str | None]
    actor_id: Mapped[uuid.UUID | None]  # of a user, who is never deleted: a foreign key would lock that row each time
    data: Mapped[Json] = mapped_column(default=dict, server_default="{}")
