"""Runs side by side, and runs by experiment."""

from typing import Annotated

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from app.api import cursors, wire
from app.api.deps import ActorDep, AfterDep, LimitDep, ProjectDep, ReadSessionDep, allowed
from app.api.problems import language_of
from app.api.routing import new_router, problems
from app.api.schemas.comparing import ComparisonRead, ExperimentPage, comparison_read
from app.domain.access import Action
from app.domain.comparing import FEWEST, Direction, direction_of
from app.repositories import experiments
from app.services import comparing
from app.services.comparing import CompareCount, RunsNotFound
from app.settings import get_settings

router = new_router("runs")

_Names = Annotated[str, Query(max_length=2000, description="Names of metrics, joined by commas.")]


@router.get(
    "/projects/{project}/runs:compare", response_model=ComparisonRead, responses=problems(CompareCount, RunsNotFound)
)
@allowed(Action.RUN_READ)
def compare_runs(
    request: Request,
    project: ProjectDep,
    actor: ActorDep,
    session: ReadSessionDep,
    ids: Annotated[
        str,
        Query(max_length=2000, description="2 to 20 ids, by commas.", examples=["r-7f3k2m9qwa,r-6xqkp2aaaa"]),
    ] = "",
    lower: _Names = "",
    higher: _Names = "",
) -> Response:
    """Runs side by side: what differs between them, and which has the best value of each metric.

    Of loss, error and perplexity less is better, of all else more; `lower` and `higher` name exceptions.
    """
    found = comparing.compare_runs(session, actor, project.id, ids.split(","))
    language = language_of(request)
    told = []
    if len(found.runs) == FEWEST:
        told = comparing.differences(found, language, comparing.code_files(found))
    summary = comparing.summary(found, language)
    body = comparison_read(found, project.name, summary, told, lower.split(","), higher.split(","))
    return wire.json_response(body)


@router.get("/projects/{project}/experiments", response_model=ExperimentPage)
@allowed(Action.RUN_READ)
def list_experiments(
    request: Request,
    project: ProjectDep,
    session: ReadSessionDep,
    metric: Annotated[str, Query(max_length=200, description="The metric that `best` is of.")] = "",
    better: Annotated[Direction | None, Query(description="Which is better; by its name without it.")] = None,
    after: AfterDep = None,
    limit: LimitDep = 50,
) -> Response:
    """The project's experiments by name, with their runs and the best value of a metric in any of them."""
    scope = f"experiments:{project.id}"
    start = cursors.decode(scope, after)[0] if after else ""
    names = experiments.list_experiments(session, project.id, after=start, limit=limit)
    rows = experiments.read_figures(session, project.id, names[:limit], metric or None)
    is_lower = (better or direction_of(metric)) == Direction.LOWER
    console = get_settings().console_url
    items = [
        {
            **{name: getattr(row, name) for name in ("name", "runs", "live", "failed", "active_at")},
            "best": row.low if is_lower else row.high,
            "url": f"{console}/projects/{project.name}/runs?q=experiment:{row.name}",
        }
        for row in rows
    ]
    following = cursors.encode(scope, [names[limit - 1]]) if len(names) > limit else None
    return wire.page_response(request, items, following)
