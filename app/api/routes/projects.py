"""Projects."""

from dataclasses import asdict
from typing import Annotated

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from app.api import cursors, wire
from app.api.deps import ActorDep, AfterDep, IfMatchDep, LimitDep, ProjectDep, ReadSessionDep, SessionDep, allowed
from app.api.problems import PreconditionFailed, PreconditionRequired
from app.api.routing import PREFIX, new_router, problems
from app.api.schemas.projects import ProjectCreate, ProjectDeleted, ProjectPage, ProjectRead, ProjectUpdate
from app.domain.access import Action
from app.repositories import projects as repository
from app.services import project_deletion, projects
from app.services.project_deletion import ProjectInUse
from app.services.projects import ProjectExists

router = new_router("projects")


DryRun = Annotated[bool, Query(description="Say what would go, and change nothing.")]


@router.get("/projects", response_model=ProjectPage)
@allowed(Action.ACCOUNT_READ)
def list_projects(
    request: Request, actor: ActorDep, session: ReadSessionDep, after: AfterDep = None, limit: LimitDep = 50
) -> Response:
    """The projects you may see, by name, with your role in each."""
    start = cursors.decode("projects", after)[0] if after else None
    rows = repository.list_projects(session, actor, start, limit + 1)
    return wire.page_response(request, rows[:limit], cursors.following("projects", rows, limit, "name"))


@router.post("/projects", status_code=201, response_model=ProjectRead, responses=problems(ProjectExists))
@allowed(Action.PROJECT_CREATE)
def create_project(body: ProjectCreate, actor: ActorDep, session: SessionDep) -> Response:
    """Make a project; you are its first owner."""
    project_id = projects.create_project(session, actor, body.name, body.title)
    made = repository.get_project(session, actor, project_id)
    headers = {"location": f"{PREFIX}/projects/{body.name}", "etag": wire.etag(made["version"])}
    return wire.json_response(made, 201, headers)


@router.get(
    "/projects/{project}", response_model=ProjectRead, responses={304: {"description": "Unchanged since If-None-Match"}}
)
@allowed(Action.PROJECT_READ)
def get_project(request: Request, project: ProjectDep, actor: ActorDep, session: ReadSessionDep) -> Response:
    """A project. The ETag is for If-Match."""
    found = repository.get_project(session, actor, project.id)
    tag = wire.etag(found["version"])
    if wire.is_unchanged(request, tag):
        return wire.not_modified(tag)
    return wire.json_response(found, headers={"etag": tag})


@router.patch(
    "/projects/{project}",
    response_model=ProjectRead,
    responses=problems(PreconditionRequired, PreconditionFailed),
)
@allowed(Action.PROJECT_WRITE)
def update_project(
    body: ProjectUpdate, project: ProjectDep, actor: ActorDep, session: SessionDep, if_match: IfMatchDep = None
) -> Response:
    """Change the title. If-Match is required; with an old ETag nothing happens and the present project is sent."""
    before = projects.lock_project(session, project.id)
    wire.require_if_match(if_match, before["version"], repository.get_project(session, actor, project.id))
    projects.update_project(session, actor, project.id, before, body.title)
    found = repository.get_project(session, actor, project.id)
    return wire.json_response(found, headers={"etag": wire.etag(found["version"])})


@router.delete("/projects/{project}", response_model=ProjectDeleted, responses=problems(ProjectInUse))
@allowed(Action.PROJECT_DELETE)
def delete_project(project: ProjectDep, actor: ActorDep, session: SessionDep, dry_run: DryRun = False) -> Response:
    """Delete the project with everything in it: runs, logs, outputs, snapshots, members, service accounts, tokens.

    It is gone for everybody at once; the stored bytes are removed in the minutes after. Refused while a run is
    waiting or running. With `dry_run` the answer says what would go, and nothing happens.
    """
    if dry_run:
        found = project_deletion.find_contents(session, project.id)
    else:
        found = project_deletion.delete_project(session, actor, project.id)
    return wire.json_response({"project": project.name, "deleted": not dry_run} | asdict(found))
