"""One of Berth's processes as the supervisor sees it: started, watched, started again, ended."""

import contextlib
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from app.trial.postgres import rotate
from app.trial.processes import ProcessId, die_with_parent, end_processes, session_members

MARKER = "BERTH_SUPERVISOR"
LONGEST_PAUSE = 30.0
HEALTHY_AFTER = 60.0


class Child:
    """A process that is to be there as long as the supervisor is. Its output goes to one log file."""

    def __init__(self, name: str, command: list[str], log: Path, pass_fds: Sequence[int] = ()) -> None:
        self.name = name
        self.command = command
        self.log = log
        self.pass_fds = pass_fds
        self.crashes = 0
        self.start_at = 0.0
        self.started = 0.0
        self.process: subprocess.Popen[bytes] | None = None
        self.identity: ProcessId | None = None

    def start(self, environment: dict[str, str], folder: Path) -> None:
        """Starts it in a session of its own, so that Ctrl-C in the terminal reaches only the supervisor."""
        rotate(self.log)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=environment,
                start_new_session=True,
                pass_fds=self.pass_fds,
                preexec_fn=die_with_parent,
            )
        self.started = time.monotonic()
        with contextlib.suppress(psutil.NoSuchProcess):
            self.identity = ProcessId.of(self.process.pid)

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def note_crash(self, marker: str) -> str:
        """Books an end that nobody asked for: clears what it left, and says when it is started again."""
        assert self.process is not None
        code, self.process = self.process.returncode, None
        if self.identity is not None:
            leftovers = session_members(self.identity.pid, f"{MARKER}={marker}")
            end_processes(leftovers, grace=2)
        if time.monotonic() - self.started > HEALTHY_AFTER:
            self.crashes = 0
        pause = min(LONGEST_PAUSE, 2.0**self.crashes - 1)
        self.crashes += 1
        self.start_at = time.monotonic() + pause
        end = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return f"{self.name} ended ({end}); starting it again" + (f" in {pause:.0f} s" if pause else "")

    def ask_to_end(self) -> None:
        """SIGTERM to its main process, which passes it on as it sees fit."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGTERM)

    def end(self, deadline: float, marker: str) -> bool:
        """Waits until `deadline` (monotonic seconds), then kills the whole session. Whether it went well."""
        if self.process is None:
            return True
        ended = True
        try:
            self.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            ended = False
        if self.identity is not None:
            end_processes(session_members(self.identity.pid, f"{MARKER}={marker}"), grace=1, first=signal.SIGKILL)
        if not ended:
            self.process.kill()
            self.process.wait()
        self.process = None
        return ended


def end_orphans(record: dict[str, Any]) -> list[str]:
    """Ends what a supervisor that was killed left running; `record` is its berth.json. Names of those ended.

    A process counts only when pid, start time and boot agree, or when it is in that session and carries
    that supervisor's marker: a pid or session in use again is never touched, nor is a run.
    """
    ended = []
    marker = f"{MARKER}={record.get('marker', '')}"
    for name, entry in (record.get("children") or {}).items():
        try:
            identity = ProcessId.load(entry)
        except (KeyError, TypeError, ValueError):
            continue
        found = {process.pid: process for process in session_members(identity.pid, marker)}
        main = identity.find()
        if main is not None:
            found[main.pid] = main
        if found:
            end_processes([main] if main else list(found.values()), grace=10)
            end_processes(session_members(identity.pid, marker), grace=2)
            ended.append(name)
    return ended
