"""A worker that lives but hears nothing ends itself, so that whoever watches it starts a new one; and each says
every second that it is there, for the page about Berth's health.

Celery can lose its place at the broker without noticing: an acknowledgement that fails while Redis restarts
leaves a process that waits for nothing. Seen in experiment F4. Loaded by Celery's worker alone.
"""

import os
import socket
import threading
import time

import redis
import structlog
from celery.signals import worker_ready
from celery.worker import state

from app.queue import celery
from app.services import health
from app.settings import get_settings

log = structlog.get_logger(__name__)

_PERIOD_SECONDS = 1.0
_STRIKES = 4
_EXIT_CODE = 70


class Hearing:
    """Whether messages are received, judged by what can be seen from outside: they wait, nobody is busy, none comes."""

    def __init__(self) -> None:
        self._received = -1
        self._strikes = 0

    def is_lost(self, waiting: int, received: int, busy: int) -> bool:
        """To be asked again and again; True once it has been so four times in a row."""
        is_deaf = waiting > 0 and busy == 0 and received == self._received
        self._strikes = self._strikes + 1 if is_deaf else 0
        self._received = received
        return self._strikes >= _STRIKES


@worker_ready.connect
def _watch(**_: object) -> None:
    threading.Thread(target=_listen, name="liveness", daemon=True).start()


def _listen() -> None:
    client = redis.Redis.from_url(get_settings().redis_url, socket_timeout=3, socket_connect_timeout=2)
    hearing = Hearing()
    name = f"{socket.gethostname()}:{os.getpid()}"
    while True:
        time.sleep(_PERIOD_SECONDS)
        try:
            health.record_worker(client, name)
            waiting = int(client.llen(celery.conf.task_default_queue))
        except redis.RedisError:
            waiting = 0  # the consumer sees that too, and connects again by itself
        if hearing.is_lost(waiting, sum(state.total_count.values()), len(state.active_requests)):
            log.critical("messages wait and none is received; ending, to be started again", waiting=waiting)
            os._exit(_EXIT_CODE)
