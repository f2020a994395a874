"""The local cluster under kills: at most one process per attempt, nothing lost, nothing foreign touched."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from app.clusters.base import ClusterUnavailable
from app.clusters.local_wrapper import processes
from app.clusters.local_wrapper.folder import Folder
from app.workloads.plans import RunPlan
from tests.clusters.world import World, is_alive, processes_of, wait_for

SLEEP = 'import time\nprint("ready", flush=True)\ntime.sleep(60)\n'
# A program with a child, and one that left its process group.
FAMILY = (
    "import subprocess, sys\n"
    'subprocess.Popen(["sleep", "61"])\nsubprocess.Popen(["sleep", "62"], start_new_session=True)\n' + SLEEP
)


def wrapper_pid(world: World, run_id: str) -> int:
    lock = world.home / "local" / "runs" / run_id / "1" / "wrapper.lock"
    return int(wait_for(lambda: lock.exists() and json.loads(lock.read_text() or "{}").get("pid")))


def test_processes_that_start_it_together_make_one(world: World) -> None:
    plan = world.plan('import os\nopen(os.environ["BERTH_CHECKPOINT"] + "/n", "a").write("x")\n' + SLEEP)
    script = (
        "import json, sys\nfrom pathlib import Path\n"
        "from app.workloads.plans import RunPlan\nfrom app.clusters.local import LocalCluster\n"
        "from app.settings import LimitSettings, LocalSettings\n"
        "home, settings, plan, archive = sys.argv[1:]\n"
        "cluster = LocalCluster(Path(home), LocalSettings(**json.loads(settings)), LimitSettings(),\n"
        "                       lambda *_: iter([Path(archive).read_bytes()]))\n"
        "cluster.start(RunPlan(**json.loads(plan)))\n"
    )
    archive = world.home / "archive"
    archive.write_bytes(world.archives[plan.snapshot_digest or ""])
    arguments = [str(world.home), world.settings.model_dump_json(), json.dumps(plan.__dict__)]
    starters = [
        subprocess.Popen([sys.executable, "-c", script, *arguments, str(archive)], cwd=Path(__file__).parents[2])
        for _ in range(3)
    ]
    assert [starter.wait(120) for starter in starters] == [0] * 3
    world.wait_line(plan, "ready")
    assert (world.folder(plan).parent / "checkpoint" / "n").read_text() == "x"


@pytest.mark.parametrize("seconds", [0.1, 0.5])
def test_a_start_waits_for_who_looks_after_the_folder(
    world: World, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = world.plan(SLEEP)
    folder = world.folder(plan)
    folder.mkdir(parents=True)
    with (folder / "wrapper.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        release = threading.Timer(seconds, fcntl.flock, (lock, fcntl.LOCK_UN))
        release.start()
        if seconds > 0.2:  # taken after `start` has looked, and before its wrapper does
            monkeypatch.setattr(Folder, "holder", lambda *_, **__: "nobody")
        world.cluster.start(plan)
        monkeypatch.undo()
        world.wait_line(plan, "ready")
        release.join()


def test_a_killed_wrapper_is_lost_and_so_is_its_family(any_world: World) -> None:
    plan = any_world.plan(FAMILY)
    any_world.cluster.start(plan)
    any_world.wait_line(plan, "ready")
    assert len(processes_of(plan.run_id)) >= 4
    os.kill(wrapper_pid(any_world, plan.run_id), signal.SIGKILL)
    replica = any_world.wait_end(plan)
    assert (replica.phase, replica.cause, replica.exit_code) == ("lost", "lost", None)
    left = processes_of(plan.run_id)
    if any_world.settings.isolate:
        assert left == {}
    else:  # without a sandbox or control groups, what left its session and lost its parent cannot be proven ours
        assert all("sleep 62" in words for words in left.values())
        for pid in left:
            os.kill(pid, signal.SIGKILL)
    any_world.cluster.start(plan)
    time.sleep(0.2)
    assert any_world.wait_end(plan).cause == "lost", "it is never started again"


def test_the_end_takes_everything_along(any_world: World) -> None:
    plan = any_world.plan(FAMILY.replace("time.sleep(60)", "time.sleep(0.2)"))
    assert any_world.run(plan).exit_code == 0
    assert processes_of(plan.run_id) == {}


def test_it_survives_the_death_of_berth(any_world: World, tmp_path: Path) -> None:
    """The caller's whole process group is killed at once after start; a new cluster adopts the run."""
    plan = any_world.plan('import time\nprint("ready", flush=True)\ntime.sleep(1)\nprint("done")\n')
    archive = tmp_path / "archive"
    archive.write_bytes(any_world.archives[plan.snapshot_digest or ""])
    script = (
        "import json, os, signal, sys\nfrom pathlib import Path\n"
        "from app.workloads.plans import RunPlan\nfrom app.clusters.local import LocalCluster\n"
        "from app.settings import LimitSettings, LocalSettings\n"
        "os.setpgid(0, 0)\nhome, settings, plan, archive = sys.argv[1:]\n"
        "cluster = LocalCluster(Path(home), LocalSettings(**json.loads(settings)), LimitSettings(),\n"
        "                       lambda *_: iter([Path(archive).read_bytes()]))\n"
        "cluster.start(RunPlan(**json.loads(plan)))\nos.killpg(0, signal.SIGKILL)\n"
    )
    arguments = [str(any_world.home), any_world.settings.model_dump_json(), json.dumps(plan.__dict__)]
    berth = subprocess.run(
        [sys.executable, "-c", script, *arguments, str(archive)], cwd=Path(__file__).parents[2], timeout=120
    )
    assert berth.returncode == -signal.SIGKILL
    replica = any_world.wait_end(plan)
    assert (replica.exit_code, replica.cause) == (0, None)
    assert "done" in any_world.text(plan)


def test_a_wrapper_that_died_before_the_program_began_is_replaced(world: World) -> None:
    plan = world.plan(SLEEP)
    world.cluster.start(plan)
    os.kill(wrapper_pid(world, plan.run_id), signal.SIGKILL)
    settle(world, plan)


def settle(world: World, plan: RunPlan) -> None:
    """As Berth does: start is repeated while it says "starting", until the program runs or the attempt is lost."""

    def settled() -> bool:
        status = world.status(plan)
        assert status is not None
        if status.replicas[0].phase == "starting":
            world.cluster.start(plan)
        return status.gone or "ready" in world.text(plan)

    wait_for(settled)


@pytest.mark.parametrize("delay", [0.0, 0.01, 0.03, 0.05, 0.07, 0.1])
def test_kills_at_any_moment_make_no_second_one(world: World, delay: float) -> None:
    plan = world.plan('import os\nopen(os.environ["BERTH_CHECKPOINT"] + "/n", "a").write("x")\n' + SLEEP)
    world.cluster.start(plan)
    time.sleep(delay)
    os.kill(wrapper_pid(world, plan.run_id), signal.SIGKILL)
    for _ in range(5):
        world.cluster.start(plan)
        time.sleep(0.02)
    settle(world, plan)
    marks = list(world.folder(plan).parent.glob("checkpoint/n"))
    assert [mark.read_text() for mark in marks] in ([], ["x"])


def test_stops_at_any_moment_end_it(any_world: World) -> None:
    plans = [any_world.plan(SLEEP) for _ in range(8)]
    for number, plan in enumerate(plans):
        any_world.cluster.start(plan)
        time.sleep(number * 0.015)
        any_world.cluster.stop(plan.run_id, 1, 20)
    begun = time.monotonic()
    assert {any_world.wait_end(plan).cause for plan in plans} == {"stopped"}
    assert time.monotonic() - begun < 10, "a stop during the start must not wait for the whole grace"


def test_a_reused_pid_is_never_touched(any_world: World) -> None:
    """started.json and wrapper.lock name a live process with another start time, and one of another boot."""
    foreign = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        for change in ({"start": -1}, {"boot": "another"}):
            plan = any_world.plan(SLEEP)
            folder = any_world.folder(plan)
            folder.mkdir(parents=True)
            identity = processes.identify(foreign.pid) | change
            started = identity | {"started_at": time.time(), "pgid": foreign.pid}
            (folder / "plan.json").write_text(json.dumps(plan.__dict__))
            (folder / "wrapper.lock").write_text(json.dumps(identity))
            (folder / "started.json").write_text(json.dumps(started))
            any_world.cluster.stop(plan.run_id, 1, 0)
            assert any_world.wait_end(plan).phase == "lost"
            assert is_alive(foreign.pid)
            any_world.cluster.clean_up(plan.run_id, 1, last=True)
    finally:
        foreign.kill()
        foreign.wait()


def test_what_lives_cannot_be_cleaned_up(world: World) -> None:
    plan = world.plan(SLEEP)
    world.cluster.start(plan)
    with pytest.raises(ClusterUnavailable, match="running"):
        world.cluster.clean_up(plan.run_id, 1, last=True)
    world.wait_line(plan, "ready")


def test_a_machine_that_shuts_down(world: World) -> None:
    """SIGTERM for the wrapper without a request of Berth: the program hears it, and the attempt counts as lost."""
    plan = world.plan(SLEEP)
    world.cluster.start(plan)
    world.wait_line(plan, "ready")
    os.kill(wrapper_pid(world, plan.run_id), signal.SIGTERM)
    assert world.wait_end(plan).cause == "lost"


def test_the_wrapper_is_small_and_knows_nothing_of_the_server(world: World) -> None:
    plan = world.plan(SLEEP)
    world.cluster.start(plan)
    world.wait_line(plan, "ready")
    status = Path(f"/proc/{wrapper_pid(world, plan.run_id)}/status").read_text()
    assert int(status.split("VmRSS:")[1].split()[0]) < 15 << 10
    code = (
        "import sys\nsys.path.append(sys.argv[1])\nfrom app.clusters.local_wrapper import attempt, unpack\n"
        "print([n for n in sys.modules if n.split('.')[0] not in sys.stdlib_module_names and n != '__main__'])"
    )
    root = str(Path(__file__).parents[2])
    loaded = subprocess.run([sys.executable, "-I", "-S", "-c", code, root], capture_output=True, text=True, check=True)
    allowed = ("app.clusters.local_wrapper", "app.domain.archives")
    names = set(eval(loaded.stdout)) - {"app", "app.clusters", "app.domain"}
    assert names
    assert all(name.startswith(allowed) for name in names)


def test_fifty_at_once(world: World) -> None:
    """SIGKILL for the one who started them; all fifty are adopted or reaped by another."""
    plans = [world.plan(command=["sleep", "60"], cpu_millis=10, memory_bytes=16 << 20) for _ in range(50)]
    for plan in plans:
        world.cluster.start(plan)
    heir = world.new_cluster()
    wait_for(lambda: [s.replicas[0].phase for s in heir.statuses()] == ["running"] * 50, 30)
    for plan in plans[:25]:
        os.kill(wrapper_pid(world, plan.run_id), signal.SIGKILL)
    for plan in plans[25:]:
        heir.stop(plan.run_id, 1, 5)
    wait_for(lambda: all(status.gone for status in heir.statuses()), 30)
    causes = [status.replicas[0].cause for status in heir.statuses()]
    assert (causes.count("lost"), causes.count("stopped")) == (25, 25)
    assert processes_of(str(world.home)) == {}
