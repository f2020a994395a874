"""Service accounts of a project, and their tokens."""

import uuid
from typing import Annotated

from fastapi import Path
from starlette.requests import Request
from starlette.responses import Response

from app.api import cursors, wire
from app.api.deps import ActorDep, AfterDep, LimitDep, ProjectDep, ReadSessionDep, SessionDep, allowed
from app.api.routes.tokens import created
from app.api.routing import PREFIX, new_router, problems
from app.api.schemas.members import AccountCreate, AccountPage, AccountRead, AccountUpdate
from app.api.schemas.tokens import AccountTokenCreate, TokenCreated, TokenPage
from app.domain.access import Action
from app.repositories import members as repository
from app.repositories import tokens as token_repository
from app.services import service_accounts, tokens
from app.services.idempotency import AnswerNotKept
from app.services.service_accounts import ServiceAccountExists
from app.services.tokens import TooManyTokens

router = new_router("service accounts")

AccountPath = Annotated[str, Path(max_length=200, description="The service account's name.", examples=["nightly"])]


@router.get("/projects/{project}/service-accounts", response_model=AccountPage)
@allowed(Action.MEMBER_READ)
def list_accounts(
    request: Request, project: ProjectDep, session: ReadSessionDep, after: AfterDep = None, limit: LimitDep = 50
) -> Response:
    """The project's service accounts, by name."""
    scope = f"accounts:{project.id}"
    start = cursors.decode(scope, after)[0] if after else None
    rows = repository.list_accounts(session, project.id, start, limit + 1)
    return wire.page_response(request, rows[:limit], cursors.following(scope, rows, limit, "name"))


@router.post(
    "/projects/{project}/service-accounts",
    status_code=201,
    response_model=AccountRead,
    responses=problems(ServiceAccountExists),
)
@allowed(Action.MEMBER_WRITE)
def create_account(body: AccountCreate, project: ProjectDep, actor: ActorDep, session: SessionDep) -> Response:
    """Make a service account. It signs in by tokens only, and belongs to this project only."""
    service_accounts.create_account(session, actor, project.id, body.name, body.role)
    made = repository.get_account(session, project.id, body.name)
    location = f"{PREFIX}/projects/{project.name}/service-accounts/{body.name}"
    return wire.json_response(made, 201, {"location": location})


@router.patch("/projects/{project}/service-accounts/{account}", response_model=AccountRead)
@allowed(Action.MEMBER_WRITE)
def update_account(
    account: AccountPath, body: AccountUpdate, project: ProjectDep, actor: ActorDep, session: SessionDep
) -> Response:
    """Change its role, or disable it: its tokens stop working at once."""
    changes = body.model_dump(exclude_unset=True)
    service_accounts.update_account(session, actor, project.id, account, changes)
    return wire.json_response(repository.get_account(session, project.id, account))


@router.get("/projects/{project}/service-accounts/{account}/tokens", response_model=TokenPage)
@allowed(Action.MEMBER_WRITE)
def list_account_tokens(
    request: Request,
    account: AccountPath,
    project: ProjectDep,
    session: ReadSessionDep,
    after: AfterDep = None,
    limit: LimitDep = 50,
) -> Response:
    """A service account's tokens that still work, newest first."""
    account_id = service_accounts.get_account(session, project.id, account)
    scope = f"tokens:{account_id}"
    start = uuid.UUID(cursors.decode(scope, after)[0]) if after else None
    rows = token_repository.list_tokens(session, account_id, start, limit + 1)
    return wire.page_response(request, rows[:limit], cursors.following(scope, rows, limit, "id"))


@router.post(
    "/projects/{project}/service-accounts/{account}/tokens",
    status_code=201,
    response_model=TokenCreated,
    responses=problems(TooManyTokens, AnswerNotKept),
)
@allowed(Action.MEMBER_WRITE)
def create_account_token(
    account: AccountPath, body: AccountTokenCreate, project: ProjectDep, actor: ActorDep, session: SessionDep
) -> Response:
    """Make a token for a service account. It is shown in this answer and never again.

    The answer is not kept for an Idempotency-Key: repeating the request is refused with ANSWER_NOT_KEPT.
    """
    account_id = service_accounts.get_account(session, project.id, account)
    made = tokens.create_for_account(
        session, actor, project.id, account_id, account, body.name, body.scope, body.expires_in
    )
    return created(made, body.name, body.scope, project.name)


@router.delete("/projects/{project}/service-accounts/{account}/tokens/{token}", status_code=204)
@allowed(Action.MEMBER_WRITE)
def revoke_account_token(
    account: AccountPath, token: uuid.UUID, project: ProjectDep, actor: ActorDep, session: SessionDep
) -> Response:
    """Revoke a service account's token; it stops working at once."""
    account_id = service_accounts.get_account(session, project.id, account)
    tokens.revoke(session, actor, account_id, token, account, project.id)
    return wire.no_content()
