"""nvidia-smi's answers, as real ones write them (`--format=csv,noheader,nounits`), and what is made of them."""

import pytest

from app.clusters.local_wrapper.gpus import GpuUse, parse

ONE = "GPU-1f2e3d4c-5b6a-7988-a0b1-c2d3e4f50617"
TWO = "GPU-77665544-3322-1100-ffee-ddccbbaa9988"
MIG = "MIG-7a1b2c3d-4e5f-5061-8293-a4b5c6d7e8f9"
MIB = 1 << 20

DRIVER_GONE = (
    "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. "
    "Make sure that the latest NVIDIA driver is installed and running.\n\n"
)


@pytest.mark.parametrize(
    ("devices", "apps", "expected"),
    [
        (f"{ONE}, 87\n", f"{ONE}, 4242, 12034\n", GpuUse(1, 870, 12034 * MIB)),
        (f"{ONE}, 87\n", "", GpuUse(0, 0, 0)),
        (f"{ONE}, 87\n", f"{ONE}, 1, 12034\n", GpuUse(0, 0, 0)),  # another's process
        (f"{ONE}, 100\n{TWO}, 50\n", f"{ONE}, 4242, 10\n{TWO}, 4243, 20\n", GpuUse(2, 750, 30 * MIB)),
        (f"{ONE}, 100\n{TWO}, 50\n", f"{TWO}, 4242, 10\n{TWO}, 4243, 20\n", GpuUse(1, 500, 30 * MIB)),
        # Of a card that does not tell its load, and under WSL, which does not tell the memory of processes.
        (f"{ONE}, [N/A]\n", f"{ONE}, 4242, 10\n", GpuUse(1, None, 10 * MIB)),
        (f"{ONE}, 3\n", f"{ONE}, 4242, [N/A]\n", GpuUse(1, 30, None)),
        (f"{ONE}, [Not Supported]\n", f"{ONE}, 4242, [Not Supported]\n", GpuUse(1, None, None)),
        (f"{ONE}, [Unknown Error]\n{TWO}, 40\n", f"{ONE}, 4242, 1\n{TWO}, 4242, 1\n", GpuUse(2, 400, 2 * MIB)),
        # MIG: the card has no load of its own, and processes are on its instances.
        (f"{ONE}, [N/A]\n", f"{MIG}, 4242, 4864\n", GpuUse(1, None, 4864 * MIB)),
        (DRIVER_GONE, DRIVER_GONE, None),
        ("No devices were found\n", "No devices were found\n", None),
        ("", "", None),
    ],
)
def test_answers(devices: str, apps: str, expected: GpuUse | None) -> None:
    assert parse(f"{devices}=\n{apps}", {4242, 4243}) == expected


# Recorded from a machine with four cards while two jobs ran, as somebody's published benchmark notes have it.
RECORDED_APPS = """\
gpu_uuid, pid, used_gpu_memory [MiB]
GPU-e82ab913-2d6b-1a55-89a8-9ad23a5a09cf, 1912379, 1672 MiB
GPU-f7c1496c-b7f5-b1d2-78ea-68826f778059, 3891903, 74698 MiB
GPU-cfd9ce0a-b7af-895a-f54c-4f175b610977, 1912379, 1148 MiB
"""
RECORDED_GPUS = """\
index, uuid, utilization.gpu [%], memory.used [MiB]
0, GPU-e82ab913-2d6b-1a55-89a8-9ad23a5a09cf, 0 %, 1683 MiB
1, GPU-4eac38f2-1a70-662a-f6f4-9b62d1778ef4, 0 %, 5 MiB
2, GPU-f7c1496c-b7f5-b1d2-78ea-68826f778059, 100 %, 74709 MiB
3, GPU-cfd9ce0a-b7af-895a-f54c-4f175b610977, 0 %, 1197 MiB
"""


def as_asked(recorded: str, columns: slice) -> str:
    """Some columns of a recording, without its head and units: what `noheader,nounits` leaves of it."""
    rows = [line.split(", ")[columns] for line in recorded.splitlines()[1:]]
    return "".join(", ".join(field.removesuffix(" %").removesuffix(" MiB") for field in row) + "\n" for row in rows)


@pytest.mark.parametrize(
    ("pid", "expected"),
    [
        (1912379, GpuUse(2, 0, (1672 + 1148) * MIB)),
        (3891903, GpuUse(1, 1000, 74698 * MIB)),
        (1, GpuUse(0, 0, 0)),
    ],
)
def test_a_recorded_answer(pid: int, expected: GpuUse) -> None:
    answer = f"{as_asked(RECORDED_GPUS, slice(1, 3))}=\n{as_asked(RECORDED_APPS, slice(None))}"
    assert parse(answer, {pid}) == expected
