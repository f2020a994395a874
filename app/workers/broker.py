"""The Celery app, by which the dispatcher hands due ids to workers. What wakes the dispatcher is app/queue.py.

Loaded by workers and the controller alone: it takes 9 MiB that the web process has no use for.
"""

import os
import socket

from celery import Celery
from celery.signals import setup_logging, worker_process_init

from app.db import forget_engine
from app.observability import configure_logging
from app.settings import get_settings

# What this process is called at the broker, so that app/workers/liveness.py finds it among the clients there.
CLIENT_NAME = f"berth-{socket.gethostname()}-{os.getpid()}"


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
