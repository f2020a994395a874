"""Secrets of a project: names and who changed them. No route answers with a value."""

from typing import Annotated

from fastapi import Path
from starlette.requests import Request
from starlette.responses import Response

from app.api import cursors, wire
from app.api.deps import ActorDep, AfterDep, LimitDep, ProjectDep, ReadSessionDep, SessionDep, allowed
from app.api.routing import new_router, problems
from app.api.schemas.secrets import SecretPage, SecretRead, SecretSet
from app.domain.access import Action
from app.repositories import secrets as repository
from app.services import secrets
from app.services.secrets import TooManySecrets

router = new_router("secrets")

SecretPath = Annotated[str, Path(max_length=200, description="The secret's name.", examples=["HF_TOKEN"])]


@router.get("/projects/{project}/secrets", response_model=SecretPage)
@allowed(Action.SECRET_READ)
def list_secrets(
    request: Request, project: ProjectDep, session: ReadSessionDep, after: AfterDep = None, limit: LimitDep = 50
) -> Response:
    """The project's secrets by name, with who changed them and which runs used them last; never their values."""
    scope = f"secrets:{project.id}"
    start = cursors.decode(scope, after)[0] if after else None
    rows = repository.list_secrets(session, project.id, start, limit + 1)
    return wire.page_response(request, rows[:limit], cursors.following(scope, rows, limit, "name"))


@router.get("/projects/{project}/secrets/{secret}", response_model=SecretRead)
@allowed(Action.SECRET_READ)
def get_secret(secret: SecretPath, project: ProjectDep, session: ReadSessionDep) -> Response:
    """One secret, without its value."""
    return wire.json_response(repository.get_secret(session, project.id, secret))


@router.put(
    "/projects/{project}/secrets/{secret}",
    response_model=SecretRead,
    responses=problems(TooManySecrets) | {201: {"model": SecretRead, "description": "Was not there before"}},
)
@allowed(Action.SECRET_WRITE)
def set_secret(
    secret: SecretPath, body: SecretSet, project: ProjectDep, actor: ActorDep, session: SessionDep
) -> Response:
    """Add a secret (201), or replace its value or description (200). Runs that have started keep what they got."""
    value = body.value.get_secret_value() if body.value is not None else None
    is_new = secrets.set_secret(session, actor, project.id, secret, value, body.description)
    return wire.json_response(repository.get_secret(session, project.id, secret), 201 if is_new else 200)


@router.delete("/projects/{project}/secrets/{secret}", status_code=204)
@allowed(Action.SECRET_WRITE)
def delete_secret(secret: SecretPath, project: ProjectDep, actor: ActorDep, session: SessionDep) -> Response:
    """Forget a secret for good. Runs that ask for it and have not started will fail to start."""
    secrets.delete_secret(session, actor, project.id, secret)
    return wire.no_content()
