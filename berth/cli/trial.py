"""`berth up`, `berth demo` and `berth doctor`: Berth's server on this machine."""

import argparse

from berth.cli.command import Command
from berth.cli.local import call_local
from berth.cli.shell import Shell


def _up_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, metavar="N", help="listen here (8800); 0 takes a free one")
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    runs = parser.add_mutually_exclusive_group()
    runs.add_argument("--stop-runs", dest="stop_runs", action="store_true", default=None, help="at the end, stop runs")
    runs.add_argument("--keep-runs", dest="stop_runs", action="store_false", help="at the end, leave runs going")


def _up(shell: Shell) -> int:
    options = shell.options
    return call_local(
        "app.trial.supervisor", "up", port=options.port, stop_runs=options.stop_runs, browser=not options.no_browser
    )


def _demo_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--show-password", action="store_true", help="print the password of the demo's user")
    parser.add_argument("--cluster", metavar="NAME", help="in pods of this cluster of the Berth that runs here")


def _demo(shell: Shell) -> int:
    options = shell.options
    return call_local("app.trial.demo", "main", show_password=options.show_password, cluster=options.cluster)


def _doctor(shell: Shell) -> int:
    return call_local("app.trial.doctor", "main", fields=shell.out.fields)


COMMANDS = (
    Command(
        "up",
        _up,
        "run Berth on this machine",
        "berth up --port 8801",
        _up_arguments,
        is_remote=False,
        description="Starts Postgres, Valkey and Berth's processes and prints a link that signs in. Ctrl-C ends it.\n"
        "All state is below BERTH_HOME; runs that are left going are found again by the next `berth up`.",
    ),
    Command(
        "demo",
        _demo,
        "real training on this machine, from submit to result",
        "berth demo",
        _demo_arguments,
        is_remote=False,
        description="Starts Berth, trains a small classifier three times through its API, stops one run, lets one\n"
        "fail, checks what happened, and ends everything that it started. With --cluster the runs are pods; the\n"
        "default image of the cluster needs python3 with numpy.",
    ),
    Command(
        "doctor",
        _doctor,
        "check this installation and say how to mend it",
        "berth doctor",
        fields=("check", "status", "found", "mend"),
        is_remote=False,
        description="Checks what Berth needs on this machine. Exit code 1 where something is wrong.",
    ),
)
