"""What nvidia-smi says of the GPUs that an attempt's processes are on. Asked beside the program, never waited for."""

import os
from collections.abc import Collection
from contextlib import suppress
from typing import NamedTuple

_EVERY = 10.0  # seconds: each look costs tens of milliseconds of processor time
# One shell for both questions; what stands in the memory file is whole when its last line is there.
_ASK = (
    '"$0" --query-gpu=uuid,utilization.gpu --format=csv,noheader,nounits; echo =;'
    '"$0" --query-compute-apps=gpu_uuid,pid,used_gpu_memory --format=csv,noheader,nounits; echo .'
)


class GpuUse(NamedTuple):
    """Of the GPUs that the processes are on: how many, how busy on average (thousandths), and the processes' own
    memory there in bytes. None is what nvidia-smi does not tell, as under MIG."""

    gpus: int
    busy: int | None
    memory_bytes: int | None


def parse(text: str, pids: Collection[int]) -> GpuUse | None:
    """The use by these processes, from the answers to both questions; None where it answered neither.

    Fields that are not supported are written as "[N/A]", "[Not Supported]" or "[Unknown Error]".
    """
    devices, _, apps = text.partition("\n=\n") if not text.startswith("=\n") else ("", "", text[2:])
    busy = {}
    for uuid, percent in _rows(devices, 2):
        if uuid.startswith("GPU-"):
            busy[uuid] = _number(percent)
    if not busy:
        return None
    on: dict[str, int | None] = {}
    for uuid, pid, used in _rows(apps, 3):
        if (_number(pid) or 0) not in pids:
            continue
        mebibytes, before = _number(used), on.get(uuid, 0)
        on[uuid] = None if mebibytes is None or before is None else before + mebibytes
    known = [busy[uuid] for uuid in on if busy.get(uuid) is not None]
    used_there = [value for value in on.values() if value is not None]
    return GpuUse(
        len(on),
        sum(10 * (value or 0) for value in known) // len(known) if known else None if on else 0,
        sum(used_there) << 20 if used_there or not on else None,
    )


def _rows(text: str, width: int) -> list[list[str]]:
    rows = ([field.strip() for field in line.split(",")] for line in text.splitlines())
    return [row for row in rows if len(row) == width]


def _number(field: str) -> int | None:
    return int(field) if field.isascii() and field.isdigit() and len(field) < 10 else None


class Gpus:
    """Asks nvidia-smi now and then. `helper` is the session of what asks, which is not the program's."""

    def __init__(self, program: str) -> None:
        self.helper = 0
        self._program = program
        self._answer = -1
        self._ask_at = 0.0
        self.last: GpuUse | None = None

    def read(self, now: float, pids: Collection[int]) -> None:
        """Keeps the newest answer as `last`, and asks anew when it is time."""
        if not self._program:
            return
        if self._answer >= 0:
            text = os.pread(self._answer, 1 << 18, 0).decode(errors="replace")
            if text.endswith("\n.\n"):
                self.last = parse(text[:-2], pids)
                os.close(self._answer)
                self._answer, self.helper = -1, 0
        elif now >= self._ask_at:
            self._ask_at = now + _EVERY
            self._ask()

    def _ask(self) -> None:
        self._answer = os.memfd_create("gpus")
        actions = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0), (os.POSIX_SPAWN_DUP2, self._answer, 1)]
        actions += [(os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)]
        words = ["/bin/sh", "-c", _ASK, self._program]
        with suppress(OSError):
            env = {"PATH": "/usr/bin:/bin", "LANG": "C"}
            self.helper = os.posix_spawn(words[0], words, env, file_actions=actions, setsid=True)
