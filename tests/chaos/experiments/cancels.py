"""F20: runs are stopped while they are submitted, admitted, started, ended; and starts come after their stop."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from tests.chaos.experiment import Experiment, Scale
from tests.chaos.oracle import scan
from tests.chaos.world import Plan, World

_PLACES = ("before-start", "within-start")


def cancel(world: World, scale: Scale) -> None:
    """Stops each run 0 to `seconds` after its submit, every third one twice; then the late starts."""
    gone: list[float] = []
    faults = threading.Lock()

    def race(number: int) -> None:
        run = world.submit(seconds=world.random.uniform(0.5, 4), stubborn=number % 4 == 0)
        time.sleep(world.random.uniform(0, scale.seconds))
        with faults:
            world.checker.note_fault()
        for _ in range(2 if number % 3 == 0 else 1):
            world.ledger.stop(run)
        asked = time.monotonic()
        while any(key[0] == run for key in world.checker.live()) or world.checker.state(run) in ("", "queued"):
            time.sleep(0.1)
        gone.append(time.monotonic() - asked)

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(race, number) for number in range(scale.faults)]:
            done.result(120)
    world.note_times("live object gone", gone, 30.0)
    start_late(world, scale)


def start_late(world: World, scale: Scale) -> None:
    """A worker is stopped just before it starts something; it wakes when the run was stopped and cleaned up."""
    rounds = 4 if scale.is_full else 2
    for place in _PLACES * rounds:
        (world.folder / f"pause-{place}").touch()
        run = world.submit(seconds=5)
        sleepers: list[int] = []

        def is_asleep(place: str = place, sleepers: list[int] = sleepers) -> bool:
            for path in world.folder.glob(f"paused-{place}.*"):
                sleepers.append(int(path.suffix[1:]))
                path.unlink()
            return bool(sleepers)

        world.wait(is_asleep, 30, f"no start came by {place}")
        world.checker.note_fault()
        world.ledger.stop(run)
        try:
            world.wait(lambda run=run: world.checker.state(run) == "stopped", 60, "it was not stopped")  # type: ignore[misc]
            world.wait(lambda run=run: _is_cleaned(world, run), 60, "it was not cleaned up")  # type: ignore[misc]
        finally:
            for pid in sleepers:
                os.kill(pid, signal.SIGCONT)
        _watch(world, run, 1.5)
        if world.is_over:
            return
    world.notes["late starts"] = str(len(_PLACES) * rounds)


def _is_cleaned(world: World, run: str) -> bool:
    rows = world.checker.query(
        "select 1 from attempt join run on run.id = run_id where public_id = %s and cleaned_at is null", run
    )
    return not rows


def _watch(world: World, run: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if scan({run}):
            world.checker.counters.wrong.add(f"{run} began after its end")
        time.sleep(0.05)


F20 = Experiment(
    name="F20",
    title="cancel races",
    body=cancel,
    short=Scale(runs=40, faults=40, seconds=1.0),
    full=Scale(runs=500, faults=500, seconds=2.0, is_full=True),
    plan=Plan(chaos={"worker": "pausable"}),
    guard="what was ended can not begin any more (tombstone)",
    taken_out={"worker": "no-tombstone", "controller": "no-tombstone"},
    letters="W",
    body_without=start_late,
)
