"""The list of a project's runs: filter, chips, table, and the poll that brings changed cells only."""

import datetime
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Request
from fastapi.responses import Response
from markupsafe import Markup

from app.domain import filters
from app.domain.access import Action, Verdict, can
from app.domain.filters import FilterError, Term
from app.domain.quantities import format_cpu, format_memory
from app.domain.states import LIVE, TERMINAL, Desired, RunState
from app.errors import N_
from app.i18n import translate, translate_plural
from app.repositories import runs as repository
from app.repositories.runs import Position
from app.web import formats, reasons, statuses
from app.web.deps import Visitor, visit
from app.web.templating import Crumb, macro, render

PAGE = 50
_POLLED = 200  # live rows that one poll asks about
_NEW_CAP = 50
_BEFORE_ALL = "0" * 32

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Chip:
    """A common filter, and the address that turns it on or off."""

    text: str
    url: str
    is_on: bool


@dataclass(frozen=True, slots=True)
class RunRow:
    """One row, ready to show. `waiting_since` and `running_since` (ms) let the page count on by itself."""

    id: str
    url: str
    name: str
    status: Markup
    reason: str
    reason_class: str
    tags: list[str]
    owner: str
    resources: str
    waited: str
    waiting_since: int | None
    ran: str
    running_since: int | None
    created: str
    created_full: str


@dataclass
class RunsPage:
    """What the list shows."""

    url: str
    q: str
    rows: list[RunRow] = field(default_factory=list)  # those that a poll found changed
    table: list[Markup] = field(default_factory=list)
    chips: list[Chip] = field(default_factory=list)
    filter_error: str = ""
    filter_fix: str = ""
    order: str = "descending"
    order_url: str = ""
    more_url: str = ""
    poll_url: str = ""
    fresh: str = ""
    fresh_url: str = ""
    is_empty: bool = False
    may_write: bool = False
    command_line: str = ""


_CHIPS = [
    (N_("Running"), "status:starting,running"),
    (N_("Waiting"), "status:queued"),
    (N_("Failed"), "status:failed"),
    (N_("Mine"), "owner:me"),
]


@router.get("/projects/{project}/runs")
def list_page(request: Request, project: str, q: str = "", sort: str = "-created", after: str = "") -> Response:
    """A page of 50 runs, newest first unless `sort=created`."""
    now = datetime.datetime.now(datetime.UTC)
    sort = sort if sort in ("created", "-created") else "-created"
    with visit(request) as visitor:
        found = visitor.project(project)
        terms, problem = _parse(q)
        rows = repository.list_runs(
            visitor.session,
            visitor.actor,
            found.id,
            terms=terms,
            sort=sort,
            after=_position(after),
            limit=PAGE,
            now=now,
        )
        shell = visitor.shell(found.name)
        page = _page(visitor, found.name, q, sort)
        page.table = [_show(visitor, row, now) for row in rows[:PAGE]]
        page.may_write = can(visitor.actor, Action.RUN_WRITE, found.id) == Verdict.ALLOWED
    if problem:
        page.filter_error = translate(visitor.language, problem.message, **problem.slots)
        page.filter_fix = problem.fix or ""
    page.is_empty = not rows and not q and not after
    if len(rows) > PAGE:
        page.more_url = _url(page.url, q=q, sort=_unless_default(sort), after=rows[PAGE - 1].id.hex)
    page.poll_url = _poll_url(page, rows[:PAGE], after or sort != "-created")
    shell.crumbs = [Crumb(found.name, page.url), Crumb(translate(visitor.language, "Runs"))]
    shell.title = f"{translate(visitor.language, 'Runs')} · {found.name}"
    shell.mark = "●" if any(row.state in LIVE for row in rows) else "○"
    shell.current, shell.keys = "runs", ("everywhere", "lists")
    return render("runs/list.html", shell, page)


@router.get("/projects/{project}/runs/changes")
def changes(request: Request, project: str, q: str = "", top: str = "", seen: str = "") -> Response:
    """The cells that changed since `seen` ("<run id>.<version>", by commas), and how many runs are new above
    `top`; 204 where nothing did. Rows never move: new ones wait behind a link."""
    now = datetime.datetime.now(datetime.UTC)
    known = dict(part.rpartition(".")[::2] for part in seen.split(",")[:_POLLED] if "." in part)
    with visit(request) as visitor:
        found = visitor.project(project)
        rows = repository.list_by_public_ids(visitor.session, visitor.actor, list(known)) if known else []
        changed = [row for row in rows if str(row.version) != known[row.public_id] and row.project_id == found.id]
        newer = _count_newer(visitor, found.id, q, top, now)
        shell = visitor.shell(found.name)
        page = _page(visitor, found.name, q, "-created")
        page.rows = [build_row(row, visitor.language, visitor.zone, now) for row in changed]
    told = request.query_params.get("new", "0")
    if not changed and str(newer) == told:
        return Response(status_code=204)
    if top == _BEFORE_ALL:  # a page without any row has nothing that could move
        return Response(headers={"HX-Refresh": "true"})
    if newer:
        number = f"{newer - 1}+" if newer > _NEW_CAP else str(newer)
        page.fresh = translate_plural(visitor.language, "{count} new run", "{count} new runs", newer, count=number)
        page.fresh_url = _url(page.url, q=q)
    versions = {row.public_id: row.version for row in rows if row.state not in TERMINAL}
    marks = ",".join(f"{key}.{version}" for key, version in versions.items())
    page.poll_url = _url(f"{page.url}/changes", q=q, top=top, seen=marks, new=str(newer))
    return render("runs/_changes.html", shell, page)


def _page(visitor: Visitor, project: str, q: str, sort: str) -> RunsPage:
    url = f"/projects/{quote(project)}/runs"
    page = RunsPage(url, q)
    page.chips = [_chip(visitor.language, url, q, text, term) for text, term in _CHIPS]
    page.order = "descending" if sort == "-created" else "ascending"
    page.order_url = _url(url, q=q, sort="created" if sort == "-created" else "")
    page.command_line = f"berth run submit --project {project} --cpu 1 --memory 1Gi -- python train.py"
    return page


def _chip(language: str, url: str, q: str, text: str, term: str) -> Chip:
    words = q.split()
    is_on = term in words
    rest = [word for word in words if word != term]
    if not is_on:
        key = term.partition(":")[0]
        rest = [word for word in rest if not word.startswith(f"{key}:")] + [term]
    return Chip(translate(language, text), _url(url, q=" ".join(rest)), is_on)


def _parse(q: str) -> tuple[list[Term], FilterError | None]:
    try:
        return filters.parse(q), None
    except FilterError as problem:
        return [], problem


def _position(after: str) -> Position | None:
    """The row that a page continues after, by its key. What is none begins at the top."""
    try:
        return Position(uuid.UUID(hex=after)) if after else None
    except ValueError:
        return None


def _poll_url(page: RunsPage, rows: Sequence[Any], is_later: object) -> str:
    """Polls know the newest row (none on later pages, which new runs do not touch) and the live ones."""
    marks = ",".join(f"{row.public_id}.{row.version}" for row in rows if row.state not in TERMINAL)
    top = "" if is_later else rows[0].id.hex if rows else _BEFORE_ALL
    return _url(f"{page.url}/changes", q=page.q, top=top, seen=marks)


def _count_newer(visitor: Visitor, project_id: uuid.UUID, q: str, top: str, now: datetime.datetime) -> int:
    position = _position(top)
    if position is None:
        return 0
    terms, _ = _parse(q)
    rows = repository.list_runs(
        visitor.session,
        visitor.actor,
        project_id,
        terms=terms,
        sort="created",
        after=position,
        limit=_NEW_CAP,
        now=now,
    )
    return len(rows)


def _unless_default(sort: str) -> str:
    return "" if sort == "-created" else sort


def _url(path: str, **query: str) -> str:
    given = {name: value for name, value in query.items() if value}
    return f"{path}?{urlencode(given)}" if given else path


# But for its two spans a row looks the same until its version changes, for as long as the day lasts: what stands
# before, between and behind them.
_shown: dict[tuple[object, ...], tuple[str, str, str]] = {}
_MOST_SHOWN = 5_000
_SPAN = "\0"


def _show(visitor: Visitor, row: Any, now: datetime.datetime) -> Markup:
    """A row as markup."""
    language, zone = visitor.language, visitor.zone
    key = (row.public_id, row.version, language, zone, now.astimezone(zone).date())
    found = _shown.get(key)
    if found is None:
        blank = replace(build_row(row, language, zone, now), waited=_SPAN, ran=_SPAN)
        before, between, behind = macro("runs/_row.html", "table_row", language)(blank).split(_SPAN)
        if len(_shown) >= _MOST_SHOWN:
            _shown.clear()
        found = _shown[key] = before, between, behind
    waited, ran = (formats.span(span, language) for span in spans(row, now))
    return Markup(f"{found[0]}{waited}{found[1]}{ran}{found[2]}")  # noqa: S704 - spans are digits and units


def build_row(row: Any, language: str, zone: datetime.tzinfo, now: datetime.datetime) -> RunRow:
    """A row of the list from a row of the repository."""
    state = row.state
    waited, ran = spans(row, now)
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
        tags=row.tags,
        owner=row.created_by,
        resources=resources(row),
        waited=formats.span(waited, language),
        waiting_since=_ms(row.queued_at) if is_waiting else None,
        ran=formats.span(ran, language),
        running_since=_ms(row.started_at) if is_running and row.started_at else None,
        created=formats.moment(row.created_at, now, zone),
        created_full=formats.full(row.created_at, zone),
    )


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


def resources(row: Any) -> str:
    """What a run asks for: "2 CPU · 4Gi", and GPUs where it asks for any."""
    text = f"{format_cpu(row.cpu_millis)} CPU · {format_memory(row.memory_bytes)}"
    if row.gpus:
        text = f"{row.gpus} GPU · {text}"
    return f"{row.replicas} × {text}" if row.replicas > 1 else text


def _ms(at: datetime.datetime) -> int:
    return int(at.timestamp() * 1000)
