"""F3: Redis is emptied. F4: Redis is killed. F5: Redis is away. Each loses hints, and must cost time only."""

import contextlib
import time

import redis

from tests.chaos.experiment import Experiment, Scale
from tests.chaos.world import Plan, World

_QUEUE = "berth"
_NO_REDELIVERY = {"controller": "no-redelivery", "worker": "no-redelivery"}
_REDELIVERY = "a run that was handed over or claimed is due again"


def empty(world: World, scale: Scale) -> None:
    """FLUSHALL, best while messages wait."""
    client = redis.Redis.from_url(world.redis_url)
    lost = 0
    with world.load(scale.runs, in_flight=16):
        for _ in range(scale.faults):
            waiting = _wait_for_messages(client, 1.0)
            if world.is_over:
                return
            world.checker.note_fault()
            lost += waiting
            client.flushall()
            time.sleep(scale.seconds)
    world.notes["messages lost"] = str(lost)
    world.settle()
    world.note_times("start", world.start_delays(), 12.0 if scale.is_full else None)


def _wait_for_messages(client: "redis.Redis", seconds: float) -> int:
    """How many wait; as soon as there are some, or after so long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(redis.RedisError):
            waiting = client.llen(_QUEUE)
            if isinstance(waiting, int) and waiting:
                return waiting
        time.sleep(0.005)
    return 0


F3 = Experiment(
    name="F3",
    title="Redis emptied",
    body=empty,
    short=Scale(runs=40, faults=12, seconds=0.3),
    full=Scale(runs=500, faults=24, seconds=5.0, is_full=True),
    plan=Plan(own_redis=True),
    guard=_REDELIVERY,
    taken_out=_NO_REDELIVERY,
    letters="LS",
)


def kill(world: World, scale: Scale) -> None:
    """SIGKILL without anything on disk, a new start, and how long until a worker asks it for work."""
    client = redis.Redis.from_url(world.redis_url)
    backs: list[float] = []
    with world.load(scale.runs, in_flight=16):
        for _ in range(scale.faults):
            _wait_for_messages(client, 1.0)
            if world.is_over:
                return
            world.checker.note_fault()
            world.servers.kill_valkey()
            world.pause(0.0, scale.seconds)
            world.servers.valkey.start_or_join()
            backs.append(_wait_for_consumers(world))
    world.settle()
    world.notes["consuming again"] = f"{len(backs)}/{scale.faults}"
    world.note_times("after", backs, 15.0 if scale.is_full else 30.0)


def _wait_for_consumers(world: World) -> float:
    """Seconds until some worker waits for messages."""
    began = time.monotonic()

    world.wait(lambda: world.listeners() > 0, 60, "no worker asks for messages", revive=True)
    return time.monotonic() - began


F4 = Experiment(
    name="F4",
    title="Redis killed",
    body=kill,
    short=Scale(runs=40, faults=6, seconds=0.5),
    full=Scale(runs=500, faults=20, seconds=3.0, is_full=True),
    plan=Plan(own_redis=True),
    guard=_REDELIVERY,
    taken_out=_NO_REDELIVERY,
    letters="LS",
)


def take_away(world: World, scale: Scale) -> None:
    """Redis stops, runs are submitted and must start, Redis comes back; so many times."""
    delays: list[float] = []
    for _ in range(scale.faults):
        world.servers.kill_valkey()
        began = time.monotonic()
        runs = []
        for number in range(scale.runs // scale.faults):
            runs.append((world.submit_any(), time.monotonic()))
            if not number:
                world.checker.note_fault()
            time.sleep(scale.seconds * scale.faults / scale.runs)
        for run, submitted in runs:
            world.wait(lambda run=run: _has_begun(world, run), 60, f"{run} has not begun", revive=True)  # type: ignore[misc]
            delays.append(_begun_at(world, run) - submitted)
        world.notes["away"] = f"{scale.faults} x {time.monotonic() - began:.1f} s"
        world.servers.valkey.start_or_join()
        if world.is_over:
            return
    accepted = sum(world.ledger.answers[code] for code in ("200", "202"))
    world.notes["accepted"] = f"{accepted}/{sum(world.ledger.answers.values())}"
    world.demand(set(world.ledger.answers) <= {"200", "202"}, f"refused: {dict(world.ledger.answers)}")
    world.note_times("start", delays, 15.0)


def _has_begun(world: World, run: str) -> bool:
    return any(key[0] == run for key in world.oracle.starts())


def _begun_at(world: World, run: str) -> float:
    return min((mark.at for mark in world.oracle.marks if mark.run == run), default=time.monotonic())


F5 = Experiment(
    name="F5",
    title="Redis absent",
    body=take_away,
    short=Scale(runs=30, faults=10),
    full=Scale(runs=200, faults=2, seconds=240.0, is_full=True),
    plan=Plan(own_redis=True),
    guard="the dispatcher converges by itself while the broker is away",
    taken_out={"controller": "no-fallback"},
    letters="S",
    note="full: twice 4 minutes instead of once 10, 200 submits in all",
)
