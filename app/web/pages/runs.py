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
from app.repositories import views as saved
from app.repositories.runs import Position
from app.services.views import SORTS
from app.web import formats, outage_view, reasons, start_view, statuses
from app.web.deps import Visitor, see_other, visit
from app.web.pages import bulk_runs, views
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
    experiment: str
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
    filter_note: str = ""
    order: str = "descending"
    order_url: str = ""
    name_order: str = ""
    name_url: str = ""
    more_url: str = ""
    poll_url: str = ""
    fresh: str = ""
    fresh_url: str = ""
    is_empty: bool = False
    may_write: bool = False
    command_line: str = ""
    sort: str = "-created"
    did: str = ""
    views: list["ViewLink"] = field(default_factory=list)
    is_archive: bool = False
    views_url: str = ""
    new_url: str = ""
    start: start_view.Start | None = None


@dataclass(frozen=True)
class ViewLink:
    """A saved view: its list, and whether that is what is shown. `delete_url` is "" where it is not the reader's."""

    name: str
    url: str
    is_on: bool
    is_shared: bool
    delete_url: str


_CHIPS = [
    (N_("Running"), "status:starting,running"),
    (N_("Waiting"), "status:queued"),
    (N_("Failed"), "status:failed"),
    (N_("Mine"), "owner:me"),
    (N_("Archived"), "archived:yes"),
]
_LOOKED_AT = N_("Metrics and compared parameters are looked at in the newest {count} runs that match the other terms.")


@router.get("/projects/{project}")
def first_page(request: Request, project: str) -> Response:
    """The project's own address leads to its runs."""
    with visit(request) as visitor:
        return see_other(f"/projects/{quote(visitor.project(project).name)}/runs")


@router.get("/projects/{project}/runs")
def list_page(
    request: Request,
    project: str,
    q: str = "",
    sort: str = "-created",
    after: str = "",
    view: str = "",
    did: str = "",
) -> Response:
    """A page of 50 runs, newest first unless `sort` says otherwise. `view` is a saved view's key, `did` what a form
    before this page has done."""
    now = datetime.datetime.now(datetime.UTC)
    sort = sort if sort in SORTS else "-created"
    if view:
        return _open_view(request, project, view)
    with visit(request) as visitor:
        found = visitor.project(project)
        terms, problem = _parse(q)
        rows = repository.list_runs(
            visitor.session,
            visitor.actor,
            found.id,
            terms=terms,
            sort=sort,
            after=_position(after, sort),
            limit=PAGE,
            now=now,
        )
        shell = visitor.shell(found.name, is_live=True)
        page = _page(visitor, found.name, q, sort)
        page.table = [_show(visitor, row, now) for row in rows[:PAGE]]
        page.views = _views(visitor, found.id, page.url, q, sort)
        page.may_write = can(visitor.actor, Action.RUN_WRITE, found.id) == Verdict.ALLOWED
    page.did = bulk_runs.told(visitor.language, did)
    page.is_archive = any(term.key == "archived" for term in terms)
    if problem:
        page.filter_error = translate(visitor.language, problem.message, **problem.slots)
        page.filter_fix = problem.fix or ""
    if any(term.looks_at_values for term in terms):
        count = formats.grouped(filters.LOOKED_AT)
        page.filter_note = translate(visitor.language, _LOOKED_AT, count=count)
    page.is_empty = not rows and not q and not after
    if page.is_empty and page.may_write:
        page.start = start_view.build_first(visitor.language, found.name, visitor.signed_in.projects)
    if len(rows) > PAGE:
        page.more_url = _url(page.url, q=q, sort=_unless_default(sort), after=_after(rows[PAGE - 1], sort))
    page.poll_url = _poll_url(page, rows[:PAGE], after or sort != "-created")
    shell.crumbs = [Crumb(found.name, page.url), Crumb(translate(visitor.language, "Runs"))]
    shell.title = f"{translate(visitor.language, 'Runs')} · {found.name}"
    shell.mark = "●" if any(row.state in LIVE for row in rows) else "○"
    shell.current, shell.keys = "runs", ("everywhere", "lists", "runs", "picks")
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
        page.rows = [
            build_row(row, visitor.language, visitor.zone, outage_view.known_at(visitor.outages, now, row))
            for row in changed
        ]
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
    page = RunsPage(url, q, sort=sort, views_url=f"/projects/{quote(project)}/views")
    page.chips = [_chip(visitor.language, url, q, text, term) for text, term in _CHIPS]
    page.order = "" if "name" in sort else "descending" if sort == "-created" else "ascending"
    page.order_url = _url(url, q=q, sort="created" if sort == "-created" else "")
    page.name_order = {"name": "ascending", "-name": "descending"}.get(sort, "")
    page.name_url = _url(url, q=q, sort="-name" if sort == "name" else "name")
    page.new_url = f"{url}/new"
    page.command_line = start_view.command_line(project, visitor.signed_in.projects)
    return page


def _views(visitor: Visitor, project_id: uuid.UUID, url: str, q: str, sort: str) -> list[ViewLink]:
    found = saved.list_views(visitor.session, project_id, visitor.actor.user_id)
    is_owner = can(visitor.actor, Action.PROJECT_WRITE, project_id) == Verdict.ALLOWED
    base = url.removesuffix("/runs")
    return [
        ViewLink(
            view.name if view.is_own else f"{view.name} · {view.owner}",
            _url(url, q=view.q, sort=_unless_default(view.sort)),
            (view.q, view.sort) == (q.strip(), sort),
            view.is_shared,
            f"{base}/views/{view.id}/delete" if view.is_own or is_owner else "",
        )
        for view in found
    ]


def _open_view(request: Request, project: str, view: str) -> Response:
    """The address of a view leads to the list that it describes."""
    with visit(request) as visitor:
        found = visitor.project(project)
        key = views.view_id(view)
        row = saved.get_view(visitor.session, found.id, visitor.actor.user_id, key)
    return see_other(views.list_url(found.name, row.q, row.sort))


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


def _after(row: Any, sort: str) -> str:
    """A row's place for the address of the next page: its key, and its name where that is the order."""
    return f"{row.id.hex}{row.name}" if "name" in sort else str(row.id.hex)


def _position(after: str, sort: str = "") -> Position | None:
    """The row that a page continues after. What is none begins at the top."""
    try:
        return Position(uuid.UUID(hex=after[:32]), after[32:] if "name" in sort else None) if after else None
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


def forget() -> None:
    """Drops the rows that are kept: for tests, whose runs have ids that are used again."""
    _shown.clear()


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
    known = outage_view.known_at(visitor.outages, now, row)
    waited, ran = (formats.span(span, language) for span in spans(row, known))
    return Markup(f"{found[0]}{waited}{found[1]}{ran}{found[2]}")  # noqa: S704 - spans are digits and units


def build_row(row: Any, language: str, zone: datetime.tzinfo, now: datetime.datetime) -> RunRow:
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
        tags=row.tags,
        experiment=row.experiment or "",
        owner=row.created_by,
        resources=resources(row),
        waited=formats.span(waited, language),
        waiting_since=waiting_since,
        ran=formats.span(ran, language),
        running_since=running_since,
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


def growing_since(row: Any) -> tuple[int | None, int | None]:
    """Since when (ms) the spans of `spans` grow by themselves; None for one that is over or has not begun."""
    if row.state in TERMINAL:
        return None, None
    return (None, _ms(row.started_at)) if row.started_at else (_ms(row.queued_at), None)


def resources(row: Any) -> str:
    """What a run asks for: "2 CPU · 4Gi", and GPUs where it asks for any."""
    text = f"{format_cpu(row.cpu_millis)} CPU · {format_memory(row.memory_bytes)}"
    if row.gpus:
        text = f"{row.gpus} GPU · {text}"
    return f"{row.replicas} × {text}" if row.replicas > 1 else text


def _ms(at: datetime.datetime) -> int:
    return int(at.timestamp() * 1000)
