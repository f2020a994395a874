"""A run's log: pages of it, and following it through broken connections without losing or doubling a line."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from berth.errors import BerthError, Unreachable
from berth.records import LogLine
from berth.results import read_time
from berth.transport import Stream

if TYPE_CHECKING:
    from berth.client import Client

_PAGE = 5000
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


def read_line(data: Mapping[str, Any]) -> LogLine:
    """A line from the API's object."""
    return LogLine(
        text=str(data.get("text", "")),
        line=int(data.get("line", 0)),
        attempt=int(data.get("attempt", 1)),
        replica=int(data.get("replica", 0)),
        stream=str(data.get("stream", "stdout")),
        at=read_time(data.get("at")),
        gap=data.get("gap"),
    )


def read_logs(
    client: "Client",
    run_id: str,
    *,
    follow: bool = False,
    attempt: int | None = None,
    replica: int | None = None,
    after: int | str | None = None,
    tail: int | None = None,
    q: str | None = None,
) -> Iterator[LogLine]:
    """See `Runs.logs`."""
    path = client.path("runs", run_id, "logs")
    query = {"attempt": attempt, "replica": replica}
    position: tuple[int, int] | None = None
    if tail is not None:
        lines, newest = _tail(client, path, query, tail)
        yield from lines
        position = (lines[-1].attempt, lines[-1].line) if lines else (newest, 0)
    if follow:
        yield from _follow(client, run_id, path, query, position, after)
    elif tail is None:
        # A place that names its attempt goes on into the next one; a search stays in one attempt.
        start = "1.0" if after is None and attempt is None and q is None else after
        yield from _pages(client, path, {**query, "q": q}, start)


def _pages(client: "Client", path: str, query: Mapping[str, Any], after: int | str | None) -> Iterator[LogLine]:
    while True:
        data = client.get(path, {**query, "after": after, "limit": _PAGE}).data
        yield from map(read_line, data["items"])
        after = data.get("next")
        if after is None:
            return


def _tail(client: "Client", path: str, query: Mapping[str, Any], count: int) -> tuple[list[LogLine], int]:
    """The last lines, and the number of the attempt that they were looked for in."""
    if count == 0:
        data = client.get(path, {**query, "tail": 1}).data
        return [], int(data["attempt"])
    lines: list[LogLine] = []
    place: dict[str, Any] = {"tail": min(count, _PAGE)}
    while True:
        data = client.get(path, {**query, **place}).data
        lines = [*map(read_line, data["items"]), *lines]
        left = count - len(lines)
        if left <= 0 or not data["items"] or not data.get("has_before"):
            return lines, int(data["attempt"])
        place = {"attempt": data["attempt"], "before": lines[0].line, "limit": min(left, _PAGE)}


def _follow(
    client: "Client",
    run_id: str,
    path: str,
    query: Mapping[str, Any],
    position: tuple[int, int] | None,
    after: int | str | None,
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
        if message.event == "end":
            raise _Ended
        if message.event in ("message", "gap") and message.data:
            yield read_line(json.loads(message.data))
