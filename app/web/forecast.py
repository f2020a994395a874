"""What a submit would lead to, asked of the same rules by every page that submits."""

import uuid
from collections.abc import Sequence

from app.errors import AppError, FieldError, Invalid
from app.repositories.pools import Room
from app.services import plans
from app.web import new_run_view
from app.web.deps import Visitor
from app.web.new_run_view import Card
from app.workloads.base import Spec


def forecast(
    visitor: Visitor, project_id: uuid.UUID, spec: Spec, rooms: Sequence[Room]
) -> tuple[Card, list[FieldError]]:
    """The card of a run with this spec; and where it can never start here, what of the spec is to blame."""
    try:
        plan = plans.plan_run(visitor.session, visitor.actor, project_id, spec, rooms)
    except AppError as error:
        if error.status != Invalid.status:
            raise
        room = next((one for one in rooms if one.name == spec.pool), None)
        return new_run_view.card_of_error(visitor.language, error, room, spec.resources), error.errors
    return new_run_view.card_of_plan(visitor.language, plan), []
