"""Code that is submitted: checked archives, kept once per project under their SHA-256."""

import hashlib
import io
import re
import uuid
from collections.abc import Iterator
from typing import IO

from app.db import read_session, unit_of_work
from app.domain.access import Actor
from app.domain.archives import ArchiveLimits, ArchiveRefused, check_archive, read_archive, refusing_damage
from app.errors import N_, Invalid, NotFound
from app.repositories import snapshots
from app.repositories.snapshots import SnapshotRow
from app.services import audit
from app.settings import get_settings
from app.stores import objects

MOST_COMPARED_BYTES = 16 << 20
"""Archives above this are not opened to say which of their files differ."""
_MOST_UNPACKED_BYTES = 128 << 20
_DIGEST = re.compile("[0-9a-f]{64}")


class DigestMismatch(Invalid):
    """What arrived is not what was announced."""

    code = "DIGEST_MISMATCH"
    title = N_("The archive is not the announced one")
    detail = N_("Its SHA-256 is {actual}, the address says {announced}. Nothing was stored.")
    hint = N_("It was changed or damaged on the way; send it again.")


class BadArchive(Invalid):
    """An archive that cannot be unpacked safely."""

    code = "BAD_ARCHIVE"
    title = N_("The archive cannot be accepted")
    detail = N_("{reason}. Nothing was stored.")
    hint = N_("Send a gzip-compressed tar of regular files and folders with relative paths, within the limits.")


def read_digest(text: str) -> str:
    """The digest of a path. Raises NotFound: nothing has any other name."""
    if not _DIGEST.fullmatch(text):
        raise NotFound
    return text


def find_snapshot(project_id: uuid.UUID, digest: str) -> SnapshotRow | None:
    """The snapshot, or None where it is not there to be used."""
    with read_session() as session:
        return snapshots.find_snapshot(session, project_id, digest)


def store_snapshot(
    actor: Actor, project_id: uuid.UUID, announced: str, actual: str, archive: IO[bytes], size: int
) -> tuple[SnapshotRow, bool]:
    """Keeps an uploaded archive; the snapshot and whether it is new. Opens its own sessions.

    `actual` is the SHA-256 of its `size` bytes. Raises DigestMismatch or BadArchive, with nothing stored.
    """
    if actual != announced:
        raise DigestMismatch(announced=announced, actual=actual)
    key = objects.snapshot_key(project_id, announced)
    known = find_snapshot(project_id, announced)
    if known is not None and objects.of(project_id).exists(key):
        return known, False
    limits = get_settings().limits
    archive.seek(0)
    try:
        facts = check_archive(archive, ArchiveLimits(limits.snapshot_files, limits.snapshot_unpacked_bytes))
    except ArchiveRefused as error:
        raise BadArchive(reason=str(error).rstrip(".")) from None
    archive.seek(0)
    objects.of(project_id).put(key, archive, size)
    row = SnapshotRow(announced, size, facts.files)
    with unit_of_work() as session:
        is_new = snapshots.add_snapshot(session, project_id, row, actor.user_id)
        if is_new:
            audit.record(
                session,
                actor,
                "snapshot.add",
                "snapshot",
                announced,
                project_id=project_id,
                after={"bytes": size, "files": facts.files},
            )
    return row, is_new


def open_snapshot(project_id: str | uuid.UUID, digest: str) -> Iterator[bytes]:
    """A snapshot's bytes, for a cluster. Raises FileNotFoundError (ObjectMissing) before the first piece."""
    project = uuid.UUID(str(project_id))
    return objects.of(project).get(objects.snapshot_key(project, digest))


def list_files(project_id: uuid.UUID, digest: str) -> dict[str, str]:
    """A snapshot's files by path, each with what tells its content and kind from others.

    Raises FileNotFoundError, and ArchiveRefused for one that is larger than is compared.
    """
    archive = io.BytesIO()
    for piece in open_snapshot(project_id, digest):
        if archive.tell() + len(piece) > MOST_COMPARED_BYTES:
            raise ArchiveRefused("the archive is too large to be compared")
        archive.write(piece)
    archive.seek(0)
    found = {}
    with refusing_damage():
        for entry in read_archive(archive, ArchiveLimits(get_settings().limits.snapshot_files, _MOST_UNPACKED_BYTES)):
            if entry.kind != "folder":
                content = entry.link if entry.content is None else _digest_of(entry.content)
                found["/".join(entry.parts)] = f"{entry.kind} {entry.mode & 0o111:o} {content}"
    return found


def _digest_of(content: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while piece := content.read(1 << 18):
        digest.update(piece)
    return digest.hexdigest()
