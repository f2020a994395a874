"""One's own notifications."""

import uuid

from starlette.requests import Request
from starlette.responses import Response

from app.api import notification_answers as answers
from app.api import wire
from app.api.deps import ActorDep, AfterDep, LimitDep, ReadSessionDep, SessionDep, allowed
from app.api.notification_answers import RunPath
from app.api.routing import PREFIX, new_router, problems
from app.api.schemas.notifications import (
    DeliveryPage,
    DeliveryRef,
    NewSecret,
    NotificationCreated,
    NotificationPage,
    NotificationRead,
    OwnNotificationCreate,
    OwnNotificationUpdate,
)
from app.domain.access import Action, Actor
from app.errors import N_, FieldError, Invalid, NotFound
from app.repositories.notifications import Owner
from app.services import identity, notifications
from app.services.idempotency import AnswerNotKept
from app.services.notifications import MailNotSetUp, StillPending, TooManyNotifications, TooManyTests

router = new_router("notifications")

_ONE = "/me/notifications/{notification}"


@router.get("/me/notifications", response_model=NotificationPage)
@allowed(Action.OWN_NOTIFICATION_READ)
def list_own_notifications(
    request: Request, actor: ActorDep, session: ReadSessionDep, after: AfterDep = None, limit: LimitDep = 50
) -> Response:
    """Your notifications, oldest first."""
    return answers.page(request, session, _owner(actor), after, limit)


@router.post(
    "/me/notifications",
    status_code=201,
    response_model=NotificationCreated,
    responses=problems(MailNotSetUp, TooManyNotifications, AnswerNotKept),
)
@allowed(Action.OWN_NOTIFICATION_WRITE)
def create_own_notification(body: OwnNotificationCreate, actor: ActorDep, session: SessionDep) -> Response:
    """Set a notification up. The secret of a webhook is in this answer and never again.

    The answer is not kept for an Idempotency-Key: repeating the request is refused with ANSWER_NOT_KEPT.
    """
    project_id = None
    if body.project is not None:
        try:
            project_id = identity.get_project(session, actor, body.project).id
        except NotFound:
            raise Invalid([FieldError("/project", N_("is not a project of yours"))]) from None
    values = body.model_dump(exclude={"project"}) | {"language": body.language or actor.language or "en"}
    owner = _owner(actor)
    made, secret = notifications.create_notification(session, actor, owner, values, project_id)
    return answers.created(session, owner, made, secret, f"{PREFIX}/me/notifications/{made}")


@router.get(_ONE, response_model=NotificationRead)
@allowed(Action.OWN_NOTIFICATION_READ)
def get_own_notification(notification: uuid.UUID, actor: ActorDep, session: ReadSessionDep) -> Response:
    """One of them."""
    return answers.one(session, _owner(actor), notification)


@router.patch(_ONE, response_model=NotificationRead, responses=problems(MailNotSetUp))
@allowed(Action.OWN_NOTIFICATION_WRITE)
def update_own_notification(
    notification: uuid.UUID, body: OwnNotificationUpdate, actor: ActorDep, session: SessionDep
) -> Response:
    """Change it, or mute it."""
    changes = body.model_dump(exclude_unset=True)
    notifications.update_notification(session, actor, _owner(actor), notification, changes)
    return answers.one(session, _owner(actor), notification)


@router.delete(_ONE, status_code=204)
@allowed(Action.OWN_NOTIFICATION_WRITE)
def delete_own_notification(notification: uuid.UUID, actor: ActorDep, session: SessionDep) -> Response:
    """Remove it. What was not delivered yet is dropped."""
    notifications.delete_notification(session, actor, _owner(actor), notification)
    return wire.no_content()


@router.post(_ONE + ":test", status_code=202, response_model=DeliveryRef, responses=problems(TooManyTests))
@allowed(Action.OWN_NOTIFICATION_WRITE)
def test_own_notification(notification: uuid.UUID, actor: ActorDep, session: SessionDep) -> Response:
    """Send a message of type notification.test. How it went is in the deliveries."""
    return wire.json_response({"id": notifications.send_test(session, actor, _owner(actor), notification)}, 202)


@router.post(_ONE + ":rotate-secret", response_model=NewSecret, responses=problems(AnswerNotKept))
@allowed(Action.OWN_NOTIFICATION_WRITE)
def rotate_own_notification_secret(notification: uuid.UUID, actor: ActorDep, session: SessionDep) -> Response:
    """A new secret, shown in this answer and never again. For a day messages are signed with both."""
    secret = notifications.rotate_secret(session, actor, _owner(actor), notification)
    return wire.secret_response({"secret": secret}, 200)


@router.get(_ONE + "/deliveries", response_model=DeliveryPage)
@allowed(Action.OWN_NOTIFICATION_READ)
def list_own_deliveries(
    request: Request,
    notification: uuid.UUID,
    actor: ActorDep,
    session: ReadSessionDep,
    after: AfterDep = None,
    limit: LimitDep = 50,
) -> Response:
    """What was sent, newest first, with every attempt."""
    return answers.deliveries(request, session, _owner(actor), notification, after, limit)


@router.post(
    _ONE + "/deliveries/{delivery}:resend",
    status_code=202,
    response_model=DeliveryRef,
    responses=problems(StillPending, TooManyTests),
)
@allowed(Action.OWN_NOTIFICATION_WRITE)
def resend_own_delivery(notification: uuid.UUID, delivery: uuid.UUID, actor: ActorDep, session: SessionDep) -> Response:
    """Send it once more, with the same webhook-id."""
    notifications.resend(session, actor, _owner(actor), notification, delivery)
    return wire.json_response({"id": delivery}, 202)


@router.put("/me/muted-runs/{run}", status_code=204)
@allowed(Action.OWN_NOTIFICATION_WRITE)
def mute_own_run(run: RunPath, actor: ActorDep, session: SessionDep) -> Response:
    """Hear nothing more of this run."""
    return answers.mute(session, actor, _owner(actor), run, on=True)


@router.delete("/me/muted-runs/{run}", status_code=204)
@allowed(Action.OWN_NOTIFICATION_WRITE)
def unmute_own_run(run: RunPath, actor: ActorDep, session: SessionDep) -> Response:
    """Hear of this run again."""
    return answers.mute(session, actor, _owner(actor), run, on=False)


def _owner(actor: Actor) -> Owner:
    return Owner(user_id=actor.user_id)
