"""Programs that outlive their starter: each in a session of its own, known by pid and time of start, with a log.

A pid alone may be somebody else's by the time it is used; together with its time of start it is not.
"""

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


class NotUp(Exception):
    """A part of the cluster did not come up, or did not do in time what it was waited for; says which and why."""


def wait_until(what: str, done: Callable[[], object], seconds: float = 60.0, every: float = 0.1) -> None:
    """Returns once `done()` is true; NotUp after `seconds`. An OSError of `done` counts as not yet."""
    until = time.monotonic() + seconds
    last: Exception | None = None
    while True:
        try:
            if done():
                return
            last = None
        except OSError as error:
            last = error
        if time.monotonic() > until:
            raise NotUp(f"waited {seconds:.0f} s in vain: {what}" + (f" ({last})" if last else ""))
        time.sleep(every)


def started_at(pid: int) -> int | None:
    """The process's time of start in clock ticks since boot; None when it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        # Killed, its first thread is a zombie while others still end, and with them its sockets: not gone yet.
        is_gone = fields[0] in "ZX" and len(list(Path(f"/proc/{pid}/task").iterdir())) <= 1
    except OSError:
        return None
    return None if is_gone else int(fields[19])


class Processes:
    """The programs of one cluster, by name. Their records lie in `folder`, so that another process can end them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def start(self, name: str, command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> int:
        """Starts a program, its output appended to `log/<name>.log`. Returns its pid. NotUp when it runs already."""
        if self.is_alive(name):
            raise NotUp(f"{name} runs already")
        for folder in ("log", "pid", "home"):
            (self.folder / folder).mkdir(parents=True, exist_ok=True)
        words = [str(word) for word in command]
        log = str(self.log(name))
        pid = os.posix_spawnp(
            words[0],
            words,
            {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.folder / "home"), **(environment or {})},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
            setsigmask=[],
            setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGPIPE],
        )
        self._record(name).write_text(json.dumps({"pid": pid, "started": started_at(pid)}))
        return pid

    def log(self, name: str) -> Path:
        return self.folder / "log" / f"{name}.log"

    def names(self) -> list[str]:
        """Programs that were started and not ended, alive or not."""
        return sorted(path.stem for path in (self.folder / "pid").glob("*.json"))

    def pid(self, name: str) -> int | None:
        """The program's pid while it is alive."""
        try:
            record = json.loads(self._record(name).read_text())
        except (OSError, ValueError):
            return None
        pid = int(record["pid"])
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        return pid if record["started"] is not None and started_at(pid) == record["started"] else None

    def is_alive(self, name: str) -> bool:
        return self.pid(name) is not None

    def signal(self, name: str, number: signal.Signals) -> None:
        """Sends a signal; NotUp when there is nobody to take it."""
        pid = self.pid(name)
        if pid is None:
            raise NotUp(f"{name} does not run")
        os.kill(pid, number)

    def stop(self, name: str, patience: float = 10.0) -> None:
        """Ends a program: SIGTERM, after `patience` seconds SIGKILL. Returns when it is gone; fine when it was."""
        for number, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 10.0)):
            pid = self.pid(name)
            if pid is None:
                break
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
                os.kill(pid, signal.SIGCONT)
            with contextlib.suppress(NotUp):
                wait_until(f"{name} ends", lambda: not self.is_alive(name), seconds, every=0.02)
        self._record(name).unlink(missing_ok=True)

    def kill(self, name: str) -> None:
        """Ends a program at once, as a crash would."""
        if self.is_alive(name):
            self.signal(name, signal.SIGKILL)
            wait_until(f"{name} ends", lambda: not self.is_alive(name), 10.0, every=0.02)
        self._record(name).unlink(missing_ok=True)

    def wait_ready(self, name: str, ready: Callable[[], object], seconds: float = 60.0) -> None:
        """Waits for `ready()`. NotUp with the end of the log when the program dies first or takes too long."""

        def check() -> bool:
            if not self.is_alive(name):
                raise NotUp(f"{name} ended")
            return bool(ready())

        try:
            wait_until(f"{name} is ready", check, seconds, every=0.05)
        except NotUp as error:
            raise NotUp(f"{error}\n{self.last_lines(name)}") from None

    def last_lines(self, name: str, lines: int = 15) -> str:
        """The end of a program's log."""
        try:
            return "\n".join(self.log(name).read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return "(no log)"

    def _record(self, name: str) -> Path:
        return self.folder / "pid" / f"{name}.json"
