"""Hints: how a change in Postgres wakes whoever acts on it.

A row's `due_at` is the outbox. It is set, and a NOTIFY sent, in the transaction of the change; the
dispatcher hands due ids to Celery. A message carries an id and means "look at this row": it may come
twice, late or never, and nothing but time is lost.
"""

import logging
import threading
import time
import uuid
from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.db import after_commit, driver, is_committed_at_once, statement_session

log = logging.getLogger(__name__)

# Postgres channels; a notification's payload is never read for anything but to skip needless work.
DUE, ADMISSION, LOG, RUN_CHANGED = "berth_due", "berth_admission", "berth_log", "berth_run"
NOTIFICATION, CLUSTER = "berth_notification", "berth_cluster"

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
_WAKE_CLUSTERS = text("select pg_notify('berth_cluster', '')")


def mark_due(session: Session, run_id: uuid.UUID) -> None:
    """Says that somebody has to look at the run. Part of the caller's transaction."""
    session.execute(_MARK_DUE, {"run_id": run_id})


def mark_all_due(session: Session, run_ids: Sequence[uuid.UUID]) -> None:
    """The same of several runs, by one statement."""
    session.execute(_MARK_ALL_DUE, {"run_ids": [*run_ids]})


def wake_admission(session: Session) -> None:
    """Says that the line or what is free has changed. Part of the caller's transaction."""
    session.execute(_WAKE_ADMISSION)


def wake_clusters(session: Session) -> None:
    """Says that a cluster is to be looked at. Part of the caller's transaction."""
    session.execute(_WAKE_CLUSTERS)


def wake_admission_of_many(session: Session) -> None:
    """As `wake_admission`, for what happens hundreds of times a second.

    Transactions that NOTIFY commit one after the other, each with its own write to the disk. So in a
    `statement_session`, whose change is committed by now, NOTIFY is sent by itself: at once, or where this process
    sent one in the last `SPACING` seconds, at their end and once for all changes until then. Should this process die
    in between, admission finds the change when it looks by itself.
    """
    if is_committed_at_once(session):
        after_commit(session, lambda: _wake_together(session))
    else:
        wake_admission(session)


SPACING = 0.02
_planning = threading.Lock()
_sent_at = -SPACING  # on the monotonic clock, just before the newest NOTIFY
_is_planned = False  # one more will be sent, and has not yet been begun


def _wake_together(session: Session) -> None:
    global _sent_at, _is_planned
    with _planning:
        if _is_planned:
            return  # what is sent then tells of this change, too
        now = time.monotonic()
        rest = _sent_at + SPACING - now
        if rest > 0:
            timer = threading.Timer(rest, _send_planned)
            timer.daemon = True
            timer.start()
            _is_planned = True
            return
        _sent_at = now
    driver(session).execute(_WAKE_ADMISSION_SQL)


def _send_planned() -> None:
    global _sent_at, _is_planned
    with _planning:
        _sent_at, _is_planned = time.monotonic(), False
    try:
        with statement_session() as session:
            driver(session).execute(_WAKE_ADMISSION_SQL)
    except Exception:
        log.exception("a notification was not sent")
