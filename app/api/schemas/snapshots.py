"""Snapshots on the wire."""

from pydantic import BaseModel


class SnapshotRead(BaseModel):
    """An archive that is there: its SHA-256 in hex, its bytes packed, and how many files it has."""

    digest: str
    bytes: int
    files: int
