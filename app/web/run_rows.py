"""The rows of the list of runs, made from what the repository reads. Markup of a row is kept until it changes."""

import datetime
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup

from app.domain.quantities import format_cpu, format_memory
from app.domain.run_columns import Choice
from app.domain.states import TERMINAL, Desired, RunState
from app.i18n import translate
from app.web import formats, outage_view, reasons, statuses
from app.web.deps import Visitor
from app.web.templating import macro


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run says it is: its words, and for the bar `done` of `total`, which is 0 where it is not known."""

    text: str
    done: int
    total: int
    is_over: bool


@dataclass(frozen=True, slots=True)
class RunRow:
    """One row, ready to show. `waiting_since` and `running_since` (ms) let the page count on by itself."""

    id: str
    url: str
    name: str
    status: Markup
    reason: str
    reason_class: str
    is_debug: bool
    tags: list[str]
    experiment: str
    owner: str
    metric: str
    progress: Progress | None
    resources: str
    waited: str
    waiting_since: int | None
    ran: str
    running_since: int | None
    created: str
    created_full: str


# But for its spans and its metric a row looks the same until its version changes, for as long as the day lasts: what
# stands before, between and behind them.
_shown: dict[tuple[object, ...], list[str]] = {}
_MOST_SHOWN = 5_000
_GAP = "\0"


def forget() -> None:
    """Drops the rows that are kept: for tests, whose runs have ids that are used again."""
    _shown.clear()


def show(visitor: Visitor, row: Any, now: datetime.datetime, choice: Choice, metric: float | None = None) -> Markup:
    """A row as markup, with the columns of `choice`; `metric` is the value of that column."""
    language, zone = visitor.language, visitor.zone
    columns = choice.columns
    key = (row.public_id, row.version, columns, language, zone, now.astimezone(zone).date())
    found = _shown.get(key)
    if found is None:
        blank = replace(build_row(row, language, zone, now), metric=_GAP, waited=_GAP, ran=_GAP)
        found = str(macro("runs/_row.html", "table_row", language)(blank, columns)).split(_GAP)
        if len(_shown) >= _MOST_SHOWN:
            _shown.clear()
        _shown[key] = found
    waited, ran = spans(row, outage_view.known_at(visitor.outages, now, row))
    told = {
        "metric": metric_text(metric),
        "waited": formats.span(waited, language),
        "ran": formats.span(ran, language),
    }
    filled = [told[column] for column in columns if column in told] + [""]
    pieces = zip(found, filled, strict=True)
    return Markup("".join(f"{piece}{text}" for piece, text in pieces))  # noqa: S704 - digits and units


def build_row(
    row: Any, language: str, zone: datetime.tzinfo, now: datetime.datetime, metric: float | None = None
) -> RunRow:
    """A row of the list from a row of the repository."""
    state = row.state
    waited, ran = spans(row, now)
    waiting_since, running_since = growing_since(row)
    is_waiting = state == RunState.QUEUED
    is_running = state == RunState.RUNNING
    extra = ""
    if is_running and row.progress_total:
        extra = f"{min(100, 100 * (row.progress_done or 0) // row.progress_total)}%"
    says = is_waiting or state == RunState.FAILED
    return RunRow(
        id=row.public_id,
        url=f"/projects/{row.project}/runs/{row.public_id}",
        name=row.name,
        status=statuses.chip(language, state, is_stopping=is_stopping(row), extra=extra),
        reason=_why(row, language) if says else "",
        reason_class="bad" if state == RunState.FAILED else "",
        is_debug=row.is_debug,
        tags=row.tags,
        experiment=row.experiment or "",
        owner=row.created_by,
        metric=metric_text(metric),
        progress=_progress(row, language),
        resources=resources(row),
        waited=formats.span(waited, language),
        waiting_since=waiting_since,
        ran=formats.span(ran, language),
        running_since=running_since,
        created=formats.moment(row.created_at, now, zone),
        created_full=formats.full(row.created_at, zone),
    )


def metric_text(value: float | None) -> str:
    """A metric's value in the list; nothing where a run has none."""
    return "" if value is None else formats.figure(value)


def _progress(row: Any, language: str) -> Progress | None:
    if row.progress_done is None:
        return None
    done, total = row.progress_done, row.progress_total or 0
    text = formats.grouped(done)
    if total:
        text = translate(language, "{done} of {total}", done=text, total=formats.grouped(total))
    return Progress(text, min(done, total), total, row.state in TERMINAL)


def _why(row: Any, language: str) -> str:
    told = reasons.sentence(language, row.reason_code, row.reason)
    if row.state == RunState.FAILED and row.first_error:
        return f"{row.first_error[:200]}"
    return told


def is_stopping(row: Any) -> bool:
    """Somebody asked it to stop, and it has not ended yet."""
    return row.desired == Desired.STOPPED and row.state not in TERMINAL


def spans(row: Any, now: datetime.datetime) -> tuple[float | None, float | None]:
    """(seconds waited, seconds run) of the current attempt; None for what has not begun."""
    end = row.finished_at or now
    waited = ((row.started_at or end) - row.queued_at).total_seconds()
    ran = (end - row.started_at).total_seconds() if row.started_at else None
    return waited, ran


def growing_since(row: Any) -> tuple[int | None, int | None]:
    """Since when (ms) the spans of `spans` grow by themselves; None for one that is over or has not begun."""
    if row.state in TERMINAL:
        return None, None
    return (None, _ms(row.started_at)) if row.started_at else (_ms(row.queued_at), None)


def resources(row: Any) -> str:
    """What a run asks for: "2 CPU · 4Gi", and GPUs where it asks for any; of several replicas, for each."""
    text = f"{format_cpu(row.cpu_millis // row.replicas)} CPU · {format_memory(row.memory_bytes // row.replicas)}"
    if row.gpus:
        text = f"{row.gpus // row.replicas} GPU · {text}"
    return f"{row.replicas} × {text}" if row.replicas > 1 else text


def _ms(at: datetime.datetime) -> int:
    return int(at.timestamp() * 1000)
