"""`berth run logs`: print a run's log, or follow it."""

import argparse
import datetime
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from berth import quantities
from berth.cli.command import Command
from berth.cli.exits import Exit
from berth.cli.run_result import leaving, result_of
from berth.cli.shell import Shell
from berth.cli.text import coloured, plain
from berth.errors import InvalidInput, WaitTimeout

if TYPE_CHECKING:
    from berth.records import LogLine

_FIELDS = ("line", "attempt", "replica", "stream", "at", "text", "gap")


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="an id, the beginning of one, or @last")
    parser.add_argument("-f", "--follow", action="store_true", help="until the run has ended; Ctrl-C leaves it running")
    parser.add_argument("--attempt", type=int, metavar="N", help="only this attempt; by default all")
    parser.add_argument("--replica", type=int, metavar="N", help="of a run with several replicas: the one (0)")
    parser.add_argument("--tail", type=int, metavar="N", help="only the last N lines")
    parser.add_argument(
        "--since", metavar="WHERE", help="only what comes after a line (1200, 2.1200) or a time (10m, 2h)"
    )
    parser.add_argument("--grep", metavar="REGEX", help="only lines in which this is found")
    parser.add_argument("--timestamps", action="store_true", help="with the time of each line")
    parser.add_argument("--propagate", action="store_true", help="with -f: exit with the run's own exit code")


def _logs(shell: Shell) -> int:
    options = shell.options
    if options.tail is not None and options.since is not None:
        raise InvalidInput("--tail and --since exclude each other")
    if options.replica is not None and options.replica < 0:
        raise InvalidInput("--replica takes a number from 0")
    if options.tail is not None and options.tail < 0:
        raise InvalidInput("--tail takes a number from 0")
    after: str | None = options.since
    options.begin = None
    if after is not None and not re.fullmatch(r"\d{1,9}(\.\d{1,12})?", after):
        options.begin, after = _time_of(after), None
    run_id = shell.run_id(options.run)
    printer = _printer(shell)
    _check_replica(shell, run_id, options.replica)
    only = {"attempt": options.attempt, "replica": options.replica, "after": after, "tail": options.tail}
    if not options.follow:
        for line in shell.client.runs.logs(run_id, **only):
            printer(line)
        return Exit.OK
    with leaving(shell, run_id):
        for line in shell.client.runs.logs(run_id, follow=True, **only):
            printer(line)
        run = shell.client.runs.get(run_id)
    # The attempt that was followed may have ended while the run goes on with another.
    return result_of(shell, run, options.propagate) if run.is_finished else Exit.OK


def _check_replica(shell: Shell, run_id: str, replica: int | None) -> None:
    """Says that there are others where none was named, and refuses one that is not there."""
    if replica is None and not shell.out.is_terminal:
        return
    count = shell.client.runs.get(run_id).replicas
    if replica is not None and replica >= count:
        raise InvalidInput(f"there is no replica {replica}: the run has {show_replicas(count)}")
    if replica is None and count > 1:
        shell.out.say(f"replica 0 of {count}; --replica N shows another")


def show_replicas(count: int) -> str:
    """How many, and which."""
    return "one replica, 0" if count == 1 else f"{count} replicas, 0 to {count - 1}"


def _time_of(text: str) -> datetime.datetime:
    try:
        ago = datetime.timedelta(seconds=quantities.seconds(text))
    except InvalidInput:
        raise InvalidInput(
            "--since takes a line number, such as 1200, or 2.1200 in attempt 2, or how long ago, such as 10m"
        ) from None
    return datetime.datetime.now(datetime.UTC) - ago


def follow_until_end(shell: Shell, run_id: str, timeout: str | None = None) -> None:
    """Prints the log of a new run until it has ended."""
    limit = quantities.seconds(timeout) if timeout else None
    start = time.monotonic()
    printer = _printer(shell)
    try:
        if limit is not None:
            _end_after(limit)
        for line in shell.client.runs.logs(run_id, follow=True):
            printer(line)
    except KeyboardInterrupt:
        if limit is not None and time.monotonic() - start >= limit:
            raise WaitTimeout(shell.client.runs.get(run_id), limit) from None
        raise


def _end_after(seconds: float) -> None:
    # A stream may be silent for longer than the time there is: only a signal reaches a blocking read.
    import signal

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))


def _printer(shell: Shell) -> "Callable[[LogLine], None]":
    out, options = shell.out, shell.options
    pattern = getattr(options, "grep", None)
    try:
        wanted = re.compile(pattern) if pattern else None
    except re.error as error:
        raise InvalidInput(f"--grep: {error}", hint="It is a regular expression: write \\( for a bracket.") from None
    begin = getattr(options, "begin", None)
    has_times = bool(getattr(options, "timestamps", False))
    is_live = bool(getattr(options, "follow", True))  # a log that is printed whole is written in large pieces

    def show(line: "LogLine") -> None:
        if wanted is not None and not wanted.search(line.text):
            return
        if begin is not None and line.at is not None and line.at < begin:
            return
        if out.is_json:
            at = line.at.isoformat().replace("+00:00", "Z") if line.at else None
            out.stream({**{name: getattr(line, name) for name in _FIELDS}, "at": at})
            return
        text = coloured(line.text) if out.has_colour else plain(line.text, keep_lines=True)
        if line.gap is not None:
            lines = line.gap.get("lines") or 0
            what = f"{quantities.show_count(lines, 'line')} ({line.gap.get('bytes')} bytes)" if lines else "a part"
            gap = f"{what} {'are' if lines > 1 else 'is'} missing: {line.gap.get('why')}"
            text = out.paint(f"--- gap: {plain(gap)} ---", "yellow")
        elif line.stream == "berth":
            text = out.paint(text, "dim")
        stamp = f"{line.at.isoformat(timespec='milliseconds').replace('+00:00', 'Z')} " if has_times and line.at else ""
        print(stamp + text, flush=is_live)

    return show


LOGS = Command(
    "run logs",
    _logs,
    "print its log, or follow it",
    "berth run logs -f @last --grep 'loss'",
    _arguments,
    _FIELDS,
    description="Prints the log, without colours where stdout is no terminal. --json prints one object a line."
    "\nFollowing survives restarts of the server: no line is lost or comes twice.",
)
COMMANDS = (LOGS,)
