"""Stores what an attempt left in its output folder. Called by `converge` when the attempt has ended."""

import hashlib
import logging
import os
import uuid
from collections.abc import Iterator
from typing import Any, Protocol
from urllib.parse import quote

from sqlalchemy import select

from app.clusters.base import OutputFile
from app.db import unit_of_work
from app.faults import crash_point
from app.models import Run
from app.repositories import outputs
from app.settings import LimitSettings, get_settings
from app.stores import objects

log = logging.getLogger(__name__)

_PIECE = 1 << 20


class HasOutputs(Protocol):
    """As much of a cluster as is needed here."""

    def outputs(self, run_id: str, attempt: int) -> Iterator[OutputFile] | None: ...


def store_outputs(cluster: HasOutputs, run_id: uuid.UUID, public_id: str, attempt: int) -> None:
    """Copies the files into the object store and then records all of them at once.

    May run twice: the same files go to the same keys. What is beyond the limits is left out and the run's
    history says so. Raises what the cluster or the store raises; then nothing is recorded.
    """
    with unit_of_work() as session:
        project_id = session.scalar(select(Run.project_id).where(Run.id == run_id))
    if project_id is None:
        return
    limits = get_settings().limits
    stored: dict[str, dict[str, Any]] = {}
    left_out, left_out_bytes, total = 0, 0, 0
    found = cluster.outputs(public_id, attempt)
    if found is None:
        with unit_of_work() as session:
            replaced = outputs.mark_stored(session, run_id, attempt)
        objects.of(project_id).delete(replaced)
        return
    for file in found:
        path = _as_text(file.path)
        if _is_beyond(limits, len(stored), total + file.size) or path in stored:
            left_out, left_out_bytes = left_out + 1, left_out_bytes + file.size
            continue
        key = objects.output_key(project_id, run_id, attempt, path)
        try:
            size, digest = _copy(file, objects.of(project_id), key)
        except FileNotFoundError:
            continue  # a program that had left the group has removed it
        except OSError as error:
            log.warning("the output %r of %s-%d cannot be read: %s", path, public_id, attempt, error)
            left_out, left_out_bytes = left_out + 1, left_out_bytes + file.size
            continue
        total += size
        stored[path] = {"path": path, "bytes": size, "sha256": digest, "object_key": key}
    told = None
    if left_out:
        told = {
            "message": f"left out: {left_out} files, {left_out_bytes} bytes"
            if left_out != 1
            else f"left out: 1 file, {left_out_bytes} bytes",
            "files": left_out,
            "bytes": left_out_bytes,
            "max_files": limits.output_files,
            "max_bytes": limits.output_bytes,
        }
    if stored:
        crash_point("outputs.after_copy")
    with unit_of_work() as session:
        unused = outputs.replace_outputs(session, run_id, attempt, list(stored.values()), told)
    if unused:
        objects.of(project_id).delete(unused)


def _is_beyond(limits: LimitSettings, files: int, size: int) -> bool:
    return files >= limits.output_files or size > limits.output_bytes


def _copy(file: OutputFile, store: objects.ProjectObjects, key: str) -> tuple[int, str]:
    """Bytes and SHA-256 of what was stored: at most the size that was announced, if the file still grows."""
    digest, size = hashlib.sha256(), 0

    def pieces() -> Iterator[bytes]:
        nonlocal size
        # A link that took the file's place since it was listed must not lead elsewhere.
        with os.fdopen(os.open(file.source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as source:
            while size < file.size and (piece := source.read(min(_PIECE, file.size - size))):
                digest.update(piece)
                size += len(piece)
                yield piece

    if file.size <= _PIECE:
        store.put(key, b"".join(pieces()))
    else:
        store.put(key, pieces(), file.size)
    return size, digest.hexdigest()


def _as_text(path: str) -> str:
    """A path as text fit for an address and a list: bytes that are no UTF-8 and unprintable signs become %XX."""
    if path.isprintable():
        return path
    return "".join(sign if sign.isprintable() else quote(os.fsencode(sign)) for sign in path)
