"""What the kernel says of processes: CPU time and memory of whole process trees, and of everything else.

Wall-clock time on a shared machine is noise; the CPU time that a request takes is not, so that is what the
goals are about.
"""

import os
import platform
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from urllib.error import URLError
from urllib.request import urlopen

_TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


class Process:
    """A program started for a measurement; when the block ends, so do it and its children."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        log: Path,
        environment: Mapping[str, str] | None = None,
        *,
        end_by: signal.Signals = signal.SIGTERM,
        pass_fds: Sequence[int] = (),
        folder: Path | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self._end_by = end_by
        with log.open("wb") as output:
            self._child = subprocess.Popen(
                [str(part) for part in command],
                env=dict(environment) if environment is not None else None,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                start_new_session=True,
                pass_fds=pass_fds,
            )
        self.pid = self._child.pid

    def __enter__(self) -> "Process":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
        if error is not None:
            print(f"{self.name} wrote:\n{self.log.read_text(errors='replace')[-3000:]}", file=sys.stderr)

    def end(self, patience: float = 30.0) -> None:
        """Asks it to end, waits, and kills what is left of its tree."""
        members = family([self.pid])
        with suppress(ProcessLookupError):
            self._child.send_signal(self._end_by)
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(patience)
        for pid in members:
            if pid != self.pid or self._child.poll() is None:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self._child.wait(5)

    def wait_for(self, url: str, patience: float = 60.0) -> None:
        """Returns when `url` answers well. Raises RuntimeError with the end of its log when it does not."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline and self._child.poll() is None:
            with suppress(URLError, ConnectionError, TimeoutError), urlopen(url, timeout=5) as answer:
                if answer.status == 200:
                    return
            time.sleep(0.05)
        raise RuntimeError(f"{self.name} does not answer at {url}:\n{self.log.read_text(errors='replace')[-2000:]}")


def free_port() -> int:
    """A TCP port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def family(roots: Iterable[int]) -> list[int]:
    """The processes `roots` and all of their descendants."""
    parents: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        fields = _stat(entry.name) if entry.name.isdecimal() else None
        if fields is not None:
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found: list[int] = []
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.append(pid)
            waiting.extend(parents.get(pid, ()))
    return found


def cpu_seconds(roots: Iterable[int]) -> float:
    """User and system time of process trees, children that have ended and were waited for included."""
    ticks = 0
    for pid in family(roots):
        fields = _stat(str(pid))
        if fields is not None:
            ticks += sum(map(int, fields[11:15]))
    return ticks / _TICKS


def busy_seconds() -> float:
    """What all processors have worked since the start of the machine."""
    user, nice, system, _idle, _iowait, *rest = map(int, (_PROC / "stat").read_text().split("\n", 1)[0].split()[1:9])
    return (user + nice + system + sum(rest)) / _TICKS


def memory_mib(pids: Iterable[int]) -> float:
    """Proportional set size: what is shared by several processes is counted once in their sum."""
    kib = 0
    for pid in pids:
        with suppress(OSError):
            for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    kib += int(line.split()[1])
    return kib / 1024


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))


def describe() -> str:
    """The machine in one line."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in (_PROC / "cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{processors()} cores ({model}), {memory:.0f} GiB, Linux {platform.release()}"


def _stat(pid: str) -> list[str] | None:
    """The fields of /proc/<pid>/stat after the name, which may hold spaces: state, parent, …"""
    try:
        return (_PROC / pid / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
