"""Outputs on the wire."""

import datetime
from typing import Any, Literal

from pydantic import BaseModel

from app.api.schemas.retention import RulesRead
from app.repositories.outputs import FolderRow, OutputRow


class OutputRead(BaseModel):
    """A file that the run left in $BERTH_OUTPUT. `sha256` is in hex.

    One that the project's rules removed has `removed_at` and, in `removed_by`, the rules as they were.
    """

    kind: Literal["file"]
    path: str
    bytes: int
    sha256: str
    attempt: int
    created_at: datetime.datetime
    removed_at: datetime.datetime | None
    removed_by: RulesRead | None


class FolderRead(BaseModel):
    """A folder: how many files are below it, how many of these were removed, and the bytes of the others."""

    kind: Literal["folder"]
    path: str
    bytes: int
    files: int
    removed: int


class OutputPage(BaseModel):
    """Files in the order of their paths; of one folder, its folders first."""

    items: list[OutputRead | FolderRead]
    next: str | None
    has_more: bool


def output_read(row: OutputRow) -> dict[str, Any]:
    """The members of OutputRead."""
    return {
        "kind": "file",
        "path": row.path,
        "bytes": row.bytes,
        "sha256": row.sha256,
        "attempt": row.attempt,
        "created_at": row.created_at,
        "removed_at": row.removed_at,
        "removed_by": row.removed_by,
    }


def entry_read(row: OutputRow | FolderRow) -> dict[str, Any]:
    """The members of OutputRead or FolderRead."""
    if isinstance(row, OutputRow):
        return output_read(row)
    return {"kind": "folder", "path": row.path, "bytes": row.bytes, "files": row.files, "removed": row.removed}
