"""Bytes that are too large for Postgres: snapshots, sealed logs and outputs, in a folder or an object store.

The only place where keys are built: always below `projects/<project id>/` and only from ids and hashes, so
that no text of a user becomes part of a path. Who works for a project takes its objects by `of`, which refuses
every key that lies elsewhere. A write is seen whole or not at all. Calls go over the network where the store is
remote, so no database session may be open around them. obstore is imported by the first call: a process that
touches no object does not pay its 6 MiB.
"""

import datetime
import hashlib
import re
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING

from app.settings import ObjectSettings, get_settings

if TYPE_CHECKING:
    from obstore.store import ObjectStore, S3Config

PIECE = 1 << 20
# Asked for at once: each part is a request of its own, so that a slow reader meets no time limit of the store.
_PART = 4 << 20
# S3 takes at most 10,000 parts of an upload; so many of this size are held in memory at once.
_UPLOAD_PART = 8 << 20
_UPLOAD_PARTS = 9_000
_UPLOADS_AT_ONCE = 2
_FEW = 8
_KEY = re.compile(r"projects/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/(?:[0-9A-Za-z_-]+/)*[0-9A-Za-z_-]+")


class ObjectMissing(FileNotFoundError):
    """There is nothing under that key."""


class StoreDown(Exception):
    """The store does not answer, or refuses its work. No OSError: what goes on without a file must not go on then."""


class KeyRefused(ValueError):
    """A key that is none of ours, or of another project."""


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


def checkpoint_key(project_id: uuid.UUID, run_id: uuid.UUID) -> str:
    """Where the run's checkpoint folder is while attempts may go on from it."""
    return f"{project_prefix(project_id)}checkpoints/{run_id}"


def log_key(project_id: uuid.UUID, run_id: uuid.UUID, attempt: int, replica: int, first_line: int) -> str:
    """A new place for a sealed piece of log; never the same twice, so that two writers cannot meet."""
    return f"{project_prefix(project_id)}logs/{run_id}/{attempt}/{replica}/{first_line}-{uuid.uuid4().hex}"


def of(project_id: uuid.UUID) -> "ProjectObjects":
    """The objects of one project."""
    return ProjectObjects(project_id)


def named(key: str) -> "ProjectObjects":
    """The objects of the project that a stored key names, for what was found by its row. Raises KeyRefused."""
    match = _KEY.fullmatch(key)
    if match is None:
        raise KeyRefused("not a key of an object")
    return ProjectObjects(uuid.UUID(match[1]))


@dataclass(frozen=True)
class ProjectObjects:
    """All that can be done with objects, in one project. Every method raises KeyRefused for a key outside of it, and
    StoreDown where the store does not answer.
    """

    project_id: uuid.UUID

    def put(self, key: str, data: bytes | IO[bytes] | Iterable[bytes], size: int | None = None) -> None:
        """Stores bytes, an open file or an iterator of pieces, and replaces what was there.

        Memory stays bounded by a few pieces, which are larger where an announced `size` in bytes needs it. When
        the iterator raises, nothing is stored.
        """
        import obstore

        part = max(_UPLOAD_PART, -(-(size or 0) // _UPLOAD_PARTS))
        own = self._own(key)
        with _answering():
            try:
                obstore.put(_store(), own, data, chunk_size=part, max_concurrency=_UPLOADS_AT_ONCE)
            except FileNotFoundError as error:
                if error.errno is None:  # the store's own, of a bucket that is not there, and not of what is read
                    raise StoreDown(str(error)) from error
                raise

    def get(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes from `start` up to, not including, `end`, in pieces of at most 4 MiB. Raises ObjectMissing
        before the first piece; the range must not be empty.

        An object that is replaced or removed meanwhile ends the iterator with an error, never with other bytes.
        """
        self._own(key)
        first, size, tag = _part(key, start, end, None)
        return _parts(key, start, size if end is None else min(end, size), first, tag)

    def get_all(self, key: str) -> bytes:
        """All bytes of a small object. Raises ObjectMissing."""
        return b"".join(self.get(key))

    def exists(self, key: str) -> bool:
        """Whether there is something under the key."""
        import obstore

        own = self._own(key)
        try:
            with _answering():
                obstore.head(_store(), own)
        except FileNotFoundError:
            return False
        return True

    def missing(self, keys: Iterable[str]) -> list[str]:
        """Those of the keys that there is nothing under, in order. Few are asked for one by one; many are looked up in
        lists of their folders, which take a request for a thousand."""
        import obstore

        asked = [self._own(key) for key in keys]
        if len(asked) <= _FEW:
            return [key for key in asked if not self.exists(key)]
        there: set[str] = set()
        with _answering():
            for folder in {key.rpartition("/")[0] for key in asked}:
                for batch in obstore.list(_store(), prefix=f"{folder}/", chunk_size=1000):
                    there.update(meta["path"] for meta in batch)
        return [key for key in asked if key not in there]

    def delete(self, keys: Iterable[str]) -> None:
        """Removes objects; one that is not there is as good as removed. Nothing is removed where a key is refused."""
        import obstore

        for key in [self._own(key) for key in keys]:
            try:
                with _answering():
                    obstore.delete(_store(), key)
            except FileNotFoundError:
                continue

    def delete_all(self) -> int:
        """Removes everything of the project; returns how many objects that were."""
        import obstore

        removed = 0
        for batch in obstore.list(_store(), prefix=project_prefix(self.project_id)):
            self.delete(meta["path"] for meta in batch)
            removed += len(batch)
        return removed

    def _own(self, key: str) -> str:
        match = _KEY.fullmatch(key)
        if match is None or match[1] != str(self.project_id):
            raise KeyRefused("the key is not one of the project's")
        return key


def _part(key: str, start: int, end: int | None, tag: str | None) -> tuple[bytes, int, str | None]:
    """At most one part from `start` on, the size of the whole object, and the tag of its present content."""
    import obstore

    stop = start + _PART if end is None else min(end, start + _PART)
    try:
        found = obstore.get(_store(), key, options={"range": (start, stop), **({"if_match": tag} if tag else {})})
        return bytes(found.bytes()), found.meta["size"], found.meta["e_tag"]
    except FileNotFoundError:
        raise ObjectMissing(key) from None
    except obstore.exceptions.BaseError as error:
        # Stores differ in how they refuse a range of an object without any bytes.
        with _answering():
            if start == 0 and tag is None and obstore.head(_store(), key)["size"] == 0:
                return b"", 0, None
        raise StoreDown(str(error)[:500]) from error


@contextmanager
def _answering() -> Iterator[None]:
    """Turns what obstore raises, apart from FileNotFoundError, into StoreDown."""
    import obstore

    try:
        yield
    except obstore.exceptions.BaseError as error:
        raise StoreDown(str(error)[:500]) from error


def _parts(key: str, start: int, end: int, first: bytes, tag: str | None) -> Iterator[bytes]:
    if first:
        yield first
    at = start + len(first)
    while at < end:
        piece = _part(key, at, end, tag)[0]
        if not piece:
            raise OSError(f"the object store gave nothing of {key} after byte {at}")
        yield piece
        at += len(piece)


def _store() -> "ObjectStore":
    settings = get_settings()
    return _open(_Place.of(settings.objects), str(settings.home / "objects"))


@dataclass(frozen=True)
class _Place:
    """What of the settings names a store; hashable, so that each is opened once."""

    url: str | None
    bucket: str | None
    endpoint: str | None
    region: str
    access_key: str | None
    secret_key: str | None
    prefix: str
    is_path_style: bool

    @classmethod
    def of(cls, given: ObjectSettings) -> "_Place":
        secret = given.secret_key.get_secret_value() if given.secret_key else None
        return cls(
            given.url,
            given.bucket,
            given.endpoint,
            given.region,
            given.access_key,
            secret,
            given.prefix.strip("/"),
            given.path_style,
        )


@lru_cache(maxsize=4)
def _open(place: _Place, folder: str) -> "ObjectStore":
    from obstore.store import LocalStore, S3Store, from_url

    if place.bucket is not None:
        keys: S3Config = {}
        if place.access_key and place.secret_key:
            keys = {"access_key_id": place.access_key, "secret_access_key": place.secret_key}
        return S3Store(
            place.bucket,
            prefix=place.prefix or None,
            endpoint=place.endpoint,
            region=place.region,
            virtual_hosted_style_request=not place.is_path_style,
            client_options={"allow_http": (place.endpoint or "").startswith("http://"), "timeout": "120s"},
            retry_config={"max_retries": 4, "retry_timeout": datetime.timedelta(seconds=60)},
            config=keys,
        )
    if place.url is not None:
        return from_url(place.url)
    Path(folder).mkdir(parents=True, exist_ok=True, mode=0o700)
    return LocalStore(folder)
