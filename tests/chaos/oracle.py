"""What really ran, as the jobs themselves and the kernel tell it. Berth is not asked.

Each job writes a line when it starts and when it ends, through a FIFO that a sandboxed program may write too;
a thread appends them to a file. Who lives now is read from /proc by BERTH_RUN_ID.
"""

import os
import select
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

Key = tuple[str, int]  # run, attempt
Process = tuple[int, int]  # pid, start time


@dataclass(frozen=True)
class Mark:
    """One line of a job. `at`: monotonic seconds; `nonce` tells two starts of one attempt apart."""

    at: float
    kind: str
    run: str
    attempt: int
    nonce: str


class Oracle:
    """Listens from the moment it is made until `close`."""

    def __init__(self, folder: Path) -> None:
        self.fifo = folder / "oracle"
        self.file = folder / "oracle.log"
        os.mkfifo(self.fifo, 0o600)
        self._handle = os.open(self.fifo, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._stop = threading.Event()
        self.marks: list[Mark] = []
        self._thread = threading.Thread(target=self._listen, name="oracle", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join(5)
        os.close(self._handle)

    def starts(self) -> dict[Key, set[str]]:
        """The nonces of each attempt's starts; more than one is a duplicate."""
        found: dict[Key, set[str]] = defaultdict(set)
        for mark in list(self.marks):
            if mark.kind == "start":
                found[mark.run, mark.attempt].add(mark.nonce)
        return found

    def ends(self) -> set[Key]:
        """The attempts whose program came to its own end."""
        return {(mark.run, mark.attempt) for mark in list(self.marks) if mark.kind == "end"}

    def scan(self, known: set[str]) -> dict[Key, set[Process]]:
        """What lives of these runs."""
        return scan(known)

    def left(self) -> set[str]:
        """What else is there and should not be, once all runs have ended."""
        return set()

    def _listen(self) -> None:
        rest = b""
        with self.file.open("ab", buffering=0) as kept:
            while not self._stop.is_set():
                if not select.select([self._handle], [], [], 0.2)[0]:
                    continue
                data = os.read(self._handle, 1 << 16)
                kept.write(data)
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    words = line.decode(errors="replace").split()
                    if len(words) == 4 and words[2].isdigit():
                        self.marks.append(Mark(time.monotonic(), words[0], words[1], int(words[2]), words[3]))


def scan(known: set[str] | None = None) -> dict[Key, set[Process]]:
    """The living processes of runs (of `known` ones only, if given), by run and attempt."""
    found: dict[Key, set[Process]] = defaultdict(set)
    for pid in _pids():
        if (key := _read_key(pid)) and (known is None or key[0] in known):
            start = _read_start(pid)
            if start is not None:
                found[key].add((pid, start))
    return found


def _read_key(pid: int) -> Key | None:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return None
    at = environment.find(b"BERTH_RUN_ID=")
    if at < 0:
        return None
    values = dict(part.partition(b"=")[::2] for part in environment.split(b"\0"))
    attempt = values.get(b"BERTH_ATTEMPT", b"")
    return (values.get(b"BERTH_RUN_ID", b"").decode(), int(attempt)) if attempt.isdigit() else None


def _read_start(pid: int) -> int | None:
    """The start time of a living process; None for one that is ending."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def wrappers(home: Path) -> list[int]:
    """The pids of the wrappers that stand beside the runs of this home."""
    found = []
    marker = f"{home}/local/runs/".encode()
    for pid in _pids():
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if b"local_wrapper" in command and marker in command and _read_start(pid) is not None:
            found.append(pid)
    return found


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
