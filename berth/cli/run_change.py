"""`berth run stop` and `berth run rerun`: those that change the course of runs."""

import argparse
from typing import Any

from berth.cli.command import Command
from berth.cli.exits import Exit, exit_of
from berth.cli.run_bulk import change, selection_arguments
from berth.cli.run_result import RUN_FIELDS, print_run
from berth.cli.shell import Shell
from berth.errors import BerthError


def _ids(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", metavar="RUN", nargs="+", help="ids, beginnings of them, or @last")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def _stop(shell: Shell) -> int:
    if shell.options.query is not None or shell.options.dry_run or not shell.options.runs:
        return change(shell, "stop", shell.options.runs)
    return _for_each(shell, "stopping", lambda run_id: shell.client.runs.stop(run_id))


def _rerun_arguments(parser: argparse.ArgumentParser) -> None:
    _ids(parser)
    parser.add_argument(
        "--exact", action="store_true", help="with the very manifest of the run, all defaults as they were, or not"
    )


def _rerun(shell: Shell) -> int:
    exact = shell.options.exact
    return _for_each(shell, "submitted", lambda run_id: shell.client.runs.rerun(run_id, exact=exact))


def _for_each(shell: Shell, done: str, act: Any) -> int:
    ids = [shell.run_id(text) for text in shell.options.runs]
    if len(ids) > 1 and not shell.out.confirm(f"{len(ids)} runs: {', '.join(ids)}. Go on?", shell.options.yes):
        return Exit.OK
    worst: BerthError | None = None
    results = []
    for run_id in ids:
        try:
            run = act(run_id)
        except BerthError as problem:
            if len(ids) == 1:
                raise
            from berth.cli.app import report

            report(problem)
            worst = worst or problem
        else:
            results.append(run)
    if shell.out.is_json and len(results) != 1:
        shell.out.table((run.raw for run in results), [])
    else:
        for run in results:
            print_run(shell, run, done)
    if worst is not None:
        return exit_of(worst)
    return Exit.OK


COMMANDS = (
    Command(
        "run stop",
        _stop,
        "end runs: politely, after their grace by force",
        "berth run stop r-7f3 r-9k2",
        selection_arguments,
        RUN_FIELDS,
    ),
    Command(
        "run rerun", _rerun, "submit the same again", "berth run rerun --exact @last", _rerun_arguments, RUN_FIELDS
    ),
)
