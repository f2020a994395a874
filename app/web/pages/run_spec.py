"""A run's spec: as it was sent, as it was resolved, what it ran in, and what differs from another run."""

import datetime
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from app.domain.access import Action, Verdict, can
from app.errors import N_, NotFound
from app.repositories import runs as repository
from app.services import capsules, comparing, reruns
from app.web import run_frame, spec_view
from app.web.deps import Visitor, check_form, see_other, visit
from app.web.run_phases import View
from app.web.spec_view import Choice, SpecPage
from app.web.templating import render

router = APIRouter(include_in_schema=False)


@router.get("/projects/{project}/runs/{run}/spec")
def page(request: Request, project: str, run: str, diff: str = "") -> Response:
    """The page; `diff` is the id of the run to compare with."""
    compared, status = None, 200
    with visit(request) as visitor:
        row = run_frame.find_run(visitor, project, run)
        shell = run_frame.run_shell(visitor, row, "spec")
        shell.keys = ("everywhere", "run", "spec")
        view = View(visitor.language, visitor.zone, datetime.datetime.now(datetime.UTC))
        found = capsules.capsule_of(visitor.session, row)
        may_write = can(visitor.actor, Action.RUN_WRITE, row.project_id) == Verdict.ALLOWED
        sent = capsules.sent_text(visitor.session, row)
        made = spec_view.build(view, found, sent, run_frame.run_url(row), may_write=may_write)
        made.choices = _choices(visitor, view, made, row)
        made.asked = diff.strip()[:40]
        if made.asked == row.public_id:
            made.problem = view.say("This is the run itself. Name another one.")
        elif made.asked:
            try:
                other = repository.get_runs(visitor.session, visitor.actor, row.project_id, [made.asked])[0]
                ids = [other.public_id, row.public_id]
                compared = comparing.compare_runs(visitor.session, visitor.actor, row.project_id, ids)
                before = capsules.capsule_of(visitor.session, other)
            except (NotFound, IndexError):
                made.problem, status = view.say("This project has no run {id}.", id=made.asked), 404
    if compared is not None:
        files = comparing.code_files(compared)
        words = [text for _, text in comparing.differences(compared, view.language, files)]
        spec_view.add_comparison(view, made, before, words)
    return render("runs/spec.html", shell, made, status)


@router.post("/projects/{project}/runs/{run}/rerun-exact")
def rerun_exactly(request: Request, project: str, run: str, csrf: Annotated[str, Form()] = "") -> Response:
    """Submits a run with the same manifest and goes to it. Raises NotRepeatable."""
    with visit(request) as visitor:
        check_form(request, visitor, csrf)
        run_frame.find_run(visitor, project, run)
        made = reruns.rerun_exactly(visitor.session, visitor.actor, run)
    return see_other(f"/projects/{quote(made.project)}/runs/{made.public_id}")


def _choices(visitor: Visitor, view: View, made: SpecPage, row: repository.RunRow) -> list[Choice]:
    """The run that it repeats, and the one before of the same name."""
    found = [(N_("The run that it repeats"), row.parent)]
    found.append(
        (N_("The one before of that name"), repository.find_previous(visitor.session, row.project_id, row.name, row.id))
    )
    choices: dict[str, Choice] = {}
    for text, key in found:
        if key is not None and key not in choices:
            choices[key] = Choice(view.say(text), key, f"{made.url}?diff={key}#diff")
    return list(choices.values())
