"""What attempts run in, from the cluster to Postgres; and that plans follow the manifest, not today's defaults."""

from collections.abc import Iterator
from typing import Any

import pytest

from app.domain.access import Actor
from app.workloads.kinds.job import JobSpec
from tests.workers.test_convergence import World, actor, submit, world

__all__ = ["actor", "submit", "world"]  # fixtures

TOLD = {
    "interpreter": "/venv/bin/python",
    "version": "3.11.2",
    "packages": {"NumPy": "2.1.0", "bad\x00name": "1", "x": "1\x00"},
    "platform": {"berth": "0.1.0", "os": "Linux 6.1", "machine": "x86_64", "more": "no"},
}


def described(world: World, run: str, attempt: int = 1) -> list[Any]:
    return world.column(
        "select e.document from attempt a join run r on r.id = a.run_id"
        " join environment e on e.project_id = r.project_id and e.digest = a.environment"
        " where r.public_id = :id and a.number = :number",
        id=run,
        number=attempt,
    )


def test_what_it_runs_in_is_recorded_once_while_it_runs(world: World, actor: Actor, submit: Any) -> None:
    first, second = submit(), submit()
    world.turn(2)
    for run in (first, second):
        world.cluster.describe(run, 1, TOLD)
    world.turn(2)
    expected = {"interpreter": "/venv/bin/python", "version": "3.11.2", "packages": {"numpy": "2.1.0"}, "note": ""}
    assert described(world, first) == [expected] == described(world, second)
    assert world.column("select count(*) from environment") == [1], "the same is kept once"
    platforms = world.column("select platform from attempt")
    assert platforms == [{"berth": "0.1.0", "os": "Linux 6.1", "machine": "x86_64"}] * 2
    asked = world.cluster.calls["environment"]
    for run in (first, second):
        world.cluster.end(run, 1)
    world.turn(3)
    assert {world.run(run)["state"] for run in (first, second)} == {"succeeded"}
    assert world.cluster.calls["environment"] == asked


def test_what_is_known_only_at_the_end_is_recorded_before_it_is_cleaned(
    world: World, actor: Actor, submit: Any
) -> None:
    run = submit()
    world.turn(1)
    world.cluster.environments[run, 1] = TOLD
    world.cluster.end(run, 1)
    world.turn(3)
    assert world.run(run)["state"] == "succeeded"
    assert [found["version"] for found in described(world, run)] == ["3.11.2"]


def test_nonsense_and_nothing_hold_nothing_up(world: World, actor: Actor, submit: Any) -> None:
    runs = [submit() for _ in range(3)]
    world.turn(2)
    world.cluster.describe(runs[0], 1, {"packages": [1], "platform": "x", "interpreter": 7})
    world.cluster.describe(runs[1], 1, {})
    world.turn(2)
    for run in runs:
        world.cluster.end(run, 1)
    world.turn(3)
    assert {world.run(run)["state"] for run in runs} == {"succeeded"}
    assert described(world, runs[2]) == []


@pytest.fixture
def after_the_upgrade() -> Iterator[Any]:
    """Call it, and the defaults are those of a later version."""
    before = {name: JobSpec.model_fields[name].default for name in ("memory", "retry")}

    def change(values: dict[str, Any]) -> None:
        for name, value in values.items():
            JobSpec.model_fields[name].default = value
        JobSpec.model_rebuild(force=True)

    yield lambda: change({"memory": "2Gi", "retry": {"lost": 0}})
    change(before)


def test_a_later_attempt_has_the_defaults_of_the_submit(
    world: World, actor: Actor, submit: Any, after_the_upgrade: Any
) -> None:
    run = submit()
    world.turn(2)
    after_the_upgrade()
    world.cluster.lose(run, 1)
    world.turn(4)
    assert world.run(run)["attempt"] == 2, "it may be lost twice, as when it was submitted"
    assert world.cluster.plans[run, 2].memory_bytes == 1 << 30
