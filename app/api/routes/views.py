"""Saved views of the list of runs."""

import uuid
from typing import Annotated

from fastapi import Path
from starlette.requests import Request
from starlette.responses import Response

from app.api import wire
from app.api.deps import ActorDep, ProjectDep, ReadSessionDep, SessionDep, allowed
from app.api.routing import PREFIX, new_router, problems
from app.api.schemas.comparing import ViewCreate, ViewPage, ViewRead, ViewUpdate, view_read
from app.domain import run_columns
from app.domain.access import Action
from app.repositories import views as repository
from app.services import views
from app.services.views import TooManyViews, ViewExists

router = new_router("views")

ViewId = Annotated[uuid.UUID, Path(description="The view's id.")]


@router.get("/projects/{project}/views", response_model=ViewPage)
@allowed(Action.RUN_READ)
def list_views(request: Request, project: ProjectDep, actor: ActorDep, session: ReadSessionDep) -> Response:
    """Your own views of the list of runs, and those that others share."""
    rows = repository.list_views(session, project.id, actor.user_id)
    return wire.page_response(request, [view_read(row, project.name) for row in rows], None)


@router.post(
    "/projects/{project}/views", status_code=201, response_model=ViewRead, responses=problems(ViewExists, TooManyViews)
)
@allowed(Action.VIEW_WRITE)
def save_view(body: ViewCreate, project: ProjectDep, actor: ActorDep, session: SessionDep) -> Response:
    """Keep a filter and an order of the list of runs under a name, and columns where some are given."""
    choice = None if body.columns is None else run_columns.read(body.columns, body.metric)
    key = views.save_view(
        session, actor, project.id, body.name, body.q, body.sort, is_shared=body.shared, choice=choice
    )
    row = repository.get_view(session, project.id, actor.user_id, key)
    headers = {"location": f"{PREFIX}/projects/{project.name}/views/{key}"}
    return wire.json_response(view_read(row, project.name), 201, headers)


@router.patch("/projects/{project}/views/{view}", response_model=ViewRead)
@allowed(Action.RUN_WRITE)
def update_view(view: ViewId, body: ViewUpdate, project: ProjectDep, actor: ActorDep, session: SessionDep) -> Response:
    """Show a view to all of the project, or to nobody else any more."""
    views.share_view(session, actor, project.id, view, is_shared=body.shared)
    row = repository.get_view(session, project.id, actor.user_id, view)
    return wire.json_response(view_read(row, project.name))


@router.delete("/projects/{project}/views/{view}", status_code=204)
@allowed(Action.VIEW_WRITE)
def delete_view(view: ViewId, project: ProjectDep, actor: ActorDep, session: SessionDep) -> Response:
    """Remove a view: your own, or as an owner of the project one that is shared."""
    views.delete_view(session, actor, project.id, view)
    return wire.no_content()
