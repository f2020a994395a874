"""`berth cluster drift`, `berth cluster registries`: what is in the namespaces of projects, for platform admins."""

import argparse
import sys

from berth.cli.command import Command
from berth.cli.exits import Exit
from berth.cli.output import Column
from berth.cli.shell import Shell
from berth.errors import InvalidInput

_DRIFT = (
    "namespace",
    "project",
    "object",
    "field",
    "was",
    "should",
    "repaired",
    "trouble",
    "times",
    "first_at",
    "last_at",
)
_REGISTRY = ("server", "username", "updated_at", "updated_by")


def _name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the cluster's name")


def _drift(shell: Shell) -> int:
    found = shell.client.clusters.drift(shell.options.name).raw
    columns = [
        Column("LAST", lambda one: one.get("last_at")),
        Column("NAMESPACE", lambda one: one.get("namespace")),
        Column("OBJECT", lambda one: one.get("object")),
        Column("FIELD", lambda one: one.get("field") or "-", lambda one: one.get("field")),
        Column("WAS", lambda one: one.get("was") or "-", lambda one: one.get("was"), is_flexible=True),
        Column("SHOULD BE", lambda one: one.get("should") or "-", lambda one: one.get("should"), is_flexible=True),
        Column("TIMES", lambda one: one.get("times"), is_number=True),
        Column("TROUBLE", lambda one: one.get("trouble") or "-", lambda one: one.get("trouble")),
    ]
    shell.out.table(iter(found.get("items") or ()), columns, "nothing was changed behind Berth's back", key="namespace")
    return Exit.OK


def _registries(shell: Shell) -> int:
    found = shell.client.clusters.registries(shell.options.name).raw
    columns = [
        Column("SERVER", lambda one: one.get("server")),
        Column("USERNAME", lambda one: one.get("username")),
        Column("SET", lambda one: one.get("updated_at")),
        Column("BY", lambda one: one.get("updated_by")),
    ]
    shell.out.table(iter(found.get("items") or ()), columns, "no registry yet", key="server")
    return Exit.OK


def _server(parser: argparse.ArgumentParser) -> None:
    _name(parser)
    parser.add_argument("registry", metavar="REGISTRY", help="the registry, such as registry.example.com:5000")


def _set_arguments(parser: argparse.ArgumentParser) -> None:
    _server(parser)
    parser.add_argument("--username", required=True, help="who pulls")
    parser.add_argument("--password-stdin", action="store_true", required=True, help="the password is read from stdin")


def _set(shell: Shell) -> int:
    options = shell.options
    password = sys.stdin.readline().rstrip("\n")
    if not password:
        raise InvalidInput("stdin has no password", hint="Pipe it in: `pass registry | berth cluster set-registry …`.")
    found = shell.client.clusters.set_registry(options.name, options.registry, options.username, password).raw
    shell.result(found, "server", f"{options.name} pulls from {options.registry} as {options.username}")
    return Exit.OK


def _rm(shell: Shell) -> int:
    shell.client.clusters.remove_registry(shell.options.name, shell.options.registry)
    shell.out.say(f"{shell.options.name} has no credentials for {shell.options.registry} any more")
    return Exit.OK


COMMANDS = (
    Command(
        "cluster drift",
        _drift,
        "what somebody changed in the namespaces of projects",
        "berth cluster drift east",
        _name,
        _DRIFT,
        description="Berth puts it right within a minute; the newest hundred are kept.",
    ),
    Command(
        "cluster registries",
        _registries,
        "the registries that a cluster has credentials for",
        "berth cluster registries east",
        _name,
        _REGISTRY,
    ),
    Command(
        "cluster set-registry",
        _set,
        "give credentials for an image registry",
        "berth cluster set-registry east registry.example.com --username puller --password-stdin",
        _set_arguments,
        _REGISTRY,
    ),
    Command(
        "cluster rm-registry",
        _rm,
        "forget credentials for an image registry",
        "berth cluster rm-registry east registry.example.com",
        _server,
    ),
)
