"""Exit codes: one table for the program, the help and the tests."""

from enum import IntEnum

from berth.errors import BerthError, InvalidInput, RunFailed, RunStopped, Unreachable, WaitTimeout


class Exit(IntEnum):
    """What a script can tell apart."""

    OK = 0
    UNEXPECTED = 1
    INVALID = 2
    NOT_SIGNED_IN = 4
    NOT_FOUND = 5
    CONFLICT = 6
    REFUSED = 7
    UNREACHABLE = 8
    RUN_FAILED = 100
    RUN_STOPPED = 101
    WAIT_TIMEOUT = 102
    INTERRUPTED = 130


MEANINGS: dict[Exit, str] = {
    Exit.OK: "ok",
    Exit.UNEXPECTED: "something unexpected",
    Exit.INVALID: "wrong usage, or a spec that is not valid",
    Exit.NOT_SIGNED_IN: "not signed in",
    Exit.NOT_FOUND: "not found, or not allowed",
    Exit.CONFLICT: "conflict: it was changed meanwhile, or its state does not allow it",
    Exit.REFUSED: "refused by quota, capacity, policy or rate limit",
    Exit.UNREACHABLE: "the server does not answer",
    Exit.RUN_FAILED: "the run failed (--propagate: the run's own exit code)",
    Exit.RUN_STOPPED: "the run was stopped",
    Exit.WAIT_TIMEOUT: "the time to wait is over; the run goes on",
    Exit.INTERRUPTED: "Ctrl-C; a run that was followed goes on",
}

# Refusals of what was asked for, whatever their status: it is valid, but there is no room or no leave for it.
REFUSALS = frozenset({"NEVER_FITS", "TOO_MANY_WAITING", "TOO_MANY_TOKENS"})

# The server answers, and says that its store does not have a file any more: no trouble of the connection.
LOST = frozenset({"OUTPUT_LOST", "OUTPUTS_LOST"})

_BY_STATUS: dict[int, Exit] = {
    400: Exit.INVALID,
    401: Exit.NOT_SIGNED_IN,
    403: Exit.NOT_FOUND,
    404: Exit.NOT_FOUND,
    409: Exit.CONFLICT,
    410: Exit.NOT_FOUND,
    412: Exit.CONFLICT,
    413: Exit.INVALID,
    415: Exit.INVALID,
    422: Exit.INVALID,
    428: Exit.CONFLICT,
    429: Exit.REFUSED,
    502: Exit.UNREACHABLE,
    503: Exit.UNREACHABLE,
    504: Exit.UNREACHABLE,
}
_BY_KIND: tuple[tuple[type[BerthError], Exit], ...] = (
    (InvalidInput, Exit.INVALID),
    (Unreachable, Exit.UNREACHABLE),
    (RunFailed, Exit.RUN_FAILED),
    (RunStopped, Exit.RUN_STOPPED),
    (WaitTimeout, Exit.WAIT_TIMEOUT),
)


def exit_of(problem: BerthError) -> Exit:
    """The exit code of a problem."""
    for kind, code in _BY_KIND:
        if isinstance(problem, kind):
            return code
    if problem.code in REFUSALS:
        return Exit.REFUSED
    if problem.code in LOST:
        return Exit.NOT_FOUND
    return _BY_STATUS.get(problem.status, Exit.UNEXPECTED)


def exit_table() -> str:
    """The table as the help shows it."""
    return "\n".join(f"  {code.value:>3}  {meaning}" for code, meaning in MEANINGS.items())
