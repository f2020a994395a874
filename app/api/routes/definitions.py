"""Job definitions: list, create, look, new versions, compare, archive, run."""

import datetime
from typing import Annotated, Any, Literal, TypeVar

from fastapi import Path, Query
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from app.api import cursors, strict_json, wire
from app.api.deps import (
    ActorDep,
    AfterDep,
    IdempotencyDep,
    IfMatchDep,
    LimitDep,
    ProjectDep,
    ReadSessionDep,
    SessionDep,
    allowed,
)
from app.api.problems import PreconditionFailed, PreconditionRequired, UnsupportedMediaType, language_of
from app.api.routing import PREFIX, new_router, problems
from app.api.schemas.definitions import (
    EXAMPLE_YAML,
    DefinitionPage,
    DefinitionRead,
    DefinitionRun,
    DefinitionUpdate,
    DefinitionWrite,
    DiffRead,
    VersionPage,
    VersionRead,
    VersionWrite,
    definition_item,
    definition_read,
    diff_read,
    version_item,
    version_read,
)
from app.api.schemas.runs import RunRead, run_read
from app.domain.access import Action
from app.errors import N_, FieldError, Invalid
from app.repositories import definitions as repository
from app.repositories.definitions import DefinitionRow
from app.services import definitions
from app.services.definitions import DefinitionArchived, DefinitionExists, InvalidDefinition, VersionChanged
from app.services.runs import NeverFits, OneReplicaOnly, PoolDraining, TooManyWaiting, UnknownPool, UnknownSnapshot
from app.workloads.definitions import read_stored
from app.workloads.findings import field_errors
from app.workloads.yaml_source import MAX_BYTES

router = new_router("job definitions")

NamePath = Annotated[str, Path(max_length=200, description="The definition's name.", examples=["digits"])]
NumberPath = Annotated[int, Path(ge=1, le=2**31, description="The version's number.", examples=[1])]
Model = TypeVar("Model", bound=BaseModel)

_YAML = "application/yaml"
_SAME: dict[int | str, dict[str, Any]] = {
    200: {"model": DefinitionRead, "description": "The same text is the newest version already."}
}


def _body(model: type[BaseModel]) -> dict[str, Any]:
    """The two forms in which a definition is taken, for the documentation."""
    described = model.model_json_schema(ref_template="#/components/schemas/{model}")
    yaml = {"schema": {"type": "string", "maxLength": MAX_BYTES}, "example": EXAMPLE_YAML}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": described}, _YAML: yaml}}}


def _read(request: Request, model: type[Model]) -> Model | str:
    """The YAML of the body, or the model that its JSON is. Raises UnsupportedMediaType, Invalid."""
    body: bytes = getattr(request, "_body", b"")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in (_YAML, "application/x-yaml", "text/yaml"):
        try:
            return body.decode("utf-8")
        except UnicodeDecodeError as error:
            line = body[: error.start].count(b"\n") + 1
            raise InvalidDefinition([FieldError("", N_("is not UTF-8 text"), line=line)], count=1) from None
    if kind != "application/json":
        raise UnsupportedMediaType(expected=f"{_YAML} or application/json")
    try:
        return model.model_validate(strict_json.parse(body))
    except ValidationError as error:
        raise Invalid(field_errors([{**one, "loc": ("body", *one["loc"])} for one in error.errors()], model)) from error


def _text(given: DefinitionWrite | VersionWrite | str) -> str | None:
    if isinstance(given, str):
        return given
    return given.source if given.definition is None else definitions.text_of(given.definition)


@router.get("/projects/{project}/jobs", response_model=DefinitionPage)
@allowed(Action.DEFINITION_READ)
def list_definitions(
    request: Request,
    project: ProjectDep,
    session: ReadSessionDep,
    archived: Annotated[bool, Query(description="The archived ones instead of those in use.")] = False,
    after: AfterDep = None,
    limit: LimitDep = 50,
) -> Response:
    """The project's job definitions, by name, each with its newest version and its last run."""
    scope = f"definitions:{project.id}:{archived}"
    start = cursors.decode(scope, after)[0] if after else None
    rows = repository.list_definitions(session, project.id, archived=archived, after=start, limit=limit + 1)
    following = cursors.encode(scope, [rows[limit - 1].name]) if len(rows) > limit else None
    return wire.page_response(request, [definition_item(row, project.name) for row in rows[:limit]], following)


@router.post(
    "/projects/{project}/jobs",
    status_code=201,
    response_model=DefinitionRead,
    responses=_SAME | problems(InvalidDefinition, DefinitionExists, DefinitionArchived),
    openapi_extra=_body(DefinitionWrite),
)
@allowed(Action.DEFINITION_WRITE)
def create_definition(
    request: Request,
    project: ProjectDep,
    actor: ActorDep,
    session: SessionDep,
    if_exists: Annotated[
        Literal["refuse", "version"],
        Query(description="Where there is one by that name: refuse, or save a new version of it."),
    ] = "refuse",
) -> Response:
    """Make a job definition of YAML (application/yaml, kept byte for byte) or of JSON; it becomes version 1."""
    text = _text(_read(request, DefinitionWrite))
    assert text is not None, "the model has one of the two"
    if if_exists == "version":
        row, is_new = definitions.save(session, actor, project.id, text)
    else:
        row, is_new = definitions.create_definition(session, actor, project.id, text), True
    return _saved(session, row, project.name, is_new=is_new)


def _saved(session: Any, row: DefinitionRow, project: str, *, is_new: bool) -> Response:
    made = _shown(session, row, project)
    headers = {"location": f"{PREFIX}/projects/{project}/jobs/{row.name}", "etag": wire.etag(row.revision)}
    return wire.json_response(made, 201 if is_new else 200, headers)


def _shown(session: Any, row: DefinitionRow, project: str) -> dict[str, Any]:
    version = repository.get_version(session, row.id, row.newest)
    return definition_read(row, read_stored(version.document, version.source), project)


@router.get("/projects/{project}/jobs/{name}", response_model=DefinitionRead)
@allowed(Action.DEFINITION_READ)
def read_definition(name: NamePath, project: ProjectDep, session: ReadSessionDep) -> Response:
    """One definition, with what its newest version says. Its ETag is for If-Match."""
    row = repository.get_definition(session, project.id, name)
    return wire.json_response(_shown(session, row, project.name), headers={"etag": wire.etag(row.revision)})


@router.patch(
    "/projects/{project}/jobs/{name}",
    response_model=DefinitionRead,
    responses=problems(PreconditionFailed, PreconditionRequired),
)
@allowed(Action.DEFINITION_WRITE)
def update_definition(
    name: NamePath,
    body: DefinitionUpdate,
    project: ProjectDep,
    actor: ActorDep,
    session: SessionDep,
    if_match: IfMatchDep = None,
) -> Response:
    """Archive it or take it out of the archive. An archived one stays readable; it is not offered and does not run."""
    row = repository.get_definition(session, project.id, name)
    wire.require_if_match(if_match, row.revision, definition_item(row, project.name))
    row = definitions.set_archived(session, actor, project.id, name, body.archived)
    return wire.json_response(_shown(session, row, project.name), headers={"etag": wire.etag(row.revision)})


@router.get("/projects/{project}/jobs/{name}/versions", response_model=VersionPage)
@allowed(Action.DEFINITION_READ)
def list_versions(
    request: Request,
    name: NamePath,
    project: ProjectDep,
    session: ReadSessionDep,
    after: AfterDep = None,
    limit: LimitDep = 50,
) -> Response:
    """All versions, newest first."""
    row = repository.get_definition(session, project.id, name)
    scope = f"versions:{row.id}"
    start = cursors.decode(scope, after)[0] if after else None
    rows = repository.list_versions(session, row.id, before=start, limit=limit + 1)
    following = cursors.encode(scope, [rows[limit - 1].number]) if len(rows) > limit else None
    return wire.page_response(request, [version_item(one) for one in rows[:limit]], following)


@router.post(
    "/projects/{project}/jobs/{name}/versions",
    status_code=201,
    response_model=DefinitionRead,
    responses=_SAME | problems(InvalidDefinition, DefinitionArchived, VersionChanged, PreconditionFailed),
    openapi_extra=_body(VersionWrite),
)
@allowed(Action.DEFINITION_WRITE)
def create_version(
    request: Request,
    name: NamePath,
    project: ProjectDep,
    actor: ActorDep,
    session: SessionDep,
    if_match: IfMatchDep = None,
) -> Response:
    """Save a new version: YAML, all fields as JSON, or `changes` to a version, whose comments and order then stay.

    Versions never change, so an If-Match is not required; with one, or with `based_on`, a newer version refuses it.
    """
    given = _read(request, VersionWrite)
    row = repository.get_definition(session, project.id, name)
    if if_match is not None:
        wire.require_if_match(if_match, row.revision, definition_item(row, project.name))
    text = _text(given)
    based_on = None if isinstance(given, str) else given.based_on
    if not isinstance(given, str) and given.changes is not None:
        base = repository.get_version(session, row.id, based_on or row.newest)
        if text is not None:
            definitions.check(text, name)
            base = base._replace(source=text)
        text = definitions.changed_text(base, given.changes, "/changes")
    assert text is not None, "the model has one of the three"
    row, is_new = definitions.add_version(session, actor, project.id, name, text, based_on=based_on)
    return _saved(session, row, project.name, is_new=is_new)


@router.get("/projects/{project}/jobs/{name}/versions/{number}", response_model=VersionRead)
@allowed(Action.DEFINITION_READ)
def read_version(name: NamePath, number: NumberPath, project: ProjectDep, session: ReadSessionDep) -> Response:
    """One version. It never changes."""
    row = repository.get_definition(session, project.id, name)
    found = repository.get_version(session, row.id, number)
    return wire.json_response(version_read(found, read_stored(found.document, found.source)))


@router.get(
    "/projects/{project}/jobs/{name}/versions/{number}/source",
    response_class=Response,
    responses={200: {"content": {_YAML: {"schema": {"type": "string"}, "example": EXAMPLE_YAML}}}},
)
@allowed(Action.DEFINITION_READ)
def read_source(name: NamePath, number: NumberPath, project: ProjectDep, session: ReadSessionDep) -> Response:
    """A version's YAML, byte for byte as it was written."""
    row = repository.get_definition(session, project.id, name)
    found = repository.get_version(session, row.id, number)
    headers = {"content-disposition": f'attachment; filename="{name}.yaml"', "cache-control": "no-store"}
    return Response(found.source.encode(), media_type=_YAML, headers=headers)


@router.get("/projects/{project}/jobs/{name}/diff", response_model=DiffRead)
@allowed(Action.DEFINITION_READ)
def diff_versions(
    request: Request,
    name: NamePath,
    project: ProjectDep,
    session: ReadSessionDep,
    from_version: Annotated[int, Query(alias="from", ge=1, le=2**31, description="The older version.", examples=[1])],
    to_version: Annotated[int, Query(alias="to", ge=1, le=2**31, description="The newer version.", examples=[1])],
) -> Response:
    """What differs between two versions, in words and as a unified diff of the YAML."""
    row = repository.get_definition(session, project.id, name)
    before = repository.get_version(session, row.id, from_version)
    after = repository.get_version(session, row.id, to_version)
    return wire.json_response(diff_read(before, after, language_of(request)))


@router.post(
    "/projects/{project}/jobs/{name}:run",
    status_code=202,
    response_model=RunRead,
    responses=problems(
        DefinitionArchived, NeverFits, UnknownPool, PoolDraining, OneReplicaOnly, UnknownSnapshot, TooManyWaiting
    ),
)
@allowed(Action.RUN_WRITE)
def run_definition(
    request: Request,
    name: NamePath,
    body: DefinitionRun,
    project: ProjectDep,
    actor: ActorDep,
    session: SessionDep,
    once: IdempotencyDep,
) -> Response:
    """Submit a run of the definition: its newest version, or the one named, with these parameters."""
    made = definitions.run_definition(
        session,
        actor,
        project.id,
        name,
        body.parameters,
        changes=body.changes,
        version=body.version,
        once=once,
    )
    now = datetime.datetime.now(datetime.UTC)
    headers = {"location": f"{PREFIX}/runs/{made.public_id}", "etag": wire.etag(made.version)}
    return wire.json_response(run_read(made, now, language_of(request)), 202, headers)
