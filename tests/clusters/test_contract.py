"""What every cluster promises, in real processes. A new kind of cluster joins by one more fixture parameter."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.clusters.base import ClusterRejected, ClusterUnavailable, LogPiece
from app.settings import LocalSettings
from tests.clusters.conftest import make_world
from tests.clusters.world import World, wait_for

TALK = 'print("hello", flush=True)\n'
SLEEP = 'import time\nprint("ready", flush=True)\ntime.sleep(60)\n'


class TestContract:
    @pytest.fixture(params=["local"])
    def world(self, request: pytest.FixtureRequest) -> Iterator[World]:
        yield from make_world(LocalSettings())

    def test_a_run_begins_and_ends_well(self, world: World) -> None:
        plan = world.plan(TALK)
        replica = world.run(plan)
        assert (replica.phase, replica.exit_code, replica.cause, replica.first_error) == ("ended", 0, None, None)
        assert ("o", "hello") in world.log(plan)
        assert replica.started_at
        assert replica.finished_at
        assert replica.started_at <= replica.finished_at
        assert replica.usage["cpu_seconds"] > 0
        assert replica.usage["max_rss_bytes"] > 1 << 20

    def test_a_failure_tells_code_and_line(self, world: World) -> None:
        replica = world.run(world.plan('import sys\nprint("no data found", file=sys.stderr)\nsys.exit(3)'))
        assert (replica.exit_code, replica.cause, replica.first_error) == (3, "failed", "no data found")

    def test_statuses_show_what_lives(self, world: World) -> None:
        plan = world.plan(SLEEP)
        world.cluster.start(plan)
        world.wait_line(plan, "ready")
        status = world.status(plan)
        assert status is not None
        assert not status.gone
        assert status.replicas[0].phase == "running"
        assert status.replicas[0].started_at == pytest.approx(time.time(), abs=5)

    def test_start_may_be_repeated_at_once_and_later(self, world: World) -> None:
        plan = world.plan('import os\nopen(os.environ["BERTH_CHECKPOINT"] + "/n", "a").write("x")\n' + SLEEP)
        with ThreadPoolExecutor(8) as pool:
            handles = list(pool.map(lambda _: world.new_cluster().start(plan), range(16)))
        assert all(handle == handles[0] for handle in handles)
        world.wait_line(plan, "ready")
        world.cluster.start(plan)
        world.cluster.stop(plan.run_id, 1, 0)
        world.wait_end(plan)
        world.cluster.start(plan)
        time.sleep(0.3)
        assert (world.folder(plan).parent / "checkpoint" / "n").read_text() == "x"

    def test_another_plan_under_the_same_name_is_not_started(self, world: World) -> None:
        """It is no refusal either: that would end the run for Berth while its program lives."""
        plan = world.plan(TALK)
        world.cluster.start(plan)
        with pytest.raises(ClusterUnavailable, match="another plan"):
            world.cluster.start(world.plan(TALK, run_id=plan.run_id, memory_bytes=1 << 29))
        moved = {"BERTH_TOKEN": "a later one", "BERTH_URL": "http://127.0.0.1:8811"}
        world.cluster.start(world.plan(TALK, run_id=plan.run_id, env=moved, log_bytes=1 << 20))
        assert world.wait_end(plan).exit_code == 0

    def test_a_missing_snapshot_is_refused(self, world: World) -> None:
        with pytest.raises(ClusterRejected, match="not in the object store"):
            world.cluster.start(world.plan(snapshot_digest="0" * 64, snapshot_project="p"))

    def test_stop_is_heard_by_the_program(self, world: World) -> None:
        plan = world.plan(
            "import signal, sys, time\n"
            'signal.signal(signal.SIGTERM, lambda *_: (print("saving", flush=True), sys.exit(0)))\n' + SLEEP
        )
        world.cluster.start(plan)
        world.wait_line(plan, "ready")
        world.cluster.stop(plan.run_id, 1, 10)
        replica = world.wait_end(plan)
        assert replica.cause == "stopped"
        assert "saving" in world.text(plan)

    def test_the_grace_ends(self, world: World) -> None:
        plan = world.plan("import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLEEP)
        world.cluster.start(plan)
        world.wait_line(plan, "ready")
        begun = time.monotonic()
        world.cluster.stop(plan.run_id, 1, 1)
        assert time.monotonic() - begun < 0.5, "stop returns at once"
        replica = world.wait_end(plan)
        assert replica.cause == "stopped"
        assert "killed" in replica.message
        assert 0.9 < time.monotonic() - begun < 4

    def test_what_was_stopped_before_never_starts(self, world: World) -> None:
        plan = world.plan('import os\nopen(os.environ["BERTH_CHECKPOINT"] + "/n", "a").write("x")\n')
        world.cluster.stop(plan.run_id, 1, 5)
        world.cluster.stop(plan.run_id, 1, 5)
        world.cluster.start(plan)
        replica = world.wait_end(plan)
        assert (replica.cause, replica.started_at) == ("stopped", None)
        assert not list(world.folder(plan).parent.glob("checkpoint/n"))

    def test_stop_of_what_is_gone_is_no_error(self, world: World) -> None:
        plan = world.plan(TALK)
        world.run(plan)
        world.cluster.stop(plan.run_id, 1, 5)
        world.cluster.clean_up(plan.run_id, 1, last=True)
        world.cluster.stop(plan.run_id, 1, 5)
        assert world.status(plan) is None

    def test_the_time_limit(self, world: World) -> None:
        replica = world.run(world.plan(SLEEP, timeout_seconds=1))
        assert replica.cause == "timed_out"
        assert replica.finished_at
        assert replica.started_at
        assert 0.9 < replica.finished_at - replica.started_at < 4

    def test_a_program_that_is_not_there(self, world: World) -> None:
        replica = world.run(world.plan(TALK, command=["trian", "--lr", "1"]))
        assert replica.cause == "start_failed"
        assert "'trian'" in replica.message
        assert "no program" in (replica.first_error or "")

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

    def test_what_was_removed_never_starts_again(self, world: World) -> None:
        plan = world.plan(TALK)
        world.run(plan)
        world.cluster.clean_up(plan.run_id, 1, last=True)
        with pytest.raises(ClusterRejected, match="before"):
            world.cluster.start(plan)
        assert world.cluster.statuses() == []

    def test_the_log_comes_in_whole_records(self, world: World) -> None:
        plan = world.plan("for i in range(2000):\n    print('line', i)\nprint('last', end='')")
        world.cluster.start(plan)
        offset, data = 0, b""

        def read() -> bool:
            nonlocal offset, data
            ended = world.status(plan)
            piece = world.cluster.read_log(plan.run_id, 1, 0, offset, 700)
            assert piece.data == b"" or piece.data.endswith(b"\n")
            assert piece.end_offset == offset + len(piece.data)
            offset, data = piece.end_offset, data + piece.data
            return bool(ended and ended.gone and not piece.data)

        while not read():
            pass
        texts = [line.split(b" ", 2)[2] for line in data.splitlines()]
        assert texts == [*(b"line %d" % i for i in range(2000)), b"last"]

    def test_a_change_wakes_who_waits(self, world: World) -> None:
        plan = world.plan("import time\ntime.sleep(0.5)")
        watcher = world.new_cluster()
        watcher.wait_for_change(0.01)
        begun = time.monotonic()
        world.cluster.start(plan)
        while not (status := world.status(plan, watcher)) or not status.gone:
            watcher.wait_for_change(20)
        assert time.monotonic() - begun < 5

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
