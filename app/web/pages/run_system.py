"""What a run uses of the machine: the system tab of its page."""

import datetime

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.errors import NotFound
from app.services.usage import read_report
from app.web import run_frame, usage_view
from app.web.deps import visit
from app.web.run_phases import View
from app.web.templating import render

_SLICES = 600

router = APIRouter(include_in_schema=False)


@router.get("/projects/{project}/runs/{run}/system")
def page(request: Request, project: str, run: str, attempt: str = "") -> Response:
    """The tab, of the newest attempt by default. Raises NotFound for an attempt that the run does not have."""
    if attempt and not (attempt.isascii() and attempt.isdecimal() and len(attempt) < 10):
        raise NotFound
    with visit(request) as visitor:
        row = run_frame.find_run(visitor, project, run)
        report = read_report(visitor.session, row, int(attempt) if attempt else None, number=_SLICES)
        view = View(visitor.language, visitor.zone, datetime.datetime.now(datetime.UTC))
        shell = run_frame.run_shell(visitor, row, "system")
    numbers = [one["number"] for one in row.attempts]
    made = usage_view.build(view, report, run_frame.run_url(row), row.public_id, numbers)
    return render("runs/system.html", shell, made)
