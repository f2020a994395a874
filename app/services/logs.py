"""Reading logs, the same for pages, REST and the command line: windows, whole logs, search, and following.

A log is one sequence: attempts in order, and in each the lines of one replica by number. A place in it is a
`Place`, written "<attempt>.<line>". Every function takes the key of a run that the caller may read, opens a
session of its own for the rows and none while objects are fetched; so no caller may hold one either.
"""

import heapq
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy.orm import Session

from app.db import read_session
from app.domain.loglines import Chunk, Needle, Record
from app.errors import N_, FieldError, Invalid
from app.repositories import logs
from app.repositories.logs import LogHead
from app.stores import logs as store

PAGE_BYTES = 2 << 20  # of text in one window, whatever the number of lines
SEARCH_SECONDS = 2.0
MAX_HITS = 10_000
_CHUNKS = 8  # rows at a time while a whole log is read: bounds what is in memory
_END = 2**62


class Place(NamedTuple):
    """A line of a run: its attempt and its number there. Line 0 is before the first."""

    attempt: int
    line: int

    def __str__(self) -> str:
        return f"{self.attempt}.{self.line}"

    @classmethod
    def read(cls, text: str, attempt: int | None, pointer: str) -> "Place":
        """From "3.1200", or from "1200" where the attempt is known. Raises Invalid at `pointer`."""
        first, dot, second = text.partition(".")
        parts = (first, second) if dot else (str(attempt or ""), first)
        if not all(part.isascii() and part.isdigit() and len(part) <= 18 for part in parts):
            raise Invalid([FieldError(pointer, N_('is a line such as 1200, or "<attempt>.<line>"'))])
        return cls(int(parts[0]), int(parts[1]))


class Line(NamedTuple):
    """One line of a log, with where it stands."""

    attempt: int
    replica: int
    number: int
    record: Record


@dataclass(frozen=True)
class Facts:
    """What there is of a run's log, and what of it was lost. `heads` are of one replica, by attempt."""

    heads: list[LogHead]
    replicas: list[int]

    @property
    def lines(self) -> int:
        return sum(head.lines for head in self.heads)

    @property
    def bytes(self) -> int:
        return sum(head.bytes for head in self.heads)

    @property
    def gaps(self) -> int:
        return sum(head.gaps for head in self.heads)

    @property
    def is_complete(self) -> bool:
        """Every attempt that there is so far is stored to its end."""
        return all(head.is_complete for head in self.heads)


@dataclass(frozen=True)
class Window:
    """Consecutive lines, and whether there are more before and after them."""

    lines: list[Line]
    facts: Facts
    has_before: bool
    has_after: bool


@dataclass(frozen=True)
class Hits:
    """Where a text was found. `is_capped`: there are more; `is_partial`: time ran out after `searched_to`."""

    lines: list[int] = field(default_factory=list)
    is_capped: bool = False
    is_partial: bool = False
    searched_to: int = 0


def read_facts(run_id: uuid.UUID, attempt: int | None = None, replica: int = 0) -> Facts:
    """What there is of one replica's log, in one attempt or in all."""
    with read_session() as session:
        return _facts(logs.list_heads(session, run_id), attempt, replica)


def check_replica(run_id: uuid.UUID, replica: int) -> None:
    """Raises Invalid for a replica that the run does not have."""
    with read_session() as session:
        count = logs.count_replicas(session, run_id)
    if replica >= count:
        text = N_("is no replica of this run; the last is {last}")
        raise Invalid([FieldError("/query/replica", text, fix=str(count - 1), slots={"last": count - 1})])


def read_after(
    run_id: uuid.UUID, place: Place | None, limit: int, *, attempt: int | None = None, replica: int = 0
) -> Window:
    """At most `limit` lines that follow `place`, or the first ones."""
    with read_session() as session:
        facts = _facts(logs.list_heads(session, run_id), attempt, replica)
        spans, left = [], limit
        for head in facts.heads:
            if place is not None and head.attempt < place.attempt:
                continue
            first = place.line + 1 if place is not None and head.attempt == place.attempt else 1
            last = min(head.lines, first + left - 1)
            if first <= last and left > 0:
                spans.append(_Span(head.attempt, replica, first, last))
                left -= last - first + 1
        chunks = [_load(session, run_id, span) for span in spans]
    lines = _within_budget(line for loaded in chunks for line in loaded.lines())
    return _window(lines, facts, place)


def read_before(
    run_id: uuid.UUID, place: Place | None, limit: int, *, attempt: int | None = None, replica: int = 0
) -> Window:
    """At most `limit` lines before `place`, or the last ones; in the order of the log."""
    with read_session() as session:
        facts = _facts(logs.list_heads(session, run_id), attempt, replica)
        spans, left = [], limit
        for head in reversed(facts.heads):
            if place is not None and head.attempt > place.attempt:
                continue
            last = min(head.lines, place.line - 1) if place and head.attempt == place.attempt else head.lines
            first = max(1, last - left + 1)
            if first <= last and left > 0:
                spans.append(_Span(head.attempt, replica, first, last))
                left -= last - first + 1
        chunks = [_load(session, run_id, span) for span in reversed(spans)]
    lines = [line for loaded in chunks for line in loaded.lines()]
    kept = _within_budget(iter(lines[::-1]))[::-1]
    return _window(kept, facts, place)


def read_all(run_id: uuid.UUID, *, attempt: int | None = None, replica: int | None = None) -> Iterator[Line]:
    """Every line there is now, for downloads: attempts in order; replicas of one attempt merged by time.

    Memory stays bounded by some MiB for each replica.
    """
    with read_session() as session:
        heads = logs.list_heads(session, run_id)
    for number in sorted({head.attempt for head in heads if attempt in (None, head.attempt)}):
        wanted = [head for head in heads if head.attempt == number and replica in (None, head.replica)]
        yield from heapq.merge(*(_whole(run_id, head) for head in wanted), key=_by_time)


def search(run_id: uuid.UUID, text: str, attempt: int, replica: int = 0) -> Hits:
    """The numbers of an attempt's lines that contain `text` whatever its case, at most MAX_HITS of them.

    Gives up after SEARCH_SECONDS and says so.
    """
    needle, until = Needle(text), time.monotonic() + SEARCH_SECONDS
    found: list[int] = []
    for chunk, first in _chunks(run_id, attempt, replica):
        for number in store.matches(chunk, needle):
            if number < first:
                continue
            if len(found) == MAX_HITS:
                return Hits(found, is_capped=True, searched_to=number - 1)
            found.append(number)
        if time.monotonic() > until:
            return Hits(found, is_partial=True, searched_to=chunk.first_line + chunk.lines - 1)
    return Hits(found, searched_to=_END)


def find_errors(run_id: uuid.UUID, attempt: int, replica: int = 0) -> Hits:
    """The numbers of an attempt's lines that look like errors, at most MAX_HITS of them.

    Gives up after SEARCH_SECONDS and says so.
    """
    until = time.monotonic() + SEARCH_SECONDS
    found: list[int] = []
    for chunk, first in _chunks(run_id, attempt, replica):
        new = store.all_error_lines(chunk, MAX_HITS + 1)
        found += [number for number in new if number >= first]
        if len(found) > MAX_HITS:
            return Hits(found[:MAX_HITS], is_capped=True, searched_to=found[MAX_HITS - 1])
        if time.monotonic() > until:
            return Hits(found, is_partial=True, searched_to=chunk.first_line + chunk.lines - 1)
    return Hits(found, searched_to=_END)


def find_first_error(run_id: uuid.UUID, attempt: int, replica: int = 0) -> int | None:
    """The number of the first line that looks like an error; None where none does within SEARCH_SECONDS."""
    until = time.monotonic() + SEARCH_SECONDS
    for chunk, _ in _chunks(run_id, attempt, replica):
        found = store.error_line(chunk)
        if found is not None or time.monotonic() > until:
            return found
    return None


def read_lines(run_id: uuid.UUID, attempt: int, replica: int, numbers: list[int]) -> list[Line]:
    """The lines with these numbers, which are in rising order."""
    wanted, found = set(numbers), []
    if not numbers:
        return []
    for chunk, first in _chunks(run_id, attempt, replica, numbers[0], numbers[-1]):
        for number, record in store.numbered(chunk, first, numbers[-1]):
            if number in wanted:
                found.append(Line(attempt, replica, number, record))
    return found


class _Span(NamedTuple):
    attempt: int
    replica: int
    first: int
    last: int


class _Loaded(NamedTuple):
    span: _Span
    chunks: list[Chunk]

    def lines(self) -> Iterator[Line]:
        for chunk in self.chunks:
            for number, record in store.numbered(chunk, self.span.first, self.span.last):
                yield Line(self.span.attempt, self.span.replica, number, record)


def _load(session: Session, run_id: uuid.UUID, span: _Span) -> _Loaded:
    chunks = logs.list_chunks(session, run_id, span.attempt, span.replica, span.first, span.last, limit=10_000)
    return _Loaded(span, chunks)


def _whole(run_id: uuid.UUID, head: LogHead) -> Iterator[Line]:
    for chunk, first in _chunks(run_id, head.attempt, head.replica, 1, head.lines):
        for number, record in store.numbered(chunk, first, head.lines):
            yield Line(head.attempt, head.replica, number, record)


def _chunks(
    run_id: uuid.UUID, attempt: int, replica: int, first: int = 1, last: int = _END
) -> Iterator[tuple[Chunk, int]]:
    """Chunk after chunk, a few rows at a time in a session of their own, and which line to begin with.

    A chunk may be one that was merged meanwhile, with lines that came before.
    """
    while first <= last:
        with read_session() as session:
            chunks = logs.list_chunks(session, run_id, attempt, replica, first, last, _CHUNKS)
        if not chunks:
            return
        for chunk in chunks:
            yield chunk, max(first, chunk.first_line)
            first = chunk.first_line + chunk.lines


def _facts(heads: list[LogHead], attempt: int | None, replica: int) -> Facts:
    """Heads of one replica; an attempt that has no line of it yet counts as empty."""
    own: dict[int, LogHead] = {}
    for head in heads:
        if attempt is not None and head.attempt != attempt:
            continue
        if head.replica == replica:
            own[head.attempt] = head
        else:
            own.setdefault(head.attempt, LogHead(head.attempt, replica, 0, 0, 0, head.is_complete))
    return Facts([own[number] for number in sorted(own)], sorted({head.replica for head in heads}))


def _window(lines: list[Line], facts: Facts, place: Place | None) -> Window:
    if not facts.heads or not facts.lines:
        return Window([], facts, has_before=False, has_after=False)
    start = Place(facts.heads[0].attempt, 0) if place is None else place
    first = Place(lines[0].attempt, lines[0].number) if lines else start
    last = Place(lines[-1].attempt, lines[-1].number) if lines else start
    return Window(
        lines,
        facts,
        has_before=any(Place(head.attempt, 1) < first for head in facts.heads if head.lines),
        has_after=any(Place(head.attempt, head.lines) > last for head in facts.heads if head.lines),
    )


def _within_budget(lines: Iterator[Line]) -> list[Line]:
    kept: list[Line] = []
    left = PAGE_BYTES
    for line in lines:
        left -= len(line.record.text) + 64
        if left < 0 and kept:
            break
        kept.append(line)
    return kept


def _by_time(line: Line) -> tuple[int, int, int]:
    return line.record.at_ms, line.replica, line.number
