"""Metrics of a run: jobs send them in batches, charts read them reduced."""

from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from app.api import strict_json, wire
from app.api.deps import ReadSessionDep, RunDep, SessionDep, allowed
from app.api.problems import UnsupportedMediaType
from app.api.routing import new_router, problems
from app.api.schemas.metrics import MetricBatch, MetricsRead, shown
from app.domain.access import Action
from app.domain.comparing import direction_of
from app.repositories import metrics as repository
from app.repositories.metrics import LARGEST_STEP, PointRow, SeriesRow
from app.services import metrics
from app.services.metrics import TooManySeries

router = new_router("metrics")

Keys = Annotated[str, Field(max_length=20_000)]
_KEYS = "Names, separated by commas or in several such parameters; all without it. Alone, one may have commas itself."

_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": MetricBatch.model_json_schema()}},
    }
}


@router.post("/runs/{run}/metrics", status_code=202, openapi_extra=_BODY, responses=problems(TooManySeries))
@allowed(Action.RUN_LOG)
def add_metrics(request: Request, run: RunDep, session: SessionDep) -> Response:
    """Add points, at most 5,000 and 1 MB at once. Sending a batch again changes nothing.

    A job does this with its own token; people need the right to change runs.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise UnsupportedMediaType(expected="application/json")
    accepted = metrics.add_points(session, run.id, strict_json.parse(getattr(request, "_body", b"")))
    return wire.json_response({"accepted": accepted}, 202)


@router.get("/runs/{run}/metrics", response_model=MetricsRead)
@allowed(Action.RUN_READ)
def read_metrics(
    run: RunDep,
    session: ReadSessionDep,
    keys: Annotated[list[Keys] | None, Query(max_length=200, description=_KEYS)] = None,
    x: Annotated[Literal["step", "time"], Query(description="What the buckets are equal parts of.")] = "step",
    buckets: Annotated[int, Query(ge=1, le=1500, description="How many places a series has at most.")] = 1500,
    after_step: Annotated[int | None, Query(ge=-LARGEST_STEP, le=LARGEST_STEP)] = None,
) -> Response:
    """Read series. One with more points than `buckets` is reduced to the last, least and greatest of each part."""
    wanted = {name for one in keys for name in (one, *one.split(","))} if keys and any(keys) else None
    series = [one for one in repository.list_series(session, run.id) if wanted is None or one.name in wanted]
    rows, dense = repository.read_points(
        session, [one.id for one in series], x=x, buckets=buckets, after_step=after_step
    )
    found: dict[int, list[PointRow]] = {}
    for row in rows:
        found.setdefault(row.series_id, []).append(row)
    return wire.json_response({"series": [_series(one, found.get(one.id, []), one.id in dense) for one in series]})


def _series(series: SeriesRow, rows: list[PointRow], is_reduced: bool) -> dict[str, Any]:
    made: dict[str, Any] = {
        "name": series.name,
        "better": direction_of(series.name),
        "is_exact": not is_reduced,
        "points": series.points,
        "step": [row.step for row in rows],
        "at_ms": [row.at_ms for row in rows],
        "last": [shown(row.last) for row in rows],
    }
    if is_reduced:
        made["min"] = [shown(row.low) for row in rows]
        made["max"] = [shown(row.high) for row in rows]
    return made
