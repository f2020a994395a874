"""Which waiting runs may start now, and why the others may not yet. Pure and deterministic.

Runs are tried in the order of priority, then of submission. A run that does not fit holds back everything
behind it in its pool: nothing overtakes the head, so nothing waits for ever because of smaller runs.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.domain.quantities import format_cpu, format_memory
from app.domain.quota import Resources
from app.domain.reasons import Reason

_NAMED_HOLDERS = 3


@dataclass(frozen=True)
class Waiting:
    """A run in line. `asked` is for all of its replicas together."""

    id: uuid.UUID
    public_id: str
    asked: Resources


@dataclass(frozen=True)
class PoolState:
    """A pool as it is now. `line` is in order; `holders` are the public ids of what runs there, oldest first.

    `away_since` is set while its cluster does not answer, `is_draining` while no new runs are to go there,
    `is_unchecked` until its cluster has passed its check.
    """

    name: str
    cluster: str
    capacity: Resources
    held: Resources
    line: Sequence[Waiting]
    holders: Sequence[str] = ()
    away_since: str | None = None
    is_draining: bool = False
    is_unchecked: bool = False


@dataclass(frozen=True)
class Decision:
    """`admitted` in order; `reasons` for every other run of the line by id."""

    admitted: list[Waiting] = field(default_factory=list)
    reasons: dict[uuid.UUID, Reason] = field(default_factory=dict)


def decide(pool: PoolState) -> Decision:
    """Admits from the head of the line as long as it fits into what is free."""
    decision = Decision()
    free = pool.capacity - pool.held
    blocked = False
    closed = _closed(pool)
    for run in pool.line:
        if closed is not None:
            decision.reasons[run.id] = closed
        elif blocked:
            decision.reasons[run.id] = _behind(pool, run)
        elif run.asked.fits(free):
            decision.admitted.append(run)
            free -= run.asked
        else:
            decision.reasons[run.id] = _busy(pool, run, free, decision.admitted)
            blocked = True
    return decision


def behind(pool: PoolState, runs: Sequence[Waiting]) -> dict[uuid.UUID, Reason]:
    """The reasons of runs that are further back in the line than `decide` was shown."""
    closed = _closed(pool)
    return {run.id: closed or _behind(pool, run) for run in runs}


def _closed(pool: PoolState) -> Reason | None:
    """Why nothing at all starts in the pool now."""
    if pool.away_since is not None:
        return Reason("CLUSTER_AWAY", {"pool": pool.name, "cluster": pool.cluster, "since": pool.away_since})
    if pool.is_draining:
        return Reason("CLUSTER_DRAINING", {"pool": pool.name, "cluster": pool.cluster})
    if pool.is_unchecked:
        return Reason("CLUSTER_UNCHECKED", {"pool": pool.name, "cluster": pool.cluster})
    return None


def _behind(pool: PoolState, run: Waiting) -> Reason:
    return Reason("BEHIND_IN_LINE", {"asked": str(run.asked), "pool": pool.name, "capacity": str(pool.capacity)})


def _busy(pool: PoolState, run: Waiting, free: Resources, admitted: Sequence[Waiting]) -> Reason:
    """The scarcest resource first: GPUs, then CPU, then memory."""
    missing = run.asked.shortfall(free)
    holders = [*pool.holders, *(other.public_id for other in admitted)]
    named = ", ".join(holders[:_NAMED_HOLDERS])
    if len(holders) > _NAMED_HOLDERS:
        named += f" + {len(holders) - _NAMED_HOLDERS}"
    common = {"pool": pool.name, "holders": named}
    if missing.gpus:
        figures = {
            "asked": str(run.asked.gpus),
            "free": str(max(free.gpus, 0)),
            "capacity": str(pool.capacity.gpus),
        }
        return Reason("GPU_BUSY", {**common, **figures})
    if missing.cpu_millis:
        figures = {
            "asked": format_cpu(run.asked.cpu_millis),
            "free": format_cpu(max(free.cpu_millis, 0)),
            "capacity": format_cpu(pool.capacity.cpu_millis),
        }
        return Reason("CPU_BUSY", {**common, **figures})
    figures = {
        "asked": _memory(run.asked.memory_bytes),
        "free": _memory(free.memory_bytes),
        "capacity": _memory(pool.capacity.memory_bytes),
    }
    return Reason("MEMORY_BUSY", {**common, **figures})


def _memory(size: int) -> str:
    return format_memory(max(size, 0) // 2**20 * 2**20)
