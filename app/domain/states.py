"""The life of a run as a table, and the only door through which a state may change."""

from enum import StrEnum


class RunState(StrEnum):
    """What a run is doing. Values are the API's and never change meaning."""

    QUEUED = "queued"  # waits in Postgres; nothing of it exists anywhere else
    STARTING = "starting"  # has its reservation; its processes or pods are being made
    RUNNING = "running"  # a process of the user's own is alive
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"  # by a person or by automation, on request


class Desired(StrEnum):
    """What is wanted of a run."""

    RUNNING = "running"
    STOPPED = "stopped"


class Cause(StrEnum):
    """Why an attempt ended other than well. Each may have its own number of retries."""

    FAILED = "failed"  # the program ended with an exit code other than 0
    OOM_KILLED = "oom_killed"
    TIMED_OUT = "timed_out"
    START_FAILED = "start_failed"  # the program could not be started at all
    LOST = "lost"  # its process vanished without leaving an exit code
    STOPPED = "stopped"


TERMINAL = frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.STOPPED})
LIVE = frozenset({RunState.STARTING, RunState.RUNNING})

_Q, _S, _R = RunState.QUEUED, RunState.STARTING, RunState.RUNNING
_TRANSITIONS: dict[RunState, frozenset[RunState]] = {
    _Q: frozenset({_S, RunState.STOPPED, RunState.FAILED}),
    _S: frozenset({_Q, _R, *TERMINAL}),
    _R: frozenset({_Q, *TERMINAL}),
    RunState.SUCCEEDED: frozenset(),
    RunState.FAILED: frozenset(),
    RunState.STOPPED: frozenset(),
}


class IllegalTransition(Exception):
    """A bug: somebody asked for a move that the table does not have."""


def can_advance(old: RunState, new: RunState) -> bool:
    """Whether a run in `old` may move to `new`."""
    return new in _TRANSITIONS[old]


def advance(old: RunState, new: RunState) -> RunState:
    """Returns `new`. Raises IllegalTransition where the table does not allow the move."""
    if not can_advance(old, new):
        raise IllegalTransition(f"{old} -> {new}")
    return new


def roll_up(replicas: list[RunState]) -> RunState:
    """The state of an attempt from those of its replicas: one that failed fails it, all must succeed.

    Starting while any replica is, running once all of them are. Raises ValueError for no replicas.
    """
    if not replicas:
        raise ValueError("an attempt has at least one replica")
    for state in (RunState.FAILED, RunState.STOPPED):
        if state in replicas:
            return state
    if all(state == RunState.SUCCEEDED for state in replicas):
        return RunState.SUCCEEDED
    return RunState.STARTING if RunState.STARTING in replicas else RunState.RUNNING


def may_retry(cause: Cause, attempt: int, retries: dict[Cause, int], used: dict[Cause, int]) -> bool:
    """Whether another attempt may follow one that ended for `cause`.

    `retries` is the policy per cause, `used` how many earlier attempts ended for each cause. A stop is
    never retried, and no run makes more than MAX_ATTEMPTS.
    """
    if cause == Cause.STOPPED or attempt >= MAX_ATTEMPTS:
        return False
    return used.get(cause, 0) < retries.get(cause, 0)


MAX_ATTEMPTS = 100
