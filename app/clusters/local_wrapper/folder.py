"""An attempt's folder: which files mean what, and how they are written so that a crash cannot tear them.

plan.json     what to run; written once (0600: it holds the run's token); names secrets, never their values
secrets.json  values of its secrets (0600), until the program's start is written down
secrets/      those that the program gets as files, until it has ended
wrapper.lock  held for its whole life by the one wrapper of the attempt; its text is the wrapper's identity
setup.json    the process that prepares the folder (unpacking, building an environment), while there is one
group.json    the control group, where one could be made
started.json  the program's identity, written before it may begin: from then on it is never started again
environment.json  the interpreter and its packages, as it said itself, and the machine; may come late or never
stop          a request to end, with the grace in seconds
exit.json     how it ended. Nothing of the attempt is alive once it is there
0.log         the output of replica 0
usage.log     what it used of the machine, as meter.py writes it
work/ output/ home/ tmp/ bin/   the program's own folders
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Literal

FOLDERS = ("work", "output", "home", "tmp", "bin")
Holder = Literal["nobody", "wrapper"]
_LONGEST = 32 << 20  # bytes of a file that is read; more than all secrets of a run can have


class Folder:
    """The files of one attempt."""

    def __init__(self, path: str) -> None:
        self.path = path

    def file(self, name: str) -> str:
        return f"{self.path}/{name}"

    def exists(self, name: str) -> bool:
        return os.path.exists(self.file(name))

    def read(self, name: str) -> dict[str, Any] | None:
        """A JSON file of the folder; None when it is not there, or not whole (only an identity can be).

        On a machine that does not isolate, a program can write here: what is too long or too deep is not whole either.
        """
        try:
            with open(self.file(name), "rb") as file:
                value = json.loads(file.read(_LONGEST))
        except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None

    def write(self, name: str, value: dict[str, Any], *, durable: bool = False) -> None:
        """Replaces a JSON file in one step; `durable` survives the loss of power."""
        draft = self.file(f".{name}.{os.getpid()}")
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(handle, json.dumps(value).encode())
            if durable:
                os.fsync(handle)
        finally:
            os.close(handle)
        os.rename(draft, self.file(name))
        if durable:
            directory = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            os.fsync(directory)
            os.close(directory)

    @property
    def tombstone(self) -> str:
        """A file far from the folder that says: this attempt was, and was removed. It must not be again."""
        run, attempt = self.path.rsplit("/", 2)[1:]
        return f"{self.path.rsplit('/', 3)[0]}/ended/{run}.{attempt}"

    @contextmanager
    def exclusive(self, patience: float = 0.0) -> Iterator[int | None]:
        """The lock, for changing the folder: its descriptor, or None when a wrapper lives.

        Those who only look hold the lock shared for a moment; they are waited for, a wrapper is not,
        unless `patience` seconds are given.
        """
        try:
            handle = os.open(self.file("wrapper.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except (FileNotFoundError, NotADirectoryError):
            yield None
            return
        try:
            yield handle if _take(handle, patience) else None
        finally:
            os.close(handle)

    def holder(self, patience: float = 0.0) -> Holder:
        """Whether a wrapper lives. Does not get in the way of one that starts at this moment.

        Who looks after an attempt without a wrapper holds the lock for a moment, too; `patience` waits for that.
        """
        try:
            handle = os.open(self.file("wrapper.lock"), os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return "nobody"
        try:
            until = time.monotonic() + patience
            while not (is_free := _try(handle, fcntl.LOCK_SH)) and time.monotonic() < until:
                time.sleep(0.005)
            return "nobody" if is_free else "wrapper"
        finally:
            os.close(handle)


def _try(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _take(handle: int, patience: float) -> bool:
    until = time.monotonic() + patience
    while not _try(handle, fcntl.LOCK_EX):
        if _try(handle, fcntl.LOCK_SH):
            fcntl.flock(handle, fcntl.LOCK_UN)
        elif time.monotonic() >= until:
            return False
        time.sleep(0.002)
    return True


def send_hint(local: str) -> None:
    """Tells everybody who waits for a change (their sockets are in `local`/hints). A hint only: may be lost."""
    import socket

    with suppress(OSError):
        directory = os.open(f"{local}/hints", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for name in os.listdir(directory):
                with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
                    try:  # by descriptor, because the path of a socket may have 107 bytes only
                        sender.sendto(b"!", f"/proc/self/fd/{directory}/{name}")
                    except ConnectionRefusedError:
                        os.unlink(name, dir_fd=directory)
                    except BlockingIOError:
                        pass  # its reader has hints enough
        finally:
            os.close(directory)
