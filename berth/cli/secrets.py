"""`berth secret …`: values that a project's runs are given. They go in and never come out."""

import argparse
import sys
from pathlib import Path

from berth.cli.command import Command
from berth.cli.exits import Exit
from berth.cli.output import Column
from berth.cli.shell import Shell
from berth.errors import InvalidInput

_FIELDS = ("name", "description", "version", "created_at", "created_by", "updated_at", "updated_by", "last_runs")
_LONGEST = 64 << 10


def _ls(shell: Shell) -> int:
    columns = [
        Column("NAME", lambda secret: secret.get("name")),
        Column("DESCRIPTION", lambda secret: secret.get("description"), is_flexible=True),
        Column("CHANGED", lambda secret: secret.get("updated_at")),
        Column("BY", lambda secret: secret.get("updated_by")),
        Column("LAST RUN", lambda secret: next((run["id"] for run in secret.get("last_runs") or ()), "-")),
    ]
    found = (secret.raw for secret in shell.client.secrets.list())
    shell.out.table(found, columns, "none in this project", key="name")
    return Exit.OK


def _name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the secret's name")


def _set_arguments(parser: argparse.ArgumentParser) -> None:
    _name(parser)
    parser.add_argument(
        "--from-file", metavar="FILE", help="the value is what this file (- is stdin) holds, to the last byte"
    )
    parser.add_argument("--description", metavar="TEXT", help="what people see in lists")
    parser.add_argument("--keep-value", action="store_true", help="change the description only")


def _set(shell: Shell) -> int:
    options = shell.options
    if options.keep_value and (options.from_file or options.description is None):
        raise InvalidInput("--keep-value goes with --description and without --from-file")
    value = None if options.keep_value else _read(options.name, options.from_file)
    secret = shell.client.secrets.set(options.name, value, options.description)
    shell.result(secret.raw, "name", f"secret {options.name} kept in {shell.client.project}, version {secret.version}")
    return Exit.OK


def _read(name: str, path: str | None) -> str:
    """The value: of a file; or typed, unseen; or from a pipe, without the newline that `echo` puts behind it."""
    try:
        if path is not None:
            return _checked(sys.stdin.buffer.read(_LONGEST + 3) if path == "-" else Path(path).read_bytes())
        if sys.stdin.isatty():
            from getpass import getpass

            value = getpass(f"value of {name}: ")
        else:
            value = _checked(sys.stdin.buffer.read(_LONGEST + 3))
            value = value.removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from None
    if not value:
        raise InvalidInput("the value is empty", hint=f"`berth secret set {name} < FILE`, or type it when asked.")
    return value


def _checked(data: bytes) -> str:
    if len(data) > _LONGEST + 2:
        raise InvalidInput(f"the value has more than {_LONGEST} bytes", hint="Larger files belong into the snapshot.")
    try:
        return data.decode()
    except UnicodeDecodeError:
        hint = "Encode it, as `base64 FILE | berth secret set NAME` does, and decode it in the job."
        raise InvalidInput("the value is not UTF-8 text", hint=hint) from None


def _rm_arguments(parser: argparse.ArgumentParser) -> None:
    _name(parser)
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def _rm(shell: Shell) -> int:
    options = shell.options
    question = f"Runs that ask for {options.name} and have not started will fail to start. Go on?"
    if shell.out.confirm(question, options.yes):
        shell.client.secrets.delete(options.name)
        shell.out.say(f"secret {options.name} is deleted")
    return Exit.OK


COMMANDS = (
    Command("secret ls", _ls, "list names, who changed them and what used them", "berth secret ls", fields=_FIELDS),
    Command(
        "secret set",
        _set,
        "add one, or replace its value",
        "berth secret set ssh-key --from-file ~/.ssh/id_ed25519",
        _set_arguments,
        _FIELDS,
        description="Adds a secret, or replaces its value. The value is typed, or comes from stdin or a file, never\n"
        "from the command line, which other users of a machine can read. It is not shown again.",
    ),
    Command("secret rm", _rm, "forget one for good", "berth secret rm HF_TOKEN", _rm_arguments),
)
