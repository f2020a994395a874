"""API tokens on the wire."""

import uuid
from typing import Literal

from pydantic import BaseModel, ConfigDict

from app.api.schemas.base import Body, Duration, Moment, NonEmptyLine, Page, ProjectName, ScopeName


class TokenCreate(Body):
    """A token for oneself. Without `expires_in` it works until it is revoked."""

    name: NonEmptyLine
    scope: ScopeName
    project: ProjectName | None = None
    expires_in: Duration | None = None

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "ci", "scope": "write", "expires_in": "30d"}]})


class AccountTokenCreate(Body):
    """A token for a service account; it works in the account's project only."""

    name: NonEmptyLine
    scope: ScopeName
    expires_in: Duration | None = None

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "ci", "scope": "write"}]})


class TokenRead(BaseModel):
    """A token without its secret; `hint` is how it begins."""

    id: uuid.UUID
    name: str
    hint: str
    scope: ScopeName
    project: str | None
    created_at: Moment
    expires_at: Moment | None
    used_at: Moment | None


class TokenCreated(TokenRead):
    """`token` is shown this one time."""

    token: str


class TokenPage(Page):
    """Newest first."""

    items: list[TokenRead]


class ProjectTokenRead(BaseModel):
    """A token that works in one project only, and whose it is."""

    id: uuid.UUID
    name: str
    hint: str
    scope: ScopeName
    user: str
    kind: Literal["person", "service_account"]
    created_at: Moment
    expires_at: Moment | None
    used_at: Moment | None


class ProjectTokenPage(Page):
    """Newest first."""

    items: list[ProjectTokenRead]
