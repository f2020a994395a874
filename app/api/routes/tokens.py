"""One's own API tokens."""

import uuid

from starlette.requests import Request
from starlette.responses import Response

from app.api import cursors, wire
from app.api.deps import ActorDep, AfterDep, LimitDep, ProjectDep, ReadSessionDep, SessionDep, allowed
from app.api.routing import new_router, problems
from app.api.schemas.tokens import ProjectTokenPage, TokenCreate, TokenCreated, TokenPage
from app.domain.access import Action
from app.errors import N_, FieldError, Invalid, NotFound
from app.repositories import tokens as repository
from app.services import identity, tokens
from app.services.idempotency import AnswerNotKept
from app.services.tokens import NewToken, TooManyTokens

router = new_router("tokens")


@router.get("/tokens", response_model=TokenPage)
@allowed(Action.ACCOUNT_READ)
def list_tokens(
    request: Request, actor: ActorDep, session: ReadSessionDep, after: AfterDep = None, limit: LimitDep = 50
) -> Response:
    """Your tokens that still work, newest first. The secrets are not stored."""
    scope = f"tokens:{actor.user_id}"
    start = uuid.UUID(cursors.decode(scope, after)[0]) if after else None
    rows = repository.list_tokens(session, actor.user_id, start, limit + 1)
    return wire.page_response(request, rows[:limit], cursors.following(scope, rows, limit, "id"))


@router.post("/tokens", status_code=201, response_model=TokenCreated, responses=problems(TooManyTokens, AnswerNotKept))
@allowed(Action.TOKEN_CREATE)
def create_token(body: TokenCreate, actor: ActorDep, session: SessionDep) -> Response:
    """Make a token for yourself. It is shown in this answer and never again.

    The answer is not kept for an Idempotency-Key: repeating the request is refused with ANSWER_NOT_KEPT.
    """
    only = None
    if body.project is not None:
        try:
            only = identity.get_project(session, actor, body.project).id
        except NotFound:
            raise Invalid([FieldError("/project", N_("is not a project of yours"))]) from None
    made = tokens.create_own(session, actor, body.name, body.scope, project_id=only, expires_in=body.expires_in)
    return created(made, body.name, body.scope, body.project)


@router.delete("/tokens/{token}", status_code=204)
@allowed(Action.ACCOUNT_WRITE)
def revoke_token(token: uuid.UUID, actor: ActorDep, session: SessionDep) -> Response:
    """Revoke one of your tokens; it stops working at once."""
    tokens.revoke(session, actor, actor.user_id, token, actor.name)
    return wire.no_content()


@router.get("/projects/{project}/tokens", response_model=ProjectTokenPage)
@allowed(Action.MEMBER_WRITE)
def list_project_tokens(
    request: Request, project: ProjectDep, session: ReadSessionDep, after: AfterDep = None, limit: LimitDep = 50
) -> Response:
    """Tokens that work in this project only, newest first: service accounts', and people's narrowed to it."""
    scope = f"project-tokens:{project.id}"
    start = uuid.UUID(cursors.decode(scope, after)[0]) if after else None
    rows = repository.list_project_tokens(session, project.id, start, limit + 1)
    return wire.page_response(request, rows[:limit], cursors.following(scope, rows, limit, "id"))


@router.delete("/projects/{project}/tokens/{token}", status_code=204)
@allowed(Action.MEMBER_WRITE)
def revoke_project_token(token: uuid.UUID, project: ProjectDep, actor: ActorDep, session: SessionDep) -> Response:
    """Revoke a token that works in this project only, whosever it is; it stops working at once."""
    tokens.revoke_in_project(session, actor, project.id, token)
    return wire.no_content()


def created(made: NewToken, name: str, scope: str, project: str | None) -> Response:
    """The one answer that holds the secret; it is marked so that it is not kept."""
    body = {
        "id": made.id,
        "name": name,
        "hint": made.hint,
        "scope": scope,
        "project": project,
        "created_at": made.created_at,
        "expires_at": made.expires_at,
        "used_at": None,
        "token": made.token,
    }
    return wire.secret_response(body, 201)
