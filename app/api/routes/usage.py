"""What a run used of the machine, against what it asked for."""

from typing import Annotated

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from app.api import wire
from app.api.deps import ActorDep, ReadSessionDep, RunDep, allowed
from app.api.problems import language_of
from app.api.routing import new_router
from app.api.schemas.usage import UsageRead, read
from app.domain.access import Action
from app.i18n import translate
from app.repositories import runs
from app.services.usage import GPU_REASONS, read_report

router = new_router("usage")

_HIGHEST = 2**31 - 1


@router.get("/runs/{run}/usage", response_model=UsageRead)
@allowed(Action.RUN_READ)
def read_usage(
    request: Request,
    run: RunDep,
    actor: ActorDep,
    session: ReadSessionDep,
    attempt: Annotated[int | None, Query(ge=1, le=_HIGHEST, description="The newest without it.")] = None,
    replica: Annotated[int, Query(ge=0, le=_HIGHEST)] = 0,
    buckets: Annotated[int, Query(ge=1, le=1000, description="How many stretches of time at most.")] = 300,
) -> Response:
    """Read CPU, memory, disk and GPU use of an attempt: its course in buckets, and in sum."""
    row = runs.get_run(session, actor, run.public_id)
    report = read_report(session, row, attempt, replica, buckets)
    reason = None if report.gpu_reason is None else GPU_REASONS[report.gpu_reason]
    text = None if reason is None else translate(language_of(request), reason)
    return wire.json_response(read(report, text))
