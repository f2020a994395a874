"""`berth job …`: job definitions, which are runs that others start by filling in values."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from berth.cli.command import Command
from berth.cli.exits import Exit
from berth.cli.output import Column, Item
from berth.cli.run_result import RUN_FIELDS
from berth.cli.run_waiting import add_waiting, after_submit
from berth.cli.shell import Shell
from berth.cli.text import plain
from berth.errors import InvalidInput

_LIST_FIELDS = ("name", "title", "version", "archived", "created_by", "created_at", "updated_at", "last_run", "url")
_FIELDS = (*_LIST_FIELDS, "description", "parameters", "spec", "source")
_DIFF_FIELDS = ("from_version", "to_version", "changes", "unified")


def _name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the job definition")


def _ls_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--archived", action="store_true", help="the archived ones instead")


def _ls(shell: Shell) -> int:
    columns = [
        Column("NAME", lambda job: job.get("name")),
        Column("VERSION", lambda job: job.get("version"), is_number=True),
        Column("LAST RUN", _last_run),
        Column("TITLE", lambda job: job.get("title"), is_flexible=True),
    ]
    found = (job.raw for job in shell.client.jobs.list(archived=shell.options.archived))
    shell.out.table(found, columns, "no job definitions yet: `berth job apply -f job.yaml`", key="name")
    return Exit.OK


def _last_run(job: Item) -> str:
    last = job.get("last_run") or {}
    return f"{last.get('id')} {last.get('state')}" if last else ""


def _show_arguments(parser: argparse.ArgumentParser) -> None:
    _name(parser)
    parser.add_argument("--version", type=int, metavar="N", help="a version instead of the newest")


def _show(shell: Shell) -> int:
    options = shell.options
    job = shell.client.jobs.get(options.name, options.version).raw
    if shell.out.is_json:
        shell.out.object(job)
        return Exit.OK
    if shell.out.is_quiet:
        shell.out.line(plain(str(job.get("name", ""))))
        return Exit.OK
    schema = job.get("parameters") or {}
    required = schema.get("required", [])
    facts = [(key.capitalize(), job.get(key)) for key in ("name", "title", "version", "description", "url")]
    facts += [
        (f"-p {name}", _described(declared, name in required))
        for name, declared in schema.get("properties", {}).items()
    ]
    shell.out.facts(facts)
    return Exit.OK


def _described(declared: Mapping[str, Any], is_required: bool) -> str:
    parts = [declared.get("title", ""), str(declared.get("format") or declared.get("type", ""))]
    if declared.get("enum"):
        parts.append("one of " + ", ".join(map(str, declared["enum"])))
    if declared.get("examples"):
        parts.append(f"such as {declared['examples'][0]}")
    parts += [f"{key} {declared[key]}" for key in declared if key.startswith(("min", "max", "exclusive"))]
    if "default" in declared:
        parts.append(f"default {declared['default']}")
    if is_required:
        parts.append("required")
    return "; ".join(part for part in parts if part)


def _apply_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--file", required=True, metavar="FILE", help="the definition in YAML; - is stdin")


def _apply(shell: Shell) -> int:
    job = shell.client.jobs.apply(_read(shell.options.file)).raw
    what = f"saved as version {job['version']}" if job["created"] else f"unchanged; it is version {job['version']}"
    shell.result(job, "name", f"{job['name']} {what}  {job['url']}")
    return Exit.OK


def _read(name: str) -> str:
    try:
        return (sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()).decode()
    except UnicodeDecodeError:
        raise InvalidInput(f"{name} cannot be read: it is not UTF-8") from None
    except OSError as error:
        raise InvalidInput(f"{name} cannot be read: {error.strerror or error}") from None


def _run_arguments(parser: argparse.ArgumentParser) -> None:
    _name(parser)
    parser.add_argument("-p", "--param", action="append", default=[], metavar="K=V", help="a parameter's value")
    parser.add_argument("--version", type=int, metavar="N", help="a version instead of the newest")
    parser.add_argument("--dir", metavar="DIR", help="send this folder; the run starts in it")
    parser.add_argument("--cpu", metavar="CORES", help="other than the definition's")
    parser.add_argument("--memory", metavar="SIZE", help="other than the definition's")
    add_waiting(parser)


def _run(shell: Shell) -> int:
    from berth.definitions import read_parameters

    options, jobs = shell.options, shell.client.jobs
    given: dict[str, str] = {}
    for text in options.param:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise InvalidInput(f"-p {text}: it must be written as NAME=VALUE")
        given[name] = value
    schema = jobs.get(options.name, options.version).raw.get("parameters") or {} if given else {}
    changes: dict[str, Any] = {key: getattr(options, key) for key in ("cpu", "memory") if getattr(options, key)}
    if options.dir:
        from berth import snapshots

        with snapshots.pack(Path(options.dir)) as snapshot:
            shell.client.runs.upload(snapshot)
            changes["snapshot"] = snapshot.digest
    made = jobs.run(options.name, read_parameters(given, schema), changes=changes, version=options.version)
    return after_submit(shell, made)


def _diff_arguments(parser: argparse.ArgumentParser) -> None:
    _name(parser)
    parser.add_argument("before", metavar="V1", type=int, help="the older version")
    parser.add_argument("after", metavar="V2", type=int, help="the newer version")


def _diff(shell: Shell) -> int:
    options = shell.options
    found = shell.client.jobs.diff(options.name, options.before, options.after).raw
    if shell.out.is_json:
        shell.out.object(found)
        return Exit.OK
    for change in found["changes"]:
        shell.out.say(plain(change["text"]))
    for line in found["unified"].splitlines():
        style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
        shell.out.line(shell.out.paint(plain(line, keep_lines=True), style))
    return Exit.OK


def _export(shell: Shell) -> int:
    source = shell.client.jobs.export(shell.options.name, shell.options.version)
    sys.stdout.flush()
    sys.stdout.buffer.write(source)
    return Exit.OK


def _archive_arguments(parser: argparse.ArgumentParser) -> None:
    _name(parser)
    parser.add_argument("--undo", action="store_true", help="offer it again")


def _archive(shell: Shell) -> int:
    options = shell.options
    job = shell.client.jobs.archive(options.name, not options.undo).raw
    shell.result(job, "name", f"{options.name} is {'offered again' if options.undo else 'archived'}")
    return Exit.OK


COMMANDS = (
    Command("job ls", _ls, "list the project's job definitions", "berth job ls", _ls_arguments, _LIST_FIELDS),
    Command("job show", _show, "one, with its parameters", "berth job show digits", _show_arguments, _FIELDS),
    Command(
        "job apply",
        _apply,
        "save a YAML file: a new definition, or a new version of it",
        "berth job apply -f digits.yaml",
        _apply_arguments,
        (*_FIELDS, "created"),
    ),
    Command(
        "job run",
        _run,
        "submit a run of it",
        "berth job run digits -p lr=0.1 --follow",
        _run_arguments,
        RUN_FIELDS,
    ),
    Command(
        "job diff",
        _diff,
        "what differs between two versions",
        "berth job diff digits 1 2",
        _diff_arguments,
        _DIFF_FIELDS,
    ),
    Command(
        "job export",
        _export,
        "its YAML as it was written, on stdout",
        "berth job export digits",
        _show_arguments,
    ),
    Command(
        "job archive",
        _archive,
        "offer it no longer; it stays readable",
        "berth job archive digits",
        _archive_arguments,
        _FIELDS,
    ),
)
