"""A home per test; afterwards nothing of it may be alive and no control group may be left."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.clusters import local_facts
from app.settings import LocalSettings
from tests.clusters.world import World, processes_of, wait_for


@pytest.fixture
def world() -> Iterator[World]:
    yield from make_world(LocalSettings())


@pytest.fixture
def bare_world() -> Iterator[World]:
    """A machine without bubblewrap and control groups."""
    yield from make_world(LocalSettings(isolate=False, cgroups=False))


@pytest.fixture(params=["as the machine can", "bare"])
def any_world(request: pytest.FixtureRequest) -> Iterator[World]:
    yield from make_world(LocalSettings(isolate=request.param != "bare", cgroups=request.param != "bare"))


@pytest.fixture
def isolated_world(world: World) -> World:
    facts = local_facts.read_isolation(world.settings)
    if facts["isolation"] == "none":
        pytest.skip(facts["isolation_reason"])
    return world


@pytest.fixture
def limited_world(world: World) -> World:
    facts = local_facts.read_limits(world.settings)
    if not facts["limits"].startswith("cgroup"):
        pytest.skip(facts["limits_reason"])
    return world


def make_world(settings: LocalSettings) -> Iterator[World]:
    home = Path(tempfile.mkdtemp(prefix="berth-cluster-"))
    world = World(home.resolve(), settings)
    try:
        yield world
        _end(world)
    finally:
        for cluster in world.made:
            cluster.close()
        shutil.rmtree(home, ignore_errors=True)


def _end(world: World) -> None:
    for status in world.cluster.statuses():
        if not status.gone:
            world.cluster.stop(status.run_id, status.attempt, 0)
    wait_for(lambda: all(status.gone for status in world.cluster.statuses()), 30)
    wait_for(lambda: not processes_of(str(world.home)))
    # os.walk bears with groups of others that go meanwhile.
    left = [path for path, _, _ in os.walk("/sys/fs/cgroup") if f"/berth-{world.mark}-" in path]
    assert not left, "a control group is left"
    for cluster in world.made:
        cluster.close()
    assert not list((world.home / "local" / "hints").iterdir())
