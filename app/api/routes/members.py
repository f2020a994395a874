"""Members of a project."""

from typing import Annotated

from fastapi import Path
from starlette.requests import Request
from starlette.responses import Response

from app.api import cursors, wire
from app.api.deps import ActorDep, AfterDep, LimitDep, ProjectDep, ReadSessionDep, SessionDep, allowed
from app.api.routing import new_router, problems
from app.api.schemas.members import MemberPage, MemberRead, MemberSet
from app.domain.access import Action
from app.repositories import members as repository
from app.services import members
from app.services.members import LastOwner, UnknownUser

router = new_router("members")

UserPath = Annotated[str, Path(max_length=200, description="The user's name.", examples=["grace"])]


@router.get("/projects/{project}/members", response_model=MemberPage)
@allowed(Action.MEMBER_READ)
def list_members(
    request: Request, project: ProjectDep, session: ReadSessionDep, after: AfterDep = None, limit: LimitDep = 50
) -> Response:
    """Who is in the project: people and service accounts, by name."""
    scope = f"members:{project.id}"
    start = cursors.decode(scope, after) if after else None
    rows = repository.list_members(session, project.id, start, limit + 1)
    return wire.page_response(request, rows[:limit], cursors.following(scope, rows, limit, "name", "kind"))


@router.put(
    "/projects/{project}/members/{user}",
    response_model=MemberRead,
    responses=problems(UnknownUser, LastOwner) | {201: {"model": MemberRead, "description": "Was not a member before"}},
)
@allowed(Action.MEMBER_WRITE)
def set_member(user: UserPath, body: MemberSet, project: ProjectDep, actor: ActorDep, session: SessionDep) -> Response:
    """Give a person a role in the project: 201 for a new member, 200 otherwise."""
    is_new = members.set_member(session, actor, project.id, user, body.role)
    return wire.json_response(repository.get_member(session, project.id, user), 201 if is_new else 200)


@router.delete("/projects/{project}/members/{user}", status_code=204, responses=problems(LastOwner))
@allowed(Action.MEMBER_WRITE)
def remove_member(user: UserPath, project: ProjectDep, actor: ActorDep, session: SessionDep) -> Response:
    """Take a person out of the project. What they made stays."""
    members.remove_member(session, actor, project.id, user)
    return wire.no_content()
