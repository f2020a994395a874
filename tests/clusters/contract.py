"""What every cluster promises, in real processes and in real pods. A new kind of cluster joins by one more subclass."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.clusters.base import ClusterRejected, ClusterUnavailable
from tests.clusters.world import World

TALK = 'print("hello", flush=True)\n'
SLEEP = 'import time\nprint("ready", flush=True)\ntime.sleep(60)\n'


class Contract:
    """Its tests run with the `world` of the subclass. `slack`: seconds that starting or ending may take beside the
    program's own time."""

    slack = 3.0

    def test_a_run_begins_and_ends_well(self, world: World) -> None:
        plan = world.plan(TALK)
        replica = world.run(plan)
        assert (replica.phase, replica.exit_code, replica.cause, replica.first_error) == ("ended", 0, None, None)
        assert ("o", "hello") in world.log(plan)
        assert replica.started_at
        assert replica.finished_at
        assert replica.started_at <= replica.finished_at

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
        plan = world.plan(SLEEP)
        with ThreadPoolExecutor(8) as pool:
            handles = list(pool.map(lambda _: world.new_cluster().start(plan), range(16)))
        assert all(handle == handles[0] for handle in handles)
        world.wait_line(plan, "ready")
        world.cluster.start(plan)
        world.cluster.stop(plan.run_id, 1, 0)
        world.wait_end(plan)
        world.cluster.start(plan)
        time.sleep(0.3)
        assert world.text(plan).split().count("ready") == 1

    def test_another_plan_under_the_same_name_is_not_started(self, world: World) -> None:
        """It is no refusal either: that would end the run for Berth while its program lives."""
        plan = world.plan(TALK)
        world.cluster.start(plan)
        with pytest.raises(ClusterUnavailable, match="another plan"):
            world.cluster.start(world.plan(TALK, run_id=plan.run_id, memory_bytes=1 << 29))
        moved = {"BERTH_TOKEN": "a later one", "BERTH_URL": "http://127.0.0.1:8811"}
        world.cluster.start(world.plan(TALK, run_id=plan.run_id, env=moved, log_bytes=1 << 20))
        assert world.wait_end(plan).exit_code == 0

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
        assert 0.9 < time.monotonic() - begun < 1 + self.slack

    def test_what_was_stopped_before_never_starts(self, world: World) -> None:
        plan = world.plan(TALK)
        world.cluster.stop(plan.run_id, 1, 5, plan.project_id)
        world.cluster.stop(plan.run_id, 1, 5, plan.project_id)
        world.cluster.start(plan)
        replica = world.wait_end(plan)
        assert (replica.cause, replica.started_at) == ("stopped", None)
        assert "hello" not in world.text(plan)

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
        assert 0.9 < replica.finished_at - replica.started_at < 1 + self.slack

    def test_a_program_that_is_not_there(self, world: World) -> None:
        replica = world.run(world.plan(TALK, command=["trian", "--lr", "1"]))
        assert replica.cause == "start_failed"
        assert "'trian'" in replica.message
        assert "no program" in (replica.first_error or "")

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
        assert time.monotonic() - begun < 2 + self.slack
