"""Notifications on the wire."""

import uuid
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.api.schemas.base import Body, Duration, Line, Moment, NonEmptyLine, Page, ProjectName

ChannelName = Literal["webhook", "mail", "chat"]
EventName = Literal["run.ended", "run.failed", "run.waiting"]
Whose = Literal["mine", "all"]
LanguageName = Literal["en", "zh_CN"]
TargetText = Annotated[str, Field(min_length=1, max_length=2000)]
Events = Annotated[list[EventName], Field(min_length=1, max_length=3)]
Tags = Annotated[list[Line], Field(max_length=20)]

_EXAMPLE: dict[str, Any] = {
    "name": "failures",
    "channel": "webhook",
    "target": "https://example.org/hooks/berth",
    "events": ["run.failed"],
}
_CHAT = _EXAMPLE | {"channel": "chat", "target": "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"}


class NotificationCreate(Body):
    """Who is to be told of what. `wait` is for run.waiting; all of `tags` must be on the run.

    `target` of a chat is an apprise URL, or what the service shows to be copied. It is kept encrypted and not shown
    again; nor is what follows the host in a webhook's address.
    """

    name: NonEmptyLine
    channel: ChannelName
    target: TargetText
    events: Events
    wait: Duration = "1h"
    tags: Tags = []
    language: LanguageName | None = None

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE, _CHAT]})


class OwnNotificationCreate(NotificationCreate):
    """As for a project. Without `project`, of all projects that you are in; `whose` is mine unless you say all."""

    project: ProjectName | None = None
    whose: Whose = "mine"


class NotificationUpdate(Body):
    """What is left out stays. The channel cannot change."""

    name: NonEmptyLine = ""
    target: TargetText = ""
    events: Events = []
    wait: Duration = ""
    tags: Tags = []
    language: LanguageName = "en"
    muted: bool = False

    model_config = ConfigDict(json_schema_extra={"examples": [{"muted": True}]})


class OwnNotificationUpdate(NotificationUpdate):
    """What is left out stays."""

    whose: Whose = "mine"


class NotificationRead(BaseModel):
    """A subscription. While `old_secret_until` has not passed, messages are signed with the old secret, too.

    `target` is what may be shown of it: of a webhook its scheme and host, with "/…" where something follows; of a
    chat the service and the end of the address.
    """

    id: uuid.UUID
    name: str
    channel: ChannelName
    target: str
    events: list[EventName]
    wait_seconds: int
    whose: Whose
    project: str | None
    tags: list[str]
    language: LanguageName
    muted: bool
    old_secret_until: Moment | None
    created_at: Moment


class NotificationCreated(NotificationRead):
    """`secret` is shown this one time; null for mail and chat."""

    secret: str | None


class NotificationPage(Page):
    """Oldest first."""

    items: list[NotificationRead]


class NewSecret(BaseModel):
    """Shown this one time."""

    secret: str


class DeliveryRef(BaseModel):
    """A message that was queued."""

    id: uuid.UUID


class AttemptRead(BaseModel):
    """One try. `status` is of HTTP or SMTP; `answer` is the first KiB of what the receiver said."""

    at: Moment
    ok: bool
    status: int | None
    error: str | None
    milliseconds: int
    answer: str


class DeliveryRead(BaseModel):
    """A message; its webhook-id is "msg_" and the digits of `id`, the same for every attempt."""

    id: uuid.UUID
    type: str
    run: str | None
    state: Literal["pending", "sent", "failed", "cancelled"]
    at: Moment
    next_attempt_at: Moment | None
    attempts: list[AttemptRead]


class DeliveryPage(Page):
    """Newest first."""

    items: list[DeliveryRead]


def without_position(row: dict[str, Any]) -> dict[str, Any]:
    """A delivery without the number that its list is ordered by."""
    return {name: value for name, value in row.items() if name != "position"}
