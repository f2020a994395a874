"""What commands that submit do after it: print the new run, wait for its end, or follow its log."""

import argparse
from typing import TYPE_CHECKING

from berth.cli.exits import Exit
from berth.cli.run_logs import follow_until_end
from berth.cli.run_result import leaving, print_run, result_of, wait_for
from berth.cli.shell import Shell

if TYPE_CHECKING:
    from berth.results import Run


def add_waiting(parser: argparse.ArgumentParser) -> None:
    """The options of commands that submit: wait for the end or follow the log."""
    waiting = parser.add_argument_group("waiting")
    waiting.add_argument("--wait", action="store_true", help="until the run has ended; its result is the exit code")
    waiting.add_argument("--follow", action="store_true", help="print its log while waiting; Ctrl-C leaves it running")
    waiting.add_argument("--timeout-wait", metavar="TIME", help="wait at most so long: exit code 102; the run goes on")
    waiting.add_argument("--propagate", action="store_true", help="exit with the run's own exit code")


def after_submit(shell: Shell, run: "Run") -> int:
    """Prints the new run and, if asked for, follows it or waits for it."""
    options = shell.options
    out = shell.out
    if not options.follow and not options.wait:
        print_run(shell, run, "submitted")
        return Exit.OK
    with leaving(shell, run.id):
        if options.follow:
            out.say(f"{run.id} submitted  {run.url}".rstrip())
            if run.why:
                out.say(run.why)
            follow_until_end(shell, run.id, timeout=options.timeout_wait)
            return result_of(shell, shell.client.runs.wait(run.id, timeout=30), options.propagate)
        if not out.is_quiet:
            out.say(f"{run.id} submitted  {run.url}".rstrip())
        return wait_for(shell, run.id, options.timeout_wait, options.propagate)
