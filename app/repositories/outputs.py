"""Rows of outputs: the files that a run's attempt left."""

import datetime
import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.orm import Session

from app.models import Attempt, Output, RunEvent


class OutputRow(NamedTuple):
    """One file."""

    path: str
    bytes: int
    sha256: str
    attempt: int
    created_at: datetime.datetime
    object_key: str


_COLUMNS = (Output.path, Output.bytes, Output.sha256, Output.attempt, Output.created_at, Output.object_key)


def list_outputs(session: Session, run_id: uuid.UUID, *, after: str | None = None, limit: int) -> list[OutputRow]:
    """At most `limit` files in the order of their paths, from after the path `after` on."""
    query = select(*_COLUMNS).where(Output.run_id == run_id).order_by(Output.path).limit(limit)
    if after is not None:
        query = query.where(Output.path > after)
    return [OutputRow(*row) for row in session.execute(query)]


def find_output(session: Session, run_id: uuid.UUID, path: str) -> OutputRow | None:
    """The file with this path, or None."""
    row = session.execute(select(*_COLUMNS).where(Output.run_id == run_id, Output.path == path)).one_or_none()
    return None if row is None else OutputRow(*row)


def replace_outputs(
    session: Session,
    run_id: uuid.UUID,
    attempt: int,
    files: Sequence[dict[str, Any]],
    left_out: dict[str, Any] | None,
) -> list[str] | None:
    """Records an attempt's files in the place of those of earlier attempts, and that all is stored.

    `files` have path, bytes, sha256 and object_key; `left_out` goes into the run's history where limits were
    met. Returns the keys of objects that nothing names any more, which are the attempt's own where a later one
    has left files already; None, and nothing changed, where this attempt's were recorded before.
    """
    # The run's row, so that two who finish at once take turns.
    session.execute(text("select 1 from run where id = :id for update"), {"id": run_id})
    is_mine = Attempt.run_id == run_id, Attempt.number == attempt, Attempt.outputs_stored_at.is_(None)
    if session.scalar(select(Attempt.number).where(*is_mine)) is None:
        return None
    session.execute(update(Attempt).where(*is_mine).values(outputs_stored_at=text("now()")))
    later = select(Output.attempt).where(Output.run_id == run_id, Output.attempt > attempt).limit(1)
    if session.scalar(later) is not None:
        return [file["object_key"] for file in files]
    old = session.scalars(delete(Output).where(Output.run_id == run_id).returning(Output.object_key)).all()
    if files:
        session.execute(insert(Output), [{"run_id": run_id, "attempt": attempt, **file} for file in files])
    if left_out is not None:
        session.add(RunEvent(run_id=run_id, code="outputs_truncated", attempt=attempt, data=left_out))
    return [key for key in old if key not in {file["object_key"] for file in files}]
