"""Unpacks a snapshot into an empty folder. Runs in a short-lived process of its own: tarfile is large."""

import os
from contextlib import suppress

from app.domain.archives import ArchiveLimits, ArchiveRefused, read_archive, refusing_damage


def unpack(archive: str, target: str, limits: ArchiveLimits) -> None:
    """Writes the archive's entries below `target`. Raises ArchiveRefused or OSError."""
    made: set[tuple[str, ...]] = {()}
    with refusing_damage(), open(archive, "rb") as source:
        for entry in read_archive(source, limits):
            path = "/".join((target, *entry.parts))
            folder = entry.parts if entry.kind == "folder" else entry.parts[:-1]
            if folder not in made:
                os.makedirs("/".join((target, *folder)), 0o755, exist_ok=True)
                made.add(folder)
            if entry.kind == "link":
                os.symlink(entry.link, path)
            elif entry.kind == "hard":
                os.link(os.path.join(target, entry.link), path, follow_symlinks=False)
            elif entry.content is not None:
                _write(path, entry.mode, entry.content.read)


def _write(path: str, mode: int, read: object) -> None:
    assert callable(read)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode | 0o600)
    with open(handle, "wb") as file:
        while data := read(1 << 18):
            file.write(data)


def run(archive: str, target: str, files: int, size: int) -> int:
    """The exit code: 0, or 1 with the reason on stderr. The archive is removed afterwards."""
    try:
        unpack(archive, target, ArchiveLimits(files, size))
    except (ArchiveRefused, OSError) as error:
        os.write(2, f"The run's files cannot be unpacked: {error}\n".encode(errors="replace"))
        return 1
    with suppress(OSError):
        os.unlink(archive)
    return 0
