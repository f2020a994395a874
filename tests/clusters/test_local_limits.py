"""Memory and processor time: by control groups where they can be made, else by watching and assigning."""

import os
import time
from pathlib import Path

import pytest

from app.clusters import local_facts
from app.clusters.local_wrapper import cgroups
from app.settings import LocalSettings
from tests.clusters.conftest import make_world
from tests.clusters.world import MIB, World

EAT = (
    "import time\npieces = []\nfor _ in range(64):\n    pieces.append(bytearray(b'x' * (2 << 20)))\n"
    "    time.sleep(0.005)\nprint('ate it all')\ntime.sleep({pause})\n"
)
SPIN = (
    "import os, time\nuntil = time.time() + 2\nfor _ in range(3):\n    if os.fork() == 0:\n        break\n"
    "while time.time() < until:\n    pass\n"
)


def test_twice_its_memory_ends_it(limited_world: World) -> None:
    plan = limited_world.plan(EAT.format(pause=0), memory_bytes=64 * MIB)
    replica = limited_world.run(plan)
    assert replica.cause == "oom_killed"
    assert "64 MiB" in replica.message
    assert "ate it all" not in limited_world.text(plan)


def test_within_its_memory_it_lives(limited_world: World) -> None:
    assert limited_world.run(limited_world.plan(EAT.format(pause=0), memory_bytes=200 * MIB)).exit_code == 0


def test_the_watchdog_ends_it_too(bare_world: World) -> None:
    assert bare_world.cluster.facts()["limits"] == "watchdog and affinity"
    replica = bare_world.run(bare_world.plan(EAT.format(pause=20), memory_bytes=64 * MIB))
    assert replica.cause == "oom_killed"
    assert replica.usage["max_rss_bytes"] > 64 * MIB


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one processor cannot be exceeded")
def test_one_processor_is_one(any_world: World) -> None:
    replica = any_world.run(any_world.plan(SPIN, cpu_millis=1000))
    assert replica.started_at
    assert replica.finished_at
    cores = replica.usage["cpu_seconds"] / (replica.finished_at - replica.started_at)
    assert cores < 1.1


def test_what_a_fork_leaves_behind_counts(limited_world: World) -> None:
    """The program's child is killed for its memory and the program fails for it."""
    program = (
        "import os, sys\nif os.fork() == 0:\n    x = bytearray(b'x' * (256 << 20))\n    os._exit(0)\n"
        "_, status = os.wait()\nsys.exit(1 if status else 0)\n"
    )
    assert limited_world.run(limited_world.plan(program, memory_bytes=64 * MIB)).cause == "oom_killed"


def test_capacity_is_the_machine_unless_it_is_set() -> None:
    capacity = local_facts.read_capacity(LocalSettings())
    assert capacity.cpu_millis <= len(os.sched_getaffinity(0)) * 1000
    assert capacity.memory_bytes < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGESIZE")
    chosen = local_facts.read_capacity(LocalSettings(cpus=1.5, memory_bytes=1 << 30))
    assert (chosen.cpu_millis, chosen.memory_bytes) == (1500, 1 << 30)


class TestPlaces:
    """Where groups are made, over a tree of files that stands for another machine."""

    @staticmethod
    def make(folder: Path, control: str, own: str) -> tuple[str, str]:
        for path in ("", "user.slice", "user.slice/app.slice", "user.slice/app.slice/me.scope"):
            (folder / path).mkdir(exist_ok=True)
            (folder / path / "cgroup.procs").touch()
            (folder / path / "cgroup.subtree_control").write_text("")
        (folder / control / "cgroup.subtree_control").write_text("cpu memory pids")
        (folder / "mounts").write_text(f"cgroup2 {folder} cgroup2 rw,relatime 0 0\n")
        (folder / "own").write_text(f"0::/{own}\n")
        return str(folder / "mounts"), str(folder / "own")

    def test_version_2_takes_the_nearest_that_can(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def write(path: str, value: object) -> None:
            raise OSError(16, "Device or resource busy")  # what a group with processes inside answers

        monkeypatch.setattr(cgroups, "_write", write)
        mounts, own = self.make(tmp_path, "user.slice/app.slice", "user.slice/app.slice/me.scope")
        place = cgroups.find_place(mounts, own)
        assert place.version == 2
        assert set(place.folders.values()) == {f"{tmp_path}/user.slice/app.slice"}

    def test_nowhere_is_said_with_a_reason(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def write(path: str, value: object) -> None:
            raise OSError(16, "Device or resource busy")

        monkeypatch.setattr(cgroups, "_write", write)
        mounts, own = self.make(tmp_path, "", "user.slice/app.slice/me.scope")
        (tmp_path / "cgroup.subtree_control").write_text("cpuset")
        with pytest.raises(OSError, match="no control group"):
            cgroups.find_place(mounts, own)

    def test_none_mounted(self, tmp_path: Path) -> None:
        (tmp_path / "mounts").write_text("tmpfs /tmp tmpfs rw 0 0\n")
        (tmp_path / "own").write_text("")
        with pytest.raises(OSError, match="mounted"):
            cgroups.find_place(str(tmp_path / "mounts"), str(tmp_path / "own"))


def test_a_refused_group_falls_back_and_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> cgroups.Group:
        raise PermissionError(13, "not writable")

    monkeypatch.setattr(cgroups, "create", refuse)
    facts = local_facts.read_limits(LocalSettings())
    assert facts["limits"] == "watchdog and affinity"
    assert "not writable" in facts["limits_reason"]


def test_measuring_costs_little_while_it_runs(bare_world: World) -> None:
    plan = bare_world.plan("import time\nprint('ready', flush=True)\ntime.sleep(60)")
    bare_world.cluster.start(plan)
    bare_world.wait_line(plan, "ready")
    lock = (bare_world.folder(plan) / "wrapper.lock").read_text()
    pid = int(lock.split('"pid": ')[1].split(",")[0])

    def used() -> float:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    before = used()
    time.sleep(2)
    assert used() - before < 0.2


@pytest.mark.parametrize("isolate", [True, False])
@pytest.mark.parametrize("groups", [True, False])
def test_what_was_used_is_known(groups: bool, isolate: bool) -> None:
    settings = LocalSettings(isolate=isolate, cgroups=groups)
    for world in make_world(settings):
        program = "import time\nx = b'x' * (100 << 20)\n"
        replica = world.run(world.plan(program + "while time.process_time() < 1:\n    pass\n"))
        assert 0.7 < replica.usage["cpu_seconds"] < 1.4
        assert 100 * MIB < replica.usage["max_rss_bytes"] < 140 * MIB
