"""Wake-ups out of Postgres: one LISTEN connection for a process, shared by all who wait in it.

A wake-up is a hint. It may be lost while the connection is made anew, so whoever waits also looks by itself.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator

import psycopg

from app.settings import get_settings

log = logging.getLogger(__name__)

_IDLE_SECONDS = 30.0

Callback = Callable[[], None]


class Wakeups:
    """Calls those who wait for a payload on a channel. Callbacks run in the listening thread: be quick."""

    def __init__(self, channel: str) -> None:
        self._channel = channel
        self._waiting: dict[str, list[Callback]] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._used = 0.0

    @contextlib.contextmanager
    def waiting(self, payload: str, callback: Callback) -> Iterator[None]:
        """Calls `callback` for each message with this payload for as long as the block runs."""
        with self._lock:
            self._waiting.setdefault(payload, []).append(callback)
            self._used = time.monotonic()
            if self._thread is None or not self._thread.is_alive():
                self._closing.clear()
                self._thread = threading.Thread(target=self._listen, name=f"wakeups-{self._channel}", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                left = self._waiting[payload]
                left.remove(callback)
                if not left:
                    del self._waiting[payload]

    def close(self) -> None:
        """Ends the listening; a later `waiting` begins it again."""
        self._closing.set()
        thread = self._thread
        if thread is not None:
            thread.join(timeout=5)

    def _listen(self) -> None:
        url = get_settings().database_url.replace("postgresql+psycopg://", "postgresql://", 1)
        while not self._closing.is_set():
            try:
                with psycopg.connect(url, autocommit=True, application_name="berth listen", connect_timeout=5) as made:
                    made.execute(f'listen "{self._channel}"')
                    self._call(None)  # whatever was said meanwhile was missed
                    while not self._closing.is_set():
                        for message in made.notifies(timeout=1.0):
                            self._call(message.payload)
                        if self._is_idle():
                            return
            except psycopg.Error as error:
                log.warning("listening on %s was interrupted: %s", self._channel, error)
                self._closing.wait(1.0)

    def _is_idle(self) -> bool:
        """Whether nobody has waited for a while; the connection is then given back."""
        with self._lock:
            if self._waiting:
                self._used = time.monotonic()
            elif time.monotonic() - self._used > _IDLE_SECONDS:
                self._thread = None
                return True
            return False

    def _call(self, payload: str | None) -> None:
        with self._lock:
            if payload is None:
                called = [callback for waiting in self._waiting.values() for callback in waiting]
            else:
                called = list(self._waiting.get(payload, ()))
        for callback in called:
            callback()
