"""The history of a run on a page of its own, and the partial that brings what happened since."""

import datetime

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.repositories import runs
from app.web import run_events_view, run_frame
from app.web.deps import visit
from app.web.run_events_view import Asked, EventsPage
from app.web.run_phases import View
from app.web.templating import render

_LIMIT = 100
_NEW = 200  # at once; the rest comes with the next look

router = APIRouter(include_in_schema=False)


@router.get("/projects/{project}/runs/{run}/events")
def page(request: Request, project: str, run: str, kind: str = "", attempt: str = "", before: str = "") -> Response:
    """The newest events, or those before the one whose id is `before`."""
    asked, place = Asked.read(kind, attempt), _id(before)
    with visit(request) as visitor:
        row = run_frame.find_run(visitor, project, run)
        view = View(visitor.language, visitor.zone, datetime.datetime.now(datetime.UTC))
        events = runs.list_newest_events(
            visitor.session,
            row.id,
            before=place or 2**62,
            codes=asked.codes,
            attempt=asked.attempt or None,
            limit=_LIMIT + 1,
        )
        newest = runs.list_newest_events(visitor.session, row.id, limit=1)
        shell = run_frame.run_shell(visitor, row, "events")
    made = run_events_view.build(
        view,
        row,
        f"{run_frame.run_url(row)}/events",
        asked,
        events,
        limit=_LIMIT,
        newest=newest[0].id if newest else 0,
    )
    if place:
        made.poll_url = ""  # what is new belongs above the first page
    return render("runs/events.html", shell, made)


@router.get("/projects/{project}/runs/{run}/events/new")
def new(request: Request, project: str, run: str, kind: str = "", attempt: str = "", after: str = "") -> Response:
    """What happened after the event whose id is `after`: 204 for nothing while the run goes on."""
    asked, place = Asked.read(kind, attempt), _id(after)
    with visit(request) as visitor:
        row = run_frame.find_run(visitor, project, run)
        view = View(visitor.language, visitor.zone, datetime.datetime.now(datetime.UTC))
        events = runs.list_newest_events(
            visitor.session, row.id, after=place, codes=asked.codes, attempt=asked.attempt or None, limit=_NEW
        )
        shell = run_frame.run_shell(visitor, row, "events")
    url = f"{run_frame.run_url(row)}/events"
    newest = events[0].id if events else place
    made = EventsPage(url, run_events_view.build_rows(view, row, events))
    made.poll_url = run_events_view.poll_url(row, url, asked, newest)
    if not events and made.poll_url:
        return Response(status_code=204)
    return render("runs/_events_new.html", shell, made)


def _id(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 18 else 0
