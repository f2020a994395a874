"""Berth's processes as the experiments start, kill and start them again: the very commands that `berth up` runs."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import httpx
import psutil

from app.trial.processes import die_with_parent

ROOT = Path(__file__).resolve().parents[2]
_INJECT = Path(__file__).parent / "inject"


class Member:
    """One process of Berth (with its children), by a name that stays when it is started again."""

    def __init__(self, name: str, command: list[str], environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.command = command
        self.environment = dict(environment)
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, **extra: str) -> None:
        """Call from the main thread: the process ends with the thread that started it."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env=self.environment | extra,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )

    @property
    def pid(self) -> int:
        assert self.process is not None, "it was started"
        return self.process.pid

    @property
    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def children(self) -> list[psutil.Process]:
        """Its living child processes; for a prefork worker, those that work."""
        with contextlib.suppress(psutil.Error):
            return [child for child in psutil.Process(self.pid).children() if child.status() != psutil.STATUS_ZOMBIE]
        return []

    def signal(self, number: int) -> None:
        """To all of it: runs have sessions of their own and are not reached."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """SIGKILL to all of it, and waits for the end."""
        self.signal(signal.SIGKILL)
        if self.process is not None:
            self.process.wait(20)

    def tail(self, lines: int = 25) -> str:
        """The end of what it wrote."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""


class Fleet:
    """All processes of one installation."""

    def __init__(self, environment: Mapping[str, str], logs: Path) -> None:
        self.logs = logs
        logs.mkdir(parents=True, exist_ok=True)
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("BERTH_", "PYTEST"))}
        path = os.pathsep.join([str(_INJECT), str(ROOT)])
        self.environment = inherited | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"} | dict(environment)
        self.members: dict[str, Member] = {}

    def web(
        self, number: int, port: int, environment: Mapping[str, str] | None = None, host: str = "127.0.0.1"
    ) -> Member:
        """A web process on this port, started."""
        options = ["--host", host, "--port", str(port), "--log-level", "warning", "--no-access-log"]
        command = [sys.executable, "-m", "uvicorn", "app.main:create_app", "--factory", *options]
        return self._add(f"web{number}", command, environment)

    def worker(
        self, number: int, *, pool: str = "prefork", concurrency: int = 2, environment: Mapping[str, str] | None = None
    ) -> Member:
        """A Celery worker, started."""
        options = ["--concurrency", str(concurrency), "--loglevel", "warning", "--pool", pool]
        options += ["--without-gossip", "--without-mingle", "--without-heartbeat", "-n", f"w{number}@%h"]
        command = [sys.executable, "-m", "celery", "-A", "app.workers.broker", "worker", *options]
        return self._add(f"worker{number}", command, environment)

    def controller(self, number: int, environment: Mapping[str, str] | None = None) -> Member:
        """A controller with all its loops, started."""
        return self._add(f"controller{number}", [sys.executable, "-m", "app.workers.controller"], environment)

    def _add(self, name: str, command: list[str], extra: Mapping[str, str] | None) -> Member:
        member = Member(name, command, self.environment | dict(extra or {}), self.logs / f"{name}.log")
        self.members[name] = member
        member.start()
        return member

    def of(self, role: str) -> list[Member]:
        """The members of one role: web, worker or controller."""
        return [member for name, member in self.members.items() if name.rstrip("0123456789") == role]

    def revive(self) -> list[str]:
        """Starts what has ended, as the supervisor of `berth up` does; the names. Call from the main thread."""
        ended = [member for member in self.members.values() if not member.is_alive]
        for member in ended:
            member.kill()
            member.start()
        return [member.name for member in ended]

    def kill_all(self) -> None:
        for member in self.members.values():
            member.kill()


def free_port() -> int:
    """A port that nobody has at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_ready(member: Member, port: int, seconds: float = 60.0) -> None:
    """Returns when the web process answers. Raises TimeoutError with what it wrote."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 200:
                return
        if not member.is_alive:
            break
        time.sleep(0.05)
    raise TimeoutError(f"{member.name} is not ready:\n{member.tail()}")
