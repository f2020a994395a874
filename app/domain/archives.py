"""What an uploaded archive may contain, decided before anything of it is written anywhere.

Everything is read from a file object and nothing is kept. The rules are about names alone, so the server
that takes an upload and the wrapper that unpacks it cannot come to different answers: no path passes through
a link of the archive, and no link leads outside.
"""

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, NamedTuple

_MAX_HEADER = 64 << 10
_MAX_PADDING = 1 << 20
_MAX_PATH = 4096
_MAX_NAME = 255
_HEADERS = frozenset(
    {tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK}
)


class ArchiveRefused(Exception):
    """The archive is damaged, too large or contains what may not be in it. The message is for the user."""


@dataclass(frozen=True)
class ArchiveLimits:
    """How many entries, and how many bytes all files may have together when unpacked."""

    files: int
    bytes: int


class ArchiveFacts(NamedTuple):
    """What is in an archive that was checked."""

    files: int
    bytes: int


class Entry(NamedTuple):
    """One entry that may be unpacked. `parts` is its path, `link` where a link leads (`hard`: parts of the
    file's path, else as written), `content` is readable until the next entry is taken."""

    kind: str  # folder, file, link or hard
    parts: tuple[str, ...]
    size: int
    mode: int
    link: str
    content: IO[bytes] | None


def check_archive(source: IO[bytes], limits: ArchiveLimits) -> ArchiveFacts:
    """Reads the whole archive (tar, gzip). Returns what is in it; raises ArchiveRefused."""
    files = size = 0
    for entry in read_archive(source, limits):
        files += entry.kind != "folder"
        size += entry.size
    return ArchiveFacts(files, size)


def read_archive(source: IO[bytes], limits: ArchiveLimits) -> Iterator[Entry]:
    """The entries in order, each one checked against all before it. Raises ArchiveRefused."""
    # Not tarfile's own "r|gz", which stops at the last entry and never sees gzip's checksum behind it.
    with (
        refusing_damage(),
        gzip.GzipFile(fileobj=source, mode="rb") as plain,
        tarfile.open(fileobj=plain, mode="r|", tarinfo=_Member) as tar,
    ):
        rules = _Rules(limits)
        while member := tar.next():
            if entry := rules.accept(member):
                yield entry._replace(content=tar.extractfile(member) if entry.kind == "file" else None)
            tar.members.clear()  # type: ignore[attr-defined]  # it would grow to a list of all
        if len(plain.read(_MAX_PADDING + 1)) > _MAX_PADDING:
            raise ArchiveRefused("there is more in the archive behind its last entry")


@contextmanager
def refusing_damage() -> Iterator[None]:
    """Turns what reading a damaged archive raises into ArchiveRefused; also for reading an entry's content."""
    try:
        yield
    except (
        tarfile.TarError,
        gzip.BadGzipFile,
        zlib.error,
        EOFError,
        ValueError,
        RecursionError,
        OverflowError,
    ) as error:
        raise ArchiveRefused(f"the archive is damaged: {error}") from error


class _Member(tarfile.TarInfo):
    """Refuses headers that would be read into memory whole, before they are."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in _HEADERS and self.size > _MAX_HEADER:
            raise ArchiveRefused(f"an entry of the archive has a header of {self.size} bytes")
        return super()._proc_member(archive)  # type: ignore[misc,no-any-return]


class _Rules:
    def __init__(self, limits: ArchiveLimits) -> None:
        self._limits = limits
        self._seen: dict[tuple[str, ...], str] = {}
        self._count = self._bytes = 0

    def accept(self, member: tarfile.TarInfo) -> Entry | None:
        """The entry; None for the archive's own root, which needs nothing."""
        self._count += 1
        if self._count > self._limits.files:
            raise ArchiveRefused(f"the archive has more than {self._limits.files} entries")
        parts = _split(member.name)
        if not parts and member.isdir():
            return None
        kind = self._kind(member, parts)
        if kind == "file":
            self._bytes += member.size
        if self._bytes > self._limits.bytes:
            raise ArchiveRefused(f"the archive has more than {self._limits.bytes} bytes when unpacked")
        self._remember(member.name, parts, kind)
        size = member.size if kind == "file" else 0
        return Entry(kind, parts, size, member.mode & 0o777, member.linkname, None)

    def _kind(self, member: tarfile.TarInfo, parts: tuple[str, ...]) -> str:
        if not parts:
            raise ArchiveRefused(f"{member.name!r} is not a name for a file")
        if member.isdir():
            return "folder"
        if member.issym():
            _check_link(member, parts)
            return "link"
        if member.islnk():
            if self._seen.get(_split(member.linkname)) != "file":
                raise ArchiveRefused(f"{member.name!r} is a hard link to what is no file of the archive before it")
            return "hard"
        if member.isreg() and not member.issparse():
            return "file"
        raise ArchiveRefused(f"{member.name!r} is neither a file, nor a folder, nor a link")

    def _remember(self, name: str, parts: tuple[str, ...], kind: str) -> None:
        for length in range(1, len(parts)):
            if self._seen.setdefault(parts[:length], "folder") != "folder":
                raise ArchiveRefused(f"{name!r} lies below {'/'.join(parts[:length])!r}, which is no folder")
        if self._seen.get(parts, "folder") != "folder" or (parts in self._seen and kind != "folder"):
            raise ArchiveRefused(f"{name!r} is in the archive twice")
        self._seen[parts] = kind


def _split(name: str) -> tuple[str, ...]:
    if name.startswith("/") or "\0" in name or len(name) > _MAX_PATH:
        raise ArchiveRefused(f"{name[:200]!r} is not a relative path")
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    for part in parts:
        if part == ".." or len(part.encode(errors="surrogateescape")) > _MAX_NAME:
            raise ArchiveRefused(f"{name[:200]!r} is not a path inside the archive")
        if any(letter < " " or "\x7f" <= letter < "\xa0" or "\ud800" <= letter <= "\udfff" for letter in part):
            raise ArchiveRefused(f"{name[:200]!r} has control characters, or is not UTF-8")
    return parts


def _check_link(member: tarfile.TarInfo, parts: tuple[str, ...]) -> None:
    """A link may go up only at its start, and not above the root: what `..` means after the name of another
    link cannot be told from names."""
    target = member.linkname
    steps = [step for step in target.split("/") if step not in ("", ".")]
    up = 0
    while up < len(steps) and steps[up] == "..":
        up += 1
    outside = not target or target.startswith("/") or "\0" in target or len(target) > _MAX_PATH
    if outside or up > len(parts) - 1 or ".." in steps[up:]:
        raise ArchiveRefused(f"{member.name!r} is a link that may lead outside: {target[:200]!r}")
