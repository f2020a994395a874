"""What all bodies share: no unknown fields, no silent conversion, no control characters in one-line texts."""

import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, WithJsonSchema

from app.domain.names import NOT_IN_A_LINE, PROJECT_NAME, USER_NAME
from app.errors import N_
from app.services.projects import NAME_RULE as PROJECT_RULE
from app.services.users import NAME_RULE as USER_RULE


class Body(BaseModel):
    """A request's body."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


def _user_name(text: str) -> str:
    if not USER_NAME.fullmatch(text):
        raise ValueError(USER_RULE)
    return text


def _project_name(text: str) -> str:
    if not PROJECT_NAME.fullmatch(text):
        raise ValueError(PROJECT_RULE)
    return text


def _line(text: str) -> str:
    if NOT_IN_A_LINE.search(text):
        raise ValueError(N_("must be one line without control characters"))
    return text


def _text(pattern: str, longest: int) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": f"^{pattern}$", "maxLength": longest})


UserName = Annotated[str, AfterValidator(_user_name), _text(USER_NAME.pattern, 64)]
ProjectName = Annotated[str, AfterValidator(_project_name), _text(PROJECT_NAME.pattern, 32)]
Line = Annotated[str, Field(max_length=200), AfterValidator(_line)]
NonEmptyLine = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_line)]
Password = Annotated[SecretStr, Field(max_length=200)]
Secret = Annotated[SecretStr, Field(max_length=200)]
RoleName = Literal["owner", "editor", "viewer"]
ScopeName = Literal["read", "write", "admin"]
Duration = Annotated[str, Field(max_length=40, examples=["30d"])]
Moment = datetime.datetime


class Page(BaseModel):
    """The frame of every list. `next` is the cursor of the next page."""

    next: str | None
    has_more: bool
