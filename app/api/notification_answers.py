"""What the routes of notifications answer, for a project's and one's own alike."""

import uuid
from typing import Annotated, Any

from fastapi import Path
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from app.api import cursors, wire
from app.api.deps import find_run
from app.api.schemas.notifications import without_position
from app.domain.access import Action, Actor
from app.errors import NotFound
from app.repositories import notifications as repository
from app.repositories.notifications import Owner
from app.services import notifications
from app.services.identity import require

RunPath = Annotated[str, Path(max_length=200, description="The run's id.", examples=["r-7f3k2m9qwa"])]


def page(request: Request, session: Session, owner: Owner, after: str | None, limit: int) -> Response:
    """A page of subscriptions."""
    scope = f"notifications:{owner.id}"
    start = uuid.UUID(cursors.decode(scope, after)[0]) if after else None
    rows = repository.list_notifications(session, owner, start, limit + 1)
    return wire.page_response(
        request, [_read(row) for row in rows[:limit]], cursors.following(scope, rows, limit, "id")
    )


def one(session: Session, owner: Owner, notification_id: uuid.UUID) -> Response:
    """A subscription. Raises NotFound."""
    found = repository.find_notification(session, owner, notification_id)
    if found is None:
        raise NotFound
    return wire.json_response(_read(found))


def created(session: Session, owner: Owner, notification_id: uuid.UUID, secret: str | None, location: str) -> Response:
    """The one answer with the secret; it is not kept."""
    found = repository.find_notification(session, owner, notification_id)
    assert found is not None, "it was made just now"
    return wire.secret_response(_read(found) | {"secret": secret}, 201, {"location": location})


def deliveries(
    request: Request, session: Session, owner: Owner, notification_id: uuid.UUID, after: str | None, limit: int
) -> Response:
    """A page of messages. Raises NotFound."""
    if repository.find_notification(session, owner, notification_id) is None:
        raise NotFound
    scope = f"deliveries:{notification_id}"
    start = cursors.decode(scope, after)[0] if after else None
    rows = repository.list_deliveries(session, notification_id, start, limit + 1)
    following = cursors.following(scope, rows, limit, "position")
    return wire.page_response(request, [without_position(row) for row in rows[:limit]], following)


def mute(session: Session, actor: Actor, owner: Owner, public_id: str, *, on: bool) -> Response:
    """Silences a run, or lets it be heard of again. Raises NotFound for one that is not the owner's to see."""
    run = find_run(session, public_id)
    require(actor, Action.RUN_READ, run.project_id)
    if owner.project_id is not None and owner.project_id != run.project_id:
        raise NotFound
    notifications.set_run_mute(session, actor, owner, run.id, run.public_id, on=on)
    return wire.no_content()


def _read(found: dict[str, Any]) -> dict[str, Any]:
    """A subscription as it is shown: what an address holds beside its host is written once and never read."""
    return found | {"target": notifications.shown_target(found["channel"], found["target"])}
