"""Users on the wire."""

from pydantic import BaseModel, ConfigDict

from app.api.schemas.base import Body, Line, Moment, Page, ProjectName, RoleName, UserName
from app.api.schemas.session import SessionProject


class UserCreate(Body):
    """A person to invite; with `project` and `role` also a member."""

    name: UserName
    display_name: Line = ""
    is_admin: bool = False
    project: ProjectName | None = None
    role: RoleName | None = None

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "grace", "project": "sandbox", "role": "editor"}]}
    )


class UserUpdate(Body):
    """What is left out stays."""

    display_name: Line = ""
    is_admin: bool = False
    disabled: bool = False

    model_config = ConfigDict(json_schema_extra={"examples": [{"disabled": True}]})


class UserRead(BaseModel):
    """A person. `last_seen_at` is the last use of a session or token, or the last change made, null before any;
    `sessions` how many browsers are signed in."""

    name: str
    display_name: str
    is_admin: bool
    disabled: bool
    disabled_at: Moment | None
    created_at: Moment
    last_seen_at: Moment | None
    sessions: int


class UserDetail(UserRead):
    """A person and where they are a member."""

    projects: list[SessionProject]


class UserCreated(BaseModel):
    """The invitation's URL is shown this one time and works for seven days."""

    user: UserDetail
    invitation_url: str


class UserLink(BaseModel):
    """A URL to set a new password at, once."""

    url: str


class UserPage(Page):
    """By name."""

    items: list[UserRead]
