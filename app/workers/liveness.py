"""A worker that lives but hears nothing ends itself, so that whoever watches it starts a new one; and each says
every two seconds that it is there, for the page about Berth's health.

Celery can lose its place at the broker without noticing: an acknowledgement that fails while Redis restarts
leaves a process that waits for nothing. Seen in experiment F4. Loaded by Celery's worker alone.
"""

import contextlib
import os
import socket
import threading
import time

import redis
import structlog
from celery.signals import worker_ready
from celery.worker import state

from app.services import health
from app.settings import get_settings
from app.workers.broker import CLIENT_NAME

log = structlog.get_logger(__name__)

_PERIOD_SECONDS = 2.0
_STRIKES = 3
_EXIT_CODE = 70


class Hearing:
    """Whether messages are waited for, judged by what the broker sees: nobody is busy, and yet none is asked for."""

    def __init__(self) -> None:
        self._strikes = 0

    def is_lost(self, listens: bool, busy: int) -> bool:
        """To be asked again and again; True once it has been so for three times in a row."""
        self._strikes = 0 if listens or busy else self._strikes + 1
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
        with contextlib.suppress(redis.RedisError):
            health.record_worker(client, name)
        if hearing.is_lost(_listens(client), len(state.active_requests)):
            log.critical("this worker asks the broker for no messages; ending, to be started again")
            os._exit(_EXIT_CODE)


def _listens(client: "redis.Redis") -> bool:
    """Whether a connection of this process waits for messages; True while the broker does not tell, which the
    consumer sees as well and mends by itself."""
    try:
        return any(one["name"] == CLIENT_NAME and one["cmd"] == "brpop" for one in client.client_list())
    except redis.RedisError:
        return True
