"""Health on the wire."""

from typing import Literal

from pydantic import BaseModel

HealthName = Literal["ok", "warn", "bad"]


class CheckRead(BaseModel):
    """One part: what was found, in words. `age_seconds` is how old that is, null where nothing was ever heard."""

    part: str
    health: HealthName
    says: str
    fix: str | None
    age_seconds: float | None
    took_ms: float | None


class HealthRead(BaseModel):
    """All parts; `health` is the worst of them."""

    health: HealthName
    checks: list[CheckRead]
