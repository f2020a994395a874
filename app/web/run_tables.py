"""The tables below a run's log: attempts, outputs and events. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from app.web import formats, reasons, statuses
from app.web.run_phases import View, as_time


@dataclass(frozen=True)
class AttemptRow:
    """One attempt."""

    number: int
    status: Markup
    reason: str
    exit_code: str
    started: str
    ran: str
    memory: str
    log_url: str


@dataclass(frozen=True)
class OutputRow:
    """One file that the run left."""

    path: str
    size: str
    sha256: str
    short: str
    url: str
    page_url: str
    is_removed: bool = False


@dataclass(frozen=True)
class EventRow:
    """One line of the history."""

    iso: str
    at: str
    full: str
    text: str


def build_attempts(view: View, row: Any, url: str) -> list[AttemptRow]:
    """All attempts, newest first."""
    made = []
    for attempt in reversed(row.attempts):
        started, finished = as_time(attempt["started_at"]), as_time(attempt["finished_at"])
        ran = ((finished or view.now) - started).total_seconds() if started else None
        usage = next((replica["usage"] for replica in attempt["replicas"] if replica["usage"]), None) or {}
        peak = usage.get("max_rss_bytes")
        made.append(
            AttemptRow(
                attempt["number"],
                statuses.chip(view.language, attempt["state"]),
                reasons.sentence(view.language, attempt["reason_code"], attempt["reason"]),
                "–" if attempt["exit_code"] is None else str(attempt["exit_code"]),
                formats.full(started, view.zone) if started else "",
                formats.span(ran, view.language),
                formats.size(int(peak)) if peak else "–",
                f"{url}/logs?attempt={attempt['number']}",
            )
        )
    return made


def build_outputs(row: Any, outputs: Sequence[Any]) -> list[OutputRow]:
    """Files with the address that downloads them."""
    return [
        OutputRow(
            found.path,
            formats.size(found.bytes),
            found.sha256,
            found.sha256[:12],
            f"/api/v1/runs/{row.public_id}/outputs/{quote(found.path)}",
            f"/projects/{row.project}/runs/{row.public_id}/outputs/{quote(found.path)}",
            found.removed_at is not None,
        )
        for found in outputs
    ]


def build_events(view: View, events: Sequence[Any]) -> list[EventRow]:
    """Lines of the history, in the order in which they come."""
    return [
        EventRow(
            event.at.isoformat(),
            formats.clock(event.at, view.zone),
            formats.full(event.at, view.zone),
            told(view, event),
        )
        for event in events
    ]


def told(view: View, event: Any) -> str:
    """What an event says, in the reader's language."""
    known = {"attempt": event.attempt, "by": event.actor or "Berth"}
    return reasons.event(view.language, event.code, event.data or {}, **known)
