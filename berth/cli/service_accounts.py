"""`berth service-account …`: identities of automation, so that disabling a person stops no pipeline."""

import argparse

from berth.cli.command import Command
from berth.cli.exits import Exit
from berth.cli.output import Column
from berth.cli.shell import Shell
from berth.cli.tokens import FIELDS as TOKEN_FIELDS
from berth.cli.tokens import add_token_arguments

_FIELDS = ("name", "role", "disabled", "created_at")


def _name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("account", metavar="NAME", help="the service account")


def _ls(shell: Shell) -> int:
    columns = [
        Column("NAME", lambda account: account.get("name")),
        Column("ROLE", lambda account: account.get("role")),
        Column(
            "STATE",
            lambda account: "disabled" if account.get("disabled") else "active",
        ),
    ]
    found = (account.raw for account in shell.client.service_accounts.list())
    shell.out.table(found, columns, "none in this project", key="name")
    return Exit.OK


def _create_arguments(parser: argparse.ArgumentParser) -> None:
    _name(parser)
    parser.add_argument("--role", choices=("viewer", "editor", "owner"), default="editor", help="editor by default")


def _create(shell: Shell) -> int:
    options = shell.options
    account = shell.client.service_accounts.create(options.account, options.role)
    shell.result(account.raw, "name", f"service account {options.account} created in {shell.client.project}")
    return Exit.OK


def _disable_arguments(parser: argparse.ArgumentParser) -> None:
    _name(parser)
    parser.add_argument("--undo", action="store_true", help="enable it again")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def _enable(shell: Shell) -> int:
    shell.client.service_accounts.update(shell.options.account, disabled=False)
    shell.out.say(f"{shell.options.account} is enabled; tokens that have ended stay so")
    return Exit.OK


def _disable(shell: Shell) -> int:
    options = shell.options
    question = f"Everything that uses {options.account} stops working. Go on?"
    if options.undo or shell.out.confirm(question, options.yes):
        shell.client.service_accounts.update(options.account, disabled=not options.undo)
        shell.out.say(f"{options.account} is {'enabled' if options.undo else 'disabled'}")
    return Exit.OK


def _token_arguments(parser: argparse.ArgumentParser) -> None:
    _name(parser)
    add_token_arguments(parser)


def _token(shell: Shell) -> int:
    options = shell.options
    token = shell.client.service_accounts.create_token(options.account, options.name, options.scope, options.expires)
    shell.secret(token.raw)
    return Exit.OK


COMMANDS = (
    Command("service-account ls", _ls, "list the project's", "berth service-account ls -P vision", fields=_FIELDS),
    Command(
        "service-account create",
        _create,
        "make one",
        "berth service-account create nightly --role editor -P vision",
        _create_arguments,
        _FIELDS,
    ),
    Command(
        "service-account disable",
        _disable,
        "end all its tokens at once",
        "berth service-account disable nightly -P vision",
        _disable_arguments,
    ),
    Command("service-account enable", _enable, "let it act again", "berth service-account enable nightly", _name),
    Command(
        "service-account token",
        _token,
        "make a token for it; it is shown once",
        "berth service-account token nightly ci --scope write --expires 90d",
        _token_arguments,
        (*TOKEN_FIELDS, "token"),
    ),
)
