"""The log as a page shows it: blocks of 500 lines that begin where the script's blocks begin.

Without JavaScript these blocks, the links to earlier and later ones, and the search are all there is.
Reads through services/logs.py, so no session may be open.
"""

import datetime
import uuid
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from app.i18n import translate, translate_plural
from app.services import logs
from app.services.logs import Line, Place
from app.web import formats
from app.web.loglines import BLOCK, LineView, view

_FEW = 200  # the last block alone is shown when it has this many lines
_HITS_SHOWN = 500


@dataclass(frozen=True)
class Block:
    """Lines of block `k`: those from k * 500 + 1 on."""

    k: int
    lines: list[LineView]


@dataclass(frozen=True)
class AttemptChoice:
    """An attempt whose log can be shown."""

    text: str
    url: str
    is_on: bool


@dataclass
class LogView:
    """What the log card shows first, and what its script needs to go on."""

    api_url: str
    attempt: int
    replica: int
    lines: int
    is_live: bool
    state: str
    start_ms: int
    download_url: str
    download_name: str
    plain_url: str
    page_url: str
    empty: str
    is_page: bool = False
    q: str = ""
    hits: str = ""
    earlier_url: str = ""
    later_url: str = ""
    attempts: list[AttemptChoice] = field(default_factory=list)
    replicas: int = 1
    blocks: list[Block] = field(default_factory=list)
    is_small: bool = False


@dataclass(frozen=True)
class Asked:
    """What of the log the address asks for; 0 and "", or no replica, where it says nothing."""

    attempt: int = 0
    line: int = 0
    q: str = ""
    replica: int | None = None

    @classmethod
    def read(cls, attempt: str, line: str, q: str, replica: str = "") -> "Asked":
        """From the parts of an address, whatever they are."""
        index = _number(replica) if replica.isascii() and replica.isdecimal() else None
        return cls(_number(attempt), _number(line), q.replace("\0", "")[:200], index)


def build(row: Any, url: str, asked: Asked, language: str, zone: datetime.tzinfo, *, is_live: bool) -> LogView:
    """The log of one replica of one attempt: its end, the block around a line, or the lines that match. `url` is its
    page's."""
    numbers = [attempt["number"] for attempt in row.attempts]
    attempt = asked.attempt if asked.attempt in numbers else max(numbers, default=1)
    replica = asked.replica
    if replica is None or replica >= row.replicas:
        replica = telling_replica(row, attempt)
    facts = logs.read_facts(row.id, attempt, replica)
    lines = facts.lines
    is_followed = is_live and attempt == max(numbers, default=1)
    query = _query(row, attempt, replica)
    made = LogView(
        api_url=f"/api/v1/runs/{row.public_id}/logs",
        attempt=attempt,
        replica=replica,
        replicas=row.replicas,
        lines=lines,
        is_live=is_followed,
        state=_state(language, lines, is_followed),
        start_ms=_start(row, attempt),
        download_url=f"/api/v1/runs/{row.public_id}/logs?{query}&download=plain",
        download_name=f"{row.public_id}-{attempt}{f'-{replica}' if row.replicas > 1 else ''}.log",
        plain_url=f"{url}?{query}#log",
        page_url=url,
        empty=_empty(language, row, is_live),
        q=asked.q,
        # A live log has its height from the start, so that what stands below it never moves.
        is_small=lines < 24 and (not is_followed or row.state == "queued"),
    )
    made.attempts = [
        AttemptChoice(str(number), f"{url}?{_query(row, number, asked.replica)}#log", number == attempt)
        for number in numbers
    ]
    if asked.q and lines:
        _search(made, row.id, asked.q, language, zone)
    elif lines:
        _fill(made, row.id, f"{url}?{query}", asked.line, language, zone)
    return made


def telling_replica(row: Any, attempt: int) -> int:
    """The replica whose log tells most: the one by which the attempt failed, else the first."""
    found: dict[str, Any] = next((one for one in row.attempts if one["number"] == attempt), {})
    index = (found.get("reason") or {}).get("replica")
    return index if isinstance(index, int) and index in range(row.replicas) else 0


def _query(row: Any, attempt: int, replica: int | None) -> str:
    """The part of an address that says which log."""
    says = {"attempt": attempt}
    if row.replicas > 1 and replica is not None:
        says["replica"] = replica
    return urlencode(says)


def _state(language: str, lines: int, is_followed: bool) -> str:
    """What stands at the dot; log.js goes on with it."""
    if is_followed and not lines:
        return translate(language, "waiting for the first line")
    count = formats.grouped(lines)
    if is_followed:
        return translate_plural(language, "live, {count} line", "live, {count} lines", lines, count=count)
    return translate_plural(language, "{count} line", "{count} lines", lines, count=count)


def _fill(made: LogView, run_id: uuid.UUID, address: str, line: int, language: str, zone: datetime.tzinfo) -> None:
    last_block = (made.lines - 1) // BLOCK
    first_block = last_block if line <= 0 else min((line - 1) // BLOCK, last_block)
    if first_block == last_block and last_block and made.lines - last_block * BLOCK < _FEW:
        first_block -= 1
    until = min(first_block + 2, last_block + 1) if line <= 0 else min(first_block + 1, last_block + 1)
    start = first_block * BLOCK
    count = until * BLOCK - start
    window = logs.read_after(run_id, Place(made.attempt, start), count, attempt=made.attempt, replica=made.replica)
    made.blocks = _blocks(window.lines, language, zone)
    if first_block > 0:
        made.earlier_url = f"{address}&line={start}#log"
    if until <= last_block:
        made.later_url = f"{address}&line={until * BLOCK + 1}#log"


def _blocks(lines: list[Line], language: str, zone: datetime.tzinfo) -> list[Block]:
    blocks: dict[int, list[LineView]] = {}
    for line in lines:
        blocks.setdefault((line.number - 1) // BLOCK, []).append(view(line.number, line.record, language, zone))
    return [Block(k, found) for k, found in sorted(blocks.items())]


def _search(made: LogView, run_id: uuid.UUID, q: str, language: str, zone: datetime.tzinfo) -> None:
    hits = logs.search(run_id, q[:200], made.attempt, made.replica)
    shown = logs.read_lines(run_id, made.attempt, made.replica, hits.lines[:_HITS_SHOWN])
    made.blocks = _blocks(shown, language, zone)
    number = len(hits.lines)
    count = formats.grouped(number) + ("+" if hits.is_capped or hits.is_partial else "")
    made.hits = translate_plural(language, "{count} line found", "{count} lines found", number, count=count)


def _start(row: Any, attempt: int) -> int:
    for found in row.attempts:
        if found["number"] == attempt and found["started_at"]:
            at = found["started_at"]
            parsed = at if isinstance(at, datetime.datetime) else datetime.datetime.fromisoformat(at)
            return int(parsed.timestamp() * 1000)
    return 0


def _empty(language: str, row: Any, is_live: bool) -> str:
    if row.state == "queued":
        return translate(language, "No line yet: the run waits in line.")
    if is_live:
        return translate(language, "No line yet. The first one appears here as soon as the program writes it.")
    return translate(language, "The program wrote nothing.")


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 12 else 0
