"""F13: web processes are killed while they answer; clients repeat with the same Idempotency-Key."""

import contextlib

from tests.chaos.experiment import Experiment, Scale
from tests.chaos.processes import Member, wait_ready
from tests.chaos.world import Plan, World

_CLIENTS = 6


def kill(world: World, scale: Scale) -> None:
    """Every second victim dies between its commit and its answer; the others at any moment of a request."""
    webs = world.fleet.of("web")

    def submit() -> str:
        return world.submit(seconds=world.random.uniform(0.5, 1.5))

    with contextlib.ExitStack() as stack:
        for _ in range(_CLIENTS):
            stack.enter_context(world.load(scale.runs // _CLIENTS + 1, in_flight=24, submit=submit))
        for number in range(scale.faults):
            victim = webs[number % len(webs)]
            if number % 2:
                _start_armed(world, victim)
                world.wait(lambda victim=victim: not victim.is_alive, 60, "it was not asked")  # type: ignore[misc]
                world.checker.note_fault()
            else:
                wait_ready(victim, world.ports[number % len(webs)])  # one that is starting has no request to lose
                world.wait(lambda: world.ledger.pending > 0, 60, "nobody asks")
                world.pause(0, 0.1)
                world.checker.note_fault()
                victim.kill()
            victim.kill()
            victim.start()
    world.notes["keys"] = str(len(world.ledger.accepted))
    world.notes["repeats"] = str(sum(world.ledger.answers.values()) - len(world.ledger.accepted))


def kill_few(world: World, scale: Scale) -> None:
    """Enough to see a run made twice."""
    kill(world, Scale(runs=18, faults=4))


def _start_armed(world: World, victim: Member) -> None:
    world.wait(lambda: victim.is_alive, 10, "it is not there")
    victim.kill()
    victim.start(BERTH_CRASH_AT="submit.after_commit")


F13 = Experiment(
    name="F13",
    title="web killed in a POST",
    body=kill,
    short=Scale(runs=60, faults=10),
    full=Scale(runs=200, faults=100, is_full=True),
    plan=Plan(webs=2),
    guard="an Idempotency-Key makes one run",
    taken_out={"web": "ignore-key"},
    letters="D",
    body_without=kill_few,
    plan_without=Plan(webs=1),
    note="full: 100 kills over at least 200 POSTs",
)
