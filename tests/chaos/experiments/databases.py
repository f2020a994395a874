"""F8: Postgres is killed while runs are submitted and run."""

import time

from tests.chaos.experiment import Experiment, Scale
from tests.chaos.world import Plan, World


def kill(world: World, scale: Scale) -> None:
    """An immediate stop and a new start; how long until something is accepted again."""
    backs: list[float] = []
    with world.load(scale.runs, in_flight=12):
        for _ in range(scale.faults):
            world.pause(0.2, 1.0)
            world.wait(lambda: world.checker.in_flight() > 3, 60, "nothing is in flight")
            if world.is_over:
                return
            world.checker.note_fault()
            world.servers.kill_postgres()
            world.pause(0.0, 0.5)
            world.servers.postgres.start_or_join()
            backs.append(_wait_for_answer(world))
            world.wait_for_progress()
    others = set(world.ledger.answers) - {"200", "202", "503"}
    world.demand(not others, f"answers other than 503: {dict(world.ledger.answers)}")
    world.notes["503s"] = str(world.ledger.answers["503"])
    world.note_times("accepting again", backs, 10.0)


def _wait_for_answer(world: World) -> float:
    began = time.monotonic()
    before = len(world.ledger.runs())
    world.submit(seconds=0.1)
    world.wait(lambda: len(world.ledger.runs()) > before, 60, "nothing is accepted")
    return time.monotonic() - began


F8 = Experiment(
    name="F8",
    title="Postgres killed",
    body=kill,
    short=Scale(runs=40, faults=10),
    full=Scale(runs=500, faults=20, is_full=True),
    plan=Plan(own_postgres=True),
    guard="2xx is answered after the commit",
    taken_out={"web": "early-answer"},
    letters="L",
)
