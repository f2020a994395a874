"""`berth completion SHELL`: what the Tab key offers, with runs and projects of the server.

The script of a shell asks `berth completion words -- <words so far>` each time; a line of the answer is a word
and, after a tab, what it means. Nothing is offered where the shell's own file names are better.
"""

import argparse
import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from berth import config
from berth.cli.command import Command
from berth.cli.exits import Exit
from berth.cli.shell import Shell
from berth.cli.text import plain
from berth.errors import BerthError

_KEPT_SECONDS = 30
_RUNS = 50
Words = list[tuple[str, str]]

_BASH = """\
_berth() {
  local line
  COMPREPLY=()
  while IFS= read -r line; do
    COMPREPLY+=("${line%%$'\\t'*}")
  done < <(berth completion words -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -F _berth berth
"""
_ZSH = """\
#compdef berth
_berth() {
  local -a found
  local line
  while IFS= read -r line; do
    found+=("${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}")
  done < <(berth completion words -- "${words[@]:1:$((CURRENT - 1))}" 2>/dev/null)
  if (( $#found )); then _describe berth found; else _files; fi
}
compdef _berth berth
"""
_FISH = """\
function __berth_complete
    set -l before (commandline -opc)
    berth completion words -- $before[2..-1] (commandline -ct) 2>/dev/null
end
complete -c berth -a '(__berth_complete)'
"""
_SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


def _script_of(name: str) -> Callable[[Shell], int]:
    def show(shell: Shell) -> int:
        for line in _SCRIPTS[name].splitlines():
            shell.out.line(line)
        return Exit.OK

    return show


def _words(shell: Shell) -> int:
    """Never fails and never says anything else: whoever pressed Tab wants to go on typing."""
    with contextlib.suppress(BerthError, OSError):
        for word, meaning in offer(shell.rest or []):
            shell.out.line(f"{word}\t{plain(meaning)}")
    return Exit.OK


def offer(words: list[str]) -> Words:
    """What may stand in the place of the last word, which may be empty."""
    from berth.cli import app

    *before, begun = words or [""]
    if "--" in before:
        return []  # the job's own command
    if not before:
        return _beginning(begun, [(name, group.help) for name, group in app.GROUPS.items()])
    if before[0] not in app.GROUPS:
        return []
    commands = app.commands_of(before[0])
    further = _beginning(begun, _next_words(before, commands))
    command, length = app.find_command(before, commands)
    if further or command is None:
        return further
    return _of_command(app.build_parser(command), before[length:], begun)


def _next_words(before: list[str], commands: list[Command]) -> Words:
    found: dict[str, str] = {}
    for command in commands:
        words = command.name.split()
        if words[: len(before)] == before and len(words) > len(before):
            found.setdefault(words[len(before)], command.help)
    return list(found.items())


def _of_command(parser: argparse.ArgumentParser, before: list[str], begun: str) -> Words:
    actions = parser._actions
    options = {name: action for action in actions for name in action.option_strings}
    last = options.get(before[-1]) if before else None
    if last is not None and last.nargs != 0:
        return _beginning(begun, _values(last, before))
    if begun.startswith("-"):
        return _beginning(begun, [(name, action.help or "") for name, action in options.items()])
    places = [action for action in actions if not action.option_strings]
    return _beginning(begun, _values(places[0], before)) if places else []


def _values(action: argparse.Action, before: list[str]) -> Words:
    if action.choices is not None:
        return [(str(choice), "") for choice in action.choices]
    if action.metavar == "RUN":
        return _kept("runs", before)
    return _kept("projects", before) if action.dest == "project" else []


def _kept(what: str, before: list[str]) -> Words:
    """Runs or projects of the server in use, asked at most every 30 s."""
    project = next((before[at + 1] for at, word in enumerate(before[:-1]) if word in ("-P", "--project")), None)
    settings = config.resolve(None, None, project, None)
    parts = [what, *(setting.value if setting else "" for setting in (settings.server, settings.project))]
    name = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    path = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "berth" / f"{name}.json"
    with contextlib.suppress(OSError, ValueError):
        if time.time() - path.stat().st_mtime < _KEPT_SECONDS:
            return [(word, meaning) for word, meaning in json.loads(path.read_text())]
    found = list(_ask(what, project))
    with contextlib.suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps(found))
        draft.replace(path)
    return found


def _ask(what: str, project: str | None) -> Iterable[tuple[str, str]]:
    from berth.client import Client

    client = Client(None, None, project)
    if what == "projects":
        return [(item.raw["name"], item.raw.get("title") or "") for item in client.projects.list()]
    shown: list[Any] = list(client.runs.list(limit=_RUNS))
    return [(run.id, f"{run.state} {run.name}") for run in shown]


def _beginning(begun: str, words: Words) -> Words:
    return [(word, meaning) for word, meaning in words if word.startswith(begun)]


_PLACES = {
    "bash": "Put it into ~/.local/share/bash-completion/completions/berth, or `source <(berth completion bash)`.",
    "zsh": "Put it into a folder of $fpath as _berth, or `source <(berth completion zsh)` after compinit.",
    "fish": "Put it into ~/.config/fish/completions/berth.fish.",
}
COMMANDS = (
    *(
        Command(
            f"completion {name}",
            _script_of(name),
            f"print the script that makes Tab complete in {name}",
            f"berth completion {name}",
            description=f"Prints the script that makes Tab complete in {name}.\n{place}",
            is_remote=False,
        )
        for name, place in _PLACES.items()
    ),
    Command(
        "completion words",
        _words,
        "what may follow; the scripts ask for it",
        "berth completion words -- run sh",
        is_remote=False,
        takes_rest=True,
    ),
)
