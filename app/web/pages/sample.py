"""The button that runs the sample."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from app.services import runs
from app.web.deps import check_form, see_other, visit
from app.web.run_frame import run_url
from app.workloads.sample import make_sample

router = APIRouter(include_in_schema=False)


@router.post("/projects/{project}/runs/sample")
def submit(request: Request, project: str, csrf: Annotated[str, Form()] = "") -> Response:
    """Submits the sample as any other run, and goes to its page."""
    with visit(request) as visitor:
        check_form(request, visitor, csrf)
        found = visitor.project(project)
        made = runs.submit_run(visitor.session, visitor.actor, found.id, make_sample(), {})
    return see_other(run_url(made))
