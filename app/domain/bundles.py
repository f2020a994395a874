"""Archives made while they are sent: tar and zip of files whose bytes come in pieces. Pure, bounded memory.

Each file is opened before anything of it is sent. One that is gone by then is left out, and the last entry,
MISSING.txt, names all such. One that goes while its bytes are sent raises: what was sent of it cannot be taken back.
"""

import re
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

# What a path may mean to some system that unpacks it: a drive, another separator, a control sign.
_UNSAFE = re.compile(r'[\\:*?"<>|\x00-\x1f\x7f]')
_BLOCK = 512


@dataclass(frozen=True)
class Entry:
    """A file of an archive; `open` gives its `size` bytes in pieces, or raises FileNotFoundError."""

    name: str
    size: int
    modified: datetime
    open: Callable[[], Iterator[bytes]]


def safe_name(path: str) -> str:
    """The path as an archive may have it: relative, below the place where it is unpacked, on every system."""
    parts = [_UNSAFE.sub("_", part) for part in path.split("/")]
    return "/".join("_" if not part.strip(". ") else part for part in parts if part) or "_"


def unique_names(paths: Iterable[str]) -> list[str]:
    """Safe names, in the same order and no two alike."""
    taken: set[str] = set()
    made = []
    for path in paths:
        name, number = safe_name(path), 1
        while name in taken:
            number += 1
            name = f"{safe_name(path)}~{number}"
        taken.add(name)
        made.append(name)
    return made


# What MISSING.txt says of the names of files that are gone.
Telling = Callable[[list[str]], str]
MISSING = "MISSING"


def tar(entries: Sequence[Entry], tell: Telling) -> Iterator[bytes]:
    """A tar with POSIX headers, piece by piece. Raises OSError where a file has other bytes than announced."""
    for entry, pieces in _there(entries, tell):
        info = tarfile.TarInfo(entry.name)
        info.size, info.mtime, info.mode = entry.size, int(entry.modified.timestamp()), 0o644
        yield info.tobuf(tarfile.PAX_FORMAT)
        yield from _counted(entry, pieces)
        if entry.size % _BLOCK:
            yield bytes(_BLOCK - entry.size % _BLOCK)
    yield bytes(2 * _BLOCK)


def zipped(entries: Sequence[Entry], tell: Telling) -> Iterator[bytes]:
    """A zip without compression, piece by piece; raises as `tar` does."""
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:  # type: ignore[call-overload]
        for entry, pieces in _there(entries, tell):
            info = zipfile.ZipInfo(entry.name, entry.modified.timetuple()[:6])
            info.external_attr = 0o644 << 16
            with archive.open(info, "w", force_zip64=True) as target:
                for piece in _counted(entry, pieces):
                    target.write(piece)
                    yield sink.taken()
            yield sink.taken()
    yield sink.taken()


def _there(entries: Sequence[Entry], tell: Telling) -> Iterator[tuple[Entry, Iterator[bytes]]]:
    """Each entry that is there, opened; at last the one that names the others."""
    lost: list[str] = []
    for entry in entries:
        try:
            pieces = entry.open() if entry.size else iter(())
        except FileNotFoundError:
            lost.append(entry.name)
            continue
        yield entry, pieces
    if lost:
        told = tell(lost).encode()
        newest = max(entry.modified for entry in entries)
        yield Entry(_free_name({entry.name for entry in entries}), len(told), newest, lambda: iter(())), iter((told,))


def _free_name(taken: set[str]) -> str:
    """One that no file of the archive has, nor a folder."""
    name, number = f"{MISSING}.txt", 1
    while any(one == name or one.startswith(f"{name}/") for one in taken):
        number += 1
        name = f"{MISSING}-{number}.txt"
    return name


def _counted(entry: Entry, pieces: Iterator[bytes]) -> Iterator[bytes]:
    left = entry.size
    for piece in pieces:
        left -= len(piece)
        yield piece
    if left:
        raise OSError(f"{entry.name} has {-left} bytes more than announced")


class _Sink:
    """What a zip is written to: it cannot be read or rewound, so sizes come after the bytes."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        return

    def taken(self) -> bytes:
        found = b"".join(self._parts)
        self._parts.clear()
        return found
