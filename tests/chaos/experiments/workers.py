"""F1: workers are killed. F7: every message comes five times. F2 is in crash_points.py."""

import signal
import time
from pathlib import Path

import psutil

from tests.chaos.experiment import Experiment, Scale
from tests.chaos.processes import Member
from tests.chaos.world import Plan, World


def kill_workers(world: World, scale: Scale) -> None:
    """Kills whole worker groups, and every third time only one of a group's processes, while runs go through."""
    workers = world.fleet.of("worker")
    with world.load(scale.runs):
        for number in range(scale.faults):
            victim = _pick_working(world, workers)
            if world.is_over:
                return
            world.checker.note_fault()
            if number % 3 == 2:
                for child in victim.children()[:1]:
                    child.send_signal(signal.SIGKILL)
            else:
                victim.kill()
                victim.start()
            world.pause(0.2, 2.0 if scale.is_full else 0.6)
            world.wait_for_progress()


def _pick_working(world: World, workers: list[Member]) -> Member:
    """A worker whose processes are there, as soon as one is and has something to do."""
    found: list[Member] = []

    def look() -> bool:
        found[:] = [worker for worker in workers if worker.is_alive and _is_at_work(worker)]
        return (bool(found) and world.checker.in_flight() > 0) or world.is_over

    world.wait(look, 60, "no worker works", revive=True)
    return world.random.choice(found or workers)


def _is_at_work(worker: Member) -> bool:
    """Its processes exist, and one of them has used time since it was forked."""
    try:
        return any(sum(child.cpu_times()[:2]) > 0.02 for child in worker.children())
    except psutil.Error:
        return False


F1 = Experiment(
    name="F1",
    title="worker killed",
    body=kill_workers,
    short=Scale(runs=40, faults=10),
    full=Scale(runs=500, faults=100, is_full=True),
    plan=Plan(workers=2),
    guard="a run that was handed over or claimed is due again",
    taken_out={"controller": "no-redelivery", "worker": "no-redelivery"},
    letters="LS",
    plan_without=Plan(workers=1),
)


def deliver_often(world: World, scale: Scale) -> None:
    """The dispatcher sends each message five times, shuffled; the starts that reach the cluster are counted."""
    world.checker.note_fault()  # it lasts from the start; without the guard the first run may be enough
    with world.load(scale.runs, in_flight=16):
        while len(world.ledger.runs()) < scale.runs and not world.is_over:
            world.checker.note_fault()
            time.sleep(0.3)
    world.settle()
    starts = (world.folder / "starts").read_text().splitlines()
    world.notes["create calls"] = f"{len(starts)} for {len(set(starts))} attempts"


F7 = Experiment(
    name="F7",
    title="messages doubled",
    body=deliver_often,
    short=Scale(runs=40, faults=200),
    full=Scale(runs=500, faults=2500, is_full=True),
    plan=Plan(workers=2, chaos={"controller": "duplicate", "worker": "count-starts"}),
    guard="only who holds a run's lease acts (and a start finds what is there)",
    taken_out={"worker": "no-lease,repeat-start"},
    letters="D",
    plan_without=Plan(workers=2, chaos={"controller": "duplicate", "worker": "count-starts"}),
)


def starts_of(folder: Path) -> list[str]:
    """A line for each call of `start` that reached the cluster."""
    path = folder / "starts"
    return path.read_text().splitlines() if path.exists() else []
