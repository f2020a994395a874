"""Subscribing to notifications: for oneself or for a project. What is then sent is services/deliveries.py."""

import re
import uuid
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import text
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from app.domain import egress
from app.domain.access import Actor
from app.domain.notifications import TEST, is_mail_address, make_secret
from app.domain.quantities import QuantityError, parse_duration
from app.errors import N_, Conflict, FieldError, Invalid, NotFound, TooMany
from app.repositories.notifications import Owner, find_notification
from app.services import audit, notification_targets
from app.settings import get_settings
from app.workloads.patterns import IN_WORDS, LABEL

_TESTS_PER_MINUTE = 6
_OLD_SECRET_DAYS = 1


class MailNotSetUp(Conflict):
    """No mail server is named in the settings."""

    code = "MAIL_NOT_SET_UP"
    title = N_("Mail is not set up")
    detail = N_("This installation has no mail server, so no mail can be sent.")
    hint = N_("An administrator names one by BERTH_MAIL__HOST. A webhook works without.")


class TooManyNotifications(Conflict):
    """A bound on what one owner may have sent."""

    code = "TOO_MANY_NOTIFICATIONS"
    title = N_("There are too many notifications")
    detail = N_("At most {limit} notifications may be set up here.")
    hint = N_("Remove those that are not needed any more.")


class TooManyTests(TooMany):
    """Test messages are for trying out, not for calling others."""

    code = "TOO_MANY_TESTS"
    title = N_("Too many test messages")
    detail = N_("At most {limit} messages a minute can be sent by hand.")
    hint = N_("Wait a minute.")


class StillPending(Conflict):
    """Nothing to send again."""

    code = "DELIVERY_PENDING"
    title = N_("The message is still on its way")
    detail = N_("Berth is trying to deliver this message already.")
    hint = N_("Wait for its next attempt; the list says when it is.")


def create_notification(
    session: Session, actor: Actor, owner: Owner, values: dict[str, Any], project_id: uuid.UUID | None = None
) -> tuple[uuid.UUID, str | None]:
    """A subscription, and the secret that its webhook is signed with (None for mail and chat).

    `values`: name, channel, target, events, wait ("1h"), whose, tags, language. `project_id` narrows one's own to a
    project that the caller found to be visible. Raises Invalid, MailNotSetUp, TooManyNotifications.
    """
    columns, address = _checked(values)
    if columns["channel"] == "mail" and get_settings().mail.host is None:
        raise MailNotSetUp
    if owner.user_id is None:
        columns["whose"] = "all"
    # Under the owner's row, so that two at once do not make one too many.
    table = '"user"' if owner.user_id is not None else "project"
    session.execute(text(f"select 1 from {table} where id = :id for update"), {"id": owner.id})  # noqa: S608 - constants only
    count = session.scalar(
        text(f"select count(*) from notification n where {owner.condition}"),  # noqa: S608 - constants only
        {"owner": owner.id},
    )
    limit = get_settings().notifications.per_owner
    if (count or 0) >= limit:
        raise TooManyNotifications(limit=limit)
    made = uuid7()
    columns |= {
        "id": made,
        "user_id": owner.user_id,
        "project_id": owner.project_id or project_id,
        "created_by": actor.user_id,
    }
    if address is not None:
        columns |= notification_targets.seal(made, address)
    names = ", ".join(columns)
    slots = ", ".join(f":{name}" for name in columns)
    session.execute(text(f"insert into notification ({names}) values ({slots})"), columns)  # noqa: S608 - our own names
    _record(session, actor, owner, "create", made, after=_told(columns))
    return made, secret_of(made, 1) if columns["channel"] == "webhook" else None


def update_notification(
    session: Session, actor: Actor, owner: Owner, notification_id: uuid.UUID, changes: dict[str, Any]
) -> None:
    """Changes what was given; the channel stays. Raises NotFound, Invalid."""
    found = _locked(session, owner, notification_id)
    if not changes:
        return
    whole = {**found, "wait": f"{found['wait_seconds']}s", **changes}
    columns, address = _checked(whole, is_known="target" not in changes, tags=found["tags"])
    if owner.user_id is None:
        columns["whose"] = "all"
    columns["muted"] = whole["muted"]
    # What is known of the old receiver's pace says nothing about the new one.
    moved = columns["target"] != found["target"] or address is not None
    before = _told({name: found[name] for name in columns})
    after = _told(columns)
    if address is not None:
        columns |= notification_targets.seal(notification_id, address)
    pairs = ", ".join(f"{name} = :{name}" for name in columns)
    session.execute(
        text(
            f"update notification set {pairs},"  # noqa: S608 - our own names
            " troubled_at = case when :moved then null else troubled_at end where id = :id"
        ),
        columns | {"id": notification_id, "moved": moved},
    )
    changed = {name for name in after if before[name] != after[name]}
    if moved:
        changed.add("target")
    _record(
        session,
        actor,
        owner,
        "update",
        notification_id,
        before={name: before[name] for name in changed},
        after={name: after[name] for name in changed},
    )


def delete_notification(session: Session, actor: Actor, owner: Owner, notification_id: uuid.UUID) -> None:
    """Ends the subscription; what was not delivered yet is dropped. Raises NotFound."""
    found = _locked(session, owner, notification_id)
    session.execute(text("delete from notification where id = :id"), {"id": notification_id})
    _record(session, actor, owner, "delete", notification_id, before=_told(found))


def rotate_secret(session: Session, actor: Actor, owner: Owner, notification_id: uuid.UUID) -> str:
    """A new secret; for a day messages carry a signature by each of both. Raises NotFound, Invalid for no webhook."""
    found = _locked(session, owner, notification_id)
    if found["channel"] != "webhook":
        raise Invalid([FieldError("/path/notification", N_("only a webhook has a secret"))])
    number = session.scalar(
        text(
            "update notification set secret_number = secret_number + 1,"
            " old_secret_until = now() + make_interval(days => :days) where id = :id returning secret_number"
        ),
        {"id": notification_id, "days": _OLD_SECRET_DAYS},
    )
    _record(session, actor, owner, "rotate", notification_id)
    return secret_of(notification_id, int(number or 1))


def send_test(session: Session, actor: Actor, owner: Owner, notification_id: uuid.UUID) -> uuid.UUID:
    """Queues a message of type notification.test; the id of its delivery. Raises NotFound, TooManyTests."""
    _locked(session, owner, notification_id)
    _check_rate(session, notification_id)
    made = session.scalar(
        text(
            "insert into notification_message (notification_id, event_key, type, at, data)"
            " values (:id, 'test:' || gen_random_uuid(), :type, now(), '{}') returning message_id"
        ),
        {"id": notification_id, "type": TEST},
    )
    _wake(session)
    _record(session, actor, owner, "test", notification_id)
    assert isinstance(made, uuid.UUID)
    return made


def resend(session: Session, actor: Actor, owner: Owner, notification_id: uuid.UUID, delivery_id: uuid.UUID) -> None:
    """Delivers a message once more, under its own id. Raises NotFound, StillPending, TooManyTests."""
    _locked(session, owner, notification_id)
    state = session.scalar(
        text("select state from notification_message where message_id = :m and notification_id = :n for update"),
        {"m": delivery_id, "n": notification_id},
    )
    if state is None:
        raise NotFound
    if state == "pending":
        raise StillPending
    _check_rate(session, notification_id)
    # The count begins anew, and with it the day during which it is tried.
    session.execute(
        text(
            "update notification_message set state = 'pending', attempts = 0, due_at = now(), ended_at = null,"
            " lease_token = null where message_id = :m"
        ),
        {"m": delivery_id},
    )
    _wake(session)
    _record(session, actor, owner, "resend", notification_id, after={"delivery": str(delivery_id)})


def set_run_mute(session: Session, actor: Actor, owner: Owner, run_id: uuid.UUID, public_id: str, *, on: bool) -> None:
    """Whether the owner's subscriptions are silent about a run that the caller found to be visible."""
    values = {"id": uuid7(), "run": run_id, "user": owner.user_id, "project": owner.project_id}
    if on:
        statement = (
            "insert into notification_mute (id, run_id, user_id, project_id) values (:id, :run, :user, :project)"
            " on conflict do nothing returning id"
        )
    else:
        statement = (
            "delete from notification_mute where run_id = :run and user_id is not distinct from cast(:user as uuid)"
            " and project_id is not distinct from cast(:project as uuid) returning id"
        )
    if session.execute(text(statement), values).first() is not None:
        verb = "notification.mute_run" if on else "notification.unmute_run"
        audit.record(session, actor, verb, "run", public_id, owner.project_id)


def secret_of(notification_id: uuid.UUID, number: int) -> str:
    """The `number`-th secret of a subscription. Nothing of it is stored."""
    return make_secret(get_settings().signing_key, notification_id.bytes, number)


def shown_target(channel: str, target: str) -> str:
    """A target as everybody sees it after it was set: of a webhook scheme and host only, because what follows is often
    a secret; "/…" says that something does.

    What is kept of a chat's is fit to be shown already.
    """
    if channel != "webhook":
        return target
    parts = urlsplit(target)
    return f"{parts.scheme}://{parts.netloc}" + ("/…" if parts.path.strip("/") or parts.query else "")


def _checked(
    values: dict[str, Any], *, is_known: bool = False, tags: Sequence[str] = ()
) -> tuple[dict[str, Any], str | None]:
    """The columns, and the address of a chat that was given anew. Raises Invalid with all that is wrong.

    `is_known` says that the target is the one that is kept, which was checked when it came, `tags` which ones are.
    """
    errors: list[FieldError] = []
    given = None
    target, settings = values["target"].strip(), get_settings()
    if values["channel"] == "webhook":
        try:
            parts = egress.parse_url(target)
            address = egress.literal(parts.host)
            if address is not None and not egress.may_connect(
                address, egress.networks(settings.notifications.networks)
            ):
                errors.append(FieldError("/target", N_("leads into a network that Berth does not send to")))
        except egress.BadTarget as error:
            errors.append(FieldError("/target", str(error)))
    elif values["channel"] == "chat":
        found = None if is_known else notification_targets.check(target, errors)
        if found is not None:
            given, target = found.address, found.shown
    elif not is_mail_address(target):
        errors.append(FieldError("/target", N_("is no mail address")))
    elif settings.mail.domains and target.rpartition("@")[2].lower() not in map(str.lower, settings.mail.domains):
        errors.append(FieldError("/target", N_("is in a domain that no mail is sent to from here")))
    if not values["events"]:
        errors.append(FieldError("/events", N_("needs at least one event")))
    label = IN_WORDS[LABEL]
    for index, tag in enumerate(values["tags"]):
        if tag not in tags and re.fullmatch(LABEL, tag) is None:  # no run can have it, so nothing would ever be sent
            errors.append(FieldError(f"/tags/{index}", label.text, slots={"example": label.example}))
    seconds = 0
    try:
        seconds = parse_duration(values["wait"])
        if not 60 <= seconds <= 30 * 86400:
            errors.append(FieldError("/wait", N_("must be between a minute and 30 days"), fix="1h"))
    except QuantityError as error:
        errors.append(FieldError("/wait", str(error), fix=error.fix))
    if errors:
        raise Invalid(errors)
    columns = {
        "name": values["name"],
        "channel": values["channel"],
        "target": target,
        "events": sorted(set(values["events"])),
        "wait_seconds": int(seconds),
        "whose": values["whose"],
        "tags": sorted(set(values["tags"])),
        "language": values["language"],
    }
    return columns, given


def _locked(session: Session, owner: Owner, notification_id: uuid.UUID) -> dict[str, Any]:
    session.execute(text("select 1 from notification where id = :id for update"), {"id": notification_id})
    found = find_notification(session, owner, notification_id)
    if found is None:
        raise NotFound
    return found


def _check_rate(session: Session, notification_id: uuid.UUID) -> None:
    recent = session.scalar(
        text(
            "select count(*) from audit_entry where object_type = 'notification' and object_id = :id"
            " and verb in ('notification.test', 'notification.resend') and at > now() - interval '1 minute'"
        ),
        {"id": str(notification_id)},
    )
    if (recent or 0) >= _TESTS_PER_MINUTE:
        raise TooManyTests(limit=_TESTS_PER_MINUTE)


def _wake(session: Session) -> None:
    session.execute(text("select pg_notify('berth_notification', '')"))


def _told(columns: dict[str, Any]) -> dict[str, Any]:
    kept = ("name", "channel", "events", "wait_seconds", "whose", "tags", "language", "muted")
    told = {name: columns[name] for name in kept if name in columns}
    return told | {"target": shown_target(columns["channel"], columns["target"])}


def _record(
    session: Session,
    actor: Actor,
    owner: Owner,
    verb: str,
    notification_id: uuid.UUID,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    audit.record(
        session,
        actor,
        f"notification.{verb}",
        "notification",
        str(notification_id),
        owner.project_id,
        before=before,
        after=after,
    )
