"""Following logs: many streams of one web process share one LISTEN connection and each read.

`LogFeed` belongs to an event loop. A stream asks it for what follows its place; those that ask for the same
place while a read is under way get the same bytes, so fifty viewers of one log cost little more than one.
"""

import asyncio
import json
import signal
import threading
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import FrameType

import anyio.to_thread
from sqlalchemy import text

from app.db import read_session
from app.domain.loglines import STREAMS, read_gap, rfc3339, shown
from app.domain.states import TERMINAL
from app.repositories.logs import CHANNEL
from app.services import logs
from app.services.logs import Line, Place
from app.stores.wakeups import Wakeups

Handler = Callable[[int, FrameType | None], object]

BATCH = 500
POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Piece:
    """What follows a place: events as bytes, the place after them, and how it goes on.

    `has_more`: ask again at once. `end`: nothing will ever follow; the run's state.
    """

    events: bytes
    place: Place
    has_more: bool
    end: str | None = None


class LogFeed:
    """Reads that streams share. One for each event loop; make it in the loop.

    `is_closing`: the process was asked to end, so streams end too, and their readers go on elsewhere.
    """

    def __init__(self) -> None:
        self.is_closing = False
        self._events: set[asyncio.Event] = set()
        self._wakeups = Wakeups(CHANNEL)
        self._watch_for_the_end()
        self._reads: dict[tuple[uuid.UUID, Place, int | None, int], asyncio.Task[Piece]] = {}

    @asynccontextmanager
    async def waiting(self, run_id: uuid.UUID) -> AsyncIterator[Callable[[], Awaitable[None]]]:
        """Gives a function that waits until the run's log may have grown, at most POLL_SECONDS."""
        loop, event = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)

        async def wait() -> None:
            try:
                await asyncio.wait_for(event.wait(), POLL_SECONDS)
            except TimeoutError:
                return
            finally:
                event.clear()

        self._events.add(event)
        try:
            with self._wakeups.waiting(str(run_id), wake):
                yield wait
        finally:
            self._events.discard(event)

    async def read(self, run_id: uuid.UUID, place: Place, attempt: int | None, replica: int) -> Piece:
        """What follows `place`, in one attempt or in all."""
        key = run_id, place, attempt, replica
        task = self._reads.get(key)
        if task is None:
            task = asyncio.create_task(anyio.to_thread.run_sync(read_piece, run_id, place, attempt, replica))
            self._reads[key] = task
            task.add_done_callback(lambda _: self._reads.pop(key, None))
        return await asyncio.shield(task)

    def close(self) -> None:
        """Ends the listening thread, and the streams when they wake."""
        self._end_streams()
        self._wakeups.close()

    def _watch_for_the_end(self) -> None:
        # The server stops accepting at SIGTERM and then waits for open streams, which would last for hours: it
        # tells applications only afterwards. So its handler is called through this one.
        if threading.current_thread() is not threading.main_thread():
            return
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            present = signal.getsignal(number)
            if not callable(present):
                continue

            def handle(got: int, frame: FrameType | None, present: Handler = present) -> None:
                if not loop.is_closed():
                    loop.call_soon_threadsafe(self._end_streams)
                present(got, frame)

            signal.signal(number, handle)

    def _end_streams(self) -> None:
        self.is_closing = True
        for event in self._events:
            event.set()


def read_piece(run_id: uuid.UUID, place: Place, attempt: int | None, replica: int) -> Piece:
    """The next lines after `place`, as events whose ids are their places."""
    # Asked before the lines are read: what ended before has no line that is not read now.
    state = _state(run_id)
    window = logs.read_after(run_id, place, BATCH, attempt=attempt, replica=replica)
    if window.lines:
        last = window.lines[-1]
        place = Place(last.attempt, last.number)
    events = b"".join(map(event_of, window.lines))
    end = None
    if not window.has_after and window.facts.is_complete:
        is_last = attempt is not None and any(head.attempt == attempt for head in window.facts.heads)
        if state is None or state in TERMINAL or is_last:
            end = state or "gone"
    return Piece(events, place, window.has_after, end)


def event_of(line: Line) -> bytes:
    """One line as a message of an event stream (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""
    kind = "event: gap\n" if line.record.stream == "g" else ""
    data = _encode(line_read(line))
    return f"id: {line.attempt}.{line.number}\n{kind}data: {data}\n\n".encode("utf-8", "replace")


def line_read(line: Line, *, raw: bool = False) -> dict[str, object]:
    """A line as JSON readers get it. Colours (ANSI SGR) stay in `text`; nothing else in it can do anything."""
    record = line.record
    made: dict[str, object] = {
        "line": line.number,
        "attempt": line.attempt,
        "replica": line.replica,
        "at": rfc3339(record.at_ms) if record.at_ms else None,
        "stream": STREAMS.get(record.stream, "stdout"),
        "text": shown(record.text, colour=True, raw=raw),
    }
    if record.stream == "g":
        gap = read_gap(record.text)
        made["gap"] = {"lines": gap.lines, "bytes": gap.bytes, "why": gap.why}
    return made


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

_STATE = text("select state from run where id = :id")


def _state(run_id: uuid.UUID) -> str | None:
    with read_session() as session:
        state: str | None = session.scalar(_STATE, {"id": run_id})
        return state
