"""`berth run capsule` and `berth run diff`: what a run really was, and what differs between two."""

import argparse
from collections.abc import Mapping
from typing import Any

from berth.cli.command import Command
from berth.cli.exits import Exit
from berth.cli.output import Column
from berth.cli.shell import Shell
from berth.cli.text import plain

CAPSULE_FIELDS = (
    *("run", "sha256", "recorded", "manifest", "canonical", "snapshot", "image", "source", "source_text", "attempts"),
)
DIFF_FIELDS = ("differences", "summary", "runs", "parts", "metrics", "url")


def _capsule_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="an id, the beginning of one, or @last")
    parser.add_argument("--packages", action="store_true", help="list the packages too, as name==version")


def _capsule(shell: Shell) -> int:
    out = shell.out
    found = shell.client.runs.capsule(shell.run_id(shell.options.run))
    if out.is_json:
        out.object(found)
        return Exit.OK
    if out.is_quiet:
        out.line(found["sha256"])
        return Exit.OK
    newest: Mapping[str, Any] = next(
        (one for one in reversed(found["attempts"]) if one.get("environment") or one.get("image")), {}
    )
    out.facts(_facts(found, newest))
    packages = (newest.get("environment") or {}).get("packages") or {}
    if shell.options.packages:
        out.line("")
        for name, version in packages.items():
            out.line(plain(f"{name}=={version}"))
    if not found["recorded"]:
        out.say("This run is older than capsules: the defaults in its manifest are those of today.")
    return Exit.OK


def _facts(found: Mapping[str, Any], newest: Mapping[str, Any]) -> list[tuple[str, Any]]:
    source, snapshot = found["source"], found["snapshot"] or {}
    environment, platform = newest.get("environment") or {}, newest.get("platform") or {}
    commit = source.get("git_commit")
    definition = found["manifest"].get("definition") or {}
    gone = "" if snapshot.get("is_kept", True) else " (not kept any more)"
    named = f"{definition['name']} version {definition['version']}" if definition else None
    facts = {
        "run": found["run"],
        "manifest": found["sha256"],
        "definition": named,
        "snapshot": f"{snapshot['sha256']}{gone}" if snapshot else None,
        "git commit": f"{commit}{' with changes' if source.get('git_dirty') else ''}" if commit else None,
        "image": newest.get("image") or (found["image"] or {}).get("name"),
        "interpreter": environment.get("interpreter"),
        "python": environment.get("version"),
        "packages": len(environment["packages"]) if environment else None,
        "note": environment.get("note"),
        "berth": platform.get("berth"),
        "system": " ".join(platform[key] for key in ("os", "machine") if platform.get(key)),
    }
    return [(name, value) for name, value in facts.items() if value not in (None, "")]


def _diff_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("before", metavar="A", help="an id, the beginning of one, or @last")
    parser.add_argument("after", metavar="B", help="the run that A is compared with")


def _diff(shell: Shell) -> int:
    options, out = shell.options, shell.out
    ids = [shell.run_id(options.before), shell.run_id(options.after)]
    project = shell.client.runs.get(ids[0]).project
    found = shell.client.runs.compare(ids, project=project)
    if out.is_json:
        out.object(found)
    elif out.is_quiet:
        out.line(found["url"])
    elif not found["differences"]:
        out.say("Nothing differs: same parameters, command, code, environment, resources, platform and outcome.")
    elif out.is_terminal:
        for one in found["differences"]:
            out.line(plain(one["text"]))
    else:
        out.table(found["differences"], _columns())
    return Exit.OK


def _columns() -> list[Column]:
    return [
        Column("PART", lambda item: item["part"]),
        Column("DIFFERENCE", lambda item: plain(item["text"]), is_flexible=True),
    ]


COMMANDS = (
    Command(
        "run capsule",
        _capsule,
        "what a run really was: its manifest, code, packages and machine",
        "berth run capsule @last --json=sha256,manifest",
        _capsule_arguments,
        CAPSULE_FIELDS,
    ),
    Command(
        "run diff",
        _diff,
        "what differs between two runs, in words",
        "berth run diff r-7f3 r-9k2",
        _diff_arguments,
        DIFF_FIELDS,
        description="Says what differs from run A to run B of the same project: parameters, command, code and its\n"
        "files, packages, resources, platform and outcome. The exit code is 0 whether or not anything does.",
    ),
)
