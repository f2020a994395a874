"""How long a project keeps outputs: the rules, what they would remove, and what was announced and freed."""

import uuid
from typing import Annotated, Any

from fastapi import Query
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from app.api import cursors, wire
from app.api.deps import ActorDep, AfterDep, LimitDep, ProjectDep, ReadSessionDep, SessionDep, allowed
from app.api.problems import language_of
from app.api.routing import new_router
from app.api.schemas.retention import (
    PlanPage,
    PreviewPage,
    RemovalPage,
    RetentionRead,
    RetentionUpdate,
    removal_read,
    retention_read,
)
from app.domain.access import Action
from app.domain.retention import MAX_DAYS, MAX_RUNS, Rules
from app.errors import NotFound
from app.repositories import retention as repository
from app.services import retention

router = new_router("retention")

DaysQuery = Annotated[int | None, Query(ge=1, le=MAX_DAYS, description="Days after the run ended.", examples=[30])]
LastQuery = Annotated[int | None, Query(ge=1, le=MAX_RUNS, description="So many newest runs.", examples=[20])]
TagsQuery = Annotated[list[str] | None, Query(max_length=50, description="Runs with one of these tags.")]
ExperimentsQuery = Annotated[list[str] | None, Query(max_length=50, description="Runs of one of these experiments.")]


@router.get("/projects/{project}/retention", response_model=RetentionRead)
@allowed(Action.PROJECT_READ)
def get_retention(request: Request, project: ProjectDep, session: ReadSessionDep) -> Response:
    """The project's rules, and what is announced to be removed."""
    return wire.json_response(_read(request, session, project.id))


@router.put("/projects/{project}/retention", response_model=RetentionRead)
@allowed(Action.PROJECT_WRITE)
def set_retention(
    request: Request, body: RetentionUpdate, project: ProjectDep, actor: ActorDep, session: SessionDep
) -> Response:
    """Make these the project's rules. What they do not keep is announced, and removed when the notice has passed.

    An announcement that stands is withdrawn. Nothing is removed without `keep_days` and `keep_last`.
    """
    rules = Rules(body.keep_days, body.keep_last, tuple(body.keep_tags), tuple(body.keep_experiments))
    retention.set_rules(session, actor, project.id, rules, body.notice_hours)
    return wire.json_response(_read(request, session, project.id))


@router.get("/projects/{project}/retention/preview", response_model=PreviewPage)
@allowed(Action.PROJECT_READ)
def preview_retention(
    request: Request,
    project: ProjectDep,
    session: ReadSessionDep,
    keep_days: DaysQuery = None,
    keep_last: LastQuery = None,
    keep_tags: TagsQuery = None,
    keep_experiments: ExperimentsQuery = None,
    after: AfterDep = None,
    limit: LimitDep = 50,
) -> Response:
    """What rules would remove now, run by run and in bytes. Nothing is changed.

    Without any rule in the query, the project's own are looked at.
    """
    rules = Rules(keep_days, keep_last, tuple(keep_tags or ()), tuple(keep_experiments or ()))
    if rules == Rules():
        rules = repository.rules_of(repository.find_rules(session, project.id))
    scope = f"retention {project.id} {rules}"
    start = uuid.UUID(cursors.decode(scope, after)[0]) if after else None
    rows = repository.list_removable(session, project.id, rules, after=start, limit=limit + 1)
    totals = repository.total_removable(session, project.id, rules, limit=retention.RUNS_PER_PLAN)
    following = cursors.encode(scope, [str(rows[limit - 1].id)]) if len(rows) > limit else None
    page = {
        "rules": rules.as_dict(),
        **totals._asdict(),
        "notes": _notes(request, session, project.id, rules),
        "items": [removal_read(row) for row in rows[:limit]],
        "next": following,
        "has_more": following is not None,
    }
    return wire.json_response(page, headers=wire.link_header(request, following))


@router.get("/projects/{project}/retention/announcements", response_model=PlanPage)
@allowed(Action.PROJECT_READ)
def list_announcements(
    request: Request, project: ProjectDep, session: ReadSessionDep, after: AfterDep = None, limit: LimitDep = 50
) -> Response:
    """What was announced, and what was freed by it, newest first."""
    scope = f"retention plans {project.id}"
    start = uuid.UUID(cursors.decode(scope, after)[0]) if after else None
    rows = repository.list_plans(session, project.id, after=start, limit=limit + 1)
    found = [dict(row._mapping) for row in rows]
    return wire.page_response(request, found[:limit], cursors.following(scope, found, limit, "id"))


@router.get("/projects/{project}/retention/announcements/{announcement}/runs", response_model=RemovalPage)
@allowed(Action.PROJECT_READ)
def list_announced_runs(
    request: Request,
    announcement: uuid.UUID,
    project: ProjectDep,
    session: ReadSessionDep,
    after: AfterDep = None,
    limit: LimitDep = 50,
) -> Response:
    """Exactly which runs an announcement names, with what each frees, oldest first."""
    if repository.find_plan(session, project.id, announcement) is None:
        raise NotFound
    scope = f"retention runs {announcement}"
    start = uuid.UUID(cursors.decode(scope, after)[0]) if after else None
    rows = repository.list_plan_runs(session, announcement, after=start, limit=limit + 1)
    following = cursors.encode(scope, [str(rows[limit - 1].id)]) if len(rows) > limit else None
    return wire.page_response(request, [removal_read(row, row.outcome) for row in rows[:limit]], following)


def _read(request: Request, session: Session, project_id: uuid.UUID) -> dict[str, Any]:
    found = repository.list_plans(session, project_id, limit=1)
    plan = found[0] if found and found[0].state in ("announced", "working") else None
    row = repository.find_rules(session, project_id)
    return retention_read(row, plan, _notes(request, session, project_id, repository.rules_of(row)))


def _notes(request: Request, session: Session, project_id: uuid.UUID, rules: Rules) -> list[str]:
    language = language_of(request)
    return [one.said_in(language) for one in retention.notes(session, project_id, rules)]
