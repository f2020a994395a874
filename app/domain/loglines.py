"""Log records: one line of a job's output with its time and stream, as bytes, and as text safe to show.

A record is `<unix milliseconds> <stream> <text>\\n`. The same bytes are in a cluster's log file, in open chunks
and in sealed objects. Streams: `o` stdout, `e` stderr, `b` Berth's own words, `g` a gap, whose text is
"<lines> <bytes> <why>" of what was lost. A line's number is its place in the replica of the attempt, from 1.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import AnyStr

MAX_TEXT = 64 << 10  # bytes; writers cut longer lines into several records

STREAMS = {"o": "stdout", "e": "stderr", "b": "berth", "g": "gap"}


@dataclass(frozen=True, slots=True)
class Record:
    """One line. `at_ms` is the time in milliseconds since the epoch; `text` are the bytes as they came."""

    at_ms: int
    stream: str
    text: bytes


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive lines as a row of the log has them: bytes in `data`, or compressed under `object_key`."""

    first_line: int
    lines: int
    size: int
    data: bytes | None
    object_key: str | None


@dataclass(frozen=True, slots=True)
class Gap:
    """What a gap record says was lost."""

    lines: int
    bytes: int
    why: str


def encode(record: Record) -> bytes:
    """The record as stored, with its newline. A newline or NUL inside the text is replaced by a space."""
    text = record.text.replace(b"\n", b" ").replace(b"\0", b" ")[:MAX_TEXT]
    return b"%d %s %s\n" % (record.at_ms, record.stream.encode(), text)


def parse(line: bytes) -> Record:
    """The record of one stored line without its newline. What is not one is shown whole, with no time."""
    parts = line.split(b" ", 2)
    if len(parts) == 3 and parts[0].isdigit() and len(parts[0]) <= 15:
        stream = parts[1].decode("ascii", "replace")
        if stream in STREAMS:
            return Record(int(parts[0]), stream, parts[2])
    return Record(0, "o", line)


def records(data: bytes) -> Iterator[Record]:
    """All records of a piece that ends with a newline."""
    lines = data.split(b"\n")
    lines.pop()
    return map(parse, lines)


def count_gaps(data: bytes) -> int:
    """How many records of a piece stand for lost lines."""
    return len(_GAP.findall(data))


_GAP = re.compile(rb"^\d{1,15} g ", re.MULTILINE)


def read_gap(text: bytes) -> Gap:
    """What a gap record's text says; zeros where it says nothing."""
    parts = text.decode("utf-8", "replace").split(" ", 2)
    if len(parts) >= 2 and parts[0].isdecimal() and parts[1].isdecimal():
        return Gap(int(parts[0]), int(parts[1]), parts[2] if len(parts) == 3 else "")
    return Gap(0, 0, " ".join(parts))


def rfc3339(at_ms: int) -> str:
    """A record's time with milliseconds, in UTC."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).isoformat()[:19] + f".{at_ms % 1000:03d}Z"


def shown(text: bytes, *, colour: bool = False, raw: bool = False) -> str:
    """A line's text, safe on a page or a terminal: nothing in it can move the cursor or turn the direction.

    `colour` keeps colours and weights (ANSI SGR) for a reader that draws them. A progress line that was
    overwritten by carriage returns shows its last state; `raw` shows all of it. Control and bidirectional
    characters become visible signs; terminal commands are left out.
    """
    line = text.decode("utf-8", "replace")
    if not raw and "\r" in line:
        line = _last_state(line)
    if line.isprintable():
        return line
    line = _COMMAND.sub(_keep_colour if colour else "", line)
    return _HIDDEN.sub(_visible, line)


def _last_state(line: str) -> str:
    states = [state for state in line.split("\r") if state]
    return states[-1] if states else ""


# ECMA-48: CSI sequences; OSC, DCS, SOS, PM and APC strings with their terminator; two-character escapes.
_COMMAND = re.compile(
    r"(?P<sgr>\x1b\[[0-9;:]{0,64}m)"
    r"|\x1b\[[0-?]*[ -/]*[@-~]"
    r"|\x1b[\]PX^_][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-Z\\`-~]"
)
_HIDDEN = re.compile(
    "[\x00-\x08\x0a-\x1a\x1c-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb]"
    "|\x1b(?!\\[[0-9;:]{0,64}m)"
)


def _keep_colour(match: re.Match[str]) -> str:
    return match["sgr"] or ""


def _visible(match: re.Match[str]) -> str:
    character = match[0]
    code = ord(character)
    if code == 0x7F:
        return "\u2421"
    return chr(0x2400 + code) if code < 0x20 else f"<U+{code:04X}>"


class Needle:
    """A text to look for, whatever its case, in the texts of records (not in their times)."""

    def __init__(self, text: str) -> None:
        self._ascii = text.isascii()
        self._text = text.lower()

    def lines(self, data: bytes, first_line: int) -> Iterator[int]:
        """The numbers of the lines of a piece that contain it; the piece begins with `first_line`."""
        if self._ascii:  # bytes are lowered and searched at memory speed
            yield from _find(data.lower(), self._text.encode(), b"\n", b" ", first_line)
        else:
            yield from _find(data.decode("utf-8", "replace").lower(), self._text, "\n", " ", first_line)


def _find(hay: AnyStr, needle: AnyStr, newline: AnyStr, space: AnyStr, line: int) -> Iterator[int]:
    counted = position = 0
    while (hit := hay.find(needle, position)) >= 0:
        start = hay.rfind(newline, 0, hit) + 1
        text = hay.find(space, hay.find(space, start) + 1) + 1
        if hit < text:  # within the time or the stream: look again in the text
            position = text
            continue
        line += hay.count(newline, counted, start)
        yield line
        end = hay.find(newline, hit)
        if end < 0:
            return
        line, counted, position = line + 1, end + 1, end + 1


_ERROR = re.compile(
    rb"^\d{1,15} [oe] (?:\S*Traceback \(most recent call last\)"
    rb"|[\w.]*(?:Error|Exception)\b"
    rb"|[^\n]{0,200}\b(?:ERROR|CRITICAL|FATAL)\b"
    rb"|(?:error|fatal|panic|Error): "
    rb"|Segmentation fault|Killed\b)",
    re.MULTILINE,
)


def first_error(data: bytes) -> int | None:
    """How many lines into a piece the first line is that looks like an error, or None."""
    match = _ERROR.search(data)
    return data.count(b"\n", 0, match.start()) if match else None


# What every line that `_ERROR` finds has in it. Looking for these first is much quicker than the expression is.
_SIGNS = (
    *(b"Traceback (most recent call last)", b"Error", b"Exception", b"ERROR", b"CRITICAL", b"FATAL"),
    *(b"error: ", b"fatal: ", b"panic: ", b"Segmentation fault", b"Killed"),
)


def error_lines(data: bytes, most: int) -> list[int]:
    """How many lines into a piece each line is that looks like an error: the first `most` of them, in order."""
    starts: set[int] = set()
    for sign in _SIGNS:
        hit = data.find(sign)
        while hit >= 0:
            starts.add(data.rfind(b"\n", 0, hit) + 1)
            end = data.find(b"\n", hit)
            hit = data.find(sign, end) if end >= 0 else -1
    found: list[int] = []
    line = counted = 0
    for start in sorted(starts):
        if len(found) == most:
            break
        if _ERROR.match(data, start):
            line += data.count(b"\n", counted, start)
            counted = start
            found.append(line)
    return found
