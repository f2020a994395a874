"""Logs on the wire."""

import datetime
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel

from app.domain.loglines import read_gap, rfc3339, shown
from app.services.logs import Line


class GapRead(BaseModel):
    """What was lost at this line."""

    lines: int
    bytes: int
    why: str


class LineRead(BaseModel):
    """One line. `line` is its number in the attempt's replica, from 1; `at` is null where it is not known.

    `text` has no control characters but the tab and, for colours, ANSI SGR sequences.
    """

    line: int
    attempt: int
    replica: int
    at: datetime.datetime | None
    stream: Literal["stdout", "stderr", "berth", "gap"]
    text: str
    gap: GapRead | None = None


class AttemptLog(BaseModel):
    """How much log an attempt has. `is_complete`: it is stored to its end."""

    attempt: int
    lines: int
    bytes: int
    gaps: int
    is_complete: bool


class MatchesRead(BaseModel):
    """Where `q` was found: line numbers of the attempt. `is_capped`: there are more; `is_partial`: time ran out
    after line `searched_to`."""

    lines: list[int]
    count: int
    is_capped: bool
    is_partial: bool
    searched_to: int


class LogRead(BaseModel):
    """A window of the log. `total` and `gaps` are of what the window is in: the attempt, or all of them."""

    items: list[LineRead]
    attempt: int
    replica: int
    first_line: int | None
    last_line: int | None
    total: int
    bytes: int
    gaps: int
    complete: bool
    has_before: bool
    has_more: bool
    next: str | None
    attempts: list[AttemptLog]
    matches: MatchesRead | None = None


def plain(lines: Iterator[Line], *, timestamps: bool, with_replica: bool) -> Iterator[bytes]:
    """Lines as plain text, in pieces of some thousand lines; a gap is told in a line of its own."""
    piece: list[str] = []
    for line in lines:
        piece.append(_plain_line(line, timestamps, with_replica))
        if len(piece) == 2000:
            yield "".join(piece).encode("utf-8", "replace")
            piece.clear()
    yield "".join(piece).encode("utf-8", "replace")


def _plain_line(line: Line, timestamps: bool, with_replica: bool) -> str:
    record = line.record
    if record.stream == "g":
        gap = read_gap(record.text)
        lines = f"{gap.lines} line" if gap.lines == 1 else f"{gap.lines} lines"
        verb = "is" if gap.lines == 1 else "are"
        # How much it was is not always known.
        what = f"{lines} ({gap.bytes} bytes) {verb} missing" if gap.lines else "a part is missing"
        shown_text = f"--- gap: {what}: {shown(gap.why.encode())} ---"
    else:
        shown_text = shown(record.text)
    prefix = f"{rfc3339(record.at_ms)} " if timestamps else ""
    if with_replica:
        prefix += f"[{line.replica}] "
    return f"{prefix}{shown_text}\n"


def attempts_read(heads: list[Any]) -> list[dict[str, Any]]:
    """The members of AttemptLog for each."""
    return [
        {
            "attempt": head.attempt,
            "lines": head.lines,
            "bytes": head.bytes,
            "gaps": head.gaps,
            "is_complete": head.is_complete,
        }
        for head in heads
    ]
