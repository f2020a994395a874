"""Outputs on the wire."""

import datetime
from typing import Any

from pydantic import BaseModel

from app.repositories.outputs import OutputRow


class OutputRead(BaseModel):
    """A file that the run left in $BERTH_OUTPUT. `sha256` is in hex."""

    path: str
    bytes: int
    sha256: str
    attempt: int
    created_at: datetime.datetime


class OutputPage(BaseModel):
    """Files in the order of their paths."""

    items: list[OutputRead]
    next: str | None
    has_more: bool


def output_read(row: OutputRow) -> dict[str, Any]:
    """The members of OutputRead."""
    return {
        "path": row.path,
        "bytes": row.bytes,
        "sha256": row.sha256,
        "attempt": row.attempt,
        "created_at": row.created_at,
    }
