"""Many runs by one request: stop, label, archive, run again; and the labels of one run."""

import datetime
from typing import Annotated

from fastapi import Path
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from app.api import wire
from app.api.deps import ActorDep, IfMatchDep, ProjectDep, SessionDep, allowed
from app.api.problems import PreconditionFailed, PreconditionRequired, language_of
from app.api.routing import new_router, problems
from app.api.schemas.bulk_runs import BulkResult, LabelsUpdate, Selection, TagSelection, bulk_result
from app.api.schemas.runs import RunRead, run_read
from app.domain.access import Action, Actor
from app.domain.bulk import Change, Verb
from app.domain.filters import FilterError, parse
from app.domain.names import RUN_ID
from app.errors import FieldError, Invalid, NotFound
from app.repositories import runs as repository
from app.services import bulk_runs
from app.services.bulk_runs import TooManyRuns
from app.services.identity import ProjectRef, require

router = new_router("runs")

_REFUSALS = problems(TooManyRuns)


@router.post("/projects/{project}/runs:stop", response_model=BulkResult, responses=_REFUSALS)
@allowed(Action.RUN_WRITE)
def stop_runs(request: Request, body: Selection, project: ProjectDep, actor: ActorDep, session: SessionDep) -> Response:
    """Ask up to 1,000 runs to end. Those that have ended, or are asked already, are left as they are."""
    return _changed(request, session, actor, project, body, Change(Verb.STOP))


@router.post("/projects/{project}/runs:tag", response_model=BulkResult, responses=_REFUSALS)
@allowed(Action.RUN_WRITE)
def tag_runs(
    request: Request, body: TagSelection, project: ProjectDep, actor: ActorDep, session: SessionDep
) -> Response:
    """Add tags to up to 1,000 runs, take tags away, or put the runs into an experiment."""
    return _changed(request, session, actor, project, body, body.change)


@router.post("/projects/{project}/runs:archive", response_model=BulkResult, responses=_REFUSALS)
@allowed(Action.RUN_WRITE)
def archive_runs(
    request: Request, body: Selection, project: ProjectDep, actor: ActorDep, session: SessionDep
) -> Response:
    """Hide up to 1,000 ended runs from lists. Nothing is deleted; `archived:yes` finds them."""
    return _changed(request, session, actor, project, body, Change(Verb.ARCHIVE))


@router.post("/projects/{project}/runs:unarchive", response_model=BulkResult, responses=_REFUSALS)
@allowed(Action.RUN_WRITE)
def unarchive_runs(
    request: Request, body: Selection, project: ProjectDep, actor: ActorDep, session: SessionDep
) -> Response:
    """Put up to 1,000 archived runs back into lists."""
    return _changed(request, session, actor, project, body, Change(Verb.UNARCHIVE))


@router.post("/projects/{project}/runs:rerun-failed", response_model=BulkResult, responses=_REFUSALS)
@allowed(Action.RUN_WRITE)
def rerun_failed(
    request: Request, body: Selection, project: ProjectDep, actor: ActorDep, session: SessionDep
) -> Response:
    """Submit up to 1,000 failed runs again; those that were run again already are left as they are."""
    return _changed(request, session, actor, project, body, Change(Verb.RERUN))


def _changed(
    request: Request, session: Session, actor: Actor, project: ProjectRef, body: Selection, change: Change
) -> Response:
    try:
        terms = parse(body.q or "")
    except FilterError as error:
        raise Invalid([FieldError("/q", error.message, error.fix, slots=error.slots)]) from error
    now = datetime.datetime.now(datetime.UTC)
    outcome = bulk_runs.change_runs(
        session, actor, project.id, change, ids=body.ids, terms=terms, dry_run=body.dry_run, now=now
    )
    return wire.json_response(bulk_result(outcome, language_of(request), dry_run=body.dry_run))


@router.patch("/runs/{run}", response_model=RunRead, responses=problems(PreconditionRequired, PreconditionFailed))
@allowed(Action.RUN_WRITE, late=True)
def update_run(
    request: Request,
    run: Annotated[str, Path(max_length=200, description="The run's id.", examples=["r-7f3k2m9qwa"])],
    body: LabelsUpdate,
    actor: ActorDep,
    session: SessionDep,
    if_match: IfMatchDep = None,
) -> Response:
    """Change the tags and the experiment of a run. If-Match is required; with an old ETag nothing happens."""
    if not RUN_ID.fullmatch(run):
        raise NotFound
    found = repository.get_run_ref(session, actor, run)
    require(actor, Action.RUN_WRITE, found.project_id)
    bulk_runs.lock_run(session, run)
    row = repository.get_run(session, actor, run)
    language, now = language_of(request), datetime.datetime.now(datetime.UTC)
    wire.require_if_match(if_match, row.version, run_read(row, now, language))
    bulk_runs.set_labels(session, actor, row, body.model_dump(exclude_unset=True))
    row = repository.get_run(session, actor, run)
    return wire.json_response(run_read(row, now, language), headers={"etag": wire.etag(row.version)})
