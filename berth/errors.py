"""What can go wrong, as exceptions: the server's problems as it described them, and the client's own."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from berth.results import RunData

_FIELDS_SAID = 3


class BerthError(Exception):
    """A problem as the server described it (RFC 9457), or one that the client found itself.

    `code` is stable and has a page at `/problems/<code>`; `errors` are per field, each with `pointer`,
    `message` and perhaps `fix` and `line`; `status` is the HTTP status, 0 where no answer was involved;
    `fields` are the figures of the problem (for example `limit` and `asked`).
    """

    def __init__(
        self,
        detail: str,
        *,
        code: str = "CLIENT",
        title: str = "",
        hint: str = "",
        status: int = 0,
        errors: list[dict[str, Any]] | None = None,
        trace_id: str = "",
        retry_after: float | None = None,
        fields: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code
        self.title = title or detail
        self.hint = hint
        self.status = status
        self.errors = errors or []
        self.trace_id = trace_id
        self.retry_after = retry_after
        self.fields = fields or {}

    def __str__(self) -> str:
        said = [f"{one.get('pointer') or '/'} {one.get('message', '')}".rstrip() for one in self.errors[:_FIELDS_SAID]]
        if len(self.errors) > _FIELDS_SAID:
            said.append(f"and {len(self.errors) - _FIELDS_SAID} more")
        return f"{self.detail} ({self.code})" + (f": {'; '.join(said)}" if said else "")


class InvalidInput(BerthError):
    """Found wrong before anything was sent: a flag, a file, a setting."""

    def __init__(self, detail: str, *, code: str = "USAGE", hint: str = "", **more: Any) -> None:
        super().__init__(detail, code=code, hint=hint, **more)


class Unreachable(BerthError):
    """No answer, or none that is Berth's. Whether the request was carried out is unknown."""

    def __init__(self, detail: str, *, code: str = "UNREACHABLE", hint: str = "", **more: Any) -> None:
        hint = hint or (
            "Is Berth running there? `berth up` starts it on this machine; "
            "`berth config show --origin` tells why this server is used."
        )
        super().__init__(detail, code=code, hint=hint, **more)


class WaitTimeout(BerthError):
    """The time to wait is over; the run goes on. `run` is how it was last seen."""

    def __init__(self, run: "RunData", seconds: float) -> None:
        super().__init__(
            f"{run.id} is still {run.state} after {seconds:g} s",
            code="WAIT_TIMEOUT",
            hint=f"The run goes on: `berth run wait {run.id}` waits again.",
        )
        self.run = run


class RunFailed(BerthError):
    """The run that was waited for failed. `exit_code` is the program's, None where it left none; `rank` the number of
    the process that left it, None where no process of the last attempt did; `first_error` the log's first line that
    says what went wrong, None where there is none.
    """

    def __init__(self, run: "RunData") -> None:
        why = run.first_error or (run.reason.text if run.reason else "") or f"exit code {run.exit_code}"
        self.rank = _rank_of(run)
        which = f" --replica {self.rank}" if self.rank else ""
        super().__init__(
            f"{run.id} failed: {why}", code="RUN_FAILED", hint=f"`berth run logs {run.id}{which}` shows its output."
        )
        self.run = run
        self.exit_code = run.exit_code
        self.first_error = run.first_error


class RunStopped(BerthError):
    """The run that was waited for was stopped before it ended by itself."""

    def __init__(self, run: "RunData") -> None:
        super().__init__(
            f"{run.id} was stopped", code="RUN_STOPPED", hint=f"`berth run rerun {run.id}` starts it again."
        )
        self.run = run


def _rank_of(run: "RunData") -> int | None:
    """The process that the run's reason names, else the one whose exit code became the run's, else the first one that
    failed."""
    named = run.reason.args.get("replica") if run.reason else None
    if isinstance(named, int):
        return named
    last = max(run.attempts, key=lambda attempt: attempt.number, default=None)
    failed = [replica for replica in last.replicas if replica.exit_code] if last else []
    failed.sort(key=lambda replica: (replica.exit_code != run.exit_code, replica.index))
    return failed[0].index if failed else None
