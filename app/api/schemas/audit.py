"""The audit log on the wire."""

from typing import Any

from pydantic import BaseModel

from app.api.schemas.base import Moment, Page


class AuditRead(BaseModel):
    """One change."""

    id: int
    at: Moment
    actor: str
    verb: str
    object_type: str
    object_id: str
    project: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    address: str | None
    request_id: str | None


class AuditPage(Page):
    """Newest first."""

    items: list[AuditRead]
