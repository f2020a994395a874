"""What the commands about runs have in common: how a run is printed, waited for, and turned into an exit code."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from berth import quantities
from berth.cli.exits import Exit
from berth.cli.shell import Shell
from berth.cli.text import plain
from berth.errors import RunFailed, WaitTimeout
from berth.results import FAILED, STOPPED

if TYPE_CHECKING:
    from berth.results import Run, RunData

RUN_FIELDS = (
    "id",
    "project",
    "name",
    "kind",
    "state",
    "desired",
    "tags",
    "experiment",
    "archived",
    "created_by",
    "priority",
    "pool",
    "cpu",
    "memory",
    "gpus",
    "replicas",
    "attempt",
    "reason",
    "exit_code",
    "first_error",
    "progress",
    "created_at",
    "queued_at",
    "started_at",
    "finished_at",
    "waited_seconds",
    "ran_seconds",
    "parent",
    "debug_of",
    "exec_commands",
    "definition",
    "url",
    "version",
)


def print_run(shell: Shell, run: "RunData", done: str = "") -> None:
    """A run as the result of a command: JSON, its id, or a line with id, state and page."""
    out = shell.out
    if out.is_json:
        out.object(run.raw)
    elif out.is_quiet:
        out.line(run.id)
    elif out.is_terminal:
        word = f"{out.paint('✓', 'green')} " if done else ""
        out.line(f"{word}{run.id} {done or run.state}  {plain(run.name)}  {plain(run.url)}".rstrip())
    else:
        out.line("\t".join((run.id, run.state, plain(run.url))))


def wait_for(shell: Shell, run_id: str, timeout: str | None, propagate: bool) -> int:
    """Waits, prints the run as it ended, and returns its exit code."""
    try:
        run = shell.client.runs.wait(run_id, timeout=timeout)
    except WaitTimeout as late:
        print_run(shell, late.run)
        raise
    print_run(shell, run)
    return result_of(shell, run, propagate)


@contextlib.contextmanager
def leaving(shell: Shell, run_id: str) -> Iterator[None]:
    """Within it, Ctrl-C ends the command and says that the run goes on, and how to follow or stop it."""
    try:
        yield
    except KeyboardInterrupt:
        shell.out.say(
            f"\n{run_id} goes on: `berth run logs -f {run_id}` follows it again, `berth run stop {run_id}` ends it."
        )
        raise SystemExit(Exit.INTERRUPTED) from None


def result_of(shell: Shell, run: "Run", propagate: bool) -> int:
    """The exit code of a run that has ended; says on stderr how it went."""
    out = shell.out
    took = quantities.short(run.ran_seconds)
    if run.state == FAILED:
        failure = RunFailed(run)
        out.say(f"{out.paint('✗', 'red')} {plain(failure.detail)}" if out.has_colour else plain(failure.detail))
        out.say(f"hint: {failure.hint}")
    elif run.state == STOPPED:
        out.say(f"{run.id} was stopped. {plain(run.why)}".rstrip())
    elif not out.is_quiet:
        out.say(f"{run.id} {run.state} after {took}")
    if propagate and run.exit_code is not None:
        return run.exit_code & 0xFF
    return {FAILED: Exit.RUN_FAILED, STOPPED: Exit.RUN_STOPPED}.get(run.state, Exit.OK)
