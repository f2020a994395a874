"""`berth config …`: which server, project and token are used, and why."""

import argparse

from berth import config
from berth.cli.command import Command
from berth.cli.exits import Exit
from berth.cli.output import Column
from berth.cli.shell import Shell

_FIELDS = ("key", "value", "origin")
_SHOWN_OF_A_TOKEN = 10


def _show_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--origin", action="store_true", help="also where each value comes from")


def _show(shell: Shell) -> int:
    options = shell.options
    settings = config.resolve(options.server, None, options.project, options.context)
    rows = []
    for key in ("server", "project", "token", "context"):
        setting: config.Setting | None = getattr(settings, key)
        value = setting.value if setting else None
        if key == "token" and value:
            value = f"{value[:_SHOWN_OF_A_TOKEN]}…"
        rows.append({"key": key, "value": value, "origin": setting.origin if setting else None})
    columns = [Column("KEY", lambda row: row["key"]), Column("VALUE", lambda row: row["value"])]
    if options.origin:
        columns.append(Column("FROM", lambda row: row["origin"]))
    shell.out.table(rows, columns, key="value")
    return Exit.OK


def _ls(shell: Shell) -> int:
    known, current = config.contexts()
    rows = [
        {"name": name, "server": values.get("server"), "project": values.get("project"), "current": name == current}
        for name, values in sorted(known.items())
    ]
    columns = [
        Column("", lambda row: "*" if row["current"] else "", lambda row: row["current"]),
        Column("NAME", lambda row: row["name"]),
        Column("SERVER", lambda row: row["server"]),
        Column("PROJECT", lambda row: row["project"]),
    ]
    shell.out.table(rows, columns, "none yet: `berth login URL` makes one", key="name")
    return Exit.OK


def _use_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="as `berth config ls` shows it")


def _use(shell: Shell) -> int:
    path = config.use_context(shell.options.name)
    shell.out.say(f"{shell.options.name} is the current context ({path})")
    return Exit.OK


COMMANDS = (
    Command("config show", _show, "what is in force", "berth config show --origin", _show_arguments, _FIELDS),
    Command(
        "config ls",
        _ls,
        "list the contexts: servers, and who you are there",
        "berth config ls",
        fields=("name", "server", "project", "current"),
        is_remote=False,
    ),
    Command("config use", _use, "choose a context", "berth config use localhost:8800", _use_arguments, is_remote=False),
)
