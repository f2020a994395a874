"""The label of a run's state on the tabs beside the overview, which has more that lives and a poll of its own."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.web import run_frame
from app.web.deps import visit
from app.web.templating import render

router = APIRouter(include_in_schema=False)


@router.get("/projects/{project}/runs/{run}/state")
def state(request: Request, project: str, run: str, tab: str = "overview", seen: str = "") -> Response:
    """The label, and the title of the run's page `tab`: 204 while the run is in the state `seen`."""
    with visit(request) as visitor:
        row = run_frame.find_run(visitor, project, run)
        if seen == run_frame.seen_state(row):
            return Response(status_code=204)
        shell = run_frame.run_shell(visitor, row, tab)
    return render("runs/_state_swap.html", shell, None)
