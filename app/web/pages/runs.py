"""The list of a project's runs: filter, chips, table, and the poll that brings changed cells only."""

import datetime
import uuid
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from markupsafe import Markup

from app.domain import filters, run_columns
from app.domain.access import Action, Verdict, can
from app.domain.filters import FilterError, Term
from app.domain.run_columns import Choice
from app.domain.states import LIVE, TERMINAL
from app.errors import N_
from app.i18n import translate, translate_plural
from app.repositories import metrics
from app.repositories import runs as repository
from app.repositories import views as saved
from app.repositories.runs import Position
from app.services.views import SORTS
from app.web import formats, metrics_view, outage_view, start_view
from app.web.deps import Visitor, see_other, visit
from app.web.metrics_view import PINS_COOKIE
from app.web.pages import bulk_runs, views
from app.web.run_rows import RunRow, build_row, metric_text, show
from app.web.templating import Crumb, render

PAGE = 50
_POLLED = 200  # live rows that one poll asks about
_POLLED_COLUMNS = ("progress", "waited", "ran")  # of those that may be hidden, what changes without a page load
_NEW_CAP = 50
_BEFORE_ALL = "0" * 32

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Chip:
    """A common filter, and the address that turns it on or off."""

    text: str
    url: str
    is_on: bool


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
    choice: Choice = run_columns.DEFAULT  # what is shown; the whole address of the list says it where `kept` does
    kept: Mapping[str, str] = field(default_factory=dict)
    columns_url: str = ""
    taken: str = ""  # the name of the reader's view that another was to be saved under
    is_shared: bool = False

    def link(self, **query: str) -> str:
        """The list with this query, and the columns that its address asks for."""
        return _url(self.url, **query, **self.kept)


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
    taken: Annotated[str, Query(max_length=60)] = "",
    shared: str = "",
    columns: Annotated[str, Query(max_length=200)] = "",
    metric: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """A page of 50 runs, newest first unless `sort` says otherwise. `view` is a saved view's key, `did` what a form
    before this page has done, `taken` the name of a view that it did not replace. `columns` (by commas, "-" is none)
    and `metric` go before what the reader keeps."""
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
        kept = {"columns": columns, "metric": metric} if columns else {}
        page = _page(visitor, found.name, q, sort, kept)
        choice = views.choice_of(columns, metric)
        choice = choice or saved.get_columns(visitor.session, found.id, visitor.actor.user_id)
        page.choice = choice.shown(metrics_view.read_pins(request.cookies.get(PINS_COOKIE, "")))
        values = _values(visitor, rows[:PAGE], page.choice.metric)
        page.table = [show(visitor, row, now, page.choice, values.get(row.id)) for row in rows[:PAGE]]
        page.views = _views(visitor, found.id, page.url, q, sort, kept)
        page.may_write = can(visitor.actor, Action.RUN_WRITE, found.id) == Verdict.ALLOWED
    page.taken, page.is_shared = taken, bool(shared)
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
        page.more_url = page.link(q=q, sort=_unless_default(sort), after=_after(rows[PAGE - 1], sort))
    page.poll_url = _poll_url(page, rows[:PAGE], after or sort != "-created", values)
    shell.crumbs = [Crumb(found.name, page.url), Crumb(translate(visitor.language, "Runs"))]
    shell.title = f"{translate(visitor.language, 'Runs')} · {found.name}"
    shell.mark = "●" if any(row.state in LIVE for row in rows) else "○"
    shell.current, shell.keys = "runs", ("everywhere", "lists", "runs", "picks")
    return render("runs/list.html", shell, page)


@router.get("/projects/{project}/runs/changes")
def changes(
    request: Request,
    project: str,
    q: str = "",
    top: str = "",
    seen: str = "",
    columns: Annotated[str, Query(max_length=200)] = "",
    metric: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """The cells that changed since `seen` ("<run id>.<version>", by commas), and how many runs are new above
    `top`; 204 where nothing did. Rows never move: new ones wait behind a link. A `metric` changes without a version:
    its values are sent where they are others than those whose sum the address has as `sum`."""
    now = datetime.datetime.now(datetime.UTC)
    known = dict(part.rpartition(".")[::2] for part in seen.split(",")[:_POLLED] if "." in part)
    with visit(request) as visitor:
        found = visitor.project(project)
        rows = repository.list_by_public_ids(visitor.session, visitor.actor, list(known)) if known else []
        rows = [row for row in rows if row.project_id == found.id]
        values = _values(visitor, rows, metric)
        is_measured = _sum(rows, values) != request.query_params.get("sum", "")
        changed = [row for row in rows if is_measured or str(row.version) != known[row.public_id]]
        newer = _count_newer(visitor, found.id, q, top, now)
        shell = visitor.shell(found.name)
        page = _page(visitor, found.name, q, "-created")
        page.choice = run_columns.read(columns.split(","), metric)
        page.rows = [
            build_row(
                row, visitor.language, visitor.zone, outage_view.known_at(visitor.outages, now, row), values.get(row.id)
            )
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
    page.poll_url = _next_poll(page, rows, top, values, new=str(newer))
    return render("runs/_changes.html", shell, page)


def _page(visitor: Visitor, project: str, q: str, sort: str, kept: Mapping[str, str] = {}) -> RunsPage:
    url = f"/projects/{quote(project)}/runs"
    page = RunsPage(url, q, sort=sort, views_url=f"/projects/{quote(project)}/views", kept=kept)
    page.chips = [_chip(visitor.language, page, text, term) for text, term in _CHIPS]
    page.order = "" if "name" in sort else "descending" if sort == "-created" else "ascending"
    page.order_url = page.link(q=q, sort="created" if sort == "-created" else "")
    page.name_order = {"name": "ascending", "-name": "descending"}.get(sort, "")
    page.name_url = page.link(q=q, sort="-name" if sort == "name" else "name")
    page.new_url = f"{url}/new"
    page.columns_url = _url(f"{url}/columns", q=q, sort=_unless_default(sort), **kept)
    page.command_line = start_view.command_line(project, visitor.signed_in.projects)
    return page


def _views(
    visitor: Visitor, project_id: uuid.UUID, url: str, q: str, sort: str, kept: Mapping[str, str]
) -> list[ViewLink]:
    found = saved.list_views(visitor.session, project_id, visitor.actor.user_id)
    is_owner = can(visitor.actor, Action.PROJECT_WRITE, project_id) == Verdict.ALLOWED
    base = url.removesuffix("/runs")
    return [
        ViewLink(
            view.name if view.is_own else f"{view.name} · {view.owner}",
            views.list_url(url, view.q, view.sort, view.choice),
            (view.q, view.sort, views.query_of(view.choice)) == (q.strip(), sort, kept),
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
    return see_other(views.list_url(f"/projects/{quote(found.name)}/runs", row.q, row.sort, row.choice))


def _values(visitor: Visitor, rows: Sequence[Any], metric: str) -> dict[uuid.UUID, float]:
    return metrics.last_values(visitor.session, [row.id for row in rows], metric) if metric and rows else {}


def _chip(language: str, page: RunsPage, text: str, term: str) -> Chip:
    words = page.q.split()
    is_on = term in words
    rest = [word for word in words if word != term]
    if not is_on:
        key = term.partition(":")[0]
        rest = [word for word in rest if not word.startswith(f"{key}:")] + [term]
    return Chip(translate(language, text), page.link(q=" ".join(rest)), is_on)


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


def _poll_url(page: RunsPage, rows: Sequence[Any], is_later: object, values: Mapping[uuid.UUID, float]) -> str:
    """Polls know the newest row (none on later pages, which new runs do not touch) and the live ones."""
    return _next_poll(page, rows, "" if is_later else rows[0].id.hex if rows else _BEFORE_ALL, values)


def _next_poll(page: RunsPage, rows: Sequence[Any], top: str, values: Mapping[uuid.UUID, float], new: str = "") -> str:
    live = [row for row in rows if row.state not in TERMINAL]
    marks = ",".join(f"{row.public_id}.{row.version}" for row in live)
    shown = ",".join(column for column in page.choice.columns if column in _POLLED_COLUMNS)
    cells = {"columns": shown, "metric": page.choice.metric}
    return _url(f"{page.url}/changes", q=page.q, top=top, seen=marks, new=new, sum=_sum(live, values), **cells)


def _sum(rows: Sequence[Any], values: Mapping[uuid.UUID, float]) -> str:
    """What changes where a value of the rows does; empty where there is none."""
    told = [f"{row.public_id} {metric_text(values[row.id])}" for row in rows if row.id in values]
    return f"{zlib.crc32(' '.join(sorted(told)).encode()):x}" if told else ""


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
