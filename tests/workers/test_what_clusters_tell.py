"""What a cluster tells of a run beyond its state: the image by its digest, in which all that follows runs, too; and why
nobody knows of one."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from app import db
from app.domain.access import Actor
from app.repositories.runs import RunRow, get_run
from app.services import reruns
from tests.workers.test_convergence import World
from tests.workers.test_convergence import actor as actor
from tests.workers.test_convergence import submit as submit
from tests.workers.test_convergence import world as world

DIGEST = f"sha256:{'a' * 64}"
RAN = f"registry.test/train@{DIGEST}"


def _tell(world: World, public_id: str, attempt: int, image: str) -> None:
    key = public_id, attempt
    world.cluster.objects[key] = dataclasses.replace(world.cluster.objects[key], image=image)


def _end(world: World, public_id: str, attempt: int, image: str, **end: Any) -> None:
    world.turn()
    world.cluster.end(public_id, attempt, **end)
    _tell(world, public_id, attempt, image)
    world.turn(2)


def _read(actor: Actor, public_id: str) -> RunRow:
    with db.read_session() as session:
        return get_run(session, actor, public_id)


def test_the_next_attempt_runs_in_the_image_of_the_first(
    world: World, submit: Callable[..., str], actor: Actor
) -> None:
    public_id = submit(image="registry.test/train:1", retry={"failed": 2})
    _end(world, public_id, 1, RAN, cause="failed", exit_code=3)
    assert world.cluster.plans[public_id, 1].image == "registry.test/train:1"
    # Also where that attempt tells of none, as it never got that far.
    _end(world, public_id, 2, "", cause="failed", exit_code=3)
    _end(world, public_id, 3, RAN)
    assert [world.cluster.plans[public_id, number].image for number in (2, 3)] == [RAN, RAN]
    assert [attempt["image"] for attempt in _read(actor, public_id).attempts] == [RAN, None, RAN]


def test_an_image_that_has_no_name_in_a_registry_pins_nothing(world: World, submit: Callable[..., str]) -> None:
    public_id = submit(image="by-hand:1", retry={"failed": 1})
    _end(world, public_id, 1, DIGEST, cause="failed", exit_code=3)
    world.turn()
    assert world.cluster.plans[public_id, 2].image == "by-hand:1"


@pytest.mark.parametrize("image", ["registry.test/train:1", None])
def test_running_again_takes_the_same_image(
    world: World, submit: Callable[..., str], actor: Actor, image: str | None
) -> None:
    public_id = submit(image=image)
    _end(world, public_id, 1, RAN)
    with db.unit_of_work() as session:
        plain = reruns.rerun(session, actor, public_id).public_id
        exact = reruns.rerun_exactly(session, actor, public_id).public_id
        named = reruns.rerun(session, actor, public_id, {"image": "registry.test/train:1"}).public_id
        other = reruns.rerun(session, actor, public_id, {"image": "registry.test/train:2"}).public_id
    with db.unit_of_work() as session:  # of one that never ran
        again = reruns.rerun(session, actor, exact).public_id
    world.turn()
    for one in (plain, exact):
        assert world.cluster.plans[one, 1].image == RAN
        world.cluster.end(one, 1)
    world.turn(2)
    for one, ran in ((named, "registry.test/train:1"), (other, "registry.test/train:2"), (again, RAN)):
        world.turn()
        assert world.cluster.plans[one, 1].image == ran
        world.cluster.end(one, 1)
        world.turn(2)
    assert _read(actor, plain).spec.get("image") == image


def test_a_node_that_falls_silent_is_told_while_the_run_goes_on(
    world: World, submit: Callable[..., str], actor: Actor
) -> None:
    public_id = submit()
    world.turn()
    key = public_id, 1
    running = world.cluster.objects[key]
    finding = {"code": "NODE_SILENT", "node": "gpu-7"}
    (replica,) = running.replicas
    world.cluster.objects[key] = dataclasses.replace(running, replicas=[dataclasses.replace(replica, finding=finding)])
    world.turn()
    row = _read(actor, public_id)
    assert (row.state, row.attempt, row.reason_code, row.reason) == ("running", 1, "NODE_SILENT", {"node": "gpu-7"})
    world.cluster.objects[key] = running
    world.turn()
    row = _read(actor, public_id)
    assert (row.state, row.reason_code) == ("running", None)
    version = row.version
    world.turn()
    assert _read(actor, public_id).version == version
