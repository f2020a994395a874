"""One installation of Berth for one experiment: a database, a fleet of processes, clients, the oracle, the checker."""

import contextlib
import datetime
import os
import random
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from app.domain.access import Role
from app.domain.states import TERMINAL, RunState
from tests import factories
from tests.chaos.checker import Checker
from tests.chaos.jobs import make_job
from tests.chaos.ledger import Ledger
from tests.chaos.oracle import Oracle, scan, wrappers
from tests.chaos.processes import Fleet, free_port, wait_ready
from tests.chaos.servers import Servers


@dataclass(frozen=True)
class Timing:
    """Settings of Berth's own clocks, and how long the experiments wait."""

    environment: Mapping[str, str]
    stuck_after: float  # two resyncs and what a step may take
    patience: float  # for everything to end after the last fault


def clocks(sweep: float, lease: float, leader: float, resync: float, redeliver: float) -> dict[str, str]:
    values = {"SWEEP": sweep, "LEASE": lease, "LEADER": leader, "RESYNC": resync, "REDELIVER": redeliver}
    return {f"BERTH_CONVERGENCE__{name}_SECONDS": str(value) for name, value in values.items()}


# The short form turns Berth's clocks up; the full form leaves them as they are shipped.
SHORT = Timing(clocks(1, 2, 2, 3, 2), stuck_after=12, patience=60)
FULL = Timing({}, stuck_after=150, patience=300)


@dataclass(frozen=True)
class Plan:
    """What an experiment needs of a world. `chaos`: switches of tests/chaos/inject for each role."""

    webs: int = 1
    workers: int = 1
    controllers: int = 1
    cpus: int = 16
    own_postgres: bool = False
    own_redis: bool = False
    chaos: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


class World:
    """Use as a context manager: everything that it started has ended afterwards."""

    SHORT, FULL = SHORT, FULL
    CPU_MILLIS = 1000  # of each run
    PROBE_SECONDS = 90.0  # for the first run

    def __init__(self, servers: Servers, timing: Timing, plan: Plan, until: str = "") -> None:
        self.servers = servers
        self.timing = timing
        self.plan = plan
        self.until = until  # counters whose rise ends the experiment, where a guard is taken out
        self.random = random.Random(7)
        self.notes: dict[str, str] = {}  # figures to show
        self.unmet: list[str] = []  # and those that were missed
        self.home = Path(tempfile.mkdtemp(prefix="berth-"))
        # Not below /tmp nor the home: a sandboxed run sees neither.
        self.folder = Path(tempfile.mkdtemp(prefix="berth-chaos-", dir="/var/tmp"))
        self.oracle = self.make_oracle()
        self.database_url = servers.make_database(own=plan.own_postgres)
        self.redis_url = servers.redis_url(own=plan.own_redis)
        self.ports = [free_port() for _ in range(plan.webs)]
        self.fleet = Fleet(self._environment(), self.home / "logs")
        self.ledger = Ledger(self.ports, _make_editor(self.database_url), "chaos")
        self.checker = Checker(
            self.database_url, self.home, self.ledger, self.oracle, timing.stuck_after, self.CPU_MILLIS
        )

    def make_oracle(self) -> Oracle:
        """What hears of each program."""
        return Oracle(self.folder)

    def start_web(self, number: int, port: int) -> None:
        self.fleet.web(number, port, environment=self.chaos("web"))

    def _environment(self) -> dict[str, str]:
        return {
            "BERTH_HOME": str(self.home),
            "BERTH_DATABASE__URL": self.database_url,
            "BERTH_REDIS__URL": self.redis_url,
            "BERTH_SECRET_KEY": "chaos" * 10,
            "BERTH_WEB__PORT": str(self.ports[0]),
            "BERTH_LOCAL__CPUS": str(self.plan.cpus),
            "BERTH_CHAOS_FOLDER": str(self.folder),
            **self.timing.environment,
            **self.plan.environment,
        }

    def __enter__(self) -> "World":
        try:
            self.start_fleet()
            self.checker.start()
            probe = self.submit(seconds=0.1)
            # Where a guard is out, this run may be its first victim already.
            wanted = TERMINAL if self.until else {RunState.SUCCEEDED}
            self.wait(
                lambda: self.checker.state(probe) in wanted, self.PROBE_SECONDS, "the first run has not succeeded"
            )
        except BaseException:
            self.close(failed=True)
            raise
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.close(failed=kind is not None)

    def start_fleet(self) -> None:
        """All processes of the plan; returns when the web answers."""
        for number in range(self.plan.workers):
            self.fleet.worker(number, environment=self.chaos("worker"))
        for number in range(self.plan.controllers):
            self.fleet.controller(number, environment=self.chaos("controller"))
        for number, port in enumerate(self.ports):
            self.start_web(number, port)
        for member, port in zip(self.fleet.of("web"), self.ports, strict=True):
            wait_ready(member, port)
        # A message that expires before anybody listens is lost: nothing to hold against whoever lost it.
        self.wait(lambda: self.listeners() >= self.plan.workers, 60, "the workers do not listen")

    def listeners(self) -> int:
        """How many clients of Redis wait for messages now."""
        with contextlib.suppress(redis.RedisError):
            clients = redis.Redis.from_url(self.redis_url).client_list()
            return sum(client["cmd"] == "brpop" for client in clients)
        return 0

    def chaos(self, role: str) -> dict[str, str]:
        """The switches of one role, as its environment."""
        names = self.plan.chaos.get(role) or self.plan.chaos.get("all")
        return {"BERTH_CHAOS": names} if names else {}

    def close(self, *, failed: bool) -> None:
        if failed:
            for member in self.fleet.members.values():
                print(f"--- {member.name}\n{member.tail()}")
        self.checker.stop()
        self.fleet.kill_all()
        runs = self.ledger.runs()
        for _ in range(20):
            pids = wrappers(self.home) + [pid for found in scan(runs).values() for pid, _ in found]
            if not pids:
                break
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        self.ledger.close()
        self.oracle.close()
        self.servers.drop(self.database_url)
        shutil.rmtree(self.home, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def submit(self, **job: Any) -> str:
        """Submits a job of tests/chaos/jobs.py; the run's id."""
        return self.ledger.submit(make_job(self.oracle.fifo, **job))

    def submit_any(self) -> str:
        """One of the usual mixture: most succeed, some leave an output, some fail and are tried again."""
        seconds = round(self.random.uniform(0.1, 0.8), 2)
        if self.random.random() < 0.15:
            return self.submit(seconds=seconds, code=3, retry={"failed": 1, "lost": 2})
        return self.submit(seconds=seconds, output=self.random.random() < 0.2)

    @property
    def is_over(self) -> bool:
        """Whether a guard was taken out and its counter has risen: there is nothing more to see."""
        return bool(self.until) and self.checker.counters.risen(self.until)

    def wait(self, condition: Callable[[], bool], seconds: float, complaint: str, *, revive: bool = False) -> None:
        """Returns when the condition holds, or `is_over`. Raises TimeoutError with the complaint and the states.

        With `revive`, processes that end meanwhile are started again, as the supervisor of `berth up` does.
        """
        deadline = time.monotonic() + seconds
        while not condition() and not self.is_over:
            if revive:
                self.fleet.revive()
            if time.monotonic() > deadline:
                raise TimeoutError(f"{complaint} after {seconds:.0f} s; runs: {dict(self.checker.states())}")
            time.sleep(0.05)

    def demand(self, is_met: bool, figure: str) -> None:
        """Notes a figure of the table that was missed."""
        if not is_met:
            self.unmet.append(figure)

    def note_times(self, name: str, times: list[float], limit: float | None = None) -> None:
        """Shows p95 and maximum of some seconds; with `limit`, p95 must not be above it."""
        if times:
            ordered = sorted(times)
            p95 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
            self.notes[name] = f"p95 {p95:.1f} max {ordered[-1]:.1f} s"
            self.demand(limit is None or p95 <= limit, f"{name}: p95 {p95:.1f} s, at most {limit} wanted")

    def start_delays(self) -> list[float]:
        """Seconds from submit to the program's start, of every first attempt that began."""
        rows = self.checker.query(
            "select extract(epoch from attempt.started_at - run.created_at)::float as seconds"
            " from attempt join run on run.id = attempt.run_id where number = 1 and attempt.started_at is not null"
        )
        return [row["seconds"] for row in rows]

    @contextlib.contextmanager
    def load(self, runs: int, in_flight: int = 12, submit: Callable[[], str] | None = None) -> Iterator["Feed"]:
        """Keeps so many runs in flight while the block works, and until `runs` were submitted in all."""
        feed = Feed(self, runs, in_flight, submit or self.submit_any)
        feed.start()
        try:
            yield feed
        finally:
            feed.is_enough.set()
            feed.join(600)
        if feed.error is not None:
            raise feed.error

    def wait_for_progress(self, seconds: float = 60) -> None:
        """Returns when some run has moved on since; what has died meanwhile is started again."""
        before = self.checker.moved
        self.wait(
            lambda: self.checker.moved > before or self.checker.in_flight() == 0,
            seconds,
            "nothing has moved",
            revive=True,
        )

    def settle(self) -> None:
        """Waits until all runs have ended; the processes are kept alive. For a while only: what is left is counted."""
        with contextlib.suppress(TimeoutError):
            self.wait(lambda: self.checker.in_flight() == 0, self.timing.patience, "", revive=True)

    def explain(self, findings: list[str]) -> None:
        """Prints what Berth's processes wrote last, and the history of the runs that a finding names."""
        for member in self.fleet.members.values():
            print(f"--- {member.name}\n{member.tail()}")
        print(
            "--- leases:",
            *self.checker.query("select name, holder, term, until - now() as left from lease"),
            sep="\n  ",
        )
        for finding in findings:
            print(f"--- {finding}")
            words = [word.strip(":,") for word in finding.split()]
            print(*self.checker.query(_NOW, words), sep="\n  ")
            names = words + [str(row["id"]) for row in self.checker.query(_KEYS, words)]
            for member in self.fleet.members.values():
                lines = [line for line in member.log.read_text().splitlines() if any(name in line for name in names)]
                print(f"  {member.name}:", *lines[-20:], sep="\n  ")
            for word in words:
                folder = self.home / "local" / "runs" / word
                print(*sorted(str(path) for path in folder.glob("*/*")), sep="\n  ")
                print(*((path, path.read_text()) for path in folder.glob("*/*.err")), sep="\n  ")
            for row in self.checker.query(_HISTORY, [word.strip(":,") for word in finding.split()]):
                print(f"  {row['at']:%H:%M:%S.%f} attempt {row['attempt']} {row['code']} {row['new_state'] or ''}")
            for mark in self.oracle.marks:
                if mark.run in finding:
                    at = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=time.monotonic() - mark.at)
                    print(f"  {at:%H:%M:%S.%f} attempt {mark.attempt} oracle: {mark.kind}")

        print("--- wrappers:", *wrappers(self.home))

    def pause(self, low: float, high: float) -> None:
        time.sleep(self.random.uniform(low, high))


class Feed(threading.Thread):
    """Submits runs, as long as not too many are in flight."""

    def __init__(self, world: World, runs: int, in_flight: int, submit: Callable[[], str]) -> None:
        super().__init__(name="feed", daemon=True)
        self.is_enough = threading.Event()
        self.error: Exception | None = None
        self._world = world
        self._runs = runs
        self._in_flight = in_flight
        self._submit = submit

    def run(self) -> None:
        submitted = 0
        try:
            while not self._world.is_over and (submitted < self._runs or not self.is_enough.is_set()):
                # Beyond the number asked for, only as much as keeps something in flight.
                room = self._in_flight if submitted < self._runs else 6
                if self._world.checker.in_flight() < room:
                    self._submit()
                    submitted += 1
                else:
                    time.sleep(0.02)
        except Exception as error:
            self.error = error


_KEYS = "select id from run where public_id = any(%s)"
_NOW = """
select run.state, desired, due_at - now() as due, lease_until - now() as leased, failures, observation.status,
       observation.missing_since, attempt.number, attempt.handle is not null as started, attempt.finished_at,
       attempt.outputs_stored_at, attempt.logs_sealed_at, attempt.cleaned_at
  from run left join attempt on attempt.run_id = run.id left join observation on observation.run_id = run.id
 where public_id = any(%s)
"""
_HISTORY = """
select event.at at time zone 'UTC' as at, event.attempt, event.code, event.new_state
  from run_event as event join run on run.id = event.run_id where run.public_id = any(%s) order by event.id
"""


def make_admin(database_url: str) -> str:
    """The token of an administrator."""
    engine = create_engine(database_url.replace("postgresql://", "postgresql+psycopg://", 1))
    with Session(engine) as session, session.begin():
        token = factories.make_token(session, factories.make_user(session, is_admin=True))
    engine.dispose()
    return token


def _make_editor(database_url: str) -> str:
    """A project called chaos; returns the token of somebody who may submit there."""
    engine = create_engine(database_url.replace("postgresql://", "postgresql+psycopg://", 1))
    with Session(engine) as session, session.begin():
        project = factories.make_project(session, "chaos")
        token = factories.make_token(session, factories.make_member(session, project, Role.EDITOR))
    engine.dispose()
    return token
