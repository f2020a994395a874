"""The bytes of logs: open chunks come with their rows, sealed ones are compressed objects.

Any process can read any log. No database session may be open around these calls. A sealed object never
changes, so unpacked ones are kept in a small cache.
"""

import gzip
import threading
from collections import OrderedDict
from collections.abc import Iterator

from app.domain.loglines import Chunk, Needle, Record, error_lines, first_error, parse
from app.stores import objects

CACHE_BYTES = 16 << 20
_FINE = 4096  # bytes in which lines are counted singly


def pack(data: bytes) -> bytes:
    """What a sealed object holds: gzip, without a time, so that equal lines are equal objects."""
    return gzip.compress(data, compresslevel=4, mtime=0)


def data_of(chunk: Chunk) -> bytes | None:
    """A chunk's records, or None where its object is no longer there."""
    if chunk.data is not None:
        return chunk.data
    if chunk.object_key is None:
        return None
    return _cache.get(chunk.object_key)


def numbered(chunk: Chunk, first: int, last: int) -> Iterator[tuple[int, Record]]:
    """The lines of a chunk from `first` to `last`, both included, with their numbers.

    A chunk whose object is lost is one gap, at the number of its last line.
    """
    end = chunk.first_line + chunk.lines - 1
    data = data_of(chunk)
    if data is None:
        yield min(end, last), Record(0, "g", b"%d %d its stored part is missing" % (chunk.lines, chunk.size))
        return
    start = max(first, chunk.first_line)
    count = min(last, end) - start + 1
    if count <= 0:
        return
    begin = _offset(data, 0, start - chunk.first_line)
    wanted = data[begin : _offset(data, begin, count)].split(b"\n")[:count]
    for number, line in enumerate(wanted, start):
        yield number, parse(line)


def _offset(data: bytes, low: int, lines: int) -> int:
    """Where `lines` lines that begin at `low` end. Counting halves is quicker than cutting what nobody wants."""
    high = len(data)
    while lines > 1 and high - low > _FINE:
        middle = (low + high) // 2
        passed = data.count(b"\n", low, middle)
        if passed < lines:  # so that the last of them is still ahead
            low, lines = middle, lines - passed
        else:
            high = middle
    for _ in range(lines):
        low = data.find(b"\n", low) + 1
    return low


def matches(chunk: Chunk, needle: Needle) -> Iterator[int]:
    """The numbers of the chunk's lines that contain the text."""
    data = data_of(chunk)
    return needle.lines(data, chunk.first_line) if data is not None else iter(())


def error_line(chunk: Chunk) -> int | None:
    """The number of the chunk's first line that looks like an error, or None."""
    data = data_of(chunk)
    found = first_error(data) if data is not None else None
    return None if found is None else chunk.first_line + found


def all_error_lines(chunk: Chunk, most: int) -> list[int]:
    """The numbers of the chunk's lines that look like errors, the first `most` of them."""
    data = data_of(chunk)
    return [chunk.first_line + found for found in error_lines(data, most)] if data is not None else []


class _Cache:
    """Unpacked objects, the least recently used thrown out first. Used by many threads."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: str) -> bytes | None:
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]
        try:
            data = gzip.decompress(objects.named(key).get_all(key))
        except objects.ObjectMissing:
            return None
        with self._lock:
            if key not in self._held:
                self._held[key] = data
                self._bytes += len(data)
            while self._bytes > self._limit and len(self._held) > 1:
                self._bytes -= len(self._held.popitem(last=False)[1])
        return data


_cache = _Cache(CACHE_BYTES)
