"""What runs left on this disk: listing it and removing it. The names and rights in it are the runs' choice."""

import fcntl
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from app.clusters.base import OutputFile

_TOMBSTONE_SECONDS = 7 * 86400.0
_ENVIRONMENT_SECONDS = 30 * 86400.0


def walk(folder: str, below: str = "") -> Iterator[OutputFile]:
    """Its regular files, sorted in each folder. Links are neither listed nor followed."""
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except (FileNotFoundError, PermissionError):
        return
    for entry in found:
        path = f"{below}{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            yield from walk(entry.path, f"{path}/")
        elif entry.is_file(follow_symlinks=False):
            yield OutputFile(path, Path(entry.path), entry.stat(follow_symlinks=False).st_size)


def remove(folder: Path) -> None:
    """Removes a tree, also where the run took away the rights to its own folders."""
    if not folder.exists():
        return
    if os.geteuid() != 0:
        for parent, folders, _ in os.walk(folder):
            for name in folders:
                path = Path(parent, name)
                if not path.is_symlink():
                    path.chmod(0o700)
    # Whoever looks at the attempt at this moment may make its lock file anew in the folder, or remove it as well.
    for _ in range(5):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
    shutil.rmtree(folder)


def write_address(local: Path, url: str) -> None:
    """Says where Berth is now, in a file that runs may read: they outlive the process that started them."""
    folder = local / "address"
    folder.mkdir(parents=True, exist_ok=True, mode=0o755)
    draft = folder / f".url.{os.getpid()}.{threading.get_ident()}"
    draft.write_text(url)
    draft.replace(folder / "url")


def prune(local: Path) -> None:
    """Removes tombstones so old that nobody can still be about to start what they stand for, and environments
    that no run uses and none has asked for in 30 days; also what interpreters said longer ago."""
    now = time.time()
    with os.scandir(local / "ended") as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                if now - entry.stat().st_mtime > _TOMBSTONE_SECONDS:
                    Path(entry.path).unlink()
    for path in (local / "environments").glob("*"):  # what is still needed is asked for anew
        with suppress(FileNotFoundError):
            if now - path.stat().st_mtime > _ENVIRONMENT_SECONDS:
                path.unlink()
    for lock in (local / "venvs").glob("*.lock"):
        _prune_environment(lock, now - _ENVIRONMENT_SECONDS)


def _prune_environment(lock: Path, before: float) -> None:
    folder = lock.with_suffix("")
    with lock.open("rb") as held, suppress(BlockingIOError, FileNotFoundError):
        if (folder / "berth-ready").stat().st_mtime < before:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            (folder / "berth-ready").unlink()  # first: what is left of it after a crash is not taken for whole
            remove(folder)
