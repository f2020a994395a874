"""The log of a run on a page of its own."""

from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.domain.states import TERMINAL
from app.web import log_view, run_frame
from app.web.deps import visit
from app.web.log_view import Asked, LogView
from app.web.templating import render

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class LogsPage:
    """The page is its log."""

    log: LogView


@router.get("/projects/{project}/runs/{run}/logs")
def page(
    request: Request, project: str, run: str, attempt: str = "", replica: str = "", line: str = "", q: str = ""
) -> Response:
    """The log of one replica at its end, at a line, or where `q` is found.

    What the address does not say well is left out.
    """
    with visit(request) as visitor:
        row = run_frame.find_run(visitor, project, run)
        shell = run_frame.run_shell(visitor, row, "logs")
        language, zone = visitor.language, visitor.zone
    shell.keys = ("everywhere", "run", "log")
    made = log_view.build(
        row,
        f"{run_frame.run_url(row)}/logs",
        Asked.read(attempt, line, q, replica),
        language,
        zone,
        is_live=row.state not in TERMINAL,
    )
    made.is_page = True
    return render("runs/logs.html", shell, LogsPage(made))
