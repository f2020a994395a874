"""What a run uses, measured by its wrapper beside real programs."""

import os
import shutil
import time
from pathlib import Path

import pytest

from app.domain.usage import Asked, Slice, Summary, parse, summarise
from app.workloads.plans import RunPlan
from tests.clusters.world import MIB, World

WRITE = """\
import os, time
with open(os.environ["BERTH_OUTPUT"] + "/model.bin", "wb") as file:
    file.write(os.urandom(8 << 20))
    file.flush()
    os.fsync(file.fileno())
time.sleep(0.7)
"""
BURN = """\
x = b"x" * (200 << 20)
while time.process_time() < 1.5:
    pass
"""
IDLE = 'import time\nprint("ready", flush=True)\ntime.sleep(60)\n'


def read(world: World, plan: RunPlan, piece: int = 1 << 20) -> tuple[list[Slice], str | None]:
    """All of the file, in pieces as small as that."""
    data, offset = b"", 0
    while found := world.new_cluster().read_usage(plan.run_id, plan.attempt, 0, offset, piece).data:
        data, offset = data + found, offset + len(found)
    lines = parse(data)
    return lines.slices, lines.gpu_meter


def summary(slices: list[Slice]) -> Summary:
    found = summarise(slices, Asked(1000, 256 * MIB, 0))
    assert found is not None
    return found


def test_a_core_and_200_mib(any_world: World) -> None:
    plan = any_world.plan(WRITE + BURN, memory_bytes=400 * MIB)
    replica = any_world.run(plan)
    slices, meter = read(any_world, plan)
    used = summary(slices)
    assert replica.finished_at
    assert replica.started_at
    ran = replica.finished_at - replica.started_at
    assert used.seconds == pytest.approx(ran, abs=0.5)
    assert used.cpu_seconds == pytest.approx(replica.usage["cpu_seconds"], abs=0.01), "the facts say the same"
    assert 1.45 < used.cpu_seconds < 2.0
    assert used.cpu_mean == pytest.approx(1000 * used.cpu_seconds / used.seconds, abs=2)
    assert used.cpu_mean <= used.cpu_high < 1300
    assert used.memory_high == replica.usage["max_rss_bytes"], "the facts say the same"
    assert 200 * MIB < used.memory_high < 240 * MIB
    assert 50 * MIB < used.memory_mean <= used.memory_high
    assert used.folder is not None
    assert 8 * MIB <= used.folder < 16 * MIB
    assert (used.gpus, meter) == (None, "")
    assert len(slices) >= 6, "a run of seconds has figures, too"


def test_its_writes_are_counted(any_world: World) -> None:
    plan = any_world.plan(WRITE)
    any_world.run(plan)
    if not Path("/proc/self/io").exists():
        pytest.skip("this kernel does not count the bytes that processes write")
    used = summary(read(any_world, plan)[0])
    assert used.disk_written < 64 * MIB
    if _counts_writes(any_world.home):
        assert used.disk_written >= 8 * MIB


def _counts_writes(folder: Path) -> bool:
    def written() -> int:
        return int(Path("/proc/self/io").read_text().split("write_bytes: ")[1].split()[0])

    before, file = written(), folder / "probe"
    file.write_bytes(os.urandom(1 << 20))
    file.unlink()
    return written() - before >= 1 << 20


def test_reading_in_any_pieces_and_by_any_reader_gives_the_same(world: World) -> None:
    plan = world.plan(WRITE)
    world.run(plan)
    whole = read(world, plan)
    assert read(world, plan, 200) == whole
    assert read(world, plan, 333) == whole
    assert world.cluster.read_usage(plan.run_id, 1, 1, 0, 100).data == b""
    assert world.cluster.read_usage("r-nothing", 1, 0, 0, 100).data == b""


def test_a_torn_line_waits_for_its_end(world: World) -> None:
    plan = world.plan('print("x")')
    world.run(plan)
    path = world.folder(plan) / "usage.log"
    before = read(world, plan)
    with path.open("ab") as file:
        file.write(b"1795325002000 2000 8000")
    assert read(world, plan) == before


def test_measuring_costs_little(any_world: World) -> None:
    plan = any_world.plan(IDLE)
    any_world.cluster.start(plan)
    any_world.wait_line(plan, "ready")
    time.sleep(1.5)  # the first looks are close together
    pid = int((any_world.folder(plan) / "wrapper.lock").read_text().split('"pid": ')[1].split(",")[0])
    before, start = _ticks(pid), time.monotonic()
    time.sleep(4)
    part = (_ticks(pid) - before) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - start)
    assert part < 0.05, f"{part:.1%} of a core"  # a tick is 0.25 % here; docs/guides/usage.md has a longer measurement


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_a_meter_of_gpus_is_asked_beside_the_program(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer in the words of a real nvidia-smi is replayed; the processes it names are all there are."""
    played = tmp_path / "nvidia-smi"
    played.write_text(
        "#!/bin/sh\n"
        'case "$1" in\n'
        "  --query-gpu=*) echo 'GPU-1f2e3d4c-5b6a-7988-a0b1-c2d3e4f50617, 87';;\n"
        "  *) for pid in $(ls /proc | grep '^[0-9]*$'); do\n"
        '       echo "GPU-1f2e3d4c-5b6a-7988-a0b1-c2d3e4f50617, $pid, 512"; done;;\n'
        "esac\n"
    )
    played.chmod(0o755)
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: str(played) if name == "nvidia-smi" else which(name))
    plan = world.plan("import time\ntime.sleep(4)\n")
    assert world.run(plan).exit_code == 0
    slices, meter = read(world, plan)
    used = summary(slices)
    assert meter == "nvidia-smi"
    assert (used.gpus, used.gpu_busy) == (1, 870)
    assert used.gpu_memory
    assert used.gpu_memory % (512 * MIB) == 0
