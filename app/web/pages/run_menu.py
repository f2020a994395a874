"""The menu of a row in the list of runs: what may be done with the run now. Without scripts its own page has it all."""

from dataclasses import dataclass
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.domain.access import Action, Verdict, can
from app.domain.states import TERMINAL
from app.web import run_frame
from app.web.deps import visit
from app.web.run_rows import is_stopping
from app.web.templating import render

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class MenuPage:
    """The entries. `q` is the filter of the list to which a page that asks back leads."""

    id: str
    name: str
    url: str
    bulk_url: str
    clone_url: str
    q: str
    may_write: bool
    may_stop: bool
    is_over: bool
    is_archived: bool


@router.get("/projects/{project}/runs/{run}/menu")
def menu(request: Request, project: str, run: str, q: str = "") -> Response:
    """The menu of one run as a partial."""
    with visit(request) as visitor:
        row = run_frame.find_run(visitor, project, run)
        may_write = can(visitor.actor, Action.RUN_WRITE, row.project_id) == Verdict.ALLOWED
        shell = visitor.shell()
    runs = f"/projects/{quote(row.project)}/runs"
    is_over = row.state in TERMINAL
    page = MenuPage(
        id=row.public_id,
        name=row.name,
        url=run_frame.run_url(row),
        bulk_url=f"{runs}/bulk",
        clone_url=f"{runs}/new?from={row.public_id}",
        q=q,
        may_write=may_write,
        may_stop=may_write and not is_over and not is_stopping(row),
        is_over=is_over,
        is_archived=row.archived,
    )
    return render("runs/_menu.html", shell, page)
