"""Runs: submit, list, look, stop, run again."""

import datetime
import uuid
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from app.api import cursors, wire
from app.api.deps import (
    ActorDep,
    AfterDep,
    IdempotencyDep,
    LimitDep,
    ProjectDep,
    ReadSessionDep,
    RunDep,
    RunRowDep,
    SessionDep,
    StatementSessionDep,
    allowed,
)
from app.api.problems import language_of
from app.api.routing import PREFIX, new_router, problems
from app.api.schemas.capsules import CapsuleRead, capsule_read
from app.api.schemas.runs import (
    ITEM_FIELDS,
    USUAL_FIELDS,
    Empty,
    EventPage,
    RunAgain,
    RunClone,
    RunCreate,
    RunDebug,
    RunPage,
    RunRead,
    event_read,
    run_item,
    run_read,
)
from app.domain.access import Action
from app.domain.filters import LOOKED_AT, MAX_LENGTH, FilterError, parse
from app.domain.names import RUN_ID
from app.errors import N_, FieldError, Invalid, NotFound
from app.repositories import runs as repository
from app.repositories.runs import Position, RunRow, Sort
from app.services import capsules, reruns, runs
from app.services.reruns import DebugNeedsCluster, NotRepeatable
from app.services.runs import NeverFits, OneReplicaOnly, PoolDraining, TooManyWaiting, UnknownPool, UnknownSnapshot
from app.services.secrets import UnknownSecret
from app.workloads.findings import field_errors

router = new_router("runs")

RunId = Annotated[str, Path(max_length=200, description="The run's id.", examples=["r-7f3k2m9qwa"])]
_FILTER = (
    "A filter. `metric.NAME` (the last value) and comparisons of `param.NAME` are looked at in the newest"
    f" {LOOKED_AT:,} runs that match the other terms."
)
_REFUSALS = problems(
    NeverFits, UnknownPool, PoolDraining, OneReplicaOnly, UnknownSnapshot, UnknownSecret, TooManyWaiting
)


@router.post("/projects/{project}/runs", status_code=202, responses=_REFUSALS, response_model=RunRead)
@allowed(Action.RUN_WRITE)
def create_run(
    request: Request,
    body: RunCreate,
    project: ProjectDep,
    actor: ActorDep,
    session: StatementSessionDep,
    once: IdempotencyDep,
) -> Response:
    """Submit a run; it is put in line at once and starts when its pool has room.

    What could never start is refused here, with the nearest that could.
    """
    source = body.source.model_dump(exclude_none=True)
    made = runs.submit_run(session, actor, project.id, body.spec, source, once=once, source_text=body.source_text)
    return _accepted(request, made)


@router.get("/projects/{project}/runs", response_model=RunPage)
@allowed(Action.RUN_READ)
def list_runs(
    request: Request,
    project: ProjectDep,
    actor: ActorDep,
    session: ReadSessionDep,
    q: Annotated[
        str, Query(max_length=MAX_LENGTH, description=_FILTER, examples=["status:failed owner:me metric.loss:>0.3"])
    ] = "",
    sort: Annotated[Sort, Query(description="Order; - is descending.")] = "-created",
    after: AfterDep = None,
    limit: LimitDep = 50,
    fields: Annotated[
        str | None, Query(max_length=500, description="Fields to send, joined by commas.", examples=["id,state"])
    ] = None,
) -> Response:
    """The project's runs, newest first unless sorted otherwise."""
    terms = _terms(q)
    wanted = _wanted(fields)
    scope = f"runs:{project.id}:{sort}:{q}"
    position = _position(cursors.decode(scope, after)) if after else None
    now = datetime.datetime.now(datetime.UTC)
    stored = [name for name in wanted if name in repository.ITEM_FIELDS]
    rows = repository.list_run_items(
        session, actor, project.id, stored, terms=terms, sort=sort, after=position, limit=limit, now=now
    )
    language, shown = language_of(request), frozenset(wanted)
    following = None
    if len(rows) > limit:
        last = rows[limit - 1]
        following = cursors.encode(scope, [str(last.id), last.name] if "name" in sort else [str(last.id)])
    return wire.raw_page_response(request, [run_item(row, shown, language) for row in rows[:limit]], following)


def _position(values: list[Any]) -> Position:
    return Position(uuid.UUID(values[0]), *values[1:])


def _terms(q: str) -> Any:
    try:
        return parse(q)
    except FilterError as error:
        raise Invalid([FieldError("/query/q", error.message, error.fix, slots=error.slots)]) from error


def _wanted(fields: str | None) -> Sequence[str]:
    if fields is None:
        return USUAL_FIELDS
    names = [name.strip() for name in fields.split(",") if name.strip()]
    unknown = [name for name in names if name not in ITEM_FIELDS]
    if unknown:
        raise Invalid(
            [
                FieldError(
                    "/query/fields",
                    N_("there is no field {name}"),
                    ",".join(ITEM_FIELDS),
                    slots={"name": unknown[0][:40]},
                )
            ]
        )
    return list(dict.fromkeys(["id", *names]))


@router.get("/runs/{run}", response_model=RunRead)
@allowed(Action.RUN_READ)
def read_run(request: Request, run: RunRowDep) -> Response:
    """One run: its spec, its attempts, and why it waits or why it ended."""
    tag = wire.etag(run.version)
    if wire.is_unchanged(request, tag):
        return wire.not_modified(tag)
    now = datetime.datetime.now(datetime.UTC)
    return wire.json_response(run_read(run, now, language_of(request)), headers={"etag": tag})


@router.post("/runs/{run}:stop", status_code=202, response_model=RunRead)
@allowed(Action.RUN_WRITE, late=True)
def stop_run(request: Request, run: RunId, body: Empty, actor: ActorDep, session: SessionDep) -> Response:
    """Ask a run to end: a signal, and after its grace the end of everything it started.

    Asking again, or asking of a run that has ended, changes nothing.
    """
    del body
    return _accepted(request, runs.stop_run(session, actor, _checked(run)))


@router.post(
    "/runs/{run}:rerun", status_code=202, responses=_REFUSALS | problems(NotRepeatable), response_model=RunRead
)
@allowed(Action.RUN_WRITE, late=True)
def rerun(
    request: Request, run: RunId, body: RunAgain, actor: ActorDep, session: SessionDep, once: IdempotencyDep
) -> Response:
    """Submit the same again: the same code, command and parameters.

    With `exact` also every default as it was then: the new run has the same manifest, whatever has changed since.
    Where that cannot be, nothing is submitted and each reason is said.
    """
    again = reruns.rerun_exactly if body.exact else reruns.rerun
    return _accepted(request, again(session, actor, _checked(run), once=once))


@router.post(
    "/runs/{run}:debug", status_code=202, responses=_REFUSALS | problems(DebugNeedsCluster), response_model=RunRead
)
@allowed(Action.RUN_WRITE, late=True)
def debug_run(
    request: Request, run: RunId, body: RunDebug, actor: ActorDep, session: SessionDep, once: IdempotencyDep
) -> Response:
    """Submit a debug run: as this one in everything, with a sleep in place of its program.

    While it runs, `exec_commands` open a shell in its pods. After its `ttl` it has succeeded; it can be stopped before.
    """
    return _accepted(request, reruns.debug(session, actor, _checked(run), body.ttl, once=once))


@router.get("/runs/{run}/capsule", response_model=CapsuleRead)
@allowed(Action.RUN_READ, late=True)
def read_capsule(run: RunId, actor: ActorDep, session: ReadSessionDep) -> Response:
    """What the run really was: its complete plan with a hash, its code, and what each attempt ran in."""
    found = capsules.get_capsule(session, actor, _checked(run))
    return wire.json_response(capsule_read(found, capsules.sent_text(session, found.run)))


@router.post("/runs/{run}:clone", status_code=202, responses=_REFUSALS, response_model=RunRead)
@allowed(Action.RUN_WRITE, late=True)
def clone_run(
    request: Request, run: RunId, body: RunClone, actor: ActorDep, session: SessionDep, once: IdempotencyDep
) -> Response:
    """Submit it again with other values for some fields of its spec."""
    try:
        made = reruns.rerun(session, actor, _checked(run), body.changes, once=once)
    except ValidationError as error:
        findings = [{**finding, "loc": ("body", "changes", *finding["loc"])} for finding in error.errors()]
        raise Invalid(field_errors(findings, RunCreate.model_fields["spec"].annotation)) from error
    return _accepted(request, made)


@router.get("/runs/{run}/events", response_model=EventPage)
@allowed(Action.RUN_READ)
def list_events(
    request: Request, run: RunDep, session: ReadSessionDep, after: AfterDep = None, limit: LimitDep = 50
) -> Response:
    """Everything that happened to the run, oldest first."""
    scope = f"events:{run.id}"
    start = cursors.decode(scope, after)[0] if after else 0
    rows = repository.list_events(session, run.id, after=start, limit=limit)
    language = language_of(request)
    following = cursors.encode(scope, [rows[limit - 1].id]) if len(rows) > limit else None
    return wire.page_response(request, [event_read(event, language) for event in rows[:limit]], following)


def _checked(run: str) -> str:
    """The id, if it has the form of one: no other can exist, so none is looked for."""
    if not RUN_ID.fullmatch(run):
        raise NotFound
    return run


def _accepted(request: Request, row: RunRow) -> Response:
    now = datetime.datetime.now(datetime.UTC)
    headers = {"location": f"{PREFIX}/runs/{row.public_id}", "etag": wire.etag(row.version)}
    return wire.json_response(run_read(row, now, language_of(request)), 202, headers)
