"""Who changed what."""

import datetime
import uuid
from typing import Annotated

from fastapi import Query
from pydantic import AwareDatetime
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from app.api import cursors, wire
from app.api.deps import AfterDep, LimitDep, ProjectDep, ReadSessionDep, allowed
from app.api.routing import new_router
from app.api.schemas.audit import AuditPage
from app.domain.access import Action
from app.repositories import audit as repository

router = new_router("audit")

Filter = Annotated[str | None, Query(max_length=200)]
Since = Annotated[AwareDatetime | None, Query(description="From this moment on.", examples=["2026-11-01T00:00:00Z"])]
Until = Annotated[AwareDatetime | None, Query(description="Before this moment.", examples=["2026-12-01T00:00:00Z"])]
Filters = tuple[str | None, str | None, str | None, str | None, datetime.datetime | None, datetime.datetime | None]


@router.get("/audit", response_model=AuditPage)
@allowed(Action.AUDIT_READ)
def list_audit(
    request: Request,
    session: ReadSessionDep,
    actor: Filter = None,
    object_type: Filter = None,
    object_id: Filter = None,
    verb: Filter = None,
    since: Since = None,
    until: Until = None,
    after: AfterDep = None,
    limit: LimitDep = 50,
) -> Response:
    """Every change in the installation, newest first."""
    return _page(request, session, None, (actor, object_type, object_id, verb, since, until), after, limit)


@router.get("/projects/{project}/audit", response_model=AuditPage)
@allowed(Action.PROJECT_AUDIT)
def list_project_audit(
    request: Request,
    project: ProjectDep,
    session: ReadSessionDep,
    actor: Filter = None,
    object_type: Filter = None,
    object_id: Filter = None,
    verb: Filter = None,
    since: Since = None,
    until: Until = None,
    after: AfterDep = None,
    limit: LimitDep = 50,
) -> Response:
    """Every change in the project, newest first."""
    return _page(request, session, project.id, (actor, object_type, object_id, verb, since, until), after, limit)


def _page(
    request: Request,
    session: Session,
    project_id: uuid.UUID | None,
    filters: Filters,
    after: str | None,
    limit: int,
) -> Response:
    scope = f"audit:{project_id}:{filters!r}"
    actor, object_type, object_id, verb, since, until = filters
    rows = repository.list_entries(
        session,
        project_id=project_id,
        actor=actor,
        object_type=object_type,
        object_id=object_id,
        verb=verb,
        since=since,
        until=until,
        after=cursors.decode(scope, after)[0] if after else None,
        limit=limit + 1,
    )
    return wire.page_response(request, rows[:limit], cursors.following(scope, rows, limit, "id"))
