"""What an experiment is, how it is run with all guards and with one taken out, and the row it prints."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.chaos.checker import Counters
from tests.chaos.servers import Servers
from tests.chaos.world import Plan, World


@dataclass(frozen=True)
class Scale:
    """How much of it: runs at least, faults, and how long one of them lasts where that means anything."""

    runs: int
    faults: int
    seconds: float = 0.0
    is_full: bool = False


@dataclass(frozen=True)
class Experiment:
    """`guard` is what its second run does without, by the switches `taken_out`; one of `letters` must rise then."""

    name: str
    title: str
    body: Callable[[World, Scale], None]
    short: Scale
    full: Scale
    plan: Plan
    guard: str
    taken_out: Mapping[str, str]
    letters: str
    # What the second run needs, where it is less than the first or placed otherwise.
    body_without: Callable[[World, Scale], None] | None = None
    plan_without: Plan | None = None
    note: str = ""
    world: type[World] = World


@dataclass
class Result:
    """What came of one run of an experiment."""

    experiment: Experiment
    is_guarded: bool
    runs: int
    faults: int
    hits: int
    counters: Counters
    recoveries: list[float]
    seconds: float
    notes: dict[str, str] = field(default_factory=dict)
    unmet: list[str] = field(default_factory=list)  # figures that were missed

    def complaints(self) -> list[str]:
        """Why it did not go as it must; empty when it did."""
        if not self.is_guarded:
            if self.counters.risen(self.experiment.letters) and self.faults:
                return []
            return [f"without its guard ({self.experiment.guard}) nothing went wrong: it proves nothing"]
        found = [
            f"{letter} = {len(what)}: {', '.join(sorted(what)[:5])}"
            for letter, what in self.counters.by_letter().items()
            if what
        ]
        found += self.unmet
        if self.hits * 2 < self.faults:
            found.append(f"only {self.hits} of {self.faults} faults hit a run in flight")
        return found


HEADER = (
    f"{'':4} {'guard':5} {'runs':>5} {'faults':>6} {'hit':>4}  {'  L/D/S/R/Q/O/U/W':<22}"
    f" {'p50':>6} {'p95':>6} {'max':>6} {'took':>6}"
)


def row(result: Result) -> str:
    """One line of the table; recovery and duration in seconds."""
    times = sorted(result.recoveries)
    marks = [times[min(len(times) - 1, int(len(times) * part))] if times else None for part in (0.5, 0.95, 1.0)]
    shown = " ".join(f"{mark:6.1f}" if mark is not None else f"{'-':>6}" for mark in marks)
    counts = "/".join(str(len(found)) for found in result.counters.by_letter().values())
    line = (
        f"{result.experiment.name:4} {'in' if result.is_guarded else 'OUT':5} {result.runs:5} {result.faults:6}"
        f" {result.hits:4}  {counts:<22} {shown} {result.seconds:6.0f}"
    )
    return line + "".join(f"  {name} {value}" for name, value in result.notes.items())


def run(experiment: Experiment, servers: Servers, *, full: bool, guarded: bool) -> Result:
    """Runs it once. The run without its guard is always of the short form."""
    is_full = full and guarded
    scale = experiment.full if is_full else experiment.short
    plan = experiment.plan
    body = experiment.body
    if not guarded:
        plan = experiment.plan_without or plan
        chaos = dict(plan.chaos)
        for role, names in experiment.taken_out.items():
            chaos[role] = ",".join(filter(None, [chaos.get(role), names]))
        plan = Plan(**{**vars(plan), "chaos": chaos})
        body = experiment.body_without or body
    began = time.monotonic()
    with experiment.world(
        servers,
        experiment.world.FULL if is_full else experiment.world.SHORT,
        plan,
        "" if guarded else experiment.letters,
    ) as world:
        body(world, scale)
        world.settle()
        world.checker.finish(world.timing.patience, world.until)
        checker = world.checker
        result = Result(
            experiment,
            guarded,
            len(world.ledger.runs()),
            checker.faults,
            checker.hits,
            checker.counters,
            checker.recoveries,
            time.monotonic() - began,
            world.notes,
            world.unmet,
        )
        if result.complaints() or (checker.counters.duplicated and "D" not in experiment.letters):
            world.explain(
                [*sorted(checker.counters.duplicated), *sorted(set().union(*checker.counters.by_letter().values()))][:3]
            )
        return result
