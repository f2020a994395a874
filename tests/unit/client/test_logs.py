"""Following a log: whatever breaks, each line comes once and in order."""

import json
import random
from typing import Any

import pytest

from berth.errors import BerthError
from berth.logs import SentEvent, read_events
from berth.records import LogLine
from tests.unit.client.fakes import Answer, Asked, FakeStream, FakeTransport, client_of, ok, problem

RUN_ID = "r-7f3k2m9qwa"


def sent(attempt: int, line: int) -> list[bytes]:
    data = json.dumps(
        {
            "line": line,
            "attempt": attempt,
            "stream": "stdout",
            "text": f"{attempt}/{line}",
            "at": "2026-11-22T10:00:00Z",
        }
    )
    return [f"id: {attempt}.{line}".encode(), f"data: {data}".encode(), b""]


class Server:
    """Has lines in two attempts, and breaks streams wherever its dice say so."""

    def __init__(self, lines: int, seed: int) -> None:
        self.dice = random.Random(seed)
        self.lines = [(attempt, line) for attempt in (1, 2) for line in range(1, lines + 1)]
        self.has_ended = False
        self.disconnects = 0

    def __call__(self, asked: Asked) -> Answer:
        if "/logs" not in asked.target:
            return ok({"id": RUN_ID, "state": "succeeded" if self.has_ended else "running"})
        if self.dice.random() < 0.2:
            return problem(503, "UNAVAILABLE")
        last = asked.headers.get("Last-Event-ID", "0.0").split(".")
        # An old line comes again now and then, as after a restart of the server.
        rest = [at for at in self.lines if at >= (int(last[0]), int(last[1]) - self.dice.randint(0, 1))]
        rest = [at for at in rest if at > (0, 0)]
        count = self.dice.randint(0, 7)
        self.has_ended = self.has_ended or count >= len(rest)
        content = [b": hello", b"retry: 1000", b""] + [part for at in rest[:count] for part in sent(*at)]
        if self.dice.random() < 0.5:
            self.disconnects += 1
            return FakeStream(content[: max(len(content) - self.dice.randint(0, 2), 0)], is_broken=True)
        return FakeStream(content)


@pytest.mark.parametrize("seed", range(20))
def test_each_line_once_through_broken_streams(seed: int) -> None:
    server = Server(40, seed)
    lines = list(client_of(FakeTransport(answer=server)).runs.logs(RUN_ID, follow=True))
    assert [(line.attempt, line.line) for line in lines] == server.lines
    assert [line.text for line in lines] == [f"{attempt}/{line}" for attempt, line in server.lines]
    assert server.disconnects > 0


def test_the_servers_end_ends_it() -> None:
    stream = FakeStream([*sent(1, 1), b"event: end", b"data: {}", b""])
    transport = FakeTransport(stream)
    assert len(list(client_of(transport).runs.logs(RUN_ID, follow=True))) == 1
    assert len(transport.asked) == 1


def test_an_error_that_will_not_pass_is_raised() -> None:
    with pytest.raises(BerthError) as caught:
        list(client_of(FakeTransport(problem(404, "NOT_FOUND"))).runs.logs(RUN_ID, follow=True))
    assert caught.value.code == "NOT_FOUND"


def test_events_as_the_standard_has_them() -> None:
    lines = [b"data: a", b"data:b", b"id: 7", b"", b": note", b"event: end", b"", b"data", b"", b"data: cut off"]
    assert list(read_events(iter(lines))) == [
        SentEvent("7", "message", "a\nb"),
        SentEvent("7", "end", ""),
        SentEvent("7", "message", ""),
    ]


def page(first: int, last: int, **more: Any) -> Answer:
    items = [{"line": line, "attempt": 2, "text": str(line), "stream": "stderr"} for line in range(first, last + 1)]
    return ok({"items": items, "attempt": 2, "next": None, "has_before": False} | more)


def test_pages_are_read_one_after_the_other() -> None:
    transport = FakeTransport(page(1, 5000, next="2.5000"), page(5001, 5200))
    lines = list(client_of(transport).runs.logs(RUN_ID))
    assert [line.line for line in lines] == list(range(1, 5201))
    assert lines[0] == LogLine(text="1", line=1, attempt=2, stream="stderr")
    assert ["after=1.0" in transport.asked[0].target, "after=2.5000" in transport.asked[1].target] == [True, True]


def test_a_long_tail_is_read_backwards_and_then_followed() -> None:
    stream = FakeStream([*sent(2, 9001), b"event: end", b"data: {}", b""])
    transport = FakeTransport(page(4001, 9000, has_before=True), page(3001, 4000, has_before=True), stream)
    lines = list(client_of(transport).runs.logs(RUN_ID, tail=6000, follow=True))
    assert [line.line for line in lines] == list(range(3001, 9002))
    assert "before=4001" in transport.asked[1].target
    assert "limit=1000" in transport.asked[1].target
    assert transport.asked[2].headers["Last-Event-ID"] == "2.9000"


def test_a_gap_is_a_line_of_its_own() -> None:
    gap = {"line": 2, "attempt": 1, "stream": "gap", "text": "7 90", "gap": {"lines": 7, "bytes": 90, "why": "cap"}}
    told = [b"id: 1.2", b"event: gap", f"data: {json.dumps(gap)}".encode(), b""]
    stream = FakeStream([*sent(1, 1), *told, *sent(1, 3), b"event: end", b"data: {}", b""])
    lines = list(client_of(FakeTransport(stream)).runs.logs(RUN_ID, follow=True))
    assert [(line.line, line.gap and line.gap["lines"]) for line in lines] == [(1, None), (2, 7), (3, None)]
