"""Ships logs from a cluster into storage while runs run, and seals them when they have ended.

Called in a loop by the controller. Everything here may run twice, at once or after a crash at any point: lines
are keyed by their place, so a line is stored exactly once.
"""

import logging
import random
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Protocol

from app import queue
from app.clusters.base import ClusterUnavailable, LogPiece
from app.db import unit_of_work
from app.domain.loglines import Chunk, count_gaps, parse
from app.faults import crash_point
from app.repositories import logs
from app.repositories.logs import LogSource, NewChunk
from app.stores import logs as store
from app.stores import objects

log = logging.getLogger(__name__)

READ_BYTES = 512 << 10  # of one replica at a time, so that none keeps the others waiting
PASS_BYTES = 8 << 20
SEAL_BYTES = 1 << 20
SMALL_BYTES = 64 << 10
SMALL_CHUNKS = 64


class HasLogs(Protocol):
    """As much of a cluster as is needed here."""

    name: str

    def read_log(self, run_id: str, attempt: int, replica: int, offset: int, limit: int) -> LogPiece: ...


def ship_logs(cluster: HasLogs) -> bool:
    """Stores what is new in every log of the cluster; True when there was anything, so that more may follow."""
    with unit_of_work() as session:
        sources = logs.list_unsealed(session, cluster.name)
    pieces, finished = _read(cluster, sources)
    with unit_of_work() as session:
        stored = logs.append(session, pieces)
    if stored:
        crash_point("logs.after_append")
    for chunk in pieces:
        if chunk.source.run_id in stored:
            _guarded(_tidy, chunk.source)
    _seal_finished(sources, finished)
    return bool(stored)


def _read(cluster: HasLogs, sources: list[LogSource]) -> tuple[list[NewChunk], list[LogSource]]:
    """New chunks, and the sources that have ended and have nothing more."""
    pieces: list[NewChunk] = []
    finished: list[LogSource] = []
    left = PASS_BYTES
    for source in random.sample(sources, len(sources)):  # whoever does not fit waits for the next pass
        if left <= 0:
            break
        try:
            piece = cluster.read_log(source.public_id, source.attempt, source.replica, source.offset, READ_BYTES)
        except ClusterUnavailable as error:
            level = logging.INFO if error.retry_after <= 1.0 else logging.WARNING  # it only takes a moment longer
            log.log(level, "the log of %s-%d cannot be read now: %s", source.public_id, source.attempt, error)
            continue
        except Exception:  # one bad log must not hold up all others
            log.exception("the log of %s-%d cannot be read", source.public_id, source.attempt)
            continue
        if piece.data:
            pieces.append(_new_chunk(source, piece.data, piece.end_offset))
            left -= len(piece.data)
        elif source.is_ended:
            finished.append(source)
    return pieces, finished


def _new_chunk(source: LogSource, data: bytes, end_offset: int) -> NewChunk:
    first = parse(data[: data.index(b"\n")])
    last = parse(data[data.rfind(b"\n", 0, len(data) - 1) + 1 : -1])
    return NewChunk(
        source=source,
        data=data,
        lines=data.count(b"\n"),
        gaps=count_gaps(data),
        end_offset=end_offset,
        first_at=datetime.fromtimestamp(first.at_ms / 1000, UTC),
        last_at=datetime.fromtimestamp(last.at_ms / 1000, UTC),
    )


def _tidy(source: LogSource) -> None:
    """Seals what has become large, and joins small chunks: a slow log would be thousands of rows else."""
    with unit_of_work() as session:
        sizes = logs.list_open_sizes(session, source)
    if sum(size for _, size in sizes) > SEAL_BYTES:
        _seal_open(source)
        return
    small: list[int] = []
    for first_line, size in reversed(sizes):
        if size >= SMALL_BYTES:
            break
        small.append(first_line)
    if len(small) > SMALL_CHUNKS:
        with unit_of_work() as session:
            logs.merge_open(session, source, small[-1], small[0])


def _seal_finished(sources: Iterable[LogSource], finished: Iterable[LogSource]) -> None:
    """Seals the attempts whose every replica has nothing more to read."""
    unfinished = {(one.run_id, one.attempt) for one in set(sources) - set(finished)}
    whole: dict[tuple[uuid.UUID, int], LogSource] = {}
    for source in finished:
        if _guarded(_seal_open, source) and (source.run_id, source.attempt) not in unfinished:
            whole[source.run_id, source.attempt] = source
    for source in whole.values():
        with unit_of_work() as session:
            # The run's row before its attempt's: everybody locks them in this order.
            queue.mark_due(session, source.run_id)
            logs.mark_sealed(session, source.run_id, source.attempt)  # refused while a replica has open chunks


def _guarded(step: Callable[[LogSource], None], source: LogSource) -> bool:
    """Runs a step for one log; False where it failed, which is logged and tried again in a later pass."""
    try:
        step(source)
    except Exception:  # one bad log must not hold up all others
        log.exception("the log of %s-%d cannot be stored", source.public_id, source.attempt)
        return False
    return True


def _seal_open(source: LogSource) -> None:
    """Moves the open chunks of a log into objects of a few MiB at most."""
    while True:
        with unit_of_work() as session:
            chunks = _up_to(4 * SEAL_BYTES, logs.list_open(session, source, SMALL_CHUNKS))
        if not chunks:
            return
        key = objects.log_key(source.project_id, source.run_id, source.attempt, source.replica, chunks[0].first_line)
        objects.of(source.project_id).put(key, store.pack(b"".join(chunk.data or b"" for chunk in chunks)))
        crash_point("logs.after_put")
        with unit_of_work() as session:
            sealed = logs.seal(session, source, chunks, key)
        crash_point("logs.after_seal")
        if not sealed:  # another shipper was faster
            objects.of(source.project_id).delete([key])
            return


def _up_to(limit: int, chunks: list[Chunk]) -> list[Chunk]:
    taken: list[Chunk] = []
    for chunk in chunks:
        if taken and sum(one.size for one in taken) + chunk.size > limit:
            break
        taken.append(chunk)
    return taken
