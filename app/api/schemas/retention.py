"""Retention of outputs on the wire."""

import datetime
import uuid
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.api.schemas.base import Body
from app.models import RetentionRules
from app.repositories.retention import rules_of

Days = Annotated[int | None, Field(description="Days after the run ended; null for no such rule.", examples=[30])]
Last = Annotated[
    int | None, Field(description="So many newest runs keep theirs; null for no such rule.", examples=[20])
]
Experiments = Annotated[list[str], Field(max_length=50, examples=[["resnet50"]])]
Tags = Annotated[list[str], Field(max_length=50, examples=[["best", "prod"]])]

Notes = Annotated[
    list[str],
    Field(
        description="Of names in the rules that no run has, in words.", examples=[["No run is in experiment digitss."]]
    ),
]


class RulesRead(BaseModel):
    """What keeps outputs. Without `keep_days` and `keep_last`, everything stays."""

    keep_days: int | None
    keep_last: int | None
    keep_tags: list[str]
    keep_experiments: list[str] = []


class RetentionUpdate(Body):
    """The project's rules, as a whole. `notice_hours` pass between an announcement and the removal."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"keep_days": 30, "keep_tags": ["release"]}]})

    keep_days: Days = None
    keep_last: Last = None
    keep_tags: Tags = []
    keep_experiments: Experiments = []
    notice_hours: Annotated[int, Field(examples=[24])] = 24


class RetentionRead(RulesRead):
    """The rules, and the announcement that stands."""

    notice_hours: int
    version: int
    updated_at: datetime.datetime | None
    announced: "PlanRead | None"
    notes: Notes


class PlanRead(BaseModel):
    """An announcement, and what was freed by it. It frees what it announced but for runs that were spared since."""

    id: uuid.UUID
    state: Literal["announced", "working", "done", "withdrawn"]
    rules: RulesRead
    runs: int
    files: int
    bytes: int
    freed_runs: int
    freed_files: int
    freed_bytes: int
    announced_at: datetime.datetime
    due_at: datetime.datetime
    finished_at: datetime.datetime | None


class PlanPage(BaseModel):
    """Announcements, newest first."""

    items: list[PlanRead]
    next: str | None
    has_more: bool


class RemovalRead(BaseModel):
    """A run whose outputs go. `outcome` is null until its time has come."""

    run: str
    name: str
    finished_at: datetime.datetime | None
    files: int
    bytes: int
    outcome: Literal["freed", "spared"] | None


class RemovalPage(BaseModel):
    """Such runs, oldest first."""

    items: list[RemovalRead]
    next: str | None
    has_more: bool


class PreviewPage(RemovalPage):
    """The same with the sum over all pages."""

    rules: RulesRead
    runs: int
    files: int
    bytes: int
    notes: Notes


def retention_read(row: RetentionRules | None, plan: Any, notes: list[str]) -> dict[str, Any]:
    """The members of RetentionRead; `plan` is the announcement that stands, or None."""
    return {
        **rules_of(row).as_dict(),
        "notice_hours": 24 if row is None else row.notice_hours,
        "version": 0 if row is None else row.version,
        "updated_at": None if row is None else row.updated_at,
        "announced": None if plan is None else dict(plan._mapping),
        "notes": notes,
    }


def removal_read(row: Any, outcome: str | None = None) -> dict[str, Any]:
    """The members of RemovalRead."""
    return {
        "run": row.public_id,
        "name": row.name,
        "finished_at": row.finished_at,
        "files": row.files,
        "bytes": row.bytes,
        "outcome": outcome,
    }
