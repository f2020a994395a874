"""On Kubernetes, through a proxy before the API server: F14 flaky, F15 answers lost, F16 watches silent, F17 events
lost, F18 old events told again."""

import json
import random
import time

from deploy.testcluster.proxy import Rule
from tests.chaos.cluster_world import ClusterWorld
from tests.chaos.experiment import Experiment, Scale
from tests.chaos.world import Plan, World

_STARTS_AND_ENDS = r"/(jobs|secrets|pods)(/[^/?]*)?(\?(?!.*watch=true).*)?$"


class _Sometimes(Rule):
    """Fits each call with a chance of `part`."""

    part = 0.3

    def fits(self, method: str, path: str) -> bool:
        return super().fits(method, path) and random.random() < self.part


def note_faults(world: World, times: int) -> None:
    """A fault that lasts is counted so often, a second apart, while runs are under way."""
    for _ in range(times):
        world.wait(lambda: world.checker.in_flight() > 0, 60, "nothing is under way")
        world.checker.note_fault()
        time.sleep(1)


def fail_sometimes(world: ClusterWorld, part: float = 0.3) -> list[Rule]:
    """The rules by which so many calls fail, in seven ways."""
    rules = [
        _Sometimes(status=500),
        _Sometimes(status=503),
        _Sometimes(status=429, retry_after=1),
        _Sometimes(method="POST|PATCH", status=409),
        _Sometimes(cut="before"),
        _Sometimes(cut="after", path=_STARTS_AND_ENDS),
        _Sometimes(delay=2.0),
    ]
    for rule in rules:
        rule.part = part / len(rules) * 1.2
        world.proxy.add(rule)
    return [*rules]


def answer_badly(world: World, scale: Scale) -> None:
    """Three calls in ten are answered 409, 429 or 500, cut off, late or lost, while runs go through and are stopped."""
    assert isinstance(world, ClusterWorld)
    begun = len(world.proxy.calls)
    rules = fail_sometimes(world)
    stopped = 0
    with world.load(scale.runs, in_flight=8):
        for _ in range(scale.faults):
            run = world.submit(seconds=30)
            world.checker.note_fault()
            time.sleep(world.random.uniform(0.0, 6.0))
            world.ledger.stop(run)
            stopped += 1
    world.settle()
    failed = sum(rule.hits for rule in rules)
    calls = len(world.proxy.calls) - begun
    world.proxy.clear()
    world.checker.note_disturbance()
    world.notes["calls"] = (
        f"{calls}, {failed} of them failed, {calls / max(1, len(world.ledger.runs())):.0f} for each run"
    )
    world.notes["stopped"] = str(stopped)


F14 = Experiment(
    name="F14",
    title="flaky API server",
    body=answer_badly,
    short=Scale(runs=12, faults=4),
    full=Scale(runs=200, faults=100, is_full=True),
    plan=Plan(workers=2),
    guard="",
    taken_out={},
    letters="",
    world=ClusterWorld,
)


def lose_answers(world: World, scale: Scale) -> None:
    """Each object is made and its answer lost, the first time that it is asked for."""
    assert isinstance(world, ClusterWorld)
    lost = world.proxy.add(_FirstOfEach(method="POST", path=r"/(jobs|secrets)(\?.*)?$", cut="after"))
    with world.load(scale.runs, in_flight=10):
        note_faults(world, scale.faults)
    world.settle()
    world.notes["answers lost"] = str(lost.hits)
    world.demand(lost.hits >= scale.runs, f"only {lost.hits} answers were lost")


class _FirstOfEach(Rule):
    """Every other call that fits: what follows a lost answer is its repetition, most of the time."""

    turn = 0

    def fits(self, method: str, path: str) -> bool:
        if not super().fits(method, path):
            return False
        self.turn += 1
        return self.turn % 2 == 1


F15 = Experiment(
    name="F15",
    title="made, and the answer lost",
    body=lose_answers,
    short=Scale(runs=10, faults=4),
    full=Scale(runs=200, faults=20, is_full=True),
    plan=Plan(workers=2),
    guard="a start repeats its name, and takes what it finds there",
    taken_out={"worker": "new-name-each-time"},
    letters="D",
    world=ClusterWorld,
)


def silence_watches(world: World, scale: Scale) -> None:
    """Watches are open and tell nothing, bookmarks neither, for `seconds` while runs begin that outlast it."""
    assert isinstance(world, ClusterWorld)
    for _ in range(scale.faults):
        world.proxy.events = lambda _: []
        runs = [world.submit(seconds=scale.seconds + 15) for _ in range(scale.runs)]
        world.wait(lambda: all(_began(world, run) for run in runs), 120, "they do not begin")  # noqa: B023
        world.checker.note_fault()
        quiet = time.monotonic() + scale.seconds
        world.wait(lambda: time.monotonic() > quiet, scale.seconds + 10, "")  # noqa: B023
        world.proxy.events = None
        world.checker.note_disturbance()
        world.settle()
        again = [run for run in runs if (run, 2) in world.oracle.starts()]
        world.demand(not again, f"tried again though it ran on: {again}")


def _began(world: World, run: str) -> bool:
    return (run, 1) in world.oracle.starts()


F16 = Experiment(
    name="F16",
    title="watches half open",
    body=silence_watches,
    short=Scale(runs=2, faults=1, seconds=55),
    full=Scale(runs=10, faults=5, seconds=120, is_full=True),
    plan=Plan(),
    guard="only a list of now says what is missing",
    taken_out={"controller": "believe-the-watch"},
    letters="D",
    world=ClusterWorld,
)


def lose_events(world: World, scale: Scale) -> None:
    """Of the events of all watches a fifth is lost."""
    assert isinstance(world, ClusterWorld)
    lost = 0

    def drop(line: bytes) -> list[bytes]:
        nonlocal lost
        if random.random() < 0.2:
            lost += 1
            return []
        return [line]

    world.proxy.events = drop
    _go_through(world, scale)
    world.notes["events lost"] = str(lost)


def tell_old_events(world: World, scale: Scale) -> None:
    """Each event is told, and then one of those before it once more."""
    assert isinstance(world, ClusterWorld)
    told: dict[str, list[bytes]] = {}  # by kind

    def repeat(line: bytes) -> list[bytes]:
        event = json.loads(line)
        if event["type"] not in ("ADDED", "MODIFIED"):
            return [line]
        before = told.setdefault(event["object"]["kind"], [])
        before.append(line)
        return [line, world.random.choice(before[-200:])]

    world.proxy.events = repeat
    _go_through(world, scale)
    world.notes["old events"] = str(sum(map(len, told.values())))


def _go_through(world: ClusterWorld, scale: Scale) -> None:
    with world.load(scale.runs, in_flight=8):
        note_faults(world, scale.faults)
    world.settle()
    world.proxy.events = None


F17 = Experiment(
    name="F17",
    title="events lost",
    body=lose_events,
    short=Scale(runs=10, faults=1),
    full=Scale(runs=100, faults=20, is_full=True),
    plan=Plan(),
    guard="all is listed once in a while",
    taken_out={"controller": "no-lists"},
    letters="LS",
    world=ClusterWorld,
)
F18 = Experiment(
    name="F18",
    title="old events told again",
    body=tell_old_events,
    short=Scale(runs=10, faults=1),
    full=Scale(runs=100, faults=20, is_full=True),
    plan=Plan(),
    guard="",
    taken_out={},
    letters="",
    world=ClusterWorld,
)
