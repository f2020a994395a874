"""Comparisons, experiments and saved views on the wire."""

import datetime
from collections.abc import Collection
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.api.schemas.base import Body, Page
from app.api.schemas.metrics import shown
from app.api.schemas.runs import url_of
from app.domain.comparing import Direction, best, direction_of
from app.domain.filters import MAX_LENGTH
from app.domain.run_columns import COLUMNS
from app.repositories.views import ViewRow
from app.services.comparing import Comparison
from app.settings import get_settings

Column = Literal["tags", "owner", "metric", "progress", "resources", "waited", "ran", "created"]


class ComparedRun(BaseModel):
    """A run of a comparison; its values stand in the same place of each list."""

    id: str
    name: str
    state: str
    experiment: str | None
    tags: list[str]
    created_at: datetime.datetime
    url: str


class ComparedLine(BaseModel):
    """One thing that runs have, and its value in each as text; null where a run has none."""

    name: str
    differs: bool
    values: list[str | None]


class ComparedPart(BaseModel):
    """Parameters, code, definition, settings, environment, resources or platform; what differs comes first."""

    part: str
    lines: list[ComparedLine]


class ComparedDifference(BaseModel):
    """What differs between two runs in one respect. `part` is a key of `parts`, or files, packages or outcome."""

    part: str
    text: str


class ComparedMetric(BaseModel):
    """A metric in each run: its last, least and greatest value. `best` are places of the best last values."""

    name: str
    better: Literal["lower", "higher"]
    last: list[float | str | None]
    min: list[float | None]
    max: list[float | None]
    best: list[int]


class ComparisonRead(BaseModel):
    """Runs side by side. `summary` says in words what differs; of two runs `differences` do so line by line, from
    the first to the second."""

    summary: str
    differences: list[ComparedDifference]
    runs: list[ComparedRun]
    parts: list[ComparedPart]
    metrics: list[ComparedMetric]
    url: str


class ExperimentRead(BaseModel):
    """An experiment: its runs that are not archived, the newest 1,000 of them where there are more."""

    name: str
    runs: int
    live: int
    failed: int
    active_at: datetime.datetime | None
    best: float | None
    url: str


class ExperimentPage(Page):
    """A page of experiments, by name."""

    items: list[ExperimentRead]


class ViewCreate(Body):
    """A view of the list of runs to be kept. To share it takes the right to change runs."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"name": "My failures", "q": "status:failed owner:me", "shared": False},
                {"name": "Losses", "q": "tag:baseline", "columns": ["metric", "ran"], "metric": "loss"},
            ]
        }
    )

    name: Annotated[str, Field(max_length=200)]
    q: Annotated[str, Field(max_length=MAX_LENGTH)] = ""
    sort: Literal["-created", "created", "name", "-name"] = "-created"
    shared: bool = False
    columns: Annotated[
        list[Column] | None,
        Field(max_length=len(COLUMNS), description="Columns that go with it; without them, those of its reader."),
    ] = None
    metric: Annotated[str, Field(max_length=200, description="What the column `metric` shows.")] = ""


class ViewUpdate(Body):
    """Whether all of the project see it."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"shared": True}]})

    shared: bool


class ViewRead(BaseModel):
    """A saved view; `url` is the list as it describes it."""

    id: str
    name: str
    q: str
    sort: str
    shared: bool
    columns: list[Column] | None
    metric: str | None
    owner: str
    url: str


class ViewPage(Page):
    """All views that you may use, by name."""

    items: list[ViewRead]


def view_read(row: ViewRow, project: str) -> dict[str, Any]:
    """A view as ViewRead has it."""
    url = f"{get_settings().console_url}/projects/{project}/runs?view={row.id}"
    kept: dict[str, Any] = {"id": str(row.id), "name": row.name, "q": row.q, "sort": row.sort}
    kept |= {"columns": row.columns, "metric": row.metric}
    return kept | {"shared": row.is_shared, "owner": row.owner, "url": url}


def comparison_read(
    found: Comparison,
    project: str,
    summary: str,
    differences: list[tuple[str, str]],
    lower: Collection[str],
    higher: Collection[str],
) -> dict[str, Any]:
    """A comparison as ComparisonRead has it."""
    ids = ",".join(row.public_id for row in found.runs)
    return {
        "summary": summary,
        "differences": [{"part": part, "text": text} for part, text in differences],
        "runs": [
            {
                "id": row.public_id,
                **{name: getattr(row, name) for name in ("name", "state", "experiment", "tags", "created_at")},
                "url": url_of(row.public_id),
            }
            for row in found.runs
        ],
        "parts": [
            {
                "part": part.key,
                "lines": [{"name": line.name, "differs": line.differs, "values": line.values} for line in part.lines],
            }
            for part in found.parts
        ],
        "metrics": [_metric(found, name, direction_of(name, lower, higher)) for name in found.metric_names],
        "url": f"{get_settings().console_url}/projects/{project}/compare?runs={ids}",
    }


def _metric(found: Comparison, name: str, better: Direction) -> dict[str, Any]:
    series = [runs.get(name) for runs in found.metrics]
    last = [one.last_value if one else None for one in series]
    return {
        "name": name,
        "better": better,
        "last": [shown(value) for value in last],
        "min": [_finite(one.min_value) if one else None for one in series],
        "max": [_finite(one.max_value) if one else None for one in series],
        "best": sorted(best(last, better)),
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and value - value == 0 else None
