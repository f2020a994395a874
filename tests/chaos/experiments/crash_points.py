"""F2: a process dies at each named point of the code; all points are found in the source and all are driven."""

import ast
import time
from collections import Counter, deque
from pathlib import Path

from tests.chaos.experiment import Experiment, Scale
from tests.chaos.processes import ROOT, Member
from tests.chaos.world import Plan, World

_UNREACHED_AFTER = 90.0


def find_points() -> dict[str, str]:
    """Every crash point in app/, and the role of the process that comes by."""
    found: dict[str, str] = {}
    for path in sorted((ROOT / "app").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "crash_point":
                name = node.args[0]
                assert isinstance(name, ast.Constant), f"{path}:{node.lineno}: the name must stand there in full"
                assert name.value not in found, f"{name.value} stands twice"
                found[str(name.value)] = _role_of(path.relative_to(ROOT / "app"))
    return found


def _role_of(path: Path) -> str:
    if path.parts[0] != "workers":
        return "web"
    return "worker" if path.stem in ("runs", "outputs") else "controller"


class _Chain:
    """The armed process of one role: each dies at its point, and the next is armed with the next point."""

    def __init__(self, world: World, member: Member, points: list[str]) -> None:
        self.member = member
        self.points = deque(points)
        self.reached: Counter[str] = Counter()
        self._world = world
        self._armed_at = 0.0
        self._arm()

    def _arm(self) -> None:
        self.member.kill()
        self._armed_at = time.monotonic()
        if self.points:
            self.member.start(BERTH_CRASH_AT=self.points[0])
        else:
            self.member.start()

    def look(self) -> None:
        """Goes on to the next point when this one was reached; gives it up when it never is."""
        if not self.points:
            return
        if not self.member.is_alive:
            assert self.member.process is not None
            code = self.member.process.returncode
            assert code == -9, f"{self.member.name} ended with {code}:\n{self.member.tail()}"
            self._world.checker.note_fault()
            self.reached[self.points.popleft()] += 1
            self._arm()
        elif time.monotonic() - self._armed_at > _UNREACHED_AFTER:
            self._world.demand(False, f"{self.points.popleft()} was never reached")
            self._arm()


def drive(world: World, scale: Scale, only: str = "", seconds: float | None = None) -> None:
    """All points, each so many times; beside the armed worker and web another of each works on."""
    points = {name: role for name, role in find_points().items() if only in name}
    by_role = {
        role: [name for name, of in points.items() if of == role for _ in range(scale.faults)]
        for role in ("web", "worker", "controller")
    }
    armed = {"web": "web1", "worker": "worker1", "controller": "controller0"}
    world.fleet.worker(1, pool="solo", concurrency=1, environment=world.chaos("worker"))
    stoppable: deque[str] = deque()
    turns = iter(range(1_000_000))

    def submit() -> str:
        if seconds is not None:
            return world.submit(seconds=seconds)
        if next(turns) % 5:
            return world.submit_any()
        stoppable.append(world.submit(seconds=60))
        return stoppable[-1]

    with world.load(scale.runs, in_flight=14, submit=submit):
        chains = [_Chain(world, world.fleet.members[armed[role]], names) for role, names in by_role.items() if names]
        while any(chain.points for chain in chains) and not world.is_over:
            for chain in chains:
                chain.look()
            _stop_running(world, stoppable)
            time.sleep(0.02)
    _stop_all(world, stoppable)
    reached = set().union(*(chain.reached for chain in chains))
    world.notes["points"] = f"{len(reached)} driven of {len(points)} found"


def _stop_running(world: World, stoppable: "deque[str]") -> None:
    for _ in range(len(stoppable)):
        run = stoppable.popleft()
        if world.checker.state(run) == "running":
            world.ledger.stop(run)
        else:
            stoppable.append(run)


def _stop_all(world: World, stoppable: "deque[str]") -> None:
    for run in stoppable:
        world.ledger.stop(run)


def drive_claim(world: World, scale: Scale) -> None:
    """Only the point between a claim and its first step."""
    drive(world, Scale(runs=20, faults=5), only="converge.after_claim", seconds=1)


F2 = Experiment(
    name="F2",
    title="crash points",
    body=drive,
    short=Scale(runs=40, faults=1),
    full=Scale(runs=500, faults=20, is_full=True),
    plan=Plan(webs=2, workers=1),
    guard="a run that was handed over or claimed is due again",
    taken_out={"worker": "no-redelivery", "controller": "no-redelivery"},
    letters="LS",
    body_without=drive_claim,
    plan_without=Plan(webs=1, workers=1),
)
