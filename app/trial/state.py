"""berth.json: what runs in a home now, for the next `berth up`, the demo and the doctor."""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.trial.processes import ProcessId, private_folder

FILE = "berth.json"


class AlreadyRunningError(RuntimeError):
    """Another supervisor has this home; `record` is its berth.json."""

    def __init__(self, home: Path, record: dict[str, Any]) -> None:
        self.record = record
        where = f" at {record['url']}" if record.get("url") else ""
        pid = (record.get("supervisor") or {}).get("pid", "unknown")
        super().__init__(f"Berth is already running for {home}{where} (process {pid})")


@contextmanager
def only_instance(home: Path) -> Iterator[None]:
    """One supervisor per home. The kernel lets go of the lock however it ends. Raises AlreadyRunningError."""
    private_folder(home)
    lock = os.open(home / "supervisor.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunningError(home, read_record(home)) from None
        yield
    finally:
        os.close(lock)


def read_record(home: Path) -> dict[str, Any]:
    """The last supervisor's record, or an empty one."""
    with contextlib.suppress(OSError, ValueError):
        record = json.loads((home / FILE).read_text())
        if isinstance(record, dict):
            return record
    return {}


def write_record(home: Path, record: dict[str, Any]) -> None:
    """Replaces the record; a reader sees the old or the new one, never half of it."""
    draft = home / f"{FILE}.{os.getpid()}"
    draft.write_text(json.dumps(record, indent=1))
    draft.replace(home / FILE)


def running_record(home: Path) -> dict[str, Any] | None:
    """The record of a supervisor that is alive now, else None."""
    record = read_record(home)
    try:
        identity = ProcessId.load(record["supervisor"])
    except (KeyError, TypeError, ValueError):
        return None
    return record if identity.find() is not None else None
