"""A loop of the controller: leads by a lease, works, and sleeps until it is told or its time is up.

Any number of controllers may run; for each loop one leads, and another takes over when the leader's lease
ends. A leader that lost without noticing is stopped by the fence in its own writes.
"""

import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psycopg
import structlog

from app.db import unit_of_work
from app.services import leases
from app.services.leases import FenceLost, Term
from app.settings import get_settings

log = structlog.get_logger(__name__)

HOLDER = f"{socket.gethostname()}:{os.getpid()}:{time.time_ns()}"


@dataclass
class Loop:
    """`work` does one round and returns whether to go on at once. `wait` sleeps until there may be more to do.

    `round_seconds` is how long a round may take and the lead be kept, where that is longer than usual.
    """

    name: str
    work: Callable[[Term], bool]
    wait: Callable[[float], None]
    pause: float
    stopping: threading.Event = field(default_factory=threading.Event)
    round_seconds: float = 0.0

    def run(self) -> None:
        """Until `stopping` is set. No error ends the loop: it is logged and the next round tries again."""
        term: Term | None = None
        failures = 0
        while not self.stopping.is_set():
            try:
                term = self._lead()
                if term is None:
                    self.stopping.wait(min(self.pause, 1.0))
                    continue
                if not self.work(term):
                    self.wait(self.pause)
                failures = 0
            except FenceLost:
                log.warning("another leads now", loop=self.name)
            except Exception as error:
                failures += 1
                log.warning("a round failed", loop=self.name, error=str(error), exc_info=failures == 1)
                self.stopping.wait(min(2.0 ** min(failures, 4) / 4, 4.0))
        if term is not None:
            self._resign(term)

    def _lead(self) -> Term | None:
        # Long enough to sleep through a pause, and no longer: it is what a standby waits for.
        seconds = max(get_settings().convergence.leader_seconds, 2 * self.pause, self.round_seconds)
        with unit_of_work() as session:
            return leases.acquire(session, self.name, HOLDER, seconds)

    def _resign(self, term: Term) -> None:
        try:
            with unit_of_work() as session:
                leases.release(session, term)
        except Exception as error:
            log.info("could not resign; the lease ends by itself", loop=self.name, error=str(error))


class Listener:
    """Waits for Postgres notifications on one channel, with a connection of its own that is remade when it breaks."""

    def __init__(self, channel: str, stopping: threading.Event) -> None:
        self._channel = channel
        self._stopping = stopping
        self._connection: psycopg.Connection | None = None

    def wait(self, timeout: float) -> None:
        """Returns at a notification or after `timeout` seconds; a hint, so its loss costs only time."""
        deadline = time.monotonic() + timeout
        try:
            if self._connection is None or self._connection.closed:
                self._connection = self._connect()
                return
            while not self._stopping.is_set() and (left := deadline - time.monotonic()) > 0:
                # In short slices, so that a request to stop is noticed.
                if any(True for _ in self._connection.notifies(timeout=min(left, 0.5), stop_after=1)):
                    return
        except psycopg.Error as error:
            log.warning("listening failed", channel=self._channel, error=str(error))
            self._connection = None
            self._stopping.wait(min(timeout, 1.0))

    def _connect(self) -> psycopg.Connection:
        url = get_settings().database_url.replace("postgresql+psycopg://", "postgresql://", 1)
        made = psycopg.connect(url, autocommit=True, connect_timeout=5, application_name="berth-listen")
        made.execute(psycopg.sql.SQL("listen {}").format(psycopg.sql.Identifier(self._channel)))
        return made
