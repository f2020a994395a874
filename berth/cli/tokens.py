"""`berth token …`: one's own API tokens."""

import argparse

from berth.cli.command import Command
from berth.cli.exits import Exit
from berth.cli.output import Column
from berth.cli.shell import Shell

FIELDS = ("id", "name", "hint", "scope", "project", "created_at", "expires_at", "used_at")
SCOPES = ("read", "write", "admin")
COLUMNS = [
    Column("ID", lambda token: token.get("id")),
    Column("NAME", lambda token: token.get("name"), is_flexible=True),
    Column("BEGINS", lambda token: token.get("hint")),
    Column("SCOPE", lambda token: token.get("scope")),
    Column("PROJECT", lambda token: token.get("project")),
    Column("EXPIRES", lambda token: token.get("expires_at") or "never", lambda token: token.get("expires_at")),
    Column("LAST USED", lambda token: token.get("used_at") or "never", lambda token: token.get("used_at")),
]


def add_token_arguments(parser: argparse.ArgumentParser) -> None:
    """What a new token is asked for with."""
    parser.add_argument("name", metavar="NAME", help="what it is for")
    parser.add_argument("--scope", choices=SCOPES, default="write", help="read, write (the default) or admin")
    parser.add_argument("--expires", metavar="TIME", help="after this time, such as 30d; by default never")


def _ls(shell: Shell) -> int:
    shell.out.table((token.raw for token in shell.client.tokens.list()), COLUMNS, "you have no tokens")
    return Exit.OK


def _create_arguments(parser: argparse.ArgumentParser) -> None:
    add_token_arguments(parser)
    parser.add_argument("--only", metavar="PROJECT", help="it can be used for this project only")


def _create(shell: Shell) -> int:
    options = shell.options
    token = shell.client.tokens.create(options.name, options.scope, options.only, options.expires)
    shell.secret(token.raw)
    return Exit.OK


def _revoke_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="as `berth token ls` shows it")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def _revoke(shell: Shell) -> int:
    token_id = shell.options.id
    if shell.out.confirm(f"Whatever uses token {token_id} stops working. Go on?", shell.options.yes):
        shell.client.tokens.revoke(token_id)
        shell.out.say(f"token {token_id} revoked")
    return Exit.OK


COMMANDS = (
    Command("token ls", _ls, "list your tokens", "berth token ls", fields=FIELDS),
    Command(
        "token create",
        _create,
        "make one; it is shown once",
        "berth token create ci --scope write --only vision --expires 30d",
        _create_arguments,
        (*FIELDS, "token"),
    ),
    Command("token revoke", _revoke, "end one", "berth token revoke 0192f3ac", _revoke_arguments),
)
