"""Takes what runs used from a cluster into Postgres, while they run and once more when they have ended.

Everything here may run twice, at once or after a crash at any point: the place in the file moves together with what
was read of it, so that each line counts exactly once.
"""

import logging
import random
import uuid
from typing import Protocol

from app.clusters.base import ClusterUnavailable, LogPiece
from app.db import unit_of_work
from app.domain.usage import parse
from app.faults import crash_point
from app.repositories import usage
from app.repositories.usage import UsageSource

log = logging.getLogger(__name__)

READ_BYTES = 256 << 10
_MOST_READS = 32  # of one file in a row: more than a whole one has


class HasUsage(Protocol):
    """As much of a cluster as is needed here."""

    name: str

    def read_usage(self, run_id: str, attempt: int, replica: int, offset: int, limit: int) -> LogPiece: ...


def ship_usage(cluster: HasUsage) -> bool:
    """One look at each file that may have grown. False: there is no hurry to look again."""
    with unit_of_work() as session:
        sources = usage.list_sources(session, cluster.name)
    for source in random.sample(sources, len(sources)):
        try:
            _ship(cluster, source)
        except ClusterUnavailable as error:
            log.warning("the usage of %s-%d cannot be read now: %s", source.public_id, source.attempt, error)
        except Exception:  # one bad file must not hold up all others
            log.exception("the usage of %s-%d cannot be stored", source.public_id, source.attempt)
    return False


def ship_rest(cluster: HasUsage, run_id: uuid.UUID, attempt: int) -> None:
    """All that an attempt that has ended left. Raises ClusterUnavailable."""
    for _ in range(_MOST_READS):
        with unit_of_work() as session:
            sources = usage.list_sources_of(session, run_id, attempt)
        if sum(_ship(cluster, source) for source in sources) == 0:
            return


def _ship(cluster: HasUsage, source: UsageSource) -> bool:
    """Whether there was anything to read."""
    piece = cluster.read_usage(source.public_id, source.attempt, source.replica, source.offset, READ_BYTES)
    if not piece.data:
        return False
    with unit_of_work() as session:
        stored = usage.add_lines(session, source, parse(piece.data), piece.end_offset)
    if stored:
        crash_point("usage.after_store")
    return True
