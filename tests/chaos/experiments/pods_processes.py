"""On Kubernetes: F1, any process of Berth is killed; F20, runs are stopped at any moment; F24, logs through kills."""

import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.chaos.cluster_world import ClusterWorld
from tests.chaos.experiment import Experiment, Scale
from tests.chaos.world import Plan, World


def kill_anything(world: World, scale: Scale) -> None:
    """SIGKILL to a web, worker or controller, whichever chance names, while runs go through."""
    killed: list[str] = []
    with world.load(scale.runs, in_flight=10):
        while len(killed) < scale.faults and not world.is_over:
            world.wait(lambda: world.checker.in_flight() > 0, 60, "nothing is under way", revive=True)
            victim = world.random.choice([member for member in world.fleet.members.values() if member.is_alive])
            world.checker.note_fault()
            victim.kill()
            killed.append(victim.name)
            world.pause(0.2, 2.0)
            world.fleet.revive()
            world.wait_for_progress(120)
    roles = [name.rstrip("0123456789") for name in killed]
    world.notes["killed"] = ", ".join(f"{role} {roles.count(role)}" for role in sorted(set(roles)))


F1 = Experiment(
    name="F1",
    title="any process killed",
    body=kill_anything,
    short=Scale(runs=16, faults=5),
    full=Scale(runs=200, faults=60, is_full=True),
    plan=Plan(workers=2),
    guard="a run that was handed over or claimed is due again",
    taken_out={"controller": "no-redelivery", "worker": "no-redelivery"},
    letters="LS",
    plan_without=Plan(workers=1),
    world=ClusterWorld,
)


def cancel(world: World, scale: Scale) -> None:
    """Stops each run 0 to `seconds` after its submit, every third one twice."""
    gone: list[float] = []

    def race(number: int) -> None:
        run = world.submit(seconds=20, stubborn=number % 4 == 0)
        time.sleep(world.random.uniform(0, scale.seconds))
        world.checker.note_fault()
        for _ in range(2 if number % 3 == 0 else 1):
            world.ledger.stop(run)
        asked = time.monotonic()
        until = asked + world.timing.patience
        while world.checker.state(run) not in ("stopped", "failed", "succeeded") and time.monotonic() < until:
            time.sleep(0.1)
        gone.append(time.monotonic() - asked)

    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(race, number) for number in range(scale.faults)]:
            done.result(2 * world.timing.patience)
    world.note_times("ended", gone, 30.0)


F20 = Experiment(
    name="F20",
    title="cancel races",
    body=cancel,
    short=Scale(runs=12, faults=12, seconds=5.0),
    full=Scale(runs=200, faults=200, seconds=8.0, is_full=True),
    plan=Plan(),
    guard="",
    taken_out={},
    letters="",
    world=ClusterWorld,
)


def kill_shippers(world: World, scale: Scale) -> None:
    """The controller, which ships logs, is killed while a pod writes numbered lines; then each line is looked for."""
    assert isinstance(world, ClusterWorld)
    run = world.submit(lines=scale.runs, pace=scale.seconds)
    world.wait(lambda: world.checker.state(run) == "running", 120, "it does not run")
    (controller,) = world.fleet.of("controller")
    for _ in range(scale.faults):
        if world.checker.state(run) != "running":
            break
        world.checker.note_fault()
        controller.kill()
        world.fleet.revive()
        shipped = _shipped(world, run)
        world.wait(lambda: _shipped(world, run) > shipped or world.checker.in_flight() == 0, 120, "nothing is shipped")  # noqa: B023
        world.pause(0.0, 1.0)
    world.wait(
        lambda: world.checker.in_flight() == 0,
        world.timing.patience + scale.seconds * 2,
        "it has not ended",
        revive=True,
    )
    check_lines(world, run, scale.runs)


def check_lines(world: ClusterWorld, run: str, wanted: int) -> None:
    """Every number from 1 to `wanted` once and in order; what is missing must stand for a gap that is said."""
    told: list[Any] = list(itertools.islice(world.client.runs.logs(run), wanted + 10_000))
    numbers = [int(line.text) for line in told if line.text.isdigit()]
    others = [line.text for line in told if not line.text.isdigit()]
    missing = wanted - len(set(numbers))
    doubled = len(numbers) - len(set(numbers))
    world.notes["lines"] = f"{len(set(numbers))} of {wanted}, doubled {doubled}, gaps said {len(others)}"
    world.demand(doubled == 0, f"{doubled} lines were told twice")
    world.demand(numbers == sorted(numbers), "lines are out of order")
    world.demand(missing == 0 or bool(others), f"{missing} lines are missing, and nobody says so")


def _shipped(world: World, run: str) -> int:
    found = world.checker.query(
        "select coalesce(sum(lines), 0)::bigint as n from log_chunk join run on run.id = run_id where public_id = %s",
        run,
    )
    return int(found[0]["n"])


F24 = Experiment(
    name="F24",
    title="logs while their shipper is killed",
    body=kill_shippers,
    short=Scale(runs=50_000, faults=4, seconds=15),
    full=Scale(runs=1_000_000, faults=12, seconds=400, is_full=True),
    plan=Plan(),
    guard="",
    taken_out={},
    letters="",
    world=ClusterWorld,
)
