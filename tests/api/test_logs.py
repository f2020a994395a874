"""The log through the API: windows, whole logs, search, and the event stream with its resumption and its end."""

import json
import threading
import time
from collections.abc import Iterator, MutableMapping
from typing import Any

import anyio.from_thread
import httpx
import pytest
from sqlalchemy import text

from app import db
from app.api.routes import logs as route
from app.models import Run
from app.workers import logs as worker
from app.workers.logs import ship_logs
from tests import factories
from tests.api.client import Api
from tests.api.conftest import World
from tests.fakes_logs import FakeLogCluster, make_logged_run


@pytest.fixture(scope="module", autouse=True)
def feed(api: Api) -> Iterator[None]:
    """Ends the listening thread before the database ends."""
    yield
    if hasattr(api.app.state, "log_feed"):
        api.app.state.log_feed.close()
        del api.app.state.log_feed


@pytest.fixture
def cluster() -> FakeLogCluster:
    return FakeLogCluster()


@pytest.fixture
def run(world: World) -> Run:
    with db.unit_of_work() as session:
        return make_logged_run(session, project=world.ours, user=world.users["editor"])


@pytest.fixture
def filled(run: Run, cluster: FakeLogCluster, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Attempt 1: 30 sealed lines. Attempt 2, the newest: 40 lines, one of them red, line 20 a gap."""
    monkeypatch.setattr(worker, "SEAL_BYTES", 500)
    cluster.write(run.public_id, 1, *(f"a{n}" for n in range(1, 31)))
    ship_logs(cluster)
    execute(
        "update attempt set finished_at = now(), state = 'failed' where run_id = :id",
        "update run set attempt = 2 where id = :id",
        id=run.id,
    )
    while ship_logs(cluster):
        pass
    with db.unit_of_work() as session:
        factories.make_attempt(session, run, number=2, state="running")
    cluster.write(run.public_id, 2, *(f"b{n}" for n in range(1, 20)))
    cluster.write(run.public_id, 2, "3 90 too fast", stream="g")
    cluster.write(run.public_id, 2, b"\x1b[31mred\x1b[0m\x07", stream="e")
    cluster.write(run.public_id, 2, *(f"b{n}" for n in range(22, 41)))
    ship_logs(cluster)
    return run


def execute(*statements: str, **values: Any) -> None:
    with db.unit_of_work() as session:
        for statement in statements:
            session.execute(text(statement), values)


def get(world: World, run: Run, who: str = "viewer", **query: Any) -> dict[str, Any]:
    answer = world.as_(who).get(f"/runs/{run.public_id}/logs", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def numbers(body: dict[str, Any]) -> list[int]:
    return [item["line"] for item in body["items"]]


def test_the_first_window_is_of_the_newest_attempt(world: World, filled: Run) -> None:
    body = get(world, filled, limit=15)
    assert numbers(body) == list(range(1, 16))
    assert (body["attempt"], body["total"], body["gaps"], body["complete"]) == (2, 40, 1, False)
    assert (body["has_more"], body["next"], body["has_before"]) == (True, "15", False)
    item = body["items"][0]
    assert item["text"] == "b1"
    assert item["stream"] == "stdout"
    assert item["at"].endswith("Z")
    body = get(world, filled, after=body["next"], limit=100)
    assert numbers(body) == list(range(16, 41))
    assert (body["has_more"], body["next"]) == (False, None)


def test_gaps_and_colours_are_told(world: World, filled: Run) -> None:
    gap, red = get(world, filled, after=19, limit=2)["items"]
    assert (gap["stream"], gap["gap"]) == ("gap", {"lines": 3, "bytes": 90, "why": "too fast"})
    assert (red["stream"], red["text"]) == ("stderr", "\x1b[31mred\x1b[0m␇")


def test_windows_backwards_and_across_attempts(world: World, filled: Run) -> None:
    assert numbers(get(world, filled, tail=3)) == [38, 39, 40]
    assert numbers(get(world, filled, before=2**53 - 1, limit=2)) == [39, 40]
    assert numbers(get(world, filled, before=3)) == [1, 2]
    assert numbers(get(world, filled, attempt=1, tail=2)) == [29, 30]
    body = get(world, filled, after="1.28", limit=4)
    assert [(item["attempt"], item["line"]) for item in body["items"]] == [(1, 29), (1, 30), (2, 1), (2, 2)]
    assert (body["next"], body["total"]) == ("2.2", 70)
    assert numbers(get(world, filled, before="2.3", limit=4)) == [29, 30, 1, 2]


def test_search(world: World, filled: Run) -> None:
    body = get(world, filled, q="B3", limit=3)
    assert body["matches"]["lines"] == [3, *range(30, 40)]
    assert body["matches"]["count"] == 11
    assert numbers(body) == [3, 30, 31]
    assert (body["has_more"], body["next"]) == (True, "31")
    assert numbers(get(world, filled, q="b3", after=31, limit=100)) == list(range(32, 40))


def test_the_first_error(world: World, filled: Run, cluster: FakeLogCluster) -> None:
    cluster.write(filled.public_id, 2, "Traceback (most recent call last):", "KeyError: 1", stream="e")
    ship_logs(cluster)
    assert 41 in numbers(get(world, filled, first_error=True))
    assert numbers(get(world, filled, first_error=True))[0] == 36


def test_all_errors(world: World, filled: Run, cluster: FakeLogCluster) -> None:
    cluster.write(filled.public_id, 2, "KeyError: 1", "fine", "x ERROR y", "an Error", stream="e")
    ship_logs(cluster)
    body = get(world, filled, errors=True, limit=1)
    assert body["matches"]["lines"] == [41, 43]
    assert (body["matches"]["is_capped"], body["matches"]["is_partial"]) == (False, False)
    assert numbers(body) == [41]


def test_logs_of_several_replicas(world: World, cluster: FakeLogCluster) -> None:
    """Each by its number, and all together by time, with the number before each line."""
    with db.unit_of_work() as session:
        run = make_logged_run(session, project=world.ours, user=world.users["editor"], replicas=2)
    cluster.write(run.public_id, 1, "zero")
    cluster.write(run.public_id, 1, "one a", "one b", replica=1)
    ship_logs(cluster)
    assert [line["text"] for line in get(world, run)["items"]] == ["zero"]
    second = get(world, run, replica=1)
    assert [(line["text"], line["replica"], line["line"]) for line in second["items"]] == [
        ("one a", 1, 1),
        ("one b", 1, 2),
    ]
    assert (second["replica"], second["total"], get(world, run, replica=1, q="B")["total"]) == (1, 2, 2)
    client = world.as_("viewer")
    path, plain = f"/runs/{run.public_id}/logs", {"accept": "text/plain"}
    whole = client.get(path, headers=plain).text
    assert sorted(whole.splitlines()) == ["[0] zero", "[1] one a", "[1] one b"]
    assert client.get(path, headers=plain, params={"replica": 1}).text == "one a\none b\n"
    refused = client.get(path, params={"replica": 2})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/query/replica")
    assert refused.json()["errors"][0]["fix"] == "1"


def test_whole_logs(world: World, filled: Run) -> None:
    client = world.as_("viewer")
    path = f"/runs/{filled.public_id}/logs"
    answer = client.get(path, headers={"accept": "text/plain"})
    lines = answer.text.splitlines()
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert lines[:31] == [f"a{n}" for n in range(1, 31)] + ["b1"]
    assert lines[49:51] == ["--- gap: 3 lines (90 bytes) are missing: too fast ---", "red␇"]
    assert len(lines) == 70
    answer = client.get(path, headers={"accept": "text/plain"}, params={"attempt": 1, "timestamps": "true", "tail": 2})
    assert [line.partition(" ")[2] for line in answer.text.splitlines()] == ["a29", "a30"]
    assert answer.text.startswith("2025-11-22T")
    answer = client.get(path, headers={"accept": "application/x-ndjson"}, params={"attempt": 2, "after": 38})
    assert [json.loads(line)["text"] for line in answer.text.splitlines()] == ["b39", "b40"]
    answer = client.get(path, params={"attempt": 2, "download": "plain"})
    assert answer.headers["content-disposition"] == f'attachment; filename="{filled.public_id}-2.log"'
    assert len(answer.text.splitlines()) == 40
    answer = client.get(path, headers={"accept": "text/plain"}, params={"q": "A3"})
    assert answer.text.splitlines() == ["a3", "a30"]


@pytest.mark.parametrize(
    "query",
    [
        {"after": "x"},
        {"before": "1.x"},
        {"after": "1", "before": "5"},
        {"limit": 0},
        {"limit": 5001},
        {"attempt": 0},
        {"replica": -1},
        {"q": "a\0"},
        {"q": "a", "errors": True},
        {"q": "x" * 201},
        {"after": "9" * 41},
        {"download": "zip"},
    ],
)
def test_questions_that_make_no_sense(world: World, run: Run, query: dict[str, Any]) -> None:
    answer = world.as_("viewer").get(f"/runs/{run.public_id}/logs", params=query)
    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize("accept", ["application/json", "text/plain", "text/event-stream"])
def test_an_attempt_that_there_is_not(world: World, filled: Run, accept: str) -> None:
    path = f"/runs/{filled.public_id}/logs"
    answer = world.as_("viewer").get(path, params={"attempt": 9}, headers={"accept": accept})
    assert answer.status_code == 422
    assert (answer.json()["errors"][0]["pointer"], answer.json()["errors"][0]["fix"]) == ("/query/attempt", "2")


def test_nothing_yet(world: World, run: Run) -> None:
    body = get(world, run)
    assert (body["items"], body["total"], body["first_line"], body["has_more"]) == ([], 0, None, False)


def test_who_may_read(world: World, run: Run) -> None:
    expected = {"admin": 200, "viewer": 200, "robot": 200, "stranger": 404, "nobody": 401}
    for accept in ("application/json", "text/plain"):
        found = {
            who: world.as_(who).get(f"/runs/{run.public_id}/logs", headers={"accept": accept}).status_code
            for who in expected
        }
        assert found == expected
    answer = world.as_("stranger").get(f"/runs/{run.public_id}/logs", headers={"accept": "text/event-stream"})
    assert answer.status_code == 404
    assert world.as_("admin").get("/runs/r-2222222222/logs").status_code == 404


class Stream:
    """An event stream read in the background: its events as (id, kind, data)."""

    def __init__(self, api: Api, token: str, run: Run, headers: dict[str, str] | None = None, **query: Any) -> None:
        self.events: list[tuple[str, str, Any]] = []
        self.status = 0
        self._api = api
        self._scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "path": f"/api/v1/runs/{run.public_id}/logs",
            "raw_path": b"",
            "query_string": str(httpx.QueryParams(query)).encode(),
            "headers": [
                (b"host", b"localhost:8800"),
                (b"accept", b"text/event-stream"),
                (b"authorization", f"Bearer {token}".encode()),
                *((name.encode(), value.encode()) for name, value in (headers or {}).items()),
            ],
            "client": ("127.0.0.1", 1),
            "server": ("localhost", 8800),
            "scheme": "http",
            "root_path": "",
        }
        self._left = threading.Event()
        self._text = b""
        self.thread = threading.Thread(target=api.portal.call, args=(self._read,), daemon=True)
        self.thread.start()

    async def _read(self) -> None:
        async def receive() -> dict[str, Any]:
            while not self._left.is_set():
                await anyio.sleep(0.02)
            return {"type": "http.disconnect"}

        async def send(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                self.status = message["status"]
            self._text += message.get("body", b"")
            *whole, self._text = self._text.split(b"\n\n")
            self.events += [event for event in map(_event, whole) if event is not None]

        await self._api.app(self._scope, receive, send)

    def wait(self, count: int, seconds: float = 10) -> list[tuple[str, str, Any]]:
        """The first `count` events."""
        until = time.monotonic() + seconds
        while len(self.events) < count and time.monotonic() < until:
            time.sleep(0.01)
        assert len(self.events) >= count, self.events
        return self.events[:count]

    def leave(self) -> None:
        self._left.set()
        self.thread.join(timeout=10)
        assert not self.thread.is_alive()


def _event(message: bytes) -> tuple[str, str, Any] | None:
    fields = dict(line.split(": ", 1) for line in message.decode().split("\n") if not line.startswith(":") and line)
    if "data" not in fields:
        return None
    return fields.get("id", ""), fields.get("event", "message"), json.loads(fields["data"])


@pytest.fixture
def streams() -> Iterator[list[Stream]]:
    made: list[Stream] = []
    yield made
    for stream in made:
        stream.leave()


def end(run: Run, cluster: FakeLogCluster) -> None:
    execute(
        "update attempt set finished_at = now(), state = 'succeeded' where run_id = :id",
        "update run set state = 'succeeded' where id = :id",
        id=run.id,
    )
    while ship_logs(cluster):
        pass


def test_following_to_the_end(world: World, run: Run, cluster: FakeLogCluster, streams: list[Stream]) -> None:
    cluster.write(run.public_id, 1, "one", "two")
    ship_logs(cluster)
    stream = Stream(world.api, world.tokens["viewer"], run)
    streams.append(stream)
    assert [(event[0], event[2]["text"]) for event in stream.wait(2)] == [("1.1", "one"), ("1.2", "two")]
    cluster.write(run.public_id, 1, "5 50 too much", stream="g")
    cluster.write(run.public_id, 1, "three")
    started = time.monotonic()
    ship_logs(cluster)
    events = stream.wait(4)
    assert time.monotonic() - started < 0.9, "woken, not found by the poll"
    assert [(event[0], event[1]) for event in events[2:]] == [("1.3", "gap"), ("1.4", "message")]
    end(run, cluster)
    assert stream.wait(5)[4][1:] == ("end", {"state": "succeeded"})
    stream.thread.join(timeout=5)
    assert not stream.thread.is_alive()


def test_following_crosses_attempts_and_resumes(world: World, filled: Run, streams: list[Stream]) -> None:
    token = world.tokens["viewer"]
    whole = [(1, n) for n in range(1, 31)] + [(2, n) for n in range(1, 41)]
    stream = Stream(world.api, token, filled)
    streams.append(stream)
    assert [event[0] for event in stream.wait(70)] == [f"{attempt}.{line}" for attempt, line in whole]
    resumed = Stream(world.api, token, filled, {"last-event-id": "1.29"})
    streams.append(resumed)
    assert [event[0] for event in resumed.wait(3)] == ["1.30", "2.1", "2.2"]
    after = Stream(world.api, token, filled, after="2.38")
    streams.append(after)
    assert [event[0] for event in after.wait(2)] == ["2.39", "2.40"]
    tail = Stream(world.api, token, filled, tail=1)
    streams.append(tail)
    assert [event[0] for event in tail.wait(1)] == ["2.40"]
    first = Stream(world.api, token, filled, attempt=1)
    streams.append(first)
    assert first.wait(31)[30][1] == "end", "an attempt that is stored to its end"


def test_a_lost_wake_up_costs_a_second(
    world: World, run: Run, cluster: FakeLogCluster, streams: list[Stream], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Stream(world.api, world.tokens["viewer"], run)
    streams.append(stream)
    while not stream.status:
        time.sleep(0.01)
    execute(
        "insert into log_chunk"
        " (run_id, attempt, replica, first_line, lines, bytes, end_offset, first_at, last_at, data)"
        " values (:id, 1, 0, 1, 1, 6, 6, now(), now(), '1 o hi\n'::bytea)",
        id=run.id,
    )
    assert stream.wait(1, seconds=3)[0][2]["text"] == "hi"


def test_the_stream_ends_when_the_right_to_read_does(
    world: World, run: Run, cluster: FakeLogCluster, streams: list[Stream], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(route, "RECHECK_SECONDS", 0.0)
    cluster.write(run.public_id, 1, "one")
    ship_logs(cluster)
    stream = Stream(world.api, world.tokens["viewer"], run)
    streams.append(stream)
    stream.wait(1)
    execute("update api_token set revoked_at = now()")
    cluster.write(run.public_id, 1, "secret")
    ship_logs(cluster)
    assert stream.wait(2)[1][1] == "closed"
    stream.thread.join(timeout=5)
    assert not stream.thread.is_alive()
    assert len(stream.events) == 2


def test_a_quiet_stream_shows_signs_of_life_and_is_checked(
    world: World, run: Run, streams: list[Stream], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(route, "HEARTBEAT_SECONDS", 0.5)
    stream = Stream(world.api, world.tokens["viewer"], run)
    streams.append(stream)
    time.sleep(2.5)
    assert stream.thread.is_alive()
    execute('update "user" set disabled_at = now()')
    assert stream.wait(1)[0][1] == "closed"


def test_many_viewers_share_reads(
    world: World, run: Run, cluster: FakeLogCluster, streams: list[Stream], monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(20):
        streams.append(Stream(world.api, world.tokens["viewer"], run))
    for stream in streams:
        while not stream.status:
            time.sleep(0.01)
    for number in range(10):
        cluster.write(run.public_id, 1, f"line {number}")
        ship_logs(cluster)
    for stream in streams:
        assert [event[0] for event in stream.wait(10)] == [f"1.{n}" for n in range(1, 11)]
