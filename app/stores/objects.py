"""Bytes that are too large for Postgres: snapshots, sealed logs and outputs, in a folder or an object store.

The only place where keys are built: always below `projects/<project id>/` and only from ids and hashes, so
that no text of a user becomes part of a path. A write is seen whole or not at all. Calls go over the network
where the store is remote, so no database session may be open around them.
"""

import hashlib
import uuid
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING

from app.settings import get_settings

if TYPE_CHECKING:
    from obstore.store import ObjectStore

PIECE = 1 << 20


class ObjectMissing(FileNotFoundError):
    """There is nothing under that key."""


def project_prefix(project_id: uuid.UUID) -> str:
    """Everything of a project is below this."""
    return f"projects/{project_id}/"


def snapshot_key(project_id: uuid.UUID, digest: str) -> str:
    """Where a snapshot's archive is. `digest` is its SHA-256 in hex; anything else is a ValueError."""
    if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        raise ValueError("not a SHA-256 in hex")
    return f"{project_prefix(project_id)}snapshots/{digest}"


def output_key(project_id: uuid.UUID, run_id: uuid.UUID, attempt: int, path: str) -> str:
    """Where an attempt's output is. Its path is in the key as a hash only."""
    return f"{project_prefix(project_id)}outputs/{run_id}/{attempt}/{hashlib.sha256(path.encode()).hexdigest()}"


def log_key(project_id: uuid.UUID, run_id: uuid.UUID, attempt: int, replica: int, first_line: int) -> str:
    """A new place for a sealed piece of log; never the same twice, so that two writers cannot meet."""
    return f"{project_prefix(project_id)}logs/{run_id}/{attempt}/{replica}/{first_line}-{uuid.uuid4().hex}"


def put(key: str, data: bytes | IO[bytes] | Iterable[bytes]) -> None:
    """Stores bytes, an open file or an iterator of pieces, and replaces what was there.

    Memory stays bounded by a few pieces. When the iterator raises, nothing is stored.
    """
    import obstore

    obstore.put(_store(), key, data)


def get(key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
    """The bytes from `start` up to, not including, `end`, in pieces of about 1 MiB. Raises ObjectMissing
    before the first piece; the range must not be empty.
    """
    import obstore

    try:
        if end is not None:
            found = obstore.get(_store(), key, options={"range": (start, end)})
        elif start:
            found = obstore.get(_store(), key, options={"range": {"offset": start}})
        else:
            found = obstore.get(_store(), key)
    except FileNotFoundError:
        raise ObjectMissing(key) from None
    return (bytes(piece) for piece in found.stream(min_chunk_size=PIECE))


def get_all(key: str) -> bytes:
    """All bytes of a small object. Raises ObjectMissing."""
    return b"".join(get(key))


def exists(key: str) -> bool:
    """Whether there is something under the key."""
    import obstore

    try:
        obstore.head(_store(), key)
    except FileNotFoundError:
        return False
    return True


def delete(keys: Iterable[str]) -> None:
    """Removes objects; one that is not there is as good as removed."""
    import obstore

    for key in keys:
        try:
            obstore.delete(_store(), key)
        except FileNotFoundError:
            continue


def delete_prefix(prefix: str) -> int:
    """Removes everything below a prefix that ends with a slash; returns how many objects that were."""
    import obstore

    if not prefix.endswith("/"):
        raise ValueError("a prefix ends with a slash, or it would match its neighbours")
    removed = 0
    for batch in obstore.list(_store(), prefix=prefix):
        delete(meta["path"] for meta in batch)
        removed += len(batch)
    return removed


def _store() -> "ObjectStore":
    settings = get_settings()
    return _open(settings.objects.url, settings.home / "objects")


@lru_cache(maxsize=4)
def _open(url: str | None, folder: Path) -> "ObjectStore":
    from obstore.store import LocalStore, from_url

    if url is not None:
        return from_url(url)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return LocalStore(folder)
