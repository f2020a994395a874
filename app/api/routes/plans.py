"""What a submit would lead to."""

from starlette.requests import Request
from starlette.responses import Response

from app.api import wire
from app.api.deps import ActorDep, ProjectDep, ReadSessionDep, allowed
from app.api.problems import language_of
from app.api.routing import new_router, problems
from app.api.schemas.plans import PlanAsk, PlanRead, plan_read
from app.domain.access import Action
from app.services import plans
from app.services.runs import NeverFits, OneReplicaOnly, PoolDraining, UnknownPool, UnknownSnapshot
from app.services.secrets import UnknownSecret

router = new_router("runs")


@router.post(
    "/projects/{project}/runs:plan",
    response_model=PlanRead,
    responses=problems(NeverFits, UnknownPool, PoolDraining, OneReplicaOnly, UnknownSnapshot, UnknownSecret),
)
@allowed(Action.RUN_WRITE)
def plan_run(
    request: Request, body: PlanAsk, project: ProjectDep, actor: ActorDep, session: ReadSessionDep
) -> Response:
    """Say what submitting a run now would lead to. Nothing is stored or held; what a submit refuses is refused."""
    found = plans.plan_run(session, actor, project.id, body.spec, plans.list_rooms(session))
    return wire.json_response(plan_read(found, body.spec.pool, language_of(request)))
