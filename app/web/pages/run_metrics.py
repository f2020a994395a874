"""All metrics of a run on a page of their own: charts or a table, what is pinned, and the points as CSV."""

import csv
import datetime
import io
from collections.abc import Iterator
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import Response, StreamingResponse

from app.db import read_session
from app.domain.states import TERMINAL
from app.errors import NotFound
from app.repositories import metrics
from app.repositories.metrics import SeriesRow
from app.settings import get_settings
from app.web import formats, metrics_view, run_frame
from app.web.audit_view import inert
from app.web.deps import check_form, see_other, visit
from app.web.metrics_view import PINS_COOKIE, Asked
from app.web.run_phases import View
from app.web.templating import render

_POINTS = 10_000  # read at once for a file
_NAMES = 50
_YEAR = 365 * 86400

router = APIRouter(include_in_schema=False)


@router.get("/projects/{project}/runs/{run}/metrics")
def page(request: Request, project: str, run: str) -> Response:
    """Charts or a table. The address says which metrics and how they are drawn."""
    asked = Asked.read(dict(request.query_params))
    with visit(request) as visitor:
        row = run_frame.find_run(visitor, project, run)
        series = metrics.list_series(visitor.session, row.id)
        view = View(visitor.language, visitor.zone, datetime.datetime.now(datetime.UTC))
        shell = run_frame.run_shell(visitor, row, "metrics")
    shell.keys = ("everywhere", "run", "charts")
    pins = metrics_view.read_pins(request.cookies.get(PINS_COOKIE, ""))
    url = f"{run_frame.run_url(row)}/metrics"
    made = metrics_view.build(view, row, url, series, asked, pins, is_live=row.state not in TERMINAL)
    return render("runs/metrics.html", shell, made)


@router.post("/projects/{project}/runs/{run}/metrics/pins")
def pin(
    request: Request,
    project: str,
    run: str,
    name: Annotated[str, Form()] = "",
    back: Annotated[str, Form()] = "",
    csrf: Annotated[str, Form()] = "",
) -> Response:
    """Pins a metric or lets it go: in this browser, for all runs of the project. `back` is the page's query."""
    with visit(request) as visitor:
        check_form(request, visitor, csrf)
        row = run_frame.find_run(visitor, project, run)
        names = {one.name for one in metrics.list_series(visitor.session, row.id)}
    if name not in names:
        raise NotFound
    asked = Asked.read(dict(parse_qsl(back.removeprefix("?"))))
    answer = see_other(f"{run_frame.run_url(row)}/metrics{asked.query}")
    answer.set_cookie(
        PINS_COOKIE,
        metrics_view.turn_pin(request.cookies.get(PINS_COOKIE, ""), name),
        max_age=_YEAR,
        path=f"/projects/{row.project}/runs",
        samesite="lax",
        secure=get_settings().is_secure,
        httponly=True,
    )
    return answer


@router.get("/projects/{project}/runs/{run}/metrics.csv")
def points(request: Request, project: str, run: str, name: Annotated[list[str] | None, Query()] = None) -> Response:
    """Every point of the metrics called `name`, of all without it: name, step, time and value."""
    with visit(request) as visitor:
        row = run_frame.find_run(visitor, project, run)
        series = metrics.list_series(visitor.session, row.id)
    if name:
        wanted = set(name[:_NAMES])
        series = [one for one in series if one.name in wanted]
        if not series:
            raise NotFound
    headers = {
        "content-disposition": f'attachment; filename="{row.public_id}-metrics.csv"',
        "cache-control": "no-store, private",
        "x-content-type-options": "nosniff",
    }
    return StreamingResponse(_lines(series), 200, headers, "text/csv; charset=utf-8")


def _lines(series: list[SeriesRow]) -> Iterator[bytes]:
    """No session is open while a piece is sent."""
    yield b"\xef\xbb\xbf" + _csv([("name", "step", "time", "value")])
    for one in series:
        after = None
        while True:
            with read_session() as session:
                rows = metrics.list_points(session, one.id, after, _POINTS)
            if rows:
                label = inert(one.name)
                yield _csv([(label, step, at.isoformat(), formats.exact(value)) for step, at, value in rows])
            if len(rows) < _POINTS:
                break
            after = rows[-1][:2]


def _csv(rows: list[tuple[object, ...]]) -> bytes:
    made = io.StringIO()
    csv.writer(made).writerows(rows)
    return made.getvalue().encode("utf-8", "replace")
