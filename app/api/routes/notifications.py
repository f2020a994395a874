"""Notifications of a project: its owners say who is told of what."""

import uuid

from starlette.requests import Request
from starlette.responses import Response

from app.api import notification_answers as answers
from app.api import wire
from app.api.deps import ActorDep, AfterDep, LimitDep, ProjectDep, ReadSessionDep, SessionDep, allowed
from app.api.notification_answers import RunPath
from app.api.routing import PREFIX, new_router, problems
from app.api.schemas.notifications import (
    DeliveryPage,
    DeliveryRef,
    NewSecret,
    NotificationCreate,
    NotificationCreated,
    NotificationPage,
    NotificationRead,
    NotificationUpdate,
)
from app.domain.access import Action
from app.repositories.notifications import Owner
from app.services import notifications
from app.services.idempotency import AnswerNotKept
from app.services.identity import ProjectRef
from app.services.notifications import MailNotSetUp, StillPending, TooManyNotifications, TooManyTests

router = new_router("notifications")

_ONE = "/projects/{project}/notifications/{notification}"


@router.get("/projects/{project}/notifications", response_model=NotificationPage)
@allowed(Action.NOTIFICATION_READ)
def list_notifications(
    request: Request, project: ProjectDep, session: ReadSessionDep, after: AfterDep = None, limit: LimitDep = 50
) -> Response:
    """The project's notifications, oldest first."""
    return answers.page(request, session, _owner(project), after, limit)


@router.post(
    "/projects/{project}/notifications",
    status_code=201,
    response_model=NotificationCreated,
    responses=problems(MailNotSetUp, TooManyNotifications, AnswerNotKept),
)
@allowed(Action.NOTIFICATION_WRITE)
def create_notification(
    body: NotificationCreate, project: ProjectDep, actor: ActorDep, session: SessionDep
) -> Response:
    """Set a notification up. The secret of a webhook is in this answer and never again.

    The answer is not kept for an Idempotency-Key: repeating the request is refused with ANSWER_NOT_KEPT.
    """
    values = body.model_dump() | {"whose": "all", "language": body.language or actor.language or "en"}
    owner = _owner(project)
    made, secret = notifications.create_notification(session, actor, owner, values)
    return answers.created(session, owner, made, secret, f"{PREFIX}/projects/{project.name}/notifications/{made}")


@router.get(_ONE, response_model=NotificationRead)
@allowed(Action.NOTIFICATION_READ)
def get_notification(notification: uuid.UUID, project: ProjectDep, session: ReadSessionDep) -> Response:
    """One of them."""
    return answers.one(session, _owner(project), notification)


@router.patch(_ONE, response_model=NotificationRead, responses=problems(MailNotSetUp))
@allowed(Action.NOTIFICATION_WRITE)
def update_notification(
    notification: uuid.UUID, body: NotificationUpdate, project: ProjectDep, actor: ActorDep, session: SessionDep
) -> Response:
    """Change it, or mute it."""
    changes = body.model_dump(exclude_unset=True)
    notifications.update_notification(session, actor, _owner(project), notification, changes)
    return answers.one(session, _owner(project), notification)


@router.delete(_ONE, status_code=204)
@allowed(Action.NOTIFICATION_WRITE)
def delete_notification(notification: uuid.UUID, project: ProjectDep, actor: ActorDep, session: SessionDep) -> Response:
    """Remove it. What was not delivered yet is dropped."""
    notifications.delete_notification(session, actor, _owner(project), notification)
    return wire.no_content()


@router.post(_ONE + ":test", status_code=202, response_model=DeliveryRef, responses=problems(TooManyTests))
@allowed(Action.NOTIFICATION_WRITE)
def test_notification(notification: uuid.UUID, project: ProjectDep, actor: ActorDep, session: SessionDep) -> Response:
    """Send a message of type notification.test. How it went is in the deliveries."""
    return wire.json_response({"id": notifications.send_test(session, actor, _owner(project), notification)}, 202)


@router.post(_ONE + ":rotate-secret", response_model=NewSecret, responses=problems(AnswerNotKept))
@allowed(Action.NOTIFICATION_WRITE)
def rotate_notification_secret(
    notification: uuid.UUID, project: ProjectDep, actor: ActorDep, session: SessionDep
) -> Response:
    """A new secret, shown in this answer and never again. For a day messages are signed with both."""
    secret = notifications.rotate_secret(session, actor, _owner(project), notification)
    return wire.secret_response({"secret": secret}, 200)


@router.get(_ONE + "/deliveries", response_model=DeliveryPage)
@allowed(Action.NOTIFICATION_READ)
def list_deliveries(
    request: Request,
    notification: uuid.UUID,
    project: ProjectDep,
    session: ReadSessionDep,
    after: AfterDep = None,
    limit: LimitDep = 50,
) -> Response:
    """What was sent, newest first, with every attempt."""
    return answers.deliveries(request, session, _owner(project), notification, after, limit)


@router.post(
    _ONE + "/deliveries/{delivery}:resend",
    status_code=202,
    response_model=DeliveryRef,
    responses=problems(StillPending, TooManyTests),
)
@allowed(Action.NOTIFICATION_WRITE)
def resend_delivery(
    notification: uuid.UUID, delivery: uuid.UUID, project: ProjectDep, actor: ActorDep, session: SessionDep
) -> Response:
    """Send it once more, with the same webhook-id."""
    notifications.resend(session, actor, _owner(project), notification, delivery)
    return wire.json_response({"id": delivery}, 202)


@router.put("/projects/{project}/muted-runs/{run}", status_code=204)
@allowed(Action.NOTIFICATION_WRITE)
def mute_run(run: RunPath, project: ProjectDep, actor: ActorDep, session: SessionDep) -> Response:
    """Hear nothing more of this run."""
    return answers.mute(session, actor, _owner(project), run, on=True)


@router.delete("/projects/{project}/muted-runs/{run}", status_code=204)
@allowed(Action.NOTIFICATION_WRITE)
def unmute_run(run: RunPath, project: ProjectDep, actor: ActorDep, session: SessionDep) -> Response:
    """Hear of this run again."""
    return answers.mute(session, actor, _owner(project), run, on=False)


def _owner(project: ProjectRef) -> Owner:
    return Owner(project_id=project.id)
