"""Processes that are told apart for certain: a pid alone may belong to somebody else by now.

A process is known by its pid, the time it started and the boot in which that was. `app/trial` alone uses
this; the local cluster has its own record of the runs.
"""

import contextlib
import os
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class ProcessId:
    """One process for ever: pid, the second it started, and the boot of the machine."""

    pid: int
    created: float
    boot: str

    @classmethod
    def of(cls, pid: int) -> "ProcessId":
        """The process that has this pid now. Raises psutil.NoSuchProcess."""
        return cls(pid, psutil.Process(pid).create_time(), boot_id())

    @classmethod
    def load(cls, record: dict[str, Any]) -> "ProcessId":
        """The inverse of `as_dict`. Raises KeyError, TypeError or ValueError for anything else."""
        return cls(int(record["pid"]), float(record["created"]), str(record["boot"]))

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def find(self) -> psutil.Process | None:
        """The living process, or None when it has ended, be its pid in use again or not."""
        if self.boot != boot_id():
            return None
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self.pid)
            # The kernel counts in hundredths of a second; psutil adds the boot time, which NTP may move.
            if abs(process.create_time() - self.created) < 1.5 and process.status() != psutil.STATUS_ZOMBIE:
                return process
        return None


def boot_id() -> str:
    """Names the time since the machine was started; empty where the system has no such name."""
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else ""


def processes_in(folder: Path) -> list[psutil.Process]:
    """The living processes whose working folder is `folder`: every process of a Postgres, for its data."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and Path(process.cwd()) == folder:
                found.append(process)
    return found


def session_members(session: int, marker: str) -> list[psutil.Process]:
    """The living processes of a session that carry `marker` ("NAME=value") in their environment.

    Both must hold, so that neither a session id in use again nor a run that inherited the environment,
    and has a session of its own, is ever taken for one of Berth's.
    """
    name, _, value = marker.partition("=")
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if os.getsid(process.pid) == session and process.environ().get(name) == value:
                found.append(process)
    return found


def end_processes(processes: list[psutil.Process], *, grace: float, first: int = signal.SIGTERM) -> None:
    """Asks all of them to end, and kills what still lives after `grace` seconds."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.send_signal(first)
    alive = still_alive(processes, grace)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    still_alive(alive, 5)


def still_alive(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Those that have not ended in time. A zombie has: whose child it is may take long to notice."""
    deadline = time.monotonic() + seconds
    while True:
        processes = [process for process in processes if is_alive(process)]
        if not processes or time.monotonic() > deadline:
            return processes
        time.sleep(0.02)


def is_alive(process: psutil.Process) -> bool:
    """Whether it runs, stopped or not; a zombie does not."""
    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def private_folder(path: Path) -> Path:
    """Makes a folder that only its owner may enter. Raises PermissionError when it is somebody else's."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    state = path.lstat()
    if not path.is_dir() or path.is_symlink() or state.st_uid not in (os.geteuid(), nobody() or -1):
        raise PermissionError(f"{path} belongs to somebody else")
    if state.st_mode & 0o077:
        path.chmod(0o700)
    return path


def socket_folder(home: Path, preferred: Path, longest_name: str) -> Path:
    """`preferred`, or a short private folder where a socket in it would have too long a path.

    Unix sockets allow 107 bytes. The short folder's name follows from the home, so every process finds it.
    """
    if len(os.fsencode(preferred / longest_name)) <= 100:
        return private_folder(preferred)
    import hashlib
    import tempfile

    digest = hashlib.sha256(os.fsencode(home.resolve())).hexdigest()[:12]
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    roots = [Path(runtime)] if runtime and Path(runtime).is_dir() else []
    for root in [*roots, Path(tempfile.gettempdir()), Path("/tmp")]:  # noqa: S108 - made private, owner checked
        folder = root / f"berth-{os.geteuid()}-{digest}" / preferred.name
        if len(os.fsencode(folder / longest_name)) <= 100:
            private_folder(folder.parent)
            return private_folder(folder)
    raise RuntimeError(f"no folder is short enough for the sockets of {home}; choose a shorter BERTH_HOME")


def nobody() -> int | None:
    """The uid that stands for no user, where there is one."""
    import pwd

    with contextlib.suppress(KeyError):
        return pwd.getpwnam("nobody").pw_uid
    return None


def die_with_parent() -> None:
    """For `preexec_fn`: the child gets SIGTERM when the thread that started it ends. Linux only."""
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
