"""Projects on the wire."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from app.api.schemas.base import Body, Line, Moment, Page, ProjectName


class ProjectCreate(Body):
    """A project; whoever makes it is its first owner."""

    name: ProjectName
    title: Line = ""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "vision", "title": "Computer vision"}]})


class ProjectUpdate(Body):
    """The title is all that can change."""

    title: Line

    model_config = ConfigDict(json_schema_extra={"examples": [{"title": "Computer vision"}]})


class ProjectRead(BaseModel):
    """A project, and one's own role in it."""

    name: str
    title: str
    role: Literal["owner", "editor", "viewer"]
    version: int
    created_at: Moment


class ProjectPage(Page):
    """By name."""

    items: list[ProjectRead]


class ProjectDeleted(BaseModel):
    """What goes with a project; sizes in bytes. `deleted` is false for a dry run.

    `live_runs` are running or waiting: while there is one, the project cannot be deleted. `namespaces` are those of
    clusters, as "cluster/name", and `kept_pods` counts attempts that have something in them still.
    """

    project: str
    deleted: bool
    live_runs: int
    runs: int
    log_bytes: int
    outputs: int
    output_bytes: int
    snapshots: int
    snapshot_bytes: int
    members: int
    service_accounts: int
    tokens: int
    namespaces: list[str]
    kept_pods: int
