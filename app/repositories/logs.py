"""Rows of logs: what there is of each replica's log, and the moves by which lines come in and are sealed.

Appending and sealing take one advisory lock per attempt, so that shippers that run twice cannot store a line
twice. Readers need no lock: each statement sees every line exactly once.
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from app.db import driver
from app.domain.loglines import Chunk

CHANNEL = "berth_log"


@dataclass(frozen=True, slots=True)
class LogSource:
    """A replica's log: where it comes from, and where reading it goes on."""

    run_id: uuid.UUID
    public_id: str
    project_id: uuid.UUID
    attempt: int
    replica: int
    next_line: int
    offset: int
    is_ended: bool


@dataclass(frozen=True, slots=True)
class NewChunk:
    """Lines to append to `source`, whole records only."""

    source: LogSource
    data: bytes
    lines: int
    gaps: int
    end_offset: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class LogHead:
    """How much of a replica's log there is. `is_complete`: all of it is stored and nothing will follow."""

    attempt: int
    replica: int
    lines: int
    bytes: int
    gaps: int
    is_complete: bool


_UNSEALED = text("""
    select r.id, r.public_id, r.project_id, a.number, i.index,
           coalesce(c.next_line, 1), coalesce(c.end_offset, 0), a.finished_at is not null
    from attempt a
    join run r on r.id = a.run_id
    join pool p on p.name = r.pool
    join cluster k on k.id = p.cluster_id and k.name = :cluster
    cross join lateral generate_series(0, r.replicas - 1) as i(index)
    left join lateral (
        select first_line + lines as next_line, end_offset from log_chunk
        where run_id = a.run_id and attempt = a.number and replica = i.index
        order by first_line desc limit 1
    ) c on true
    where a.logs_sealed_at is null
    order by a.run_id, a.number, i.index
    limit :limit
""")


def list_unsealed(session: Session, cluster: str, limit: int = 5_000) -> list[LogSource]:
    """The logs of a cluster that are not stored to their end."""
    rows = session.execute(_UNSEALED, {"cluster": cluster, "limit": limit})
    return [LogSource(*row) for row in rows]


_LOCK = text("""
    select pg_advisory_xact_lock(key) from unnest(cast(:keys as bigint[])) as key
""")

_APPEND = text(f"""
    with new as (
        select * from unnest(
            cast(:run_ids as uuid[]), cast(:attempts as bigint[]), cast(:replicas as bigint[]),
            cast(:first_lines as bigint[]), cast(:lines as bigint[]), cast(:bytes as bigint[]),
            cast(:gaps as bigint[]), cast(:end_offsets as bigint[]),
            cast(:first_ats as timestamptz[]), cast(:last_ats as timestamptz[]), cast(:data as bytea[])
        ) as n(run_id, attempt, replica, first_line, lines, bytes, gaps, end_offset, first_at, last_at, data)
    ), stored as (
        insert into log_chunk
            (run_id, attempt, replica, first_line, lines, bytes, gaps, end_offset, first_at, last_at, data)
        select * from new
        where first_line = coalesce((
            select c.first_line + c.lines from log_chunk c
            where c.run_id = new.run_id and c.attempt = new.attempt and c.replica = new.replica
            order by c.first_line desc limit 1
        ), 1)
        on conflict do nothing
        returning run_id
    )
    select pg_notify('{CHANNEL}', run_id::text), run_id from (select distinct run_id from stored) as runs
""")  # noqa: S608 - the channel is a constant


def append(session: Session, chunks: Sequence[NewChunk]) -> set[uuid.UUID]:
    """Stores new lines where they continue what is there, and drops those that somebody else stored first.

    Tells those who follow. Returns the runs that got lines.
    """
    if not chunks:
        return set()
    _lock(session, ((chunk.source.run_id, chunk.source.attempt) for chunk in chunks))
    rows = session.execute(
        _APPEND,
        {
            "run_ids": [chunk.source.run_id for chunk in chunks],
            "attempts": [chunk.source.attempt for chunk in chunks],
            "replicas": [chunk.source.replica for chunk in chunks],
            "first_lines": [chunk.source.next_line for chunk in chunks],
            "lines": [chunk.lines for chunk in chunks],
            "bytes": [len(chunk.data) for chunk in chunks],
            "gaps": [chunk.gaps for chunk in chunks],
            "end_offsets": [chunk.end_offset for chunk in chunks],
            "first_ats": [chunk.first_at for chunk in chunks],
            "last_ats": [chunk.last_at for chunk in chunks],
            "data": [chunk.data for chunk in chunks],
        },
    )
    return {row.run_id for row in rows}


_OPEN = text("""
    select first_line, lines, bytes, data, null::text as object_key from log_chunk
    where run_id = :run_id and attempt = :attempt and replica = :replica and data is not null
    order by first_line limit :limit
""")


def list_open(session: Session, source: LogSource, limit: int) -> list[Chunk]:
    """The first chunks that still have their bytes in Postgres."""
    rows = session.execute(_OPEN, _where(source) | {"limit": limit})
    return [_chunk(row) for row in rows]


_OPEN_SIZES = text("""
    select first_line, bytes from log_chunk
    where run_id = :run_id and attempt = :attempt and replica = :replica and data is not null
    order by first_line
""")


def list_open_sizes(session: Session, source: LogSource) -> list[tuple[int, int]]:
    """(first line, bytes) of each open chunk, in order."""
    return [(row[0], row[1]) for row in session.execute(_OPEN_SIZES, _where(source))]


_TAKE = text("""
    select first_line, lines, bytes, gaps, end_offset, last_at from log_chunk
    where run_id = :run_id and attempt = :attempt and replica = :replica and data is not null
      and first_line >= :first and first_line <= :last
    order by first_line for update
""")
_SEAL = text("""
    update log_chunk set lines = :lines, bytes = :bytes, gaps = :gaps, end_offset = :end_offset,
           last_at = :last_at, data = null, object_key = :object_key
    where run_id = :run_id and attempt = :attempt and replica = :replica and first_line = :first
""")
_MERGE = text("""
    update log_chunk set lines = :lines, bytes = :bytes, gaps = :gaps, end_offset = :end_offset, last_at = :last_at,
           data = (select string_agg(c.data, ''::bytea order by c.first_line) from log_chunk c
                   where c.run_id = :run_id and c.attempt = :attempt and c.replica = :replica
                     and c.first_line >= :first and c.first_line <= :last)
    where run_id = :run_id and attempt = :attempt and replica = :replica and first_line = :first
""")
_DROP = text("""
    delete from log_chunk
    where run_id = :run_id and attempt = :attempt and replica = :replica
      and first_line > :first and first_line <= :last
""")


def seal(session: Session, source: LogSource, chunks: Sequence[Chunk], object_key: str) -> bool:
    """Puts one sealed row in the place of the open `chunks`, whose bytes are in the object.

    False, and nothing changed, where the rows are no longer those: the object is then to be thrown away.
    """
    rows = _take(session, source, chunks[0].first_line, chunks[-1].first_line)
    if [(row.first_line, row.lines) for row in rows] != [(chunk.first_line, chunk.lines) for chunk in chunks]:
        return False
    _replace(session, source, rows, sealed_as=object_key)
    return True


def merge_open(session: Session, source: LogSource, first: int, last: int) -> None:
    """Makes one open row of the open rows whose first lines are from `first` to `last`."""
    rows = _take(session, source, first, last)
    if len(rows) > 1:
        _replace(session, source, rows, sealed_as=None)


def _take(session: Session, source: LogSource, first: int, last: int) -> Sequence[Row[tuple[object, ...]]]:
    _lock(session, [(source.run_id, source.attempt)])
    return session.execute(_TAKE, _where(source) | {"first": first, "last": last}).all()


def _replace(
    session: Session, source: LogSource, rows: Sequence[Row[tuple[object, ...]]], sealed_as: str | None
) -> None:
    values = _where(source) | {
        "first": rows[0].first_line,
        "last": rows[-1].first_line,
        "lines": sum(row.lines for row in rows),
        "bytes": sum(row.bytes for row in rows),
        "gaps": sum(row.gaps for row in rows),
        "end_offset": rows[-1].end_offset,
        "last_at": rows[-1].last_at,
    }
    if sealed_as is None:
        session.execute(_MERGE, values)
    else:
        session.execute(_SEAL, values | {"object_key": sealed_as})
    session.execute(_DROP, values)


_MARK_SEALED = text(f"""
    with sealed as (
        update attempt a set logs_sealed_at = now()
        where a.run_id = :run_id and a.number = :attempt and a.logs_sealed_at is null
          and a.finished_at is not null
          and not exists (select 1 from log_chunk c
                          where c.run_id = a.run_id and c.attempt = a.number and c.data is not null)
        returning a.run_id
    )
    select pg_notify('{CHANNEL}', run_id::text) from sealed
""")  # noqa: S608 - the channel is a constant


def mark_sealed(session: Session, run_id: uuid.UUID, attempt: int) -> bool:
    """Says that an attempt that ended has all of its log stored, and tells those who follow.

    False where it was said before, or where there are still open chunks.
    """
    _lock(session, [(run_id, attempt)])
    return bool(session.execute(_MARK_SEALED, {"run_id": run_id, "attempt": attempt}).all())


_HEADS = text("""
    select a.number, coalesce(c.replica, 0), coalesce(c.lines, 0), coalesce(c.bytes, 0), coalesce(c.gaps, 0),
           a.logs_sealed_at is not null
    from attempt a
    left join (
        select attempt, replica, max(first_line + lines) - 1 as lines, sum(bytes)::bigint as bytes,
               sum(gaps)::bigint as gaps
        from log_chunk where run_id = :run_id group by attempt, replica
    ) c on c.attempt = a.number
    where a.run_id = :run_id
    order by a.number, 2
""")


def list_heads(session: Session, run_id: uuid.UUID) -> list[LogHead]:
    """How much log there is, for each attempt and replica; an attempt without any has one empty entry."""
    return [LogHead(*row) for row in session.execute(_HEADS, {"run_id": run_id})]


def count_replicas(session: Session, run_id: uuid.UUID) -> int:
    """How many replicas the run has, whether or not they have said anything."""
    found: int = session.execute(text("select replicas from run where id = :run_id"), {"run_id": run_id}).scalar_one()
    return found


_CHUNKS = """
    select first_line, lines, bytes, data, object_key from log_chunk
    where run_id = %(run_id)s and attempt = %(attempt)s and replica = %(replica)s
      and first_line >= coalesce((
          select max(first_line) from log_chunk
          where run_id = %(run_id)s and attempt = %(attempt)s and replica = %(replica)s and first_line <= %(first)s
      ), 1)
      and first_line <= %(last)s and first_line + lines > %(first)s
    order by first_line limit %(limit)s
"""


def list_chunks(
    session: Session, run_id: uuid.UUID, attempt: int, replica: int, first: int, last: int, limit: int
) -> list[Chunk]:
    """The chunks that hold the lines from `first` to `last`, at most `limit`, in order.

    One statement, so that a chunk that is sealed meanwhile is seen either as before or as after. Bytes come as
    such: as text, which is how they come otherwise, they cost Postgres and this process six times as much.
    """
    values = {"run_id": run_id, "attempt": attempt, "replica": replica, "first": first, "last": last, "limit": limit}
    return [Chunk(*row) for row in driver(session).execute(_CHUNKS, values, binary=True).fetchall()]


def _chunk(row: Row[tuple[object, ...]]) -> Chunk:
    data = row.data
    return Chunk(row.first_line, row.lines, row.bytes, None if data is None else bytes(data), row.object_key)


def _where(source: LogSource) -> dict[str, object]:
    return {"run_id": source.run_id, "attempt": source.attempt, "replica": source.replica}


def _lock(session: Session, attempts: Iterable[tuple[uuid.UUID, int]]) -> None:
    # In one order everywhere, so that two who lock several cannot wait for each other.
    keys = sorted({(run_id.int ^ (attempt * 0x9E3779B97F4A7C15)) & (2**63 - 1) for run_id, attempt in attempts})
    session.execute(_LOCK, {"keys": keys})
