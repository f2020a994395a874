"""`berth run mute` and `berth run unmute`: silence the notifications about a run."""

import argparse

from berth.cli.command import Command
from berth.cli.exits import Exit
from berth.cli.shell import Shell

_FIELDS = ("id", "muted", "for")


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="an id, the beginning of one, or @last")
    parser.add_argument("--all", action="store_true", help="for the whole project, as its owner; by default for you")


def _mute(shell: Shell) -> int:
    return _set(shell, on=True)


def _unmute(shell: Shell) -> int:
    return _set(shell, on=False)


def _set(shell: Shell, *, on: bool) -> int:
    options = shell.options
    run_id = shell.run_id(options.run)
    nouns = shell.client.notifications
    (nouns.mute_run if on else nouns.unmute_run)(run_id, own=not options.all)
    if options.all:
        said = "the project sends nothing about it any more" if on else "the project tells of it again"
    else:
        said = "you are told nothing of it any more" if on else "you are told of it again"
    shell.result({"id": run_id, "muted": on, "for": "project" if options.all else "me"}, "id", f"{run_id}: {said}")
    return Exit.OK


COMMANDS = (
    Command("run mute", _mute, "be sent nothing about a run any more", "berth run mute @last", _arguments, _FIELDS),
    Command("run unmute", _unmute, "be told of a run again", "berth run unmute @last", _arguments, _FIELDS),
)
