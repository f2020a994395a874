"""The history of a run as a time line: its lines, its filters and the addresses of both. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from app.domain.reasons import EVENT_KINDS
from app.domain.states import TERMINAL
from app.errors import N_
from app.web import formats
from app.web.run_phases import View
from app.web.run_tables import told

ATTEMPTS_SHOWN = 20  # chips; the events of all attempts are in the list

_KINDS = {
    "people": N_("People"),
    "scheduling": N_("Scheduling"),
    "attempts": N_("Attempts"),
    "files": N_("Logs and outputs"),
}
# Icon and colour by code; what is not here has neither.
_SIGNS = {
    "submitted": ("plus", "info"),
    "admitted": ("hold", "info"),
    "started": ("run", "run"),
    "stop_requested": ("stop", "warn"),
    "ended": ("check", "wait"),
    "retrying": ("rerun", "warn"),
    "stopped": ("stopped", "wait"),
    "logs_truncated": ("warn", "warn"),
    "outputs_truncated": ("warn", "warn"),
    "outputs_removed": ("trash", "wait"),
}
# An attempt that ended shows how the run went on.
_ENDS = {"succeeded": ("succeeded", "ok"), "failed": ("failed", "bad"), "stopped": ("stopped", "wait")}


@dataclass(frozen=True)
class Asked:
    """The filters as they stand in the address: a kind or "", an attempt or 0."""

    kind: str = ""
    attempt: int = 0

    @classmethod
    def read(cls, kind: str, attempt: str) -> "Asked":
        """What the address says, or no filter where that is none."""
        number = int(attempt) if attempt.isascii() and attempt.isdecimal() and len(attempt) < 7 else 0
        return cls(kind if kind in EVENT_KINDS else "", number)

    @property
    def codes(self) -> Sequence[str] | None:
        return EVENT_KINDS[self.kind] if self.kind else None

    def query(self, **more: str | int) -> str:
        """The part of an address after its path, with its "?"; empty for no filter."""
        given = {"kind": self.kind, "attempt": self.attempt, **more}
        parts = urlencode({name: value for name, value in given.items() if value})
        return f"?{parts}" if parts else ""


@dataclass(frozen=True)
class TimeLineRow:
    """One event. `day` is there where it is another one than the row's before; `since` counts from the submit."""

    iso: str
    at: str
    full: str
    day: str
    text: str
    sign: str
    kind: str
    since: str
    attempt: int


@dataclass(frozen=True)
class Chip:
    """A filter as a link that turns it on or off."""

    text: str
    url: str
    is_on: bool


@dataclass
class EventsPage:
    """What the page shows. `poll_url` is empty where nothing more will happen."""

    url: str
    rows: list[TimeLineRow] = field(default_factory=list)
    kinds: list[Chip] = field(default_factory=list)
    attempts: list[Chip] = field(default_factory=list)
    more_url: str = ""
    poll_url: str = ""
    clear_url: str = ""


def build(
    view: View, row: Any, url: str, asked: Asked, events: Sequence[Any], *, limit: int, newest: int
) -> EventsPage:
    """The page from at most `limit` + 1 events, newest first. `newest` is the id after which new ones come."""
    page = EventsPage(url, build_rows(view, row, events[:limit]))
    if len(events) > limit:
        page.more_url = f"{url}{asked.query(before=events[limit - 1].id)}"
    page.poll_url = poll_url(row, url, asked, newest)
    page.clear_url = url if asked != Asked() else ""
    page.kinds = [Chip(view.say(N_("All")), f"{url}{Asked('', asked.attempt).query()}", not asked.kind)]
    page.kinds += [
        Chip(view.say(text), f"{url}{Asked(kind, asked.attempt).query()}", kind == asked.kind)
        for kind, text in _KINDS.items()
    ]
    if row.attempt > 1:
        numbers = range(row.attempt, max(0, row.attempt - ATTEMPTS_SHOWN), -1)
        page.attempts = [
            Chip(
                view.say("Attempt {number}", number=number),
                f"{url}{Asked(asked.kind, 0 if number == asked.attempt else number).query()}",
                number == asked.attempt,
            )
            for number in numbers
        ]
    return page


def poll_url(row: Any, url: str, asked: Asked, newest: int) -> str:
    """Where the page asks for events after `newest`; empty when the run has ended."""
    return "" if row.state in TERMINAL else f"{url}/new{asked.query(after=newest)}"


def build_rows(view: View, row: Any, events: Sequence[Any]) -> list[TimeLineRow]:
    """Events as rows, in the order in which they come."""
    made: list[TimeLineRow] = []
    day = ""
    for event in events:
        sign, kind = _SIGNS.get(event.code, ("info", "wait"))
        if event.code == "ended":
            sign, kind = _ENDS.get(event.new_state or "", (sign, kind))
        today = f"{event.at.astimezone(view.zone):%Y-%m-%d}"
        passed = (event.at - row.created_at).total_seconds()
        made.append(
            TimeLineRow(
                event.at.isoformat(),
                formats.clock(event.at, view.zone),
                formats.full(event.at, view.zone),
                "" if today == day else today,
                told(view, event),
                sign,
                kind,
                f"+{formats.span(passed, view.language)}" if passed >= 1 else "",
                event.attempt if row.attempt > 1 else 0,
            )
        )
        day = today
    return made
