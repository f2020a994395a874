"""Notifications of a project and one's own: what is set up and can be changed, what was sent, and one more."""

import uuid
from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import Response

from app.domain.access import Action
from app.domain.chat import NAMES as CHAT_SERVICES
from app.domain.notifications import CHANNELS, EVENTS, FAILURES, TEST, WHOSE
from app.domain.quantities import format_duration
from app.errors import N_, AppError, Invalid, NotFound
from app.i18n import LANGUAGES, translate
from app.repositories import notifications as repository
from app.repositories.notifications import Owner
from app.services import notifications
from app.services.identity import require
from app.settings import get_settings
from app.web import formats
from app.web.deps import Visitor, check_form, see_other, visit
from app.web.tabs import Stamp, account_shell, settings_shell, stamp
from app.web.templating import Shell, render

router = APIRouter(include_in_schema=False)

_MOST = 1000
_DELIVERIES = 50
STATES = {
    "pending": ("wait", "queued", N_("on its way")),
    "sent": ("ok", "succeeded", N_("delivered")),
    "failed": ("bad", "failed", N_("given up")),
    "cancelled": ("wait", "stopped", N_("dropped")),
}
_TYPES = EVENTS | {TEST: N_("A test message")}


@dataclass(frozen=True)
class Row:
    """A subscription."""

    id: str
    name: str
    channel: str
    is_webhook: bool
    is_chat: bool
    target: str
    events: list[str]
    scope: str
    tags: list[str]
    muted: bool
    log_url: str
    is_open: bool


@dataclass(frozen=True)
class Attempt:
    """One try: when, how it went, and what the receiver said."""

    at: str
    ok: bool
    text: str
    took: str
    answer: str


@dataclass(frozen=True)
class Delivery:
    """A message and its tries."""

    id: str
    type: str
    run: str | None
    at: Stamp
    kind: str
    icon: str
    state: str
    next_at: str
    may_resend: bool
    attempts: list[Attempt]


@dataclass
class NotificationsPage:
    """`is_own` is for one's own, otherwise of a project. `values` and `errors` are of the form for one more, `edit` and
    `edit_errors` of that which changes the open one.
    """

    url: str
    is_own: bool
    rows: list[Row] = field(default_factory=list)
    open: Row | None = None
    deliveries: list[Delivery] = field(default_factory=list)
    more_url: str | None = None
    values: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    edit: dict[str, Any] = field(default_factory=dict)
    edit_errors: dict[str, str] = field(default_factory=dict)
    secret: str | None = None
    said: str = ""
    has_mail: bool = False
    projects: list[str] = field(default_factory=list)
    channels: dict[str, str] = field(default_factory=dict)
    chats: str = ""
    events: dict[str, str] = field(default_factory=dict)
    whose: dict[str, str] = field(default_factory=dict)
    languages: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Place:
    owner: Owner
    url: str
    project: str | None
    project_id: uuid.UUID | None


@router.get("/projects/{project}/settings/notifications")
def project_page(request: Request, project: str, show: str = "", before: int = 0) -> Response:
    """Of a project, for its owners."""
    return _get(request, project, show, before)


@router.get("/me/notifications")
def own_page(request: Request, show: str = "", before: int = 0) -> Response:
    """One's own."""
    return _get(request, None, show, before)


def _values(
    name: Annotated[str, Form(max_length=300)] = "",
    channel: Annotated[str, Form(max_length=20)] = "webhook",
    target: Annotated[str, Form(max_length=3000)] = "",
    event: Annotated[list[str] | None, Form()] = None,
    wait: Annotated[str, Form(max_length=40)] = "1h",
    tags: Annotated[str, Form(max_length=2000)] = "",
    language: Annotated[str, Form(max_length=10)] = "en",
    whose: Annotated[str, Form(max_length=10)] = "mine",
    only: Annotated[str, Form(max_length=100)] = "",
) -> dict[str, Any]:
    """What the fields of a notification say; `whose` and `only` are of one's own."""
    return {
        "name": " ".join(name.split())[:100],
        "channel": channel if channel in CHANNELS else "webhook",
        "target": target.strip(),
        "events": [one for one in event or [] if one in EVENTS],
        "wait": wait.strip() or "1h",
        "tags": tags.replace(",", " ").split()[:20],
        "language": language if language in LANGUAGES else "en",
        "whose": whose if whose in WHOSE else "mine",
        "only": only,
    }


@router.post("/projects/{project}/settings/notifications")
def change_project(
    request: Request,
    project: str,
    values: Annotated[dict[str, Any], Depends(_values)],
    do: Annotated[str, Form(max_length=20)] = "",
    csrf: Annotated[str, Form()] = "",
    notification: Annotated[str, Form(max_length=40)] = "",
    delivery: Annotated[str, Form(max_length=40)] = "",
) -> Response:
    """One of the page's forms: `do` says which."""
    return _post(request, project, csrf, do, (notification, delivery), values | {"whose": "all", "only": ""})


@router.post("/me/notifications")
def change_own(
    request: Request,
    values: Annotated[dict[str, Any], Depends(_values)],
    do: Annotated[str, Form(max_length=20)] = "",
    csrf: Annotated[str, Form()] = "",
    notification: Annotated[str, Form(max_length=40)] = "",
    delivery: Annotated[str, Form(max_length=40)] = "",
) -> Response:
    """One of the page's forms: `do` says which."""
    return _post(request, None, csrf, do, (notification, delivery), values)


def _get(request: Request, project: str | None, show: str, before: int) -> Response:
    with visit(request) as visitor:
        place = _place(visitor, project, Action.NOTIFICATION_READ, Action.OWN_NOTIFICATION_READ)
        page = _page(visitor, place, show, before, _start(visitor))
        shell = _shell(visitor, place)
    return render("notifications/page.html", shell, page)


def _post(
    request: Request, project: str | None, csrf: str, do: str, ids: tuple[str, str], values: dict[str, Any]
) -> Response:
    problem: AppError | None = None
    with visit(request) as visitor:
        check_form(request, visitor, csrf)
        place = _place(visitor, project, Action.NOTIFICATION_WRITE, Action.OWN_NOTIFICATION_WRITE)
        if do == "update":
            try:
                with visitor.session.begin_nested():
                    _update(visitor, place, _key(ids[0]), values)
                return see_other(f"{place.url}?show={quote(ids[0])}#log")
            except Invalid as error:
                problem = error
                page = _page(visitor, place, ids[0], 0, _start(visitor))
                page.edit_errors = _errors(visitor.language, error)
                is_chat = page.open is not None and page.open.is_chat
                page.edit = values | ({"target": ""} if is_chat else {})  # as below: a secret is not sent back
        elif do != "create":
            secret = _do(visitor, place, do, *ids)
            if secret is None:
                to = "" if do in ("delete", "mute", "unmute") else f"?show={quote(ids[0])}#log"
                return see_other(place.url + to)
            page = _page(visitor, place, ids[0], 0, _start(visitor))
            page.secret = secret
            return render("notifications/page.html", _shell(visitor, place), page)
        else:
            try:
                with visitor.session.begin_nested():
                    page = _create(visitor, place, values)
            except (Invalid, notifications.MailNotSetUp, notifications.TooManyNotifications) as error:
                problem = error
                page = _page(visitor, place, "", 0, values)
                page.errors = _errors(visitor.language, error)
                if values["channel"] == "chat":  # a secret is not sent back, not even a wrong one
                    page.values = values | {"target": ""}
        shell = _shell(visitor, place)
    return render("notifications/page.html", shell, page, problem.status if problem else 200)


def _create(visitor: Visitor, place: _Place, values: dict[str, Any]) -> NotificationsPage:
    project_id = place.project_id
    if place.owner.user_id is not None and values["only"]:
        project_id = visitor.project(values["only"]).id
    given = {name: value for name, value in values.items() if name != "only"}
    given["name"] = given["name"] or translate(visitor.language, CHANNELS[given["channel"]])
    made, secret = notifications.create_notification(visitor.session, visitor.actor, place.owner, given, project_id)
    page = _page(visitor, place, str(made), 0, _start(visitor))
    page.secret = secret
    page.said = translate(visitor.language, "{name} is set up.", name=given["name"])
    return page


def _start(visitor: Visitor) -> dict[str, Any]:
    """What the form for one more begins with."""
    return {"channel": "webhook", "events": ["run.failed"], "wait": "1h", "language": visitor.language}


def _update(visitor: Visitor, place: _Place, key: uuid.UUID, values: dict[str, Any]) -> None:
    """What the form says; an empty address is the one that is kept, because it is never shown in full."""
    found = repository.find_notification(visitor.session, place.owner, key)
    if found is None:
        raise NotFound
    changes = {name: values[name] for name in ("name", "target", "events", "wait", "tags", "language", "whose")}
    changes["name"] = changes["name"] or translate(visitor.language, CHANNELS[found["channel"]])
    if not changes["target"]:
        del changes["target"]
    notifications.update_notification(visitor.session, visitor.actor, place.owner, key, changes)


def _do(visitor: Visitor, place: _Place, do: str, notification: str, delivery: str) -> str | None:
    """Carries one of the small forms out; a new secret if there is one."""
    session, actor, owner, key = visitor.session, visitor.actor, place.owner, _key(notification)
    if do == "delete":
        notifications.delete_notification(session, actor, owner, key)
    elif do in ("mute", "unmute"):
        notifications.update_notification(session, actor, owner, key, {"muted": do == "mute"})
    elif do == "test":
        notifications.send_test(session, actor, owner, key)
    elif do == "resend":
        notifications.resend(session, actor, owner, key, _key(delivery))
    elif do == "rotate":
        return notifications.rotate_secret(session, actor, owner, key)
    else:
        raise NotFound
    return None


def _key(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise NotFound from None


def _errors(language: str, problem: AppError) -> dict[str, str]:
    if problem.errors:
        return {
            error.pointer.split("/")[1]: translate(language, error.message, **error.slots)
            for error in reversed(problem.errors)  # of several tags, what is said of the first
        }
    return {"target": translate(language, problem.detail, **problem.fields)}


def _place(visitor: Visitor, project: str | None, of_project: Action, own: Action) -> _Place:
    if project is None:
        require(visitor.actor, own)
        return _Place(Owner(user_id=visitor.actor.user_id), "/me/notifications", None, None)
    found = visitor.project(project)
    require(visitor.actor, of_project, found.id)
    url = f"/projects/{quote(found.name)}/settings/notifications"
    return _Place(Owner(project_id=found.id), url, found.name, found.id)


def _shell(visitor: Visitor, place: _Place) -> Shell:
    if place.project is None:
        return account_shell(visitor, "notifications")
    return settings_shell(visitor, visitor.project(place.project), "notifications")


def _page(visitor: Visitor, place: _Place, show: str, before: int, values: dict[str, Any]) -> NotificationsPage:
    say = visitor.language
    is_own = place.owner.user_id is not None
    names = sorted(visitor.signed_in.projects) if is_own else []
    page = NotificationsPage(place.url, is_own, values=values, projects=names)
    page.has_mail = get_settings().mail.host is not None
    page.channels = {code: translate(say, text) for code, text in CHANNELS.items() if code != "mail" or page.has_mail}
    page.chats = ", ".join(CHAT_SERVICES)
    page.events = {code: translate(say, text) for code, text in EVENTS.items()}
    page.whose = {code: translate(say, text) for code, text in WHOSE.items()}
    page.languages = dict(LANGUAGES)
    for found in repository.list_notifications(visitor.session, place.owner, None, _MOST):
        row = _row(found, page, show, say)
        page.rows.append(row)
        if row.is_open:
            page.open = row
            page.edit = {name: found[name] for name in ("name", "events", "tags", "language", "whose")}
            page.edit["wait"] = format_duration(found["wait_seconds"])
            listed = repository.list_deliveries(visitor.session, found["id"], before or None, _DELIVERIES + 1)
            page.deliveries = [_delivery(item, visitor) for item in listed[:_DELIVERIES]]
            if len(listed) > _DELIVERIES:
                page.more_url = f"{row.log_url.removesuffix('#log')}&before={listed[_DELIVERIES - 1]['position']}#log"
    return page


def _row(found: dict[str, Any], page: NotificationsPage, show: str, language: str) -> Row:
    events = []
    for code in found["events"]:
        text = page.events[code]
        if code == "run.waiting":
            text = f"{text} ({formats.span(found['wait_seconds'], language)})"
        events.append(text)
    scope = ""
    if page.is_own:
        where = found["project"] or translate(language, "all my projects")
        scope = f"{page.whose[found['whose']]} · {where}"
    key = str(found["id"])
    return Row(
        key,
        found["name"],
        translate(language, CHANNELS[found["channel"]]),
        found["channel"] == "webhook",
        found["channel"] == "chat",
        notifications.shown_target(found["channel"], found["target"]),
        events,
        scope,
        found["tags"],
        found["muted"],
        f"{page.url}?show={key}#log",
        key == show,
    )


def _delivery(item: dict[str, Any], visitor: Visitor) -> Delivery:
    say = visitor.language
    kind, icon, state = STATES[item["state"]]
    next_at = item["next_attempt_at"]
    return Delivery(
        str(item["id"]),
        translate(say, _TYPES.get(item["type"], item["type"])),
        item["run"],
        stamp(visitor, item["at"]),
        kind,
        icon,
        translate(say, state),
        formats.minute(next_at, visitor.zone) if next_at is not None and item["attempts"] else "",
        item["state"] != "pending",
        [_attempt(attempt, visitor) for attempt in item["attempts"]],
    )


def _attempt(attempt: dict[str, Any], visitor: Visitor) -> Attempt:
    text = translate(visitor.language, FAILURES.get(attempt["error"] or "", "") or N_("Accepted."))
    status = f"{attempt['status']} · " if attempt["status"] else ""
    return Attempt(
        formats.full(attempt["at"], visitor.zone),
        attempt["ok"],
        status + text,
        f"{attempt['milliseconds']} ms",
        attempt["answer"],
    )
