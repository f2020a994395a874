"""What an attempt uses of processors, memory, disk and GPUs, written to a file that grows ever more slowly.

usage.log begins with a line of JSON, `{"version": 1, "gpu": "nvidia-smi" or ""}`. Each other line is a stretch of
time: whole numbers between blanks, "-" for what is not known, in the order of `app/domain/usage.py:Slice`. A line
is written by one call, so one that a crash has torn is the last and has no end.
"""

import json
import os
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress

from app.clusters.local_wrapper.gpus import Gpus

NAME = "usage.log"
_SHORTEST, _LONGEST, _LATER = 0.2, 2.0, 5.0  # seconds between two looks
_HOUR = 3600.0
_LINES = 600  # a line stands for a 600th of the time so far, so a year makes 7,000 of them
_MOST_BYTES = 2 << 20
_ENTRIES = 500  # of the folders, looked at in one go
_WALK_PAUSE = 60.0
_LEAST_SPAN = 0.1  # seconds from which on a rate means anything


class Meter:
    """The file of one attempt. Times are of the monotonic clock but for `started_at`, the program's start since 1970.

    `cpu_before`: seconds of processor time that its control group used before the program.
    """

    def __init__(
        self, path: str, started_at: float, cpu_before: float, gpu_program: str, folders: Sequence[str]
    ) -> None:
        started = time.monotonic()
        self.gpus = Gpus(gpu_program)
        self.due = started + _SHORTEST
        self.cpu_before = cpu_before
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._file).st_size
        self._started, self._started_at = started, started_at
        self._looked_at = self._written_at = started
        self._cpu = self._cpu_written = 0.0
        self._rates: list[int] = []
        self._memory: list[int] = []
        self._io = self._io_written = (0, 0)
        self._folders = folders
        self._disk: int | None = None
        self._walk: Iterator[int | None] | None = None
        self._walk_at = started + 1.0
        self._write(json.dumps({"version": 1, "gpu": "nvidia-smi" if gpu_program else ""}))

    def see_memory(self, used: int) -> None:
        """Memory in bytes, as often as it is looked at for whatever reason."""
        self._memory.append(used)

    def look(self, now: float, cpu_seconds: float, pids: Callable[[], Collection[int]]) -> None:
        """Notes the processor time so far, and writes a line when one is due. `pids` are asked for only then."""
        self._note_rate(now, cpu_seconds)
        elapsed = now - self._started
        self.due = now + max(_SHORTEST, min(elapsed / 4, _LONGEST if elapsed < _HOUR else _LATER))
        self._step(now)
        if now - self._written_at >= elapsed / _LINES:
            members = pids()
            self.see_disks(members)
            self.gpus.read(now, members)
            self._line(now)

    def see_disks(self, pids: Collection[int]) -> None:
        """What these processes read and wrote so far."""
        read, written = _io_of(pids)
        self._io = (max(self._io[0], read), max(self._io[1], written))

    def finish(self, now: float, cpu_seconds: float, most_memory: int) -> None:
        """The last line, with the figures that the end of the attempt states."""
        self._note_rate(now, cpu_seconds)
        self._walk = self._walk or _walk(self._folders)
        for _ in range(20):
            if self._step(now):
                break
        self._line(now, most_memory)
        os.close(self._file)

    def _note_rate(self, now: float, cpu_seconds: float) -> None:
        span, used = now - self._looked_at, max(0.0, cpu_seconds - self._cpu)
        if span >= _LEAST_SPAN or not self._rates:
            self._rates.append(int(1000 * used / max(span, 0.001)))
        self._looked_at, self._cpu = now, max(self._cpu, cpu_seconds)

    def _step(self, now: float) -> bool:
        """Goes on with the sizes of the folders, a few entries at a time, however large they are. True at the end."""
        if self._walk is None and now >= self._walk_at:
            self._walk = _walk(self._folders)
        found = next(self._walk) if self._walk is not None else None
        if found is not None:
            self._disk, self._walk, self._walk_at = found, None, now + _WALK_PAUSE
        return found is not None

    def _line(self, now: float, most_memory: int = 0) -> None:
        memory = self._memory or [most_memory]
        self._write(
            " ".join(
                "-" if value is None else str(value)
                for value in (
                    int(1000 * (self._started_at + now - self._started)),
                    max(1, int(1000 * (now - self._written_at))),
                    int(1e6 * (self._cpu - self._cpu_written)),
                    min(self._rates, default=0),
                    max(self._rates, default=0),
                    sum(memory) // len(memory),
                    min(memory),
                    max(most_memory, *memory),
                    self._io[0] - self._io_written[0],
                    self._io[1] - self._io_written[1],
                    self._disk,
                    *(self.gpus.last or (None, None, None)),
                )
            )
        )
        self._written_at, self._cpu_written, self._io_written = now, self._cpu, self._io
        self._rates, self._memory = [], memory[-1:]

    def _write(self, line: str) -> None:
        data = line.encode() + b"\n"
        self._size += len(data)
        if self._size <= _MOST_BYTES:
            with suppress(OSError):  # a full disk is no reason to end a program
                os.write(self._file, data)


def _io_of(pids: Collection[int]) -> tuple[int, int]:
    """Bytes that processes made the disks read and write; those of ended children are their parent's."""
    read = written = 0
    for pid in pids:
        with suppress(OSError, ValueError, IndexError), open(f"/proc/{pid}/io", "rb") as file:
            fields = file.read().split()
            read, written = read + int(fields[9]), written + int(fields[11])
    return read, written


def _walk(folders: Sequence[str]) -> Iterator[int | None]:
    """Disk space below the folders, in bytes; None after every few entries, so that the caller can do else."""
    total = seen = 0
    waiting = list(folders)
    while waiting:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                seen += 1
                if seen % _ENTRIES == 0:
                    yield None
                with suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
    yield total
