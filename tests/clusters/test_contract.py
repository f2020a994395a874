"""The contract of all clusters on this machine, and what only it can promise."""

import time
from collections.abc import Iterator

import pytest

from app.clusters.base import ClusterRejected, LogPiece
from app.settings import LocalSettings
from tests.clusters.conftest import make_world
from tests.clusters.contract import TALK, Contract
from tests.clusters.world import World, wait_for


class TestLocal(Contract):
    """Not for pods: what was used (nothing measures it there yet), the snapshot, which a pod fetches by itself, and
    files, which it sends by itself."""

    @pytest.fixture
    def world(self) -> Iterator[World]:
        yield from make_world(LocalSettings())

    def test_a_missing_snapshot_is_refused(self, world: World) -> None:
        with pytest.raises(ClusterRejected, match="not in the object store"):
            world.cluster.start(world.plan(snapshot_digest="0" * 64, project_id="p"))

    def test_outputs_and_what_clean_up_leaves(self, world: World) -> None:
        plan = world.plan(
            "import os\nout = os.environ['BERTH_OUTPUT']\nos.makedirs(out + '/a/b')\n"
            "open(out + '/a/b/model.bin', 'w').write('12345')\nos.symlink('/etc/passwd', out + '/link')\n"
            "open(os.fsencode(out) + b'/caf\\xe9', 'w').write('latin')\n"
            "os.symlink('/etc', out + '/folder')\nos.mkfifo(out + '/pipe')\n"
            "open(os.environ['BERTH_CHECKPOINT'] + '/epoch', 'w').write('7')\n"
        )
        assert world.run(plan).exit_code == 0
        assert [(file.path, file.size, file.source.read_text()) for file in world.cluster.outputs(plan.run_id, 1)] == [
            ("a/b/model.bin", 5, "12345"),
            ("caf\udce9", 5, "latin"),
        ]
        world.cluster.clean_up(plan.run_id, 1, last=False)
        again = world.plan(
            "import os\nprint('epoch', open(os.environ['BERTH_CHECKPOINT'] + '/epoch').read())",
            run_id=plan.run_id,
            attempt=2,
        )
        assert world.run(again).exit_code == 0
        assert "epoch 7" in world.text(again)
        world.cluster.clean_up(plan.run_id, 2, last=True)
        assert world.cluster.statuses() == []
        assert list(world.cluster.outputs(plan.run_id, 2)) == []
        assert world.cluster.read_log(plan.run_id, 2, 0, 0, 100) == LogPiece(b"", 0)
        world.cluster.clean_up(plan.run_id, 2, last=True)

    def test_facts_and_capacity(self, world: World) -> None:
        capacity = world.cluster.capacity()
        assert capacity.cpu_millis >= 1000
        assert capacity.memory_bytes > 1 << 28
        assert {"host", "python", "limits", "isolation"} <= world.cluster.facts().keys()

    def test_many_that_ended_are_cheap_to_list(self, world: World) -> None:
        plans = [world.plan(command=["true"]) for _ in range(12)]
        for plan in plans:
            world.cluster.start(plan)
        wait_for(lambda: all(status.gone for status in world.cluster.statuses()))
        begun = time.process_time()
        for _ in range(10):
            assert len(world.cluster.statuses()) == 12
        assert time.process_time() - begun < 10 * 12 * 0.002

    def test_what_it_used(self, world: World) -> None:
        replica = world.run(world.plan(TALK))
        assert replica.usage["cpu_seconds"] > 0
        assert replica.usage["max_rss_bytes"] > 1 << 20
