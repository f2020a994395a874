"""Members and service accounts on the wire."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from app.api.schemas.base import Body, Moment, Page, RoleName, UserName


class MemberSet(Body):
    """The role to have."""

    role: RoleName

    model_config = ConfigDict(json_schema_extra={"examples": [{"role": "editor"}]})


class MemberRead(BaseModel):
    """Somebody in a project."""

    name: str
    display_name: str
    kind: Literal["person", "service_account"]
    role: RoleName
    disabled: bool
    created_at: Moment


class MemberPage(Page):
    """By name."""

    items: list[MemberRead]


class AccountCreate(Body):
    """A service account and its role in the project."""

    name: UserName
    role: RoleName

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "nightly", "role": "editor"}]})


class AccountUpdate(Body):
    """What is left out stays."""

    role: RoleName = "viewer"
    disabled: bool = False

    model_config = ConfigDict(json_schema_extra={"examples": [{"disabled": True}]})


class AccountRead(BaseModel):
    """A service account."""

    name: str
    role: RoleName
    disabled: bool
    created_at: Moment


class AccountPage(Page):
    """By name."""

    items: list[AccountRead]
