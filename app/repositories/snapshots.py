"""Rows of snapshots: which code was uploaded to which project."""

import uuid
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.models import Snapshot


class SnapshotRow(NamedTuple):
    """An archive: its SHA-256, its size packed, and its files."""

    digest: str
    bytes: int
    files: int


def find_snapshot(session: Session, project_id: uuid.UUID, digest: str) -> SnapshotRow | None:
    """The project's snapshot with this digest, or None."""
    query = select(Snapshot.digest, Snapshot.bytes, Snapshot.files)
    row = session.execute(query.where(Snapshot.project_id == project_id, Snapshot.digest == digest)).one_or_none()
    return None if row is None else SnapshotRow(*row)


def add_snapshot(session: Session, project_id: uuid.UUID, row: SnapshotRow, user_id: uuid.UUID) -> bool:
    """Records a snapshot; False where it was there."""
    statement = insert(Snapshot).values(project_id=project_id, created_by=user_id, **row._asdict())
    done = session.execute(statement.on_conflict_do_nothing().returning(Snapshot.digest))
    return done.one_or_none() is not None
