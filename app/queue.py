"""Hints: how a change in Postgres wakes whoever acts on it.

A row's `due_at` is the outbox. It is set, and a NOTIFY sent, in the transaction of the change; the
dispatcher hands due ids to Celery. A message carries an id and means "look at this row": it may come
twice, late or never, and nothing but time is lost.
"""

import threading
import time
import uuid
from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.db import after_commit, driver, is_committed_at_once

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
_WAKE_ADMISSION_SQL = "select pg_notify('berth_admission', '')"
_WAKE_ADMISSION = text(_WAKE_ADMISSION_SQL)


def mark_due(session: Session, run_id: uuid.UUID) -> None:
    """Says that somebody has to look at the run. Part of the caller's transaction."""
    session.execute(_MARK_DUE, {"run_id": run_id})


def mark_all_due(session: Session, run_ids: Sequence[uuid.UUID]) -> None:
    """The same of several runs, by one statement."""
    session.execute(_MARK_ALL_DUE, {"run_ids": [*run_ids]})


def wake_admission(session: Session) -> None:
    """Says that the line or what is free has changed. Part of the caller's transaction."""
    session.execute(_WAKE_ADMISSION)


def wake_admission_of_many(session: Session) -> None:
    """As `wake_admission`, for what happens hundreds of times a second.

    Transactions that NOTIFY commit one after the other, each with its own write to the disk. So in a
    `statement_session`, whose change is committed by now, NOTIFY is sent by itself, and once for all who wait to
    send it meanwhile. Should this process die in between, admission finds the change when it looks by itself.
    """
    if is_committed_at_once(session):
        after_commit(session, lambda: _wake_together(session))
    else:
        wake_admission(session)


_sending = threading.Lock()
_sent_at = 0.0  # on the monotonic clock, before the newest NOTIFY


def _wake_together(session: Session) -> None:
    global _sent_at
    committed_at = time.monotonic()
    with _sending:
        if _sent_at > committed_at:
            return  # what was sent by another thread tells of this change, too
        _sent_at = time.monotonic()
        driver(session).execute(_WAKE_ADMISSION_SQL)
