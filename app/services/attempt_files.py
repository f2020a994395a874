"""What an attempt that runs elsewhere fetches and sends by itself, with its run's token: code, outputs, checkpoint.

Bytes go to the object store first and are named by a row afterwards, each content under a key of its own, so that a
reader never meets half of a file.
"""

import uuid
from collections.abc import Callable, Iterator
from typing import IO, Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db import read_session, unit_of_work
from app.errors import NotFound
from app.models import Run
from app.repositories import outputs
from app.services import snapshots
from app.settings import get_settings
from app.stores import objects

_MOST_PATH = 4096


def open_code(run_id: uuid.UUID, project_id: uuid.UUID) -> Iterator[bytes]:
    """The archive of the run's code. Raises NotFound where it has none, or the store has nothing of it."""
    with read_session() as session:
        spec: dict[str, Any] | None = session.scalar(select(Run.spec).where(Run.id == run_id))
    digest = (spec or {}).get("snapshot")
    if not digest:
        raise NotFound
    return _open(lambda: snapshots.open_snapshot(project_id, digest))


def open_checkpoint(run_id: uuid.UUID, project_id: uuid.UUID) -> Iterator[bytes]:
    """The last checkpoint folder that an attempt of the run sent, as a tar. Raises NotFound."""
    return _open(lambda: objects.of(project_id).get(objects.checkpoint_key(project_id, run_id)))


def store_checkpoint(run_id: uuid.UUID, project_id: uuid.UUID, archive: IO[bytes], size: int) -> None:
    """Keeps the folder in the place of the one before."""
    archive.seek(0)
    objects.of(project_id).put(objects.checkpoint_key(project_id, run_id), archive, size)


def drop_checkpoint(run_id: uuid.UUID, project_id: uuid.UUID) -> None:
    """Nothing will go on from it."""
    objects.of(project_id).delete([objects.checkpoint_key(project_id, run_id)])


def store_output(
    run_id: uuid.UUID, project_id: uuid.UUID, attempt: int, path: str, digest: str, content: IO[bytes], size: int
) -> bool:
    """Keeps one file of a live attempt; `digest` is the SHA-256 of its `size` bytes. False, and the run's history says
    so, where the limits of outputs leave no room for it. Raises NotFound for an attempt that has ended.
    """
    if not _is_path(path):
        raise NotFound
    with unit_of_work() as session:
        if not _has_room(session, run_id, attempt, path, size):
            return False
    key = objects.output_key(project_id, run_id, attempt, f"{path}\0{digest}")
    store = objects.of(project_id)
    content.seek(0)
    store.put(key, content, size)
    try:
        with unit_of_work() as session:
            old = outputs.put_output(session, run_id, attempt, path, size, digest, key)
    except NotFound:
        store.delete([key])
        raise
    if old is not None and old != key:
        store.delete([old])
    return True


def _has_room(session: Session, run_id: uuid.UUID, attempt: int, path: str, size: int) -> bool:
    limits = get_settings().limits
    files, total = outputs.others(session, run_id, attempt, path)
    if files < limits.output_files and total + size <= limits.output_bytes:
        return True
    told = {"max_files": limits.output_files, "max_bytes": limits.output_bytes, "files": 1, "bytes": size}
    outputs.note_left_out(session, run_id, attempt, told | {"message": f"left out: {path} and what came after it"})
    return False


def _is_path(path: str) -> bool:
    parts = path.split("/")
    return 0 < len(path) <= _MOST_PATH and path.isprintable() and not {"", ".", ".."} & set(parts)


def _open(opened: Callable[[], Iterator[bytes]]) -> Iterator[bytes]:
    try:
        return opened()
    except FileNotFoundError:
        raise NotFound from None
