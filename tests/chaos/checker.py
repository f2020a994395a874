"""Compares what Berth says with what it promised and with what the oracle saw, all the while and at the end.

L lost, D duplicated, S stuck, R regressed, Q over capacity, O orphaned, U unaudited, W wrong: see `Counters`.
"""

import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from app.domain.states import TERMINAL, RunState, can_advance
from tests.chaos.ledger import Ledger
from tests.chaos.oracle import Key, Oracle, Process, wrappers

_PERIOD = 0.2


@dataclass
class Counters:
    """What must stay empty; each holds what it was found in.

    lost: accepted, and not there or not ended in time. duplicated: two starts of one attempt, two attempts of a run
    alive at once, or two runs for one key. stuck: nothing happened to it since the last fault for long, though nothing
    of it ran and there was room. regressed: an illegal move, or a write of somebody who led no more. over: more
    reserved, or alive, than there is. orphans: what was left at the end. unaudited: moves and audit entries do not
    match. wrong: ended for Berth while its program ran.
    """

    lost: set[str] = field(default_factory=set)
    duplicated: set[str] = field(default_factory=set)
    stuck: set[str] = field(default_factory=set)
    regressed: set[str] = field(default_factory=set)
    over: set[str] = field(default_factory=set)
    orphans: set[str] = field(default_factory=set)
    unaudited: set[str] = field(default_factory=set)
    wrong: set[str] = field(default_factory=set)

    def by_letter(self) -> dict[str, set[str]]:
        sets = (self.lost, self.duplicated, self.stuck, self.regressed)
        return dict(zip("LDSRQOUW", (*sets, self.over, self.orphans, self.unaudited, self.wrong), strict=True))

    def risen(self, letters: str) -> bool:
        """Whether any of these is above 0."""
        return any(self.by_letter()[letter] for letter in letters)

    def total(self) -> int:
        return sum(len(found) for found in self.by_letter().values())


@dataclass
class _Seen:
    """A run as it was last looked at, and since when nothing has happened to it."""

    state: str
    attempt: int
    since: float


@dataclass
class _Fault:
    """A fault, and the runs that Berth owed a step when it came."""

    at: float
    owed: dict[str, tuple[str, int, bool]]


_LOOK = """
select run.public_id as run, run.state, run.attempt, run.desired,
       (select sum(cpu_millis) from pool)::bigint as capacity,
       (select coalesce(sum(cpu_millis), 0) from reservation where released_at is null)::bigint as held
  from run
"""
_EVENTS = """
select run.public_id as run, event.attempt, event.code, event.old_state, event.new_state, run.state
  from run_event as event join run on run.id = event.run_id order by event.id
"""
_UNAUDITED = """
with told as (
  select run.public_id as run, case code when 'submitted' then 'run.submit' when 'admitted' then 'run.admit'
         when 'stop_requested' then 'run.stop' else 'run.' || code end as verb, count(*) as times
    from run_event join run on run.id = run_event.run_id
   where code in ('submitted', 'admitted', 'started', 'stopped', 'ended', 'retrying', 'stop_requested') group by 1, 2
), audited as (
  select object_id as run, verb, count(*) as times from audit_entry where object_type = 'run' group by 1, 2
)
select run, verb from told full join audited using (run, verb) where told.times is distinct from audited.times
"""
_LEFT = """
select 'reservation of ' || run.public_id as what from reservation join run on run.id = run_id
 where released_at is null
union all select 'lease of ' || public_id from run where lease_token is not null
union all select 'due: ' || public_id from run where due_at is not null
union all select 'observation of ' || public_id from observation join run on run.id = run_id
union all select 'attempt of ' || public_id from attempt join run on run.id = run_id where cleaned_at is null
"""


class Checker:
    """Looks several times a second from `start` to `stop`; `finish` does what can only be done at the end."""

    def __init__(
        self, database_url: str, home: Path, ledger: Ledger, oracle: Oracle, stuck_after: float, cpu_millis: int = 1000
    ) -> None:
        """`cpu_millis`: what each run asks for."""
        self._url = database_url
        self._home = home
        self._ledger = ledger
        self._oracle = oracle
        self._stuck_after = stuck_after
        self._cpu_millis = cpu_millis
        self._connection: psycopg.Connection[dict[str, Any]] | None = None
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="checker", daemon=True)
        self._seen: dict[str, _Seen] = {}
        self._live: dict[Key, set[Process]] = {}
        self._absent: dict[str, float] = {}
        self._faults: list[_Fault] = []
        self._disturbed_at = 0.0
        self.counters = Counters()
        self.moved = 0  # changes of runs that were seen
        self.faults = 0
        self.hits = 0
        self.recoveries: list[float] = []

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(10)
        if self._connection is not None:
            self._connection.close()

    def pause(self) -> None:
        """Asks the database nothing until `go_on`, and holds no connection."""
        self._lock.acquire()
        if self._connection is not None:
            self._connection.close()

    def go_on(self) -> None:
        self._lock.release()

    def forget(self, runs: Iterable[str]) -> None:
        """These are not Berth's any more: its database was put back to before them. Call while paused."""
        for run in runs:
            self._seen.pop(run, None)
            self._absent.pop(run, None)

    def note_fault(self) -> None:
        """Call just before a fault: counts it, whether it hits a run in flight, and what Berth owes whom."""
        with self._lock:
            self._look()
            now = time.monotonic()
            flying = [run for run, seen in self._seen.items() if seen.state not in TERMINAL]
            owed = {run: self._place(run) for run in flying if self._is_owed(run)}
            self._faults.append(_Fault(now, owed))
            self._disturbed_at = now
            self.faults += 1
            self.hits += bool(flying)

    def note_disturbance(self) -> None:
        """The fault of before has only ended now: from here on nothing may be stuck."""
        with self._lock:
            self._disturbed_at = time.monotonic()

    def in_flight(self) -> int:
        """Accepted runs that had not ended when last looked at."""
        with self._lock:
            ended = {run for run, seen in self._seen.items() if seen.state in TERMINAL}
        return len(self._ledger.runs() - ended)

    def state(self, run: str) -> str:
        """As last looked at; "" before that."""
        with self._lock:
            seen = self._seen.get(run)
        return seen.state if seen else ""

    def live(self) -> dict[Key, set[Process]]:
        """What the oracle saw alive when it last looked."""
        with self._lock:
            return dict(self._live)

    def query(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        """Rows of Berth's database, on a connection of its own."""
        with psycopg.connect(self._url, row_factory=dict_row, autocommit=True) as connection:
            return connection.execute(statement, values).fetchall()

    def finish(self, seconds: float, until: str = "") -> None:
        """Waits until all has ended and nothing is left, at most so long; then fills in the last counters.

        With `until`, also ends as soon as one of those counters has risen.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not (until and self.counters.risen(until)):
            if self.in_flight() == 0 and not self._left():
                break
            time.sleep(0.2)
        with self._lock:
            self._look()
            self._count_at_the_end()

    def _look_on(self) -> None:
        while not self._stopping.wait(_PERIOD):
            with self._lock:
                self._look()

    def _look(self) -> None:
        accepted = self._ledger.runs()
        try:
            if self._connection is None or self._connection.closed:
                self._connection = psycopg.connect(self._url, row_factory=dict_row, autocommit=True, connect_timeout=2)
            rows = self._connection.execute(_LOOK).fetchall()
        except psycopg.Error:
            if self._connection is not None:
                self._connection.close()
            for seen in self._seen.values():
                seen.since = time.monotonic()
            return
        # After the rows: whatever is alive now was alive, or to come, when Berth said that it had ended.
        live = self._oracle.scan(self._ledger.runs() | set(self._seen))
        self._compare(rows, live)
        self._miss(accepted - set(self._seen))
        self._live = live
        self._settle()

    def _miss(self, absent: set[str]) -> None:
        """Accepted, but not there: for good, if it is not for a moment only."""
        now = time.monotonic()
        self._absent = {run: self._absent.get(run, now) for run in absent}
        self.counters.lost |= {run for run, since in self._absent.items() if now - since > 3}

    def _compare(self, rows: list[dict[str, Any]], live: dict[Key, set[Process]]) -> None:
        now = time.monotonic()
        alive = {run for run, _ in live}
        for row in rows:
            run, state, attempt = row["run"], row["state"], row["attempt"]
            seen = self._seen.setdefault(run, _Seen(state, attempt, now))
            if (seen.state in TERMINAL and state != seen.state) or attempt < seen.attempt:
                self.counters.regressed.add(f"{run}: {seen.state} {seen.attempt} -> {state} {attempt}")
            if state in TERMINAL and run in alive:
                self.counters.wrong.add(run)
            self.moved += (state, attempt) != (seen.state, seen.attempt)
            waits = state == RunState.QUEUED and row["capacity"] - row["held"] < self._cpu_millis
            if (state, attempt) != (seen.state, seen.attempt) or run in alive or waits or state in TERMINAL:
                seen.state, seen.attempt, seen.since = state, attempt, now
            if now - max(seen.since, self._disturbed_at) > self._stuck_after:
                self.counters.stuck.add(run)
        self._count_starts()
        self._count_together(live)
        if rows and rows[0]["capacity"] is not None:
            self._check_capacity(rows[0], live)

    def _count_starts(self) -> None:
        for (run, attempt), nonces in self._oracle.starts().items():
            if len(nonces) > 1:
                self.counters.duplicated.add(f"{run} attempt {attempt}: started again")

    def _count_together(self, live: dict[Key, set[Process]]) -> None:
        # Alive in both looks is alive between them, all at once.
        both = [key for key, found in live.items() if found & self._live.get(key, set())]
        together = Counter(run for run, _ in both)
        self.counters.duplicated |= {f"{run}: two attempts alive" for run, times in together.items() if times > 1}

    def _check_capacity(self, row: dict[str, Any], live: dict[Key, set[Process]]) -> None:
        if row["held"] > row["capacity"]:
            self.counters.over.add(f"{row['held']} reserved of {row['capacity']}")
        both = sum(bool(found & self._live.get(key, set())) for key, found in live.items())
        if both * self._cpu_millis > row["capacity"]:
            self.counters.over.add(f"{both} alive on {row['capacity']}")

    def _place(self, run: str) -> tuple[str, int, bool]:
        seen = self._seen[run]
        return seen.state, seen.attempt, (run, seen.attempt) in self._live

    def _is_owed(self, run: str) -> bool:
        """Whether the next step is Berth's, not the program's or the line's."""
        state, attempt, is_alive = self._place(run)
        return state in (RunState.STARTING, RunState.RUNNING) and not is_alive and attempt > 0

    def _settle(self) -> None:
        now = time.monotonic()
        for fault in self._faults:
            for run, place in list(fault.owed.items()):
                if self._place(run) != place:
                    self.recoveries.append(now - fault.at)
                    del fault.owed[run]

    def _left(self) -> set[str]:
        """What is there and should not be, once all runs have ended."""
        try:
            found = {row["what"] for row in self.query(_LEFT)}
        except psycopg.Error:
            return {"the database does not answer"}
        found |= {f"process of {run} attempt {attempt}" for run, attempt in self._oracle.scan(set(self._seen))}
        found |= self._oracle.left()
        found |= {f"wrapper {pid}" for pid in wrappers(self._home)}
        runs = self._home / "local" / "runs"
        return found | {f"folder {path.name}" for path in (runs.iterdir() if runs.exists() else [])}

    def _count_at_the_end(self) -> None:
        counters = self.counters
        ended = {run for run, seen in self._seen.items() if seen.state in TERMINAL}
        counters.lost |= self._ledger.runs() - ended
        counters.duplicated |= {f"key {key}" for key in self._ledger.changed}
        # Every run was made by one accepted key.
        counters.duplicated |= {f"{run}: of no key" for run in set(self._seen) - self._ledger.runs()}
        counters.orphans |= self._left() if not counters.lost else set()
        counters.unaudited |= {f"{row['run']} {row['verb']}" for row in self.query(_UNAUDITED)}
        self._replay_events()

    def _replay_events(self) -> None:
        """The history of each run must be a path through the table of states, and end where the run is."""
        place: dict[str, tuple[str | None, int]] = {}
        said: dict[str, str] = {}
        for row in self.query(_EVENTS):
            run, new = row["run"], row["new_state"]
            said[run] = row["state"]
            if new is None:
                continue
            old, attempt = place.get(run, (None, 0))
            legal = old is None or (row["old_state"] == old and can_advance(RunState(old), RunState(new)))
            if not legal or row["attempt"] < attempt:
                self.counters.regressed.add(f"{run}: {old} -> {new} ({row['code']})")
            place[run] = (new, row["attempt"])
        self.counters.unaudited |= {run for run, state in said.items() if place[run][0] != state}

    def states(self) -> Counter[str]:
        """How many runs are in each state."""
        with self._lock:
            return Counter(seen.state for seen in self._seen.values())
