"""`berth run debug`: a pod as a run has it, in which nothing runs yet, and how to get into it."""

import argparse
import time
from typing import TYPE_CHECKING

from berth.cli.command import Command
from berth.cli.exits import Exit
from berth.cli.run_result import RUN_FIELDS, leaving, print_run, result_of
from berth.cli.shell import Shell

if TYPE_CHECKING:
    from berth.results import Run

_POLL_SECONDS = 1.0


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="an id, the beginning of one, or @last")
    parser.add_argument("--for", dest="ttl", metavar="TIME", default="1h", help="how long it lasts, at most 12h (1h)")
    parser.add_argument("--detach", action="store_true", help="do not wait until it runs")


def _debug(shell: Shell) -> int:
    run = shell.client.runs.debug(shell.run_id(shell.options.run), shell.options.ttl)
    if shell.options.detach:
        print_run(shell, run, "submitted")
        return Exit.OK
    if not shell.out.is_quiet:
        shell.out.say(f"{run.id} submitted  {run.url}".rstrip())
    with leaving(shell, run.id):
        run = _until_open(shell, run)
    if shell.out.is_json:
        print_run(shell, run)
    else:
        for command in run.exec_commands:
            shell.out.line(command)
    if run.is_finished:
        return result_of(shell, run, propagate=False)
    if not shell.out.is_quiet:
        shell.out.say("This opens a shell in it; you need the right to exec into pods on the cluster.")
        shell.out.say(f"It ends by itself after {shell.options.ttl}; `berth run stop {run.id}` ends it before.")
    return Exit.OK


def _until_open(shell: Shell, run: "Run") -> "Run":
    """The run once all its pods can be gone into, or it has ended; says on stderr why it waits, as that changes."""
    told = ""
    while not run.is_finished and (run.state != "running" or len(run.exec_commands) < run.replicas):
        if run.why and run.why != told and not shell.out.is_quiet:
            told = run.why
            shell.out.say(told)
        time.sleep(_POLL_SECONDS)
        run = run.refresh()
    return run


COMMANDS = (
    Command(
        "run debug",
        _debug,
        "a pod as the run has it, with a sleep in place of its program",
        "berth run debug @last --for 30m",
        _arguments,
        RUN_FIELDS,
    ),
)
