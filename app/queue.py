"""Hints: how a change in Postgres wakes whoever acts on it.

A row's `due_at` is the outbox. It is set, and a NOTIFY sent, in the transaction of the change; the
dispatcher hands due ids to Celery. A message carries an id and means "look at this row": it may come
twice, late or never, and nothing but time is lost.
"""

import os
import socket
import uuid
from collections.abc import Sequence

from celery import Celery
from celery.signals import setup_logging, worker_process_init
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.db import forget_engine
from app.observability import configure_logging
from app.settings import get_settings

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


# What this process is called at the broker, so that app/workers/liveness.py finds it among the clients there.
CLIENT_NAME = f"berth-{socket.gethostname()}-{os.getpid()}"


def mark_due(session: Session, run_id: uuid.UUID) -> None:
    """Says that somebody has to look at the run. Part of the caller's transaction."""
    session.execute(_MARK_DUE, {"run_id": run_id})


def mark_all_due(session: Session, run_ids: Sequence[uuid.UUID]) -> None:
    """The same of several runs, by one statement."""
    session.execute(_MARK_ALL_DUE, {"run_ids": [*run_ids]})


def wake_admission(session: Session) -> None:
    """Says that the line or what is free has changed. Part of the caller's transaction."""
    session.execute(_WAKE_ADMISSION)


def make_celery() -> Celery:
    """The Celery app: JSON only, no results, acknowledged late, one message at a time."""
    settings = get_settings()
    made = Celery("berth", include=["app.workers.runs", "app.workers.liveness"])
    # Every timeout is short: a broker that does not answer must cost a hint, never a request or a loop.
    patience = {"socket_timeout": 3, "socket_connect_timeout": 2, "retry_on_timeout": False}
    made.conf.update(
        broker_url=_transport(settings.redis_url) if settings.redis.url else None,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            **patience,
            "visibility_timeout": 60,
            "unacked_restore_interval": 10,
            "max_retries": 0,
            "client_name": CLIENT_NAME,
            "health_check_interval": 3,
        },
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_default_queue="berth",
        task_publish_retry=False,
        task_soft_time_limit=600,
        task_time_limit=660,
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_soft_shutdown_timeout=10,
        worker_cancel_long_running_tasks_on_connection_loss=False,
    )
    return made


def _transport(url: str) -> str:
    """Celery's name for a unix socket is redis+socket."""
    return url.replace("unix://", "redis+socket://", 1)


celery = make_celery()


@setup_logging.connect
def _log_as_all_processes(loglevel: int | str, **_: object) -> None:
    # Celery's own way would print tracebacks with the values of variables, among which there may be secrets.
    configure_logging("worker", level=loglevel)


@worker_process_init.connect
def _after_fork(**_: object) -> None:
    forget_engine()
