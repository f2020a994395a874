"""Berth as the pages are measured: its web process, with many runs, a long log, many metrics and a live run."""

import datetime
import json
import os
import socket
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import psycopg
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from app.domain.loglines import Record, encode
from app.repositories import logs
from app.repositories.logs import LogSource, NewChunk
from bench import rows, servers
from bench.clicks import Ground
from bench.machine import Process
from bench.postgres import Server

CHUNK = 20_000  # lines
LIVE_LINES = 3_000
PEOPLE, PROJECTS = 10_000, 1_000
ERROR = "the loss is not a number any more"


@dataclass(frozen=True)
class Sizes:
    """How much there is of everything."""

    runs: int = 100_000
    lines: int = 1_000_000
    metrics: int = 2_000


@dataclass
class UiSite:
    """The server, and the public ids of the runs that the measurements look at."""

    url: str  # http://localhost:<port>
    database: str
    folder: Path
    listening: socket.socket
    sizes: Sizes
    process: Process | None = None
    ids: dict[str, uuid.UUID] = field(default_factory=dict)
    runs: dict[str, str] = field(default_factory=dict)
    live_lines: int = 0

    @property
    def project(self) -> str:
        return f"/projects/{rows.PROJECT}"

    def page(self, key: str, part: str = "") -> str:
        """The address of a run's page, without the host."""
        return f"{self.project}/runs/{self.runs[key]}{part}"

    def ground(self) -> Ground:
        """What the counted tasks need."""
        return Ground(
            self.project,
            self.runs["queued"],
            self.runs["failed"],
            ERROR,
            self.runs["best-1"],
            self.runs["live"],
            "sweep",
        )

    def cookies(self) -> list[dict[str, object]]:
        """For a browser of the one who measures: the session, under the name for HTTP and for HTTPS."""
        secure = {"name": "__Host-berth", "value": rows.COOKIE, "url": "https://localhost/", "secure": True}
        return [{"name": "berth", "value": rows.COOKIE, "url": self.url}, secure]

    def start(self) -> None:
        """The web process, on the socket that stays open when it ends, as the supervisor of `berth up` does it."""
        port = self.listening.getsockname()[1]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("BERTH_")}
        environment |= {
            "BERTH_HOME": str(self.folder),
            "BERTH_DATABASE__URL": self.database,
            "BERTH_WEB__PORT": str(port),
            "BERTH_SECRET_KEY": "benchmark" * 4,
        }
        number = self.listening.fileno()
        command = [sys.executable, "-m", "app.trial.web", str(number), "1"]
        self.process = Process("the web process", command, self.folder / "web.log", environment, pass_fds=[number])
        self.process.wait_for(f"{self.url}/readyz")

    def stop(self) -> None:
        """Ends the web process, if it runs."""
        if self.process is not None:
            self.process.end()
            self.process = None

    def append(self, texts: list[str]) -> int:
        """Adds lines to the live run's log as the shipper does; the number of the last one."""
        now = datetime.datetime.now(datetime.UTC)
        data = b"".join(encode(Record(int(now.timestamp() * 1000), "o", one.encode())) for one in texts)
        nowhere = uuid.UUID(int=0)
        source = LogSource(self.ids["live"], self.runs["live"], nowhere, 1, 0, self.live_lines + 1, 0, False)
        engine = create_engine(self.database.replace("postgresql://", "postgresql+psycopg://", 1))
        with Session(engine) as session, session.begin():
            logs.append(session, [NewChunk(source, data, len(texts), 0, len(data), now, now)])
        engine.dispose()
        self.live_lines += len(texts)
        return self.live_lines

    def execute(self, statement: str, **values: object) -> None:
        """One statement, committed."""
        with psycopg.connect(self.database, autocommit=True) as connection:
            connection.execute(statement.encode(), values)


@contextmanager
def site(server: Server, folder: Path, sizes: Sizes) -> Iterator[UiSite]:
    """A filled database and the web process, for as long as the block lasts."""
    database = server.create("berth_ui")
    rows.prepare(database)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(1024)
        port = listening.getsockname()[1]
        home = Path(tempfile.mkdtemp(dir=folder))
        made = UiSite(f"http://localhost:{port}", database, home, listening, sizes)
        made.start()
        try:
            first = submit(made.url, servers.SPEC)
            rows.fill(database, sizes.runs, first["id"])
            _choose(made)
            _fill(made)
            yield made
        finally:
            made.stop()


def submit(url: str, spec: dict[str, Any], project: str = rows.PROJECT) -> dict[str, Any]:
    """Submits a run through the API; what it answers."""
    headers = {"authorization": f"Bearer {rows.TOKEN}", "content-type": "application/json"}
    body = json.dumps({"spec": spec}).encode()
    with urlopen(Request(f"{url}/api/v1/projects/{project}/runs", body, headers)) as answer:
        made: dict[str, Any] = json.load(answer)
        return made


def _choose(made: UiSite) -> None:
    keys = {"queued": 1, "failed": 1, "running": 1, "succeeded": 5}
    names = {"queued": ["queued"], "failed": ["failed"], "running": ["live"]}
    names["succeeded"] = ["long", "many", "best-1", "best-2", "best-3"]
    with psycopg.connect(made.database) as connection:
        for state, count in keys.items():
            found = connection.execute(
                "select r.public_id, r.id from run r join project p on p.id = r.project_id"
                " where p.name = %s and r.state = %s order by r.id desc limit %s",
                [rows.PROJECT, state, count],
            ).fetchall()
            for name, (public, run_id) in zip(names[state], found, strict=True):
                made.runs[name], made.ids[name] = public, run_id


def _fill(made: UiSite) -> None:
    now = datetime.datetime.now(datetime.UTC)
    with psycopg.connect(made.database, autocommit=True) as connection:
        connection.execute(_CROWD, {"people": PEOPLE, "projects": PROJECTS})
        for first in range(1, made.sizes.lines + 1, CHUNK):
            _log(connection, made.ids["long"], first, min(CHUNK, made.sizes.lines - first + 1), now)
        _log(connection, made.ids["live"], 1, LIVE_LINES, now)
        made.live_lines = LIVE_LINES
        for name, count in (("many", made.sizes.metrics), ("live", 12)):
            connection.execute(_SERIES, {"run": made.ids[name], "count": count})
        for place in (1, 2, 3):
            run = made.ids[f"best-{place}"]
            connection.execute("update run set experiment = 'sweep' where id = %s", [run])
            connection.execute(_ONE, {"run": run, "value": place / 10})
        connection.execute(_POINTS, {"runs": list(made.ids.values())})
        connection.execute(_LAST, {"runs": list(made.ids.values())})
        details = json.dumps({"exit_code": 1})
        connection.execute(
            "update run set reason_code = 'EXIT_CODE', reason = %s where id = %s", [details, made.ids["failed"]]
        )
        connection.execute("vacuum (analyze)")


def _log(
    connection: "psycopg.Connection[tuple[object, ...]]", run: uuid.UUID, first: int, count: int, at: datetime.datetime
) -> None:
    start = int(at.timestamp() * 1000)
    lines = (
        b"%d o step %d loss 0.1234 lr 0.10000 42.5k img/s, 311 ms for a batch of 512 on 8 devices\n" % (start + n, n)
        for n in range(first, first + count)
    )
    data = b"".join(lines)
    connection.execute(_CHUNK, [run, first, count, len(data), at, at, data])


_CROWD = """
  with people as (
    insert into "user" (id, name) select gen_random_uuid(), 'crowd' || n from generate_series(1, %(people)s::int) n
  )
  insert into project (id, name) select gen_random_uuid(), 'crowd-' || n from generate_series(1, %(projects)s::int) n
"""
_CHUNK = """
  insert into log_chunk (run_id, attempt, replica, first_line, lines, bytes, end_offset, first_at, last_at, data)
  values (%s, 1, 0, %s, %s, %s, 0, %s, %s, %s)
"""
_SERIES = """
  insert into metric_series (run_id, name, points, last_step, last_at, last_value, min_value, max_value)
  select %(run)s, 'layer/' || lpad((n / 10)::text, 3, '0') || '/probe-' || mod(n, 10), 60, 60, now(), n / 100.0,
    0, n / 50.0
  from generate_series(0, %(count)s::int - 1) n
"""
_ONE = """
  insert into metric_series (run_id, name, points, last_step, last_at, last_value, min_value, max_value)
  values (%(run)s, 'loss', 60, 60, now(), %(value)s, %(value)s, 2)
"""
# Points of the first 200 metrics of each: no page asks for the others'.
_POINTS = """
  insert into metric_point (series_id, step, at, value)
  select s.id, step, now() - interval '1 hour' + step * interval '1 minute', 1.0 / step + sin(step / 5.0 + s.id) / 20
  from (
    select id, row_number() over (partition by run_id order by name) as place from metric_series
    where run_id = any(%(runs)s)
  ) s, generate_series(1, 60) step
  where s.place <= 200
"""
# As Berth keeps it: a last value that changed when the points arrive would move the charts below its legend.
_LAST = """
  update metric_series s set last_value = p.value from metric_point p
  where s.run_id = any(%(runs)s) and p.series_id = s.id and p.step = s.last_step
"""
