"""A reader of a log that is being written sees every line once and in order, whatever breaks in between.

100,000 numbered lines flow from a log file through the shipper while the reader's connection is cut 20 times
and the web process, a real one, is restarted 3 times (twice by SIGTERM, once by SIGKILL).
"""

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from app import db
from app.models import Run
from app.services import logs
from app.workers.logs import ship_logs
from tests import factories
from tests.fakes_logs import FakeLogCluster, make_logged_run

LINES = 100_000
CUTS = 20
RESTARTS = (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM)


class Web:
    """The web process on one port, whatever happens to it."""

    def __init__(self, home: Path) -> None:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = found.getsockname()[1]
        self.env = {**os.environ, "BERTH_HOME": str(home), "BERTH_WEB__PORT": str(self.port)}
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "uvicorn", "app.main:create_app", "--factory", "--port", str(self.port)]
        command += ["--log-level", "critical", "--timeout-graceful-shutdown", "10"]
        return subprocess.Popen(command, env=self.env, stdout=subprocess.DEVNULL)

    def restart(self, by: signal.Signals) -> float:
        """Ends the process and starts it again; how long it took to end."""
        started = time.monotonic()
        self.process.send_signal(by)
        self.process.wait(timeout=20)
        took = time.monotonic() - started
        self.process = self._start()
        return took

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=20)


class Reader:
    """Follows a log as a browser does: goes on after the last message that arrived whole."""

    def __init__(self, port: int, run: Run, token: str, cuts: list[int]) -> None:
        self.port, self.path, self.token = port, f"/api/v1/runs/{run.public_id}/logs", token
        self.cuts = cuts  # after how many lines the connection is cut
        self.cut = self.broken = 0
        self.last_id = ""
        self.seen: list[tuple[str, str]] = []
        self.end: str | None = None
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        while self.end is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            try:
                self._read_stream(connection)
            except (OSError, http.client.HTTPException):
                time.sleep(0.05)
            finally:
                connection.close()
            self.broken += 1

    def _read_stream(self, connection: http.client.HTTPConnection) -> None:
        headers = {"accept": "text/event-stream", "authorization": f"Bearer {self.token}"}
        if self.last_id:
            headers["last-event-id"] = self.last_id
        connection.request("GET", self.path, headers=headers)
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        fields: dict[str, str] = {}
        while line := answer.readline():
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                fields[name] = value
                continue
            if "id" in fields:
                self.last_id = fields["id"]
                self.seen.append((fields["id"], json.loads(fields["data"])["text"]))
            elif fields.get("event") == "end":
                self.end = json.loads(fields["data"])["state"]
                return
            fields = {}
            if self.cuts and len(self.seen) >= self.cuts[0]:
                self.cuts.pop(0)
                self.cut += 1
                return


@pytest.fixture
def web(database_url: str, home: Path) -> Iterator[Web]:
    made = Web(home)
    yield made
    made.close()


def test_the_readers_sequence_is_exact(clean_database: Engine, web: Web) -> None:
    cluster, chance = FakeLogCluster(), random.Random(11)
    with db.unit_of_work() as session:
        user = factories.make_user(session, is_admin=True)
        run = make_logged_run(session, user=user)
        token = factories.make_token(session, user)
    reader = Reader(web.port, run, token, sorted(chance.sample(range(1000, LINES - 1000), CUTS)))
    stop = threading.Event()

    def ship() -> None:
        while not stop.is_set():
            if not ship_logs(cluster):
                stop.wait(0.02)

    shippers = [threading.Thread(target=ship) for _ in range(2)]
    for shipper in shippers:
        shipper.start()
    restarts = [LINES * number // 4 for number in (1, 2, 3)]
    hits = 0
    took: list[float] = []
    for start in range(0, LINES, 500):
        cluster.write(run.public_id, 1, *(f"line {number:06d}" for number in range(start, start + 500)))
        while start - len(reader.seen) > 20_000:  # the reader stays in the middle of what is written
            time.sleep(0.02)
        if restarts and len(reader.seen) >= restarts[0] - 20_000 and start >= restarts[0]:
            restarts.pop(0)
            hits += reader.end is None
            took.append(web.restart(RESTARTS[len(took)]))
    with db.unit_of_work() as session:
        session.execute(text("update attempt set finished_at = now(), state = 'succeeded'"))
        session.execute(text("update run set state = 'succeeded'"))
    reader.thread.join(timeout=120)
    stop.set()
    for shipper in shippers:
        shipper.join()
    expected = [(f"1.{number + 1}", f"line {number:06d}") for number in range(LINES)]
    wrong = sum(one != two for one, two in zip(reader.seen, expected, strict=False))
    print(
        f"lines {len(reader.seen)} of {LINES}, wrong {wrong}, cut {reader.cut} times, restarts {len(took)}, "
        f"{hits} of them while the log was read, ended in {', '.join(f'{one:.1f}' for one in took)} s"
    )
    assert reader.end == "succeeded"
    assert (reader.cut, len(took)) == (CUTS, len(RESTARTS))
    assert hits * 2 >= len(RESTARTS)
    assert reader.seen == expected
    assert max(took) < 5, "an open stream must not hold up the end of the process"
    assert [line.number for line in logs.read_all(run.id)] == list(range(1, LINES + 1))
    assert logs.read_facts(run.id).is_complete
