"""F28: all of Berth is killed beside living runs, wrappers too, and pids come to belong to somebody else."""

import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path

from tests.chaos.experiment import Experiment, Scale
from tests.chaos.oracle import Key, Process, scan, wrappers
from tests.chaos.world import Plan, World

_FILES = ("started.json", "wrapper.lock")


def kill_everything(world: World, scale: Scale) -> None:
    """A third of the runs are to be adopted; of the others the wrapper dies too, and for half of those another
    process gets the pid that is written down."""
    gate = world.folder / "gate"
    os.mkfifo(gate, 0o600)
    runs = [world.submit(gate=gate) for _ in range(scale.runs)]
    world.wait(lambda: len(_live(world, runs)) == len(runs), 120, "not all runs run")
    before = {key[0]: found for key, found in _live(world, runs).items()}
    foreign = [subprocess.Popen(["sleep", "600"], start_new_session=True) for _ in runs[2::3]]
    try:
        world.checker.note_fault()
        for member in world.fleet.members.values():
            member.kill()
        orphaned = [run for number, run in enumerate(runs) if number % 3]
        _kill_wrappers(world, orphaned)
        for process, run in zip(foreign, runs[2::3], strict=True):
            _give_away_pid(world, run, before[run], process.pid)
        world.fleet.revive()
        _settle(world, runs, gate, before, foreign)
    finally:
        for process in foreign:
            process.kill()
            process.wait()


def _settle(
    world: World,
    runs: list[str],
    gate: Path,
    before: dict[str, set[Process]],
    foreign: "list[subprocess.Popen[bytes]]",
) -> None:
    adopted, orphaned = runs[0::3], [run for number, run in enumerate(runs) if number % 3]
    second: set[Key] = {(run, 2) for run in orphaned}

    def is_settled() -> bool:
        killed = [process.pid for process in foreign if process.poll() is not None]
        world.checker.counters.wrong |= {f"foreign process {pid} was killed" for pid in killed}
        return second <= set(world.oracle.starts()) or world.is_over

    world.wait(is_settled, world.timing.patience, "not all were tried again")
    time.sleep(1)
    is_settled()
    now = _live(world, runs)
    kept = sum(before[run] == now.get((run, 1)) for run in adopted)
    reaped = sum((run, 1) not in now for run in orphaned)
    opened = os.open(gate, os.O_RDWR)  # from here on every run goes on
    world.wait(lambda: world.checker.in_flight() == 0, world.timing.patience, "not all ended")
    os.close(opened)
    killed = sum(process.poll() is not None for process in foreign)
    world.notes["adopted"] = f"{kept}/{len(adopted)}"
    world.notes["reaped"] = f"{reaped}/{len(orphaned)}"
    world.notes["foreign killed"] = f"{killed}/{len(foreign)}"
    world.demand(kept == len(adopted), f"adopted {kept} of {len(adopted)}")
    world.demand(reaped == len(orphaned), f"reaped {reaped} of {len(orphaned)}")


def _live(world: World, runs: list[str]) -> dict[Key, set[Process]]:
    """The living processes of those runs whose program has said that it began."""
    begun = set(world.oracle.starts())
    return {key: found for key, found in scan(set(runs)).items() if key in begun}


def _kill_wrappers(world: World, runs: list[str]) -> None:
    """SIGKILL to the processes beside these runs; each is a fault of its own."""
    for pid in wrappers(world.home):
        with contextlib.suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            if any(f"/runs/{run}/".encode() in command for run in runs):
                world.checker.note_fault()
                os.kill(pid, signal.SIGKILL)


def _give_away_pid(world: World, run: str, processes: set[Process], pid: int) -> None:
    """The run's own processes die, and the pid that is written down is now that of somebody else."""
    for own, _ in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(own, signal.SIGKILL)
    for name in _FILES:
        path = world.home / "local" / "runs" / run / "1" / name
        identity = json.loads(path.read_text())
        identity["pid"] = pid
        path.write_text(json.dumps(identity))


F28 = Experiment(
    name="F28",
    title="local backend, all of Berth killed",
    body=kill_everything,
    short=Scale(runs=30, faults=21),
    full=Scale(runs=50, faults=34, is_full=True),
    plan=Plan(cpus=64),
    guard="a process is known by its start time, not by its pid alone",
    taken_out={"worker": "no-identity", "controller": "no-identity"},
    letters="W",
)
