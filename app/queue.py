"""Hints: how a change in Postgres wakes whoever acts on it.

A row's `due_at` is the outbox. It is set, and a NOTIFY sent, in the transaction of the change; the
dispatcher hands due ids to Celery. A message carries an id and means "look at this row": it may come
twice, late or never, and nothing but time is lost.
"""

import uuid
from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.orm import Session

# Postgres channels; a notification's payload is never read for anything but to skip needless work.
DUE, ADMISSION, LOG, RUN_CHANGED = "berth_due", "berth_admission", "berth_log", "berth_run"
NOTIFICATION = "berth_notification"

_MARK_DUE = text(
    "with marked as (update run set due_at = now() where id = :run_id returning 1)"
    " select pg_notify('berth_due', '') from marked"
)
_MARK_ALL_DUE = text(
    "with marked as (update run set due_at = now() where id = any(:run_ids) returning 1)"
    " select pg_notify('berth_due', '') from marked limit 1"
)
_WAKE_ADMISSION = text("select pg_notify('berth_admission', '')")


def mark_due(session: Session, run_id: uuid.UUID) -> None:
    """Says that somebody has to look at the run. Part of the caller's transaction."""
    session.execute(_MARK_DUE, {"run_id": run_id})


def mark_all_due(session: Session, run_ids: Sequence[uuid.UUID]) -> None:
    """The same of several runs, by one statement."""
    session.execute(_MARK_ALL_DUE, {"run_ids": [*run_ids]})


def wake_admission(session: Session) -> None:
    """Says that the line or what is free has changed. Part of the caller's transaction."""
    session.execute(_WAKE_ADMISSION)
