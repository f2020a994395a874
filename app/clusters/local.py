"""The cluster that is this machine: runs as real processes, each with a wrapper beside it that outlives Berth.

All truth is on disk, in one folder per attempt (see local_wrapper/folder.py), and whether an attempt lives is
told by a lock that its wrapper holds, never by a pid. So any number of LocalClusters over the same home, in any
processes, see and do the same, and a new one adopts what is there.
"""

import hashlib
import json
import os
import platform
import select
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from app.clusters import local_facts, local_files, sdk_copy
from app.clusters.base import (
    NO_SECRETS,
    Capacity,
    ClusterRejected,
    ClusterUnavailable,
    LogPiece,
    ObjectStatus,
    OutputFile,
    ReplicaStatus,
    SecretValues,
)
from app.clusters.local_wrapper import environments, private, processes, sandbox
from app.clusters.local_wrapper.attempt import INSTALL, finish_unstarted, make_end
from app.clusters.local_wrapper.capture import MAX_TEXT
from app.clusters.local_wrapper.cgroups import Group
from app.clusters.local_wrapper.child import end_remains
from app.clusters.local_wrapper.folder import Folder, send_hint
from app.clusters.local_wrapper.meter import NAME as USAGE
from app.settings import LimitSettings, LocalSettings
from app.workloads.plans import RunPlan, what_runs
from berth import __version__ as berth_version

FetchSnapshot = Callable[[str, str], Iterator[bytes]]
"""(project id, sha256) -> the snapshot's bytes. FileNotFoundError: there is none, for good."""

_WRAPPER = Path(__file__).parent / "local_wrapper" / "__main__.py"
_START_SECONDS = 30.0
_STOP_PATIENCE = 2.0
# For installing packages only: where this machine gets them from, passwords included. Runs never see these.
_INSTALL = ("PIP_", "UV_", "SSL_CERT_", "REQUESTS_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY")


class LocalCluster:
    """See app/clusters/base.py for what the methods promise."""

    name = "local"

    def __init__(
        self, home: Path, settings: LocalSettings, limits: LimitSettings, fetch_snapshot: FetchSnapshot, url: str = ""
    ) -> None:
        """`url`: where runs reach Berth, told to those that began before it changed."""
        self._home = home.resolve()
        self._local = self._home / "local"
        self._settings = settings
        self._limits = limits
        self._fetch_snapshot = fetch_snapshot
        self._ends: dict[str, tuple[int, ObjectStatus]] = {}
        self._hints: socket.socket | None = None
        self._hints_lock = threading.Lock()
        self._pruned_at = float("-inf")
        for name in ("runs", "ended", "hints"):
            (self._local / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        local_files.write_address(self._local, url)

    def facts(self) -> dict[str, Any]:
        capacity = self.capacity()
        return {
            "host": platform.node(),
            "python": sys.executable,
            "python_version": platform.python_version(),
            "cpus": capacity.cpu_millis / 1000,
            "memory_bytes": capacity.memory_bytes,
            **local_facts.read_limits(self._settings),
            **local_facts.read_isolation(self._settings),
        }

    def capacity(self) -> Capacity:
        return local_facts.read_capacity(self._settings)

    def start(self, plan: RunPlan, secrets: SecretValues = NO_SECRETS) -> dict[str, Any]:
        """A plan that differs only in what Berth adds, such as its address, is the same; the first stays in force,
        and so do the values of its secrets until the program has begun.

        It may be repeated whenever a status says "starting": where the wrapper was killed before the program
        began, this starts it after all.
        """
        folder = self._folder(plan.run_id, plan.attempt)
        handle = {"run_id": plan.run_id, "attempt": plan.attempt, "folder": folder.path}
        if Path(folder.tombstone).exists():
            raise ClusterRejected(f"attempt {plan.attempt} of {plan.run_id} was run and removed before")
        if plan.replicas != 1:
            raise ClusterRejected("this machine runs one process for a run; ask for 1 replica")
        try:
            self._write_plan(folder, plan)
            is_begun = folder.exists("exit.json") or folder.exists("started.json")
            if not is_begun and folder.holder(patience=0.2) == "nobody":
                self._fetch(folder, plan)
                self._leave_secrets(folder, plan, secrets)
                self._spawn(folder, _install_settings() if plan.requirements else {})
        except OSError as error:
            raise ClusterUnavailable(f"the run's files cannot be made: {error}") from error
        return handle

    def stop(self, run_id: str, attempt: int, grace_seconds: int, project_id: str = "") -> None:  # noqa: ARG002
        folder = self._folder(run_id, attempt)
        if Path(folder.tombstone).exists() or folder.exists("exit.json"):
            return
        try:
            Path(folder.path).mkdir(parents=True, exist_ok=True, mode=0o700)
            asked = folder.read("stop")
            if asked is None or asked.get("grace", 0) > grace_seconds:
                folder.write("stop", {"grace": grace_seconds})
        except OSError as error:
            raise ClusterUnavailable(f"the request to stop cannot be written: {error}") from error
        until = time.monotonic() + _STOP_PATIENCE
        while not self._settle(folder) and time.monotonic() < until:
            wrapper = processes.find(folder.read("wrapper.lock"))
            if wrapper is not None and processes.send(wrapper, signal.SIGUSR1):
                return
            time.sleep(0.005)

    def refresh(self) -> None:
        """Nothing: each list is read anew."""

    def statuses(self) -> list[ObjectStatus]:
        """An attempt without a wrapper whose program never began is "starting" and not gone: call `start` again.

        What a dead wrapper left behind is ended here before it is reported as gone.
        """
        found = []
        for path in self._attempts():
            folder = Folder(path)
            run, attempt = path.rsplit("/", 2)[1:]
            with suppress(FileNotFoundError):  # cleaned up meanwhile
                found.append(self._status(folder, run, int(attempt)))
        return found

    def wait_for_change(self, timeout: float) -> None:
        with self._hints_lock:
            listener = self._listen()
            listener.settimeout(max(timeout, 0.001))
            with suppress(TimeoutError):
                listener.recv(16)
                listener.setblocking(False)
                with suppress(BlockingIOError):
                    while True:
                        listener.recv(16)

    def close(self) -> None:
        """Lets go of the socket for hints. The cluster itself goes on without it."""
        with self._hints_lock:
            if self._hints is not None:
                with suppress(OSError):
                    (self._local / "hints" / self._hint_name()).unlink()
                self._hints.close()
                self._hints = None

    def read_log(self, run_id: str, attempt: int, replica: int, offset: int, limit: int) -> LogPiece:
        path = Path(self._folder(run_id, attempt).file(f"{int(replica)}.log"))
        try:
            with path.open("rb") as file:
                file.seek(offset)
                data = file.read(limit)
                if b"\n" not in data and len(data) == limit:
                    data += file.read(2 * MAX_TEXT)
        except FileNotFoundError:
            data = b""
        whole = data[: data.rfind(b"\n") + 1]
        return LogPiece(whole, offset + len(whole))

    def read_usage(self, run_id: str, attempt: int, replica: int, offset: int, limit: int) -> LogPiece:
        if replica:
            return LogPiece(b"", offset)
        try:
            with Path(self._folder(run_id, attempt).file(USAGE)).open("rb") as file:
                file.seek(offset)
                data = file.read(limit)
        except FileNotFoundError:
            data = b""
        whole = data[: data.rfind(b"\n") + 1]
        return LogPiece(whole, offset + len(whole))

    def outputs(self, run_id: str, attempt: int) -> Iterator[OutputFile]:
        """Bytes of a name that are no UTF-8 come as lone surrogates, as `os.fsdecode` has them."""
        yield from local_files.walk(self._folder(run_id, attempt).file("output"))

    def environment(self, run_id: str, attempt: int) -> dict[str, Any] | None:
        return self._folder(run_id, attempt).read(environments.FILE)

    def clean_up(self, run_id: str, attempt: int, *, last: bool) -> None:
        """Raises ClusterUnavailable while the attempt lives."""
        folder = self._folder(run_id, attempt)
        with folder.exclusive(patience=0.1) as lock:
            if lock is None and Path(folder.path).exists():
                raise ClusterUnavailable(f"{run_id} attempt {attempt} is still running", retry_after=1.0)
            if lock is not None:
                Path(folder.tombstone).touch(mode=0o600)  # a wrapper that waits for the lock looks for it
                if not self._reap(folder):
                    raise ClusterUnavailable(f"{run_id} attempt {attempt} cannot be ended", retry_after=1.0)
        if last:
            local_files.remove(Path(folder.path).parent)
        self._ends.pop(folder.path, None)
        if time.monotonic() - self._pruned_at > 3600:
            self._pruned_at = time.monotonic()
            local_files.prune(self._local)

    def _folder(self, run_id: str, attempt: int) -> Folder:
        if not run_id or not run_id.isascii() or not run_id.replace("-", "").isalnum() or attempt < 1:
            raise ClusterRejected(f"{run_id!r} attempt {attempt} is not a name for an attempt")
        return Folder(f"{self._local}/runs/{run_id}/{int(attempt)}")

    def _attempts(self) -> Iterator[str]:
        with os.scandir(self._local / "runs") as runs:
            for run in runs:
                with suppress(FileNotFoundError, NotADirectoryError), os.scandir(run.path) as attempts:
                    yield from sorted(entry.path for entry in attempts if entry.name.isdigit())

    def _write_plan(self, folder: Folder, plan: RunPlan) -> None:
        Path(folder.path).mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = Path(folder.file(f".plan.{os.getpid()}.{threading.get_ident()}"))
        try:
            draft.touch(mode=0o600)
            draft.write_text(json.dumps(asdict(plan)))
            Path(folder.file("plan.json")).hardlink_to(draft)
        except FileExistsError:
            there = folder.read("plan.json") or {}
            if what_runs(there) != what_runs(asdict(plan)):
                # Not a refusal: what is there may be alive, and must not be shown as ended.
                raise ClusterUnavailable(
                    f"attempt {plan.attempt} of {plan.run_id} exists here with another plan", retry_after=60.0
                ) from None
        finally:
            draft.unlink(missing_ok=True)

    def _fetch(self, folder: Folder, plan: RunPlan) -> None:
        """Puts the snapshot's archive into the folder, verified."""
        if plan.snapshot_digest is None or folder.exists("snapshot.tar.gz"):
            return
        draft = Path(folder.file(f".snapshot.{os.getpid()}.{threading.get_ident()}"))
        digest = hashlib.sha256()
        try:
            with draft.open("wb") as file:
                for piece in self._fetch_snapshot(plan.project_id, plan.snapshot_digest):
                    digest.update(piece)
                    file.write(piece)
            if digest.hexdigest() != plan.snapshot_digest:
                raise ClusterRejected(f"the snapshot {plan.snapshot_digest} is damaged in the object store")
            draft.rename(folder.file("snapshot.tar.gz"))
        except FileNotFoundError as error:
            raise ClusterRejected(f"the snapshot {plan.snapshot_digest} is not in the object store") from error
        finally:
            draft.unlink(missing_ok=True)

    def _leave_secrets(self, folder: Folder, plan: RunPlan, secrets: SecretValues) -> None:
        """Puts the values where the wrapper finds them and removes them again."""
        if not plan.secrets or folder.exists(private.VALUES):
            return
        if secrets.missing:
            name, why = min(secrets.missing.items())
            raise ClusterRejected(f"the secret {name} cannot be given to it: {why}")
        draft = Path(folder.file(f".{private.VALUES}.{os.getpid()}.{threading.get_ident()}"))
        try:
            draft.touch(mode=0o600)
            draft.write_text(json.dumps(secrets.reveal()))
            draft.rename(folder.file(private.VALUES))
        finally:
            draft.unlink(missing_ok=True)

    def _spawn(self, folder: Folder, install: dict[str, str]) -> None:
        """Returns when a wrapper holds the attempt's lock, or has found that there is nothing to do."""
        command = [sys.executable, "-I", "-S", str(_WRAPPER), folder.path, json.dumps(self._options)]
        with Path(folder.file("wrapper.err")).open("ab") as errors:
            process = subprocess.Popen(
                command,
                cwd="/",
                env={
                    "HOME": str(Path.home()),
                    "LANG": "C.UTF-8",
                    "PATH": sandbox.SYSTEM_PATH,
                    INSTALL: json.dumps(install),  # in the command line all of the machine could read it
                },
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                start_new_session=True,
            )
        _await(process.pid, _START_SECONDS)
        if process.poll() is None:
            process.kill()
        if process.wait() != 0:
            raise ClusterUnavailable(f"the wrapper of {folder.path} did not start; see wrapper.err there")

    @cached_property
    def _options(self) -> dict[str, Any]:
        isolation = local_facts.read_isolation(self._settings)
        uv = Path(sys.executable).parent / "uv"
        return {
            "home": str(self._home),
            "local": str(self._local),
            "mark": hashlib.sha256(str(self._home).encode()).hexdigest()[:8],
            "bwrap": shutil.which("bwrap") if isolation["isolation"] == "bubblewrap" else "",
            "cgroups": self._settings.cgroups,
            "nvidia_smi": shutil.which("nvidia-smi") or "",
            "python": sys.executable,
            "berth": berth_version,
            "uv": str(uv) if uv.exists() else "",
            "sdk": sdk_copy.provide(self._local / "sdk"),
            "files": self._limits.snapshot_files,
            "bytes": self._limits.snapshot_unpacked_bytes,
        }

    def _settle(self, folder: Folder) -> bool:
        """Ends an attempt that has no wrapper. Whether it is over now."""
        if folder.exists("exit.json"):
            return True
        with folder.exclusive() as lock:
            if lock is None:
                return not Path(folder.path).exists()
            return self._reap(folder)

    def _reap(self, folder: Folder) -> bool:
        """Writes the end of an attempt whose lock we hold, after ending what is left of it.

        One that never began is left alone, unless it was asked to stop. Whether it is over now. What was
        cleaned up before (a late `start` may have made it again) is removed.
        """
        is_removed = Path(folder.tombstone).exists()
        is_over = folder.exists("exit.json") or self._end(folder, is_removed)
        if is_removed and is_over:
            local_files.remove(Path(folder.path))
            with suppress(OSError):  # what is not empty stays: checkpoints, other attempts
                Path(folder.path).parent.rmdir()
        return is_over

    def _end(self, folder: Folder, is_unwanted: bool) -> bool:
        run_id = (folder.read("plan.json") or {}).get("run_id", "")
        made = folder.read("group.json")
        group = Group(made["version"], made["folders"]) if made else None
        started = folder.read("started.json")
        if started is None and not folder.exists("stop") and not is_unwanted:
            return False
        for identity in (folder.read("setup.json"), started):
            if not end_remains(identity, group, run_id):
                return False
        used = group.cpu_seconds() if group is not None else None
        if group is not None:
            group.remove()
        private.drop(folder)
        if started is None:
            finish_unstarted(folder, "stopped")
        else:
            message = "Its processes vanished without leaving an exit code."
            end = make_end("lost", message, started_at=started["started_at"], cpu_seconds=used)
            folder.write("exit.json", end, durable=True)
        send_hint(str(self._local))
        return True

    def _status(self, folder: Folder, run_id: str, attempt: int) -> ObjectStatus:
        if known := self._ended_status(folder, run_id, attempt):
            return known
        if folder.holder() == "nobody" and self._settle(folder):
            if known := self._ended_status(folder, run_id, attempt):
                return known
            raise FileNotFoundError(folder.path)
        started = folder.read("started.json")
        if started is None:
            replica = ReplicaStatus(0, "starting")
        else:
            replica = ReplicaStatus(0, "running", started_at=started["started_at"])
        return ObjectStatus(run_id, attempt, [replica], gone=False, described=folder.exists(environments.FILE))

    def _ended_status(self, folder: Folder, run_id: str, attempt: int) -> ObjectStatus | None:
        """What exit.json says; it is written once, so it is read once."""
        try:
            stamp = Path(folder.file("exit.json")).stat().st_mtime_ns
        except (FileNotFoundError, NotADirectoryError):
            self._ends.pop(folder.path, None)
            return None
        if (kept := self._ends.get(folder.path)) and kept[0] == stamp:
            return kept[1]
        end = folder.read("exit.json")
        if end is None:
            return None
        described = folder.exists(environments.FILE)
        status = ObjectStatus(run_id, attempt, [_ended_replica(end)], gone=True, described=described)
        self._ends[folder.path] = (stamp, status)
        return status

    def _listen(self) -> socket.socket:
        if self._hints is None:
            self._hints = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            directory = os.open(self._local / "hints", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:  # by descriptor, because the path of a socket may have 107 bytes only
                self._hints.bind(f"/proc/self/fd/{directory}/{self._hint_name()}")
            finally:
                os.close(directory)
        return self._hints

    def _hint_name(self) -> str:
        return f"{os.getpid()}-{id(self):x}"


def _await(pid: int, seconds: float) -> None:
    """Returns when our child has ended, at once: Popen.wait with a timeout sleeps up to 50 ms too long."""
    handle = os.pidfd_open(pid)
    try:
        waiting = select.poll()
        waiting.register(handle, select.POLLIN)
        waiting.poll(seconds * 1000)
    finally:
        os.close(handle)


def _install_settings() -> dict[str, str]:
    # pip trusts the certificates of the system; uv does when told, and fails where there are none.
    folder = ssl.get_default_verify_paths().capath
    trusted = {"UV_SYSTEM_CERTS": "true"} if folder and any(Path(folder).iterdir()) else {}
    return trusted | {key: value for key, value in os.environ.items() if key.upper().startswith(_INSTALL)}


def _ended_replica(end: dict[str, Any]) -> ReplicaStatus:
    usage = {key: float(end[key]) for key in ("cpu_seconds", "max_rss_bytes") if end[key] is not None}
    code = end["exit_code"] if end["signal"] is None else 128 + end["signal"]
    replica = ReplicaStatus(0, "ended", code, end["cause"], end["message"], end["first_error"], usage=usage)
    if end["cause"] == "lost":
        replica = replace(replica, phase="lost")
    return replace(replica, started_at=end["started_at"], finished_at=end["finished_at"])
