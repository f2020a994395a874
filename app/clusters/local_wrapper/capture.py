"""The log of one process: records with times, bounded, and the line that says what went wrong.

A record is `<unix milliseconds> <stream> <text>\\n`; the stream is o, e (of the program), b (Berth's own
words) or g (a gap: `<lines> <bytes> <why>`). Texts are the program's raw bytes, cut at 64 KiB, with the values of
the attempt's secrets and its token masked.
"""

import os
import re
import time
from collections import deque
from collections.abc import Sequence

MAX_TEXT = 64 << 10
MASK = b"***"
TAIL_LINES = 200
TAIL_BYTES = 256 << 10
_TROUBLE = re.compile(rb"error|exception|fatal|killed|cannot|not found", re.IGNORECASE)
_TRACEBACK = b"Traceback (most recent call last):"
_GROUP = b"Exception Group "
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Capture:
    """Takes bytes of the streams and appends whole records to the file; never fails the program for it."""

    def __init__(self, path: str, limit: int, masks: Sequence[bytes] = ()) -> None:
        """`masks`: what is written as `***`, the longest first."""
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._file).st_size
        self._tail_bytes = min(TAIL_BYTES, limit // 4)
        self._head = limit - self._tail_bytes
        self._limit = limit
        self._pending = {b"o": b"", b"e": b""}
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self._lost_lines = self._lost_bytes = 0
        self._is_full = False
        self._masked = re.compile(b"|".join(map(re.escape, masks))) if masks else None
        # So much of a line without an end stays behind when it is cut: what is masked is never cut in two.
        self._held = max(map(len, masks), default=1) - 1
        self.errors = FirstError()

    def feed(self, stream: bytes, data: bytes, label: bytes | None = None) -> None:
        """Bytes as they were read from a stream; the last line may be incomplete. `label` replaces the
        stream's letter in the log."""
        whole = self._pending[stream] + data
        lines = whole.split(b"\n")
        rest = lines.pop()
        if self._masked is not None and self._masked.search(whole):
            lines = [self._mask(line) for line in lines]
            if len(rest) >= MAX_TEXT + self._held:
                rest = self._mask(rest)
        while len(rest) >= MAX_TEXT + self._held:
            lines.append(rest[:MAX_TEXT])
            rest = rest[MAX_TEXT:]
        self._pending[stream] = rest
        if lines:
            self.errors.feed(stream, lines)
            self._add(label or stream, lines)

    def say(self, text: str) -> None:
        """A line of Berth's own."""
        self._add(b"b", [self._mask(line.encode(errors="replace")) for line in text.splitlines()])

    def flush(self, label: bytes | None = None) -> None:
        """Both streams are at their end: what is left of them is a line."""
        for stream, rest in self._pending.items():
            if rest:
                self._pending[stream] = b""
                rest = self._mask(rest)
                self.errors.feed(stream, [rest])
                self._add(label or stream, [rest])

    def close(self) -> None:
        """Ends the log: the gap, where there is one, and the last lines after it."""
        self.flush()
        if self._lost_lines:
            why = f"the log of an attempt may have {self._limit} bytes"
            now = time.time_ns() // 1_000_000
            self._write(b"%d g %d %d %s\n" % (now, self._lost_lines, self._lost_bytes, why.encode()))
        for record in self._tail:
            self._write(record)
        self._tail.clear()
        os.close(self._file)

    def _mask(self, text: bytes) -> bytes:
        return text if self._masked is None else self._masked.sub(MASK, text)

    def _add(self, stream: bytes, lines: list[bytes]) -> None:
        prefix = b"%d %s " % (time.time_ns() // 1_000_000, stream)
        if max(map(len, lines), default=0) > MAX_TEXT:
            lines = [line[i : i + MAX_TEXT] for line in lines for i in range(0, len(line) or 1, MAX_TEXT)]
        block = prefix + (b"\n" + prefix).join(lines) + b"\n"
        if not self._is_full and self._size + len(block) <= self._head:
            self._write(block)
            return
        for line in lines:
            self._add_one(prefix + line + b"\n")

    def _add_one(self, record: bytes) -> None:
        if not self._is_full and self._size + len(record) <= self._head:
            self._write(record)
            return
        if not self._is_full:
            self._is_full = True
            text = f"The log is full ({self._limit} bytes). Only the last lines follow, when this has ended."
            self._write(b"%d b %s\n" % (time.time_ns() // 1_000_000, text.encode()))
        self._tail.append(record)
        self._tail_size += len(record)
        while len(self._tail) > TAIL_LINES or (self._tail_size > self._tail_bytes and len(self._tail) > 1):
            dropped = self._tail.popleft()
            self._tail_size -= len(dropped)
            self._lose(dropped)

    def _lose(self, records: bytes) -> None:
        self._lost_lines += records.count(b"\n")
        self._lost_bytes += len(records)

    def _write(self, records: bytes) -> None:
        """All or nothing: on a full disk the piece counts as lost, and no half record stays behind."""
        done = 0
        try:
            while done < len(records):
                done += os.write(self._file, records[done:])
            self._size += done
        except OSError:
            if done:
                os.ftruncate(self._file, self._size)
            self._lose(records)


class FirstError:
    """Finds the line that best says what went wrong.

    The exception line of the last Python traceback (of chained ones the last is what ended the program);
    else the first line of stderr that sounds like trouble; else its last line.
    """

    def __init__(self) -> None:
        self._exception = b""
        self._trouble = b""
        self._last = b""
        self._inside: dict[bytes, bytes | None] = {b"o": None, b"e": None}  # what comes before each line

    def feed(self, stream: bytes, lines: list[bytes]) -> None:
        if self._inside[stream] is not None or any(_TRACEBACK in line for line in lines):
            for line in lines:
                self._follow(stream, line)
        if stream == b"e":
            if not self._trouble:
                self._trouble = next((line for line in lines if _TROUBLE.search(line[:4096])), b"")
            self._last = next((line for line in reversed(lines) if line.strip()), self._last)

    def _follow(self, stream: bytes, line: bytes) -> None:
        at = line.find(_TRACEBACK)
        if at >= 0:
            before = line[:at]
            self._inside[stream] = b"  | " if before.endswith(_GROUP) else before
            return
        before_each = self._inside[stream]
        if before_each is None:
            return
        text = line.removeprefix(before_each).rstrip()
        if text and not text.startswith((b" ", b"\t")):
            self._exception = text
            self._inside[stream] = None

    @property
    def line(self) -> str | None:
        """The line as text that is safe to show, at most 500 characters; None without any."""
        found = self._exception or self._trouble or self._last
        text = _CONTROL.sub("", found[:4096].decode(errors="replace")).strip()
        return text[:500] or None
