"""What pods run in, where they go, and what they mount, on a real cluster."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.domain.clusters import ClusterSettings
from app.workers.cluster_looks import _sizes
from app.workloads.plans import RunPlan, VolumeRef
from deploy.testcluster import registry
from deploy.testcluster.images import PYTHON, REGISTRY
from tests.clusters.contract import TALK
from tests.clusters.kubernetes.pod_world import PodWorld
from tests.clusters.kubernetes.test_causes import add_claim, add_volume
from tests.clusters.kubernetes.world import Namespace

pytestmark = pytest.mark.cluster

MOVING = f"{REGISTRY}/python:moving"


@pytest.fixture
def world(namespace: Namespace) -> Iterator[PodWorld]:
    made = PodWorld.create(namespace)
    yield made
    made.close()


def _image_of(world: PodWorld, plan: RunPlan) -> str:
    status = world.status(plan)
    assert status is not None
    assert status.image is not None
    return status.image


def _policy(world: PodWorld, plan: RunPlan) -> Any:
    return world.pod(plan)["spec"]["containers"][0]["imagePullPolicy"]


def test_what_a_tag_meant_is_told_by_digest_and_can_be_had_again(world: PodWorld) -> None:
    port = world.namespace.cluster.registry_port
    first = world.namespace.cluster.image_by_digest(PYTHON)
    registry.move_tag(port, "python", first.partition("@")[2], "moving")
    before = world.plan(TALK, image=MOVING)
    world.run(before)
    assert _image_of(world, before) == first
    registry.move_tag(port, "python", "next", "moving")
    after, pinned = world.plan(TALK, image=MOVING), world.plan(TALK, image=first)
    for plan in (after, pinned):
        world.cluster.start(plan)
    for plan in (after, pinned):
        world.wait_end(plan)
    assert _image_of(world, after) not in (first, MOVING)
    assert _image_of(world, pinned) == first
    assert (_policy(world, after), _policy(world, pinned)) == ("Always", "IfNotPresent")


def test_a_run_with_gpus_goes_to_nodes_that_are_kept_for_such(world: PodWorld) -> None:
    """Simulated ones, whose pods end by themselves. They count for the pool, and those that no run may go to do not."""
    plan = world.plan(TALK, gpus=2)
    assert world.run(plan).exit_code == 0
    assert world.pod(plan)["spec"]["nodeName"].startswith("gpu-")
    api = world.cluster._api
    every, none = _sizes(api, ClusterSettings()), _sizes(api, ClusterSettings(node_selector="nobody=has"))
    assert (every["gpus"], every["nodes"], none["gpus"], none["cpu_millis"]) == (16, 3, 0, 0)
    assert sorted((gpus, is_for_gpus) for *_, gpus, is_for_gpus in every["largest_nodes"]) == [(0, False), (8, True)]
    assert every["open_total"][0] < every["cpu_millis"]
    other = _sizes(api, ClusterSettings(gpu_resource="amd.com/gpu"))
    assert (other["gpus"], other["cpu_millis"] < every["cpu_millis"]) == (0, True)
    tolerated = _sizes(api, ClusterSettings(gpu_resource="amd.com/gpu", tolerations="nvidia.com/gpu"))
    assert tolerated["cpu_millis"] == every["cpu_millis"]


def test_volumes_are_mounted_to_write_and_to_read(world: PodWorld, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    (tmp_path / "given").write_text("by the administrator")
    for folder in tmp_path.parents[:-2]:
        folder.chmod(0o755)
    add_claim(world.namespace, "data")
    volume = add_volume(world.namespace, "data", {"path": str(tmp_path)})
    program = """
import pathlib
print(pathlib.Path("/mnt/in/given").read_text())
pathlib.Path("/mnt/out/left").write_text("by the run")
try:
    pathlib.Path("/mnt/in/no").touch()
except OSError as error:
    print("refused", error.errno)
"""
    try:
        plan = world.plan(
            program, volumes=[VolumeRef("data", "/mnt/out"), VolumeRef("data", "/mnt/in", read_only=True)]
        )
        world.cluster.start(plan)
        try:
            assert world.wait_end(plan).exit_code == 0, world.text(plan)
        except AssertionError as error:
            error.add_note(f"{world.status(plan)} {world.pod(plan)}")
            raise
        assert world.text(plan).splitlines() == ["by the administrator", "refused 30"]
        assert (tmp_path / "left").read_text() == "by the run"
    finally:
        world.namespace.cluster.api.delete(f"/api/v1/persistentvolumes/{volume}")
