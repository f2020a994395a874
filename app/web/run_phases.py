"""The time line of a run: how long it waited, started and ran, and how long it may still take. Pure."""

import datetime
from dataclasses import dataclass
from typing import Any

from app.domain.states import TERMINAL, RunState
from app.errors import N_
from app.i18n import translate
from app.web import formats


@dataclass(frozen=True)
class View:
    """Who looks, and when: what every builder here needs."""

    language: str
    zone: datetime.tzinfo
    now: datetime.datetime

    def say(self, text: str, **slots: Any) -> str:
        return translate(self.language, text, **slots)


@dataclass(frozen=True)
class Phase:
    """A stretch of the time line, in thousandths of its width. `since` (ms) is set while it still grows."""

    text: str
    colour: str
    span: str
    seconds: float
    since: int | None = None
    x: int = 0
    width: int = 0


def build_phases(view: View, row: Any) -> list[Phase]:
    """Queued, starting, running and how it ended, of the current attempt; and what is left where it is known."""
    attempt = next((found for found in row.attempts if found["number"] == row.attempt), None)
    end = row.finished_at or view.now
    admitted = as_time(attempt["admitted_at"]) if attempt and row.state != RunState.QUEUED else None
    started = row.started_at
    is_live = row.state not in TERMINAL
    made = [
        _phase(view, N_("Queued"), "p-queued", row.queued_at, admitted or started or end, is_live and admitted is None)
    ]
    if admitted is not None:
        made.append(_phase(view, N_("Starting"), "p-starting", admitted, started or end, is_live and started is None))
    if started is not None:
        colour = f"p-{row.state}" if row.state in TERMINAL else "p-running"
        made.append(_phase(view, _ENDINGS.get(row.state, N_("Running")), colour, started, end, is_live))
    left = _left(row, view.now)
    if left is not None:
        told = view.say("about {span}", span=formats.span(left, view.language))
        made.append(Phase(view.say("Left"), "p-left", told, left))
    return _placed(made)


_ENDINGS: dict[str, str] = {
    RunState.SUCCEEDED: N_("Ran, succeeded after"),
    RunState.FAILED: N_("Ran, failed after"),
    RunState.STOPPED: N_("Ran, stopped after"),
}


def _phase(
    view: View, text: str, colour: str, begin: datetime.datetime, end: datetime.datetime, is_growing: bool
) -> Phase:
    seconds = max(0.0, (end - begin).total_seconds())
    since = int(begin.timestamp() * 1000) if is_growing else None
    return Phase(view.say(text), colour, formats.span(seconds, view.language), seconds, since)


def _placed(phases: list[Phase]) -> list[Phase]:
    """Widths in proportion, none so small that it cannot be seen, two thousandths apart."""
    total = sum(phase.seconds for phase in phases) or 1.0
    widths = [max(4, round(980 * phase.seconds / total)) for phase in phases]
    widths[widths.index(max(widths))] += 1000 - sum(widths) - 2 * (len(widths) - 1)
    made, x = [], 0
    for phase, width in zip(phases, widths, strict=True):
        made.append(Phase(phase.text, phase.colour, phase.span, phase.seconds, phase.since, x, max(4, width)))
        x += width + 2
    return made


def _left(row: Any, now: datetime.datetime) -> float | None:
    if row.state != RunState.RUNNING or not row.progress_total or not row.progress_done or row.started_at is None:
        return None
    done = min(row.progress_done, row.progress_total)
    return float((now - row.started_at).total_seconds() * (row.progress_total - done) / done)


def as_time(value: Any) -> datetime.datetime | None:
    """A time out of a JSON column."""
    if value is None or isinstance(value, datetime.datetime):
        return value
    return datetime.datetime.fromisoformat(str(value))
