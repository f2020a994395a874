"""From arguments to a command and back to an exit code. Only the module of the command is imported."""

import argparse
import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NoReturn

from berth.cli.command import Command
from berth.cli.exits import Exit, exit_of, exit_table
from berth.errors import BerthError, InvalidInput

# What follows "--" is the job's; before it, a bare "--json" must not take the next word for its value.
ALL_FIELDS = "*"


@dataclass(frozen=True)
class Group:
    """Commands that share their first word, and the module that has them.

    Where they are many, `parts` says for each second word which module has its command, in the order of the help.
    """

    module: str
    help: str
    parts: Mapping[str, str] | None = None


_RUN_PARTS = {
    "submit": "berth.cli.run_submit",
    "plan": "berth.cli.run_submit",
    "ls": "berth.cli.runs",
    "show": "berth.cli.runs",
    "logs": "berth.cli.run_logs",
    "open": "berth.cli.runs",
    "why": "berth.cli.runs",
    "wait": "berth.cli.runs",
    "stop": "berth.cli.run_change",
    "rerun": "berth.cli.run_change",
    "debug": "berth.cli.run_debug",
    "clone": "berth.cli.run_submit",
    "capsule": "berth.cli.run_capsule",
    "diff": "berth.cli.run_capsule",
    "archive": "berth.cli.run_bulk",
    "unarchive": "berth.cli.run_bulk",
    "rerun-failed": "berth.cli.run_bulk",
    "tag": "berth.cli.run_bulk",
    "compare": "berth.cli.run_bulk",
    "mute": "berth.cli.run_mute",
    "unmute": "berth.cli.run_mute",
    "usage": "berth.cli.run_usage",
    "outputs": "berth.cli.run_files",
    "download": "berth.cli.run_files",
}
_CLUSTER_PARTS = {
    "ls": "berth.cli.clusters",
    "add": "berth.cli.clusters",
    "show": "berth.cli.clusters",
    "set": "berth.cli.clusters",
    "check": "berth.cli.clusters",
    "rotate": "berth.cli.clusters",
    "registries": "berth.cli.cluster_namespaces",
    "set-registry": "berth.cli.cluster_namespaces",
    "rm-registry": "berth.cli.cluster_namespaces",
    "drift": "berth.cli.cluster_namespaces",
    "drain": "berth.cli.clusters",
    "undrain": "berth.cli.clusters",
    "rm": "berth.cli.clusters",
}
GROUPS: dict[str, Group] = {
    "run": Group("", "submit runs, look at them, follow and stop them", _RUN_PARTS),
    "job": Group("berth.cli.definitions", "job definitions: runs that others start by filling in values"),
    "output": Group("berth.cli.outputs", "the files that runs left, and how long they are kept"),
    "project": Group("berth.cli.projects", "projects and their members"),
    "token": Group("berth.cli.tokens", "your own API tokens"),
    "notification": Group("berth.cli.notifications", "who is told when a run ends, fails or waits too long"),
    "service-account": Group("berth.cli.service_accounts", "identities of automation in a project"),
    "secret": Group("berth.cli.secrets", "values that a project's runs are given"),
    "cluster": Group("", "where runs run: adding, checking, draining clusters", _CLUSTER_PARTS),
    "admin": Group("berth.cli.admin", "users, the audit log, the way back for a locked-out admin"),
    "config": Group("berth.cli.configuration", "which server, project and token are used, and why"),
    "completion": Group("berth.cli.completion", "what the Tab key offers, for bash, zsh and fish"),
    "login": Group("berth.cli.login", "sign this terminal in"),
    "logout": Group("berth.cli.login", "forget, and revoke, the token of this terminal"),
    "up": Group("berth.cli.trial", "run Berth on this machine"),
    "demo": Group("berth.cli.trial", "real training on this machine, from submit to result"),
    "doctor": Group("berth.cli.trial", "check this installation and say how to mend it"),
    "version": Group("", "the version of this client"),
}


def run(arguments: Sequence[str]) -> int:
    """Carries out one command; every error ends here, on stderr."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    try:
        code = _run(list(arguments))
        sys.stdout.flush()
    except BerthError as problem:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        report(problem)
        return exit_of(problem)
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # The reader has seen enough (`berth run ls | head`). Python would complain again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    return code


def report(problem: BerthError) -> None:
    """`error: <detail> (CODE)`, the fields that are wrong, and what to do."""
    from berth.cli.text import plain

    print(f"error: {plain(problem.detail, keep_lines=True)} ({problem.code})", file=sys.stderr)
    for field in problem.errors:
        place = plain(str(field.get("pointer") or "")).removeprefix("/spec/").removeprefix("/changes/")
        line = f" (line {field['line']})" if field.get("line") else ""
        fix = f" -> {plain(str(field['fix']))}" if field.get("fix") else ""
        print(f"  {place}{line}: {plain(str(field.get('message', '')))}{fix}", file=sys.stderr)
    if problem.hint:
        print(f"hint: {plain(problem.hint)}", file=sys.stderr)
    if problem.status >= 500 and problem.trace_id:
        print(f"trace: {plain(problem.trace_id)}", file=sys.stderr)


def _run(arguments: list[str]) -> int:
    own, rest = _split(arguments)
    if not own or own[0] in ("-h", "--help", "help"):
        return _help(own[1:] if own[:1] == ["help"] else [])
    if own[0] not in GROUPS:
        raise _unknown(own[0], list(GROUPS), "berth")
    if own[0] == "version":
        from berth import __version__

        print(f"berth {__version__}")
        return Exit.OK
    commands = _asked(own)
    command, words = find_command(own, commands)
    if command is None:
        return _group_help(own, commands)
    parser = build_parser(command)
    given = command.prepare(own[words:]) if command.prepare else own[words:]
    options, extra = parser.parse_known_args(_with_values(parser, given))
    if extra:
        hint = " What belongs to the job comes after --." if command.takes_rest else ""
        raise InvalidInput(
            f"unknown: {' '.join(extra)}", hint=f"`berth {command.name} --help` lists what there is.{hint}"
        )
    if rest is not None and not command.takes_rest:
        raise InvalidInput("nothing can follow -- here", hint=f"`berth {command.name} --help`")
    return command.run(_shell(command, options, rest))


def commands_of(noun: str) -> list[Command]:
    """The commands that begin with `noun`, in the order of the help."""
    group = GROUPS[noun]
    if not group.parts:
        return [command for command in _in_module(group.module) if command.name.split()[0] == noun]
    found = {command.name: command for module in dict.fromkeys(group.parts.values()) for command in _in_module(module)}
    return [found[f"{noun} {word}"] for word in group.parts]


def _asked(own: list[str]) -> list[Command]:
    """Those of the module that has the command, where the words tell which; else all that begin with the first."""
    module = (GROUPS[own[0]].parts or {}).get(own[1]) if len(own) > 1 else None
    return list(_in_module(module)) if module else commands_of(own[0])


def _in_module(module: str) -> Sequence[Command]:
    found: Sequence[Command] = import_module(module).COMMANDS if module else ()
    return found


def build_parser(command: Command) -> argparse.ArgumentParser:
    """The parser of one command, with the options that all of its kind share."""
    parser = _Parser(
        prog=f"berth {command.name}",
        usage=command.usage or None,
        description=command.description or f"{command.help[0].upper()}{command.help[1:]}.",
        epilog=f"example:\n  {command.example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    if command.add_arguments is not None:
        command.add_arguments(parser)
    if command.is_remote:
        shared = parser.add_argument_group("for all commands")
        shared.add_argument("-P", "--project", metavar="NAME", help="the project (BERTH_PROJECT)")
        shared.add_argument("--server", metavar="URL", help="the server (BERTH_SERVER)")
        shared.add_argument("--context", metavar="NAME", help="a context of the config file (BERTH_CONTEXT)")
    if command.fields:
        parser.add_argument("--quiet", action="store_true", help="only ids (or names), one a line")
        parser.add_argument(
            "--json",
            metavar="FIELD,…",
            help=f"JSON, all fields (--json) or some (--json=a,b): {', '.join(command.fields)}",
        )
        if command.is_remote:
            parser.add_argument("--jq", metavar="PATH", help="of that JSON only this: .id, .[].name, .[0].tags[]")
    return parser


def _with_values(parser: argparse.ArgumentParser, words: list[str]) -> list[str]:
    """Each option joined to a value that begins with "-", such as `-q -name:train`: argparse would take it for an
    option. A word that is an option here stays one."""
    known, joined, place = parser._option_string_actions, [], 0
    while place < len(words):
        word, value = words[place], words[place + 1] if place + 1 < len(words) else ""
        takes_one = word in known and known[word].nargs is None
        is_joined = takes_one and value.startswith("-") and value != "-" and value.split("=", 1)[0] not in known
        joined.append(f"{word}={value}" if is_joined else word)
        place += 2 if is_joined else 1
    return joined


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InvalidInput(message, hint=f"`{self.prog} --help` shows how it is used.")


def _shell(command: Command, options: argparse.Namespace, rest: list[str] | None) -> Any:
    from berth.cli.output import Output
    from berth.cli.shell import Shell

    path = getattr(options, "jq", None)
    wanted = getattr(options, "json", None) or (ALL_FIELDS if path is not None else None)
    fields: tuple[str, ...] | None = None
    if wanted is not None:
        fields = command.fields if wanted == ALL_FIELDS else tuple(name.strip() for name in wanted.split(",") if name)
        unknown = [name for name in fields if name not in command.fields]
        if unknown:
            raise InvalidInput(
                f"--json has no field {', '.join(unknown)}", hint=f"There are: {', '.join(command.fields)}."
            )
    chosen = None
    if path is not None:
        from berth.cli.paths import JsonPath

        chosen = JsonPath(path)
    return Shell(options, rest, Output(fields, getattr(options, "quiet", False), chosen))


def _split(arguments: list[str]) -> tuple[list[str], list[str] | None]:
    end = arguments.index("--") if "--" in arguments else len(arguments)
    own = [f"--json={ALL_FIELDS}" if word == "--json" else word for word in arguments[:end]]
    return own, arguments[end + 1 :] if end < len(arguments) else None


def find_command(own: list[str], commands: list[Command]) -> tuple[Command | None, int]:
    """The command that the words begin with, and how many of them are its name."""
    for words in (3, 2, 1):
        for command in commands:
            if command.name.split() == own[:words]:
                return command, words
    return None, 0


def _help(words: list[str]) -> int:
    if len(words) == 1 and words[0].isupper():
        return _explain(words[0])
    if words:
        return _run([*words, "--help"])
    width = max(len(name) for name in GROUPS)
    print("usage: berth COMMAND …\n\nBerth runs machine learning jobs for teams.\n\ncommands:")
    for name, group in GROUPS.items():
        print(f"  {name:<{width}}  {group.help}")
    print(
        "\nexamples:\n"
        "  berth login http://localhost:8800\n"
        "  berth run submit --cpu 1 --memory 1Gi --follow -- python train.py --lr 0.1\n"
        "  berth run ls -q 'status:running owner:me' --json=id,name,state\n"
        "\nStdout has data, stderr has talk. Without a terminal: no colour, no questions, tab-separated, uncut.\n"
        "A run's id may be cut to what is unique; @last is your latest. `berth COMMAND --help` says more, and\n"
        "`berth help CODE` what a code such as NEVER_FITS means.\n"
        "Environment: BERTH_SERVER, BERTH_TOKEN, BERTH_PROJECT, BERTH_CONTEXT, BERTH_LANG, NO_COLOR.\n"
        f"\nexit codes:\n{exit_table()}"
    )
    return Exit.OK


def _explain(code: str) -> int:
    """What the server says of a code, such as one that stands behind an error."""
    import argparse

    from berth.cli.output import Output
    from berth.cli.shell import Shell
    from berth.cli.text import plain

    found = Shell(argparse.Namespace(), None, Output()).client.explain(code)
    print(f"{plain(found['code'])}: {plain(found['title'])}")
    print(plain(found["text"], keep_lines=True))
    if found["hint"]:
        print(f"hint: {plain(found['hint'])}")
    return Exit.OK


def _group_help(own: list[str], commands: list[Command]) -> int:
    words = [word for word in own if not word.startswith("-")]
    inside = [command for command in commands if command.name.split()[: len(words)] == words]
    if not inside:
        names = [command.name.removeprefix(f"{own[0]} ") for command in commands]
        raise _unknown(" ".join(words[1:]), names, f"berth {own[0]}")
    width = max(len(command.name) for command in inside)
    lines = [f"  berth {command.name:<{width}}  {command.help}" for command in inside]
    text = f"usage: berth {' '.join(words)} COMMAND …\n\n" + "\n".join(lines)
    text += f"\n\nexample:\n  {inside[0].example}"
    if any(word in ("-h", "--help") for word in own):
        print(text)
        return Exit.OK
    print(text, file=sys.stderr)
    return Exit.INVALID


def _unknown(word: str, known: list[str], prefix: str) -> InvalidInput:
    from difflib import get_close_matches

    near = get_close_matches(word, known, n=1)
    hint = f"Did you mean `{prefix} {near[0]}`?" if near else f"`{prefix} --help` lists the commands."
    return InvalidInput(f"there is no command `{prefix} {word}`", hint=hint)
