"""A run's log: pages of it, and following it through broken connections without losing or doubling a line."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from berth.errors import BerthError, Unreachable
from berth.results import LogLine, read_time
from berth.transport import Stream

if TYPE_CHECKING:
    from berth.client import Client

_PAGE = 500
_STREAMS = {"o": "stdout", "e": "stderr", "b": "berth", "g": "gap"}
# The server says something at least this often on a quiet stream; longer silence is a dead connection.
_SILENCE = 45.0
_RECONNECTS = 60


@dataclass(frozen=True)
class SentEvent:
    """One message of an event stream (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

    id: str = ""
    event: str = "message"
    data: str = ""


def read_events(lines: Iterator[bytes]) -> Iterator[SentEvent]:
    """The complete messages of a stream; one that was cut off is dropped, as the standard has it."""
    data: list[str] = []
    kind, last_id, seen_data = "", "", False
    for raw in lines:
        line = raw.decode("utf-8", "replace")
        if not line:
            if seen_data or kind:
                yield SentEvent(last_id, kind or "message", "\n".join(data))
            kind, data, seen_data = "", [], False
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            data.append(value)
            seen_data = True
        elif name == "event":
            kind = value
        elif name == "id":
            last_id = value


def read_line(data: Mapping[str, Any], attempt: int = 1, number: int = 0) -> LogLine:
    """A line from the API's object; `attempt` and `number` where the object does not say."""
    at = data.get("at", data.get("at_ms"))
    stream = str(data.get("stream", "stdout"))
    return LogLine(
        text=str(data.get("text", "")),
        line=int(data.get("line", data.get("number", number))),
        attempt=int(data.get("attempt", attempt)),
        replica=int(data.get("replica", 0)),
        stream=_STREAMS.get(stream, stream),
        at=datetime.fromtimestamp(at / 1000, UTC) if isinstance(at, int | float) else read_time(at),
    )


def read_logs(
    client: "Client",
    run_id: str,
    *,
    follow: bool = False,
    attempt: int | None = None,
    replica: int | None = None,
    after: int | None = None,
    tail: int | None = None,
    q: str | None = None,
) -> Iterator[LogLine]:
    """See `Runs.logs`."""
    path = client.path("runs", run_id, "logs")
    query = {"attempt": attempt, "replica": replica, "q": q}
    position: tuple[int, int] | None = None
    if tail is not None:
        lines, number = _tail(client, path, query, tail)
        yield from lines
        if not follow:
            return
        position = (lines[-1].attempt, lines[-1].line) if lines else (number, 0)
    if follow:
        yield from _follow(client, run_id, path, query, position, after)
    else:
        yield from _pages(client, path, query, after)


def _pages(client: "Client", path: str, query: Mapping[str, Any], after: int | None) -> Iterator[LogLine]:
    while True:
        data = client.get(path, {**query, "after": after, "limit": _PAGE}).data
        lines = _lines_of(data)
        yield from lines
        if not lines or not data.get("has_more", len(lines) == _PAGE):
            return
        after = max(int(data.get("next") or 0), lines[-1].line)


def _tail(client: "Client", path: str, query: Mapping[str, Any], count: int) -> tuple[list[LogLine], int]:
    lines: list[LogLine] = []
    before: int | None = None
    number = 1
    while len(lines) < count:
        wanted = min(_PAGE, count - len(lines))
        data = client.get(path, {**query, "before": before or 2**53 - 1, "limit": wanted}).data
        number = int(data.get("attempt") or number)
        page = _lines_of(data)
        if not page:
            break
        lines = page + lines
        before = page[0].line
        if before <= 1:
            break
    return lines[-count:], number


def _lines_of(data: Mapping[str, Any]) -> list[LogLine]:
    attempt = int(data.get("attempt") or 1)
    return [read_line(item, attempt) for item in data.get("items", data.get("lines", []))]


def _follow(
    client: "Client",
    run_id: str,
    path: str,
    query: Mapping[str, Any],
    position: tuple[int, int] | None,
    after: int | None,
) -> Iterator[LogLine]:
    failures, has_ended = 0, False
    while True:
        headers = {"Accept": "text/event-stream"}
        asked = {**query}
        if position is not None:
            headers["Last-Event-ID"] = f"{position[0]}.{position[1]}"
        elif after is not None:
            asked["after"] = after
        try:
            stream = client.stream(path, query=asked, headers=headers, timeout=_SILENCE)
            try:
                for line in _lines_until_end(stream):
                    key = (line.attempt, line.line)
                    if position is None or key > position:
                        position, failures = key, 0
                        yield line
            finally:
                stream.close()
            # A stream that was opened after the end of the run has brought everything.
            if has_ended:
                return
            has_ended = client.runs.get(run_id).is_finished
        except _Ended:
            return
        except BerthError as problem:
            failures += 1
            is_temporary = isinstance(problem, Unreachable) or problem.status in (429, 502, 503, 504)
            if not is_temporary or failures > _RECONNECTS:
                raise
        if not has_ended:
            client.pause(min(0.1 * 2 ** min(failures, 5), 2.0))


class _Ended(Exception):
    pass


def _lines_until_end(stream: Stream) -> Iterator[LogLine]:
    for message in read_events(stream.lines()):
        if message.event in ("end", "done", "close"):
            raise _Ended
        if message.event not in ("message", "line", "log") or not message.data:
            continue
        attempt, _, number = message.id.partition(".")
        data = json.loads(message.data)
        for item in data if isinstance(data, list) else [data]:
            yield read_line(item, int(attempt or 1), int(number or 0))
