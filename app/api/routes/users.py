"""People, for platform administrators."""

from typing import Annotated

from fastapi import Path, Query
from starlette.requests import Request
from starlette.responses import Response

from app.api import cursors, wire
from app.api.deps import ActorDep, AfterDep, LimitDep, ReadSessionDep, SessionDep, allowed
from app.api.routing import PREFIX, new_router, problems
from app.api.schemas.users import UserCreate, UserCreated, UserDetail, UserLink, UserPage, UserUpdate
from app.domain.access import Action
from app.repositories import users as repository
from app.services import links, users
from app.services.idempotency import AnswerNotKept
from app.services.users import LastAdmin, UserDisabled, UserExists

router = new_router("users")

UserPath = Annotated[str, Path(max_length=200, description="The user's name.", examples=["grace"])]


@router.get("/users", response_model=UserPage)
@allowed(Action.USER_READ)
def list_users(
    request: Request,
    session: ReadSessionDep,
    q: Annotated[str, Query(max_length=200, description="Part of a name or display name.")] = "",
    after: AfterDep = None,
    limit: LimitDep = 50,
) -> Response:
    """All people, by name; with `q` those whose name or display name contains it."""
    q = q.replace("\0", "")
    scope = f"users:{q}"
    start = cursors.decode(scope, after)[0] if after else None
    rows = repository.list_users(session, start, limit + 1, q)
    return wire.page_response(request, rows[:limit], cursors.following(scope, rows, limit, "name"))


@router.post("/users", status_code=201, response_model=UserCreated, responses=problems(UserExists, AnswerNotKept))
@allowed(Action.USER_WRITE)
def create_user(body: UserCreate, actor: ActorDep, session: SessionDep) -> Response:
    """Invite a person: pass the URL on; it works once, for seven days."""
    key = users.create_user(session, actor, **body.model_dump())
    answer = {
        "user": repository.get_user(session, body.name),
        "invitation_url": links.url_of(links.INVITATION, key),
    }
    return wire.secret_response(answer, 201, {"location": f"{PREFIX}/users/{body.name}"})


@router.get("/users/{user}", response_model=UserDetail)
@allowed(Action.USER_READ)
def get_user(user: UserPath, session: ReadSessionDep) -> Response:
    """A person and their projects."""
    return wire.json_response(repository.get_user(session, user))


@router.patch("/users/{user}", response_model=UserDetail, responses=problems(LastAdmin))
@allowed(Action.USER_WRITE)
def update_user(user: UserPath, body: UserUpdate, actor: ActorDep, session: SessionDep) -> Response:
    """Change a person. Disabling ends every session and token of theirs at once."""
    users.update_user(session, actor, user, body.model_dump(exclude_unset=True))
    return wire.json_response(repository.get_user(session, user))


@router.delete("/users/{user}/sessions", status_code=204)
@allowed(Action.USER_WRITE)
def end_sessions(user: UserPath, actor: ActorDep, session: SessionDep) -> Response:
    """Sign a person out of every browser, but for the one that asks. Tokens go on working."""
    users.end_sessions(session, actor, user)
    return Response(status_code=204)


@router.post("/users/{user}:reset-password", response_model=UserLink, responses=problems(UserDisabled, AnswerNotKept))
@allowed(Action.USER_WRITE)
def reset_password(user: UserPath, actor: ActorDep, session: SessionDep) -> Response:
    """Take a person's password and sessions away and get a URL to set a new one, for you to pass on."""
    key = users.create_reset_link(session, actor, user)
    return wire.secret_response({"url": links.url_of(links.INVITATION, key)}, 200)
