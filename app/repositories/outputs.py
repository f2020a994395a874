"""Rows of outputs: the files that a run's attempt left."""

import datetime
import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from app.errors import NotFound
from app.models import Attempt, Output, RunEvent


class OutputRow(NamedTuple):
    """One file."""

    path: str
    bytes: int
    sha256: str
    attempt: int
    created_at: datetime.datetime
    object_key: str
    removed_at: datetime.datetime | None = None
    removed_by: dict[str, Any] | None = None

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]


class FolderRow(NamedTuple):
    """A folder directly below the one that is listed, with all that is below it. Removed files are not counted
    in `bytes`.
    """

    path: str
    name: str
    files: int
    bytes: int
    removed: int


class FolderFacts(NamedTuple):
    """All that is below a folder; `kept` are the files that are still there, `bytes` theirs, and `stored_at` when the
    last of them was stored."""

    files: int
    kept: int
    bytes: int
    stored_at: datetime.datetime | None = None


_COLUMNS = (
    Output.path,
    Output.bytes,
    Output.sha256,
    Output.attempt,
    Output.created_at,
    Output.object_key,
    Output.removed_at,
    Output.removed_by,
)
# A run has at most `limits.output_files` rows, so a folder is put together from all of them that are below it.
_ENTRIES = text("""
    with entry as (
      select split_part(substr(path, :start), '/', 1) collate "C" as name,
             strpos(substr(path, :start), '/') = 0 as is_file, bytes, removed_at
      from output where run_id = :run and starts_with(path, :prefix))
    select name, is_file, count(*) as files,
           coalesce(sum(bytes) filter (where removed_at is null), 0)::bigint as bytes,
           count(*) filter (where removed_at is not null) as removed
    from entry where (is_file, name) > (cast(:after_is_file as bool), cast(:after_name as text) collate "C")
    group by is_file, name order by is_file, name limit :limit
""")


def list_outputs(session: Session, run_id: uuid.UUID, *, after: str | None = None, limit: int) -> list[OutputRow]:
    """At most `limit` files in the order of their paths, from after the path `after` on."""
    query = select(*_COLUMNS).where(Output.run_id == run_id).order_by(Output.path).limit(limit)
    if after is not None:
        query = query.where(Output.path > after)
    return [OutputRow(*row) for row in session.execute(query)]


def list_folder(
    session: Session, run_id: uuid.UUID, folder: str, *, after: tuple[bool, str] | None = None, limit: int
) -> list[FolderRow | OutputRow]:
    """At most `limit` entries of a folder ("" is the root): folders by name, then files by name.

    `after` is the last entry of the page before: whether it is a file, and its name.
    """
    prefix = f"{folder}/" if folder else ""
    after_is_file, after_name = after if after is not None else (False, "")
    found = session.execute(
        _ENTRIES,
        {
            "run": run_id,
            "prefix": prefix,
            "start": len(prefix) + 1,
            "after_is_file": after_is_file,
            "after_name": after_name,
            "limit": limit,
        },
    ).all()
    files = [prefix + row.name for row in found if row.is_file]
    rows = session.execute(select(*_COLUMNS).where(Output.run_id == run_id, Output.path.in_(files))) if files else ()
    by_path = {row.path: OutputRow(*row) for row in rows}
    made: list[FolderRow | OutputRow] = []
    for row in found:
        path = prefix + row.name
        if not row.is_file:
            made.append(FolderRow(path, row.name, row.files, row.bytes, row.removed))
        elif path in by_path:
            made.append(by_path[path])
    return made


def folder_facts(session: Session, run_id: uuid.UUID, folder: str) -> FolderFacts:
    """What is below a folder, all depths; of a folder that is not there, zeros."""
    is_kept = Output.removed_at.is_(None)
    row = session.execute(
        select(
            func.count(),
            func.count().filter(is_kept),
            func.coalesce(func.sum(Output.bytes).filter(is_kept), 0),
            func.max(Output.created_at).filter(is_kept),
        ).where(Output.run_id == run_id, func.starts_with(Output.path, f"{folder}/" if folder else ""))
    ).one()
    return FolderFacts(row[0], row[1], int(row[2]), row[3])


def list_below(session: Session, run_id: uuid.UUID, folder: str, *, limit: int) -> list[OutputRow]:
    """Files below a folder, all depths, by path, that are still there; at most `limit`."""
    query = (
        select(*_COLUMNS)
        .where(
            Output.run_id == run_id,
            Output.removed_at.is_(None),
            func.starts_with(Output.path, f"{folder}/" if folder else ""),
        )
        .order_by(Output.path)
        .limit(limit)
    )
    return [OutputRow(*row) for row in session.execute(query)]


def find_removed(session: Session, run_id: uuid.UUID, folder: str) -> OutputRow | None:
    """A file below a folder that the project's rules removed, or None."""
    query = (
        select(*_COLUMNS)
        .where(
            Output.run_id == run_id,
            Output.removed_at.is_not(None),
            func.starts_with(Output.path, f"{folder}/" if folder else ""),
        )
        .limit(1)
    )
    row = session.execute(query).one_or_none()
    return None if row is None else OutputRow(*row)


def find_output(session: Session, run_id: uuid.UUID, path: str) -> OutputRow | None:
    """The file with this path, or None."""
    row = session.execute(select(*_COLUMNS).where(Output.run_id == run_id, Output.path == path)).one_or_none()
    return None if row is None else OutputRow(*row)


def others(session: Session, run_id: uuid.UUID, attempt: int, path: str) -> tuple[int, int]:
    """How many other files the attempt has left, and their bytes."""
    mine = Output.run_id == run_id, Output.attempt == attempt, Output.path != path
    row = session.execute(select(func.count(), func.coalesce(func.sum(Output.bytes), 0)).where(*mine)).one()
    return row[0], int(row[1])


def note_left_out(session: Session, run_id: uuid.UUID, attempt: int, told: dict[str, Any]) -> None:
    """Says in the run's history, once for the attempt, that the limits left something out."""
    is_told = RunEvent.run_id == run_id, RunEvent.attempt == attempt, RunEvent.code == "outputs_truncated"
    if session.scalar(select(RunEvent.run_id).where(*is_told).limit(1)) is None:
        session.add(RunEvent(run_id=run_id, code="outputs_truncated", attempt=attempt, data=told))


def put_output(
    session: Session, run_id: uuid.UUID, attempt: int, path: str, size: int, sha256: str, object_key: str
) -> str | None:
    """Records one file of a live attempt. Returns the key of what was there before. Raises NotFound for an attempt that
    is not the run's last, or has ended."""
    is_live = Attempt.run_id == run_id, Attempt.number == attempt, Attempt.outputs_stored_at.is_(None)
    session.execute(text("select 1 from run where id = :id for update"), {"id": run_id})
    later = select(Output.attempt).where(Output.run_id == run_id, Output.attempt > attempt).limit(1)
    if session.scalar(select(Attempt.number).where(*is_live)) is None or session.scalar(later) is not None:
        raise NotFound
    old: str | None = session.scalar(select(Output.object_key).where(Output.run_id == run_id, Output.path == path))
    row = {"attempt": attempt, "bytes": size, "sha256": sha256, "object_key": object_key}
    made = upsert(Output).values(run_id=run_id, path=path, **row)
    new = row | {"created_at": func.now(), "removed_at": None}
    session.execute(made.on_conflict_do_update(index_elements=["run_id", "path"], set_=new))
    return old


def mark_stored(session: Session, run_id: uuid.UUID, attempt: int) -> list[str]:
    """All of the attempt's files are stored that will ever be: it sent them itself. They take the place of those of
    earlier attempts; returns the keys of objects that nothing names any more."""
    session.execute(text("select 1 from run where id = :id for update"), {"id": run_id})
    is_mine = Attempt.run_id == run_id, Attempt.number == attempt, Attempt.outputs_stored_at.is_(None)
    session.execute(update(Attempt).where(*is_mine).values(outputs_stored_at=text("now()")))
    earlier = Output.run_id == run_id, Output.attempt < attempt
    return list(session.scalars(delete(Output).where(*earlier).returning(Output.object_key)))


def replace_outputs(
    session: Session,
    run_id: uuid.UUID,
    attempt: int,
    files: Sequence[dict[str, Any]],
    left_out: dict[str, Any] | None,
) -> list[str] | None:
    """Records an attempt's files in the place of those of earlier attempts, and that all is stored.

    `files` have path, bytes, sha256 and object_key; `left_out` goes into the run's history where limits were
    met. Returns the keys of objects that nothing names any more, which are the attempt's own where a later one
    has left files already; None, and nothing changed, where this attempt's were recorded before.
    """
    # The run's row, so that two who finish at once take turns.
    session.execute(text("select 1 from run where id = :id for update"), {"id": run_id})
    is_mine = Attempt.run_id == run_id, Attempt.number == attempt, Attempt.outputs_stored_at.is_(None)
    if session.scalar(select(Attempt.number).where(*is_mine)) is None:
        return None
    session.execute(update(Attempt).where(*is_mine).values(outputs_stored_at=text("now()")))
    later = select(Output.attempt).where(Output.run_id == run_id, Output.attempt > attempt).limit(1)
    if session.scalar(later) is not None:
        return [file["object_key"] for file in files]
    old = session.scalars(delete(Output).where(Output.run_id == run_id).returning(Output.object_key)).all()
    if files:
        session.execute(insert(Output), [{"run_id": run_id, "attempt": attempt, **file} for file in files])
    if left_out is not None:
        session.add(RunEvent(run_id=run_id, code="outputs_truncated", attempt=attempt, data=left_out))
    return [key for key in old if key not in {file["object_key"] for file in files}]
