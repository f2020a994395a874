"""Signing in, and who one is."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from app.api.schemas.base import Body, Line, Moment, Page, Password, ProjectName, Secret, UserName


class Setup(Body):
    """The first administrator, with the key that `berth up` printed."""

    key: Secret
    name: UserName
    password: Password
    project: ProjectName = "sandbox"

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"key": "…", "name": "ada", "password": "a long sentence"}]}
    )


class SignIn(Body):
    """Name and password."""

    name: Line
    password: Password

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "ada", "password": "a long sentence"}]})


class AcceptInvitation(Body):
    """The key of an invitation or of a link to set a new password."""

    key: Secret
    password: Password

    model_config = ConfigDict(json_schema_extra={"examples": [{"key": "…", "password": "a long sentence"}]})


class ChangePassword(Body):
    """Old and new."""

    old: Password
    new: Password

    model_config = ConfigDict(json_schema_extra={"examples": [{"old": "a long sentence", "new": "a longer one"}]})


class MeUpdate(Body):
    """What one may change of oneself; what is left out stays."""

    display_name: Line = ""
    language: Literal["en", "zh_CN"] | None = None
    theme: Literal["light", "dark", "system"] | None = None

    model_config = ConfigDict(json_schema_extra={"examples": [{"display_name": "Ada Lovelace", "language": "en"}]})


class TerminalStart(Body):
    """What the terminal is called; its token will have that name."""

    name: Line = "terminal"

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "laptop"}]})


class TerminalPoll(Body):
    """The device code that the terminal keeps."""

    device_code: Secret

    model_config = ConfigDict(json_schema_extra={"examples": [{"device_code": "…"}]})


class SessionUser(BaseModel):
    """Who asks."""

    name: str
    display_name: str
    is_admin: bool
    kind: Literal["person", "service_account"]
    language: str | None
    theme: str | None


class SessionProject(BaseModel):
    """A project one is a member of."""

    name: str
    title: str
    role: Literal["owner", "editor", "viewer"]


class SessionRead(BaseModel):
    """Who asks, what the credentials are good for, and where. `csrf_token` is for a browser's scripts."""

    user: SessionUser
    scope: Literal["run", "read", "write", "admin"]
    project: str | None
    projects: list[SessionProject]
    expires_at: Moment | None
    csrf_token: str | None


class TerminalLoginRead(BaseModel):
    """Show `user_code` and `url` to the person; poll with `device_code` every `interval` seconds."""

    device_code: str
    user_code: str
    url: str
    interval: int
    expires_in: int


class TerminalPollRead(BaseModel):
    """`pending`, or once `approved` with the token, which is shown this one time."""

    status: Literal["pending", "approved"]
    token: str | None = None
    user: str | None = None


class BrowserSession(BaseModel):
    """A browser that is signed in. `is_this` is true for the one that asks."""

    id: str
    address: str
    agent: str
    created_at: Moment
    seen_at: Moment
    expires_at: Moment
    is_this: bool


class BrowserSessionPage(Page):
    """Newest first."""

    items: list[BrowserSession]
