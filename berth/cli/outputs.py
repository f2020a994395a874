"""`berth output …`: the files that a run left, and how long a project keeps them."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from berth.cli.command import Command
from berth.cli.exits import Exit
from berth.cli.output import Column
from berth.cli.shell import Shell
from berth.cli.text import plain
from berth.errors import BerthError
from berth.quantities import show_count, show_size

_FIELDS = ("kind", "path", "bytes", "sha256", "attempt", "created_at", "files", "removed", "removed_at", "removed_by")
_RULES = (
    "keep_days",
    "keep_last",
    "keep_tags",
    "keep_experiments",
    "notice_hours",
    "version",
    "updated_at",
    "announced",
    "notes",
)
_PREVIEW = ("runs", "files", "bytes", "rules", "notes", "items")


def _run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="an id, the beginning of one, or @last")


def _ls_arguments(parser: argparse.ArgumentParser) -> None:
    _run(parser)
    parser.add_argument("path", metavar="PATH", nargs="?", default="", help="a folder (the top one)")
    parser.add_argument("-r", "--recursive", action="store_true", help="all files, folder by folder")


def _ls(shell: Shell) -> int:
    options = shell.options
    run_id = shell.run_id(options.run)
    path = options.path.strip("/")
    if options.recursive:
        files = shell.client.items(shell.client.path("runs", run_id, "outputs"))
        found: Any = (file for file in files if not path or file["path"].startswith(path + "/"))
    else:
        found = shell.client.outputs.folder(run_id, path)
    columns = [
        Column("PATH", lambda one: one["path"] + ("/" if one.get("kind") == "folder" else ""), is_flexible=True),
        Column("SIZE", lambda one: show_size(one.get("bytes") or 0), lambda one: one.get("bytes"), is_number=True),
        Column("SHA256", lambda one: (one.get("sha256") or "")[:12], lambda one: one.get("sha256")),
        Column("REMOVED", lambda one: (one.get("removed_at") or "")[:10], lambda one: one.get("removed_at")),
    ]
    shell.out.table(found, columns, f"{run_id} left no outputs; a job writes them to $BERTH_OUTPUT", key="path")
    return Exit.OK


def _get_arguments(parser: argparse.ArgumentParser) -> None:
    _run(parser)
    parser.add_argument("path", metavar="PATH", nargs="?", help="one file, or those below a folder; all without it")
    parser.add_argument("-o", "--output", metavar="DIR", default=".", help="where to write them (here)")


def _get(shell: Shell) -> int:
    options = shell.options
    run_id = shell.run_id(options.run)
    written: Sequence[Path] = ()
    try:
        written = shell.client.outputs.get(run_id, options.path, options.output)
    except BerthError as error:
        written = error.fields.get("written", ())
        raise
    finally:
        for path in written:
            shell.out.line(plain(str(path)))
    return Exit.OK


def _show(shell: Shell) -> int:
    rules = shell.client.retention.get()
    if shell.out.is_json:
        shell.out.object(rules)
        return Exit.OK
    announced = rules.get("announced") or {}
    due = None
    if announced:
        runs = show_count(announced["runs"], "run")
        due = f"{runs}, {show_size(announced['bytes'])}, on {announced['due_at']}"
    shell.out.facts(
        [
            ("Keep days", rules.get("keep_days")),
            ("Keep last", rules.get("keep_last")),
            ("Keep tags", ", ".join(rules.get("keep_tags") or ())),
            ("Keep experiments", ", ".join(rules.get("keep_experiments") or ())),
            ("Notice hours", rules.get("notice_hours")),
            ("Announced", due),
        ]
    )
    _say_notes(shell, rules)
    if rules.get("keep_days") is None and rules.get("keep_last") is None:
        shell.out.say("no rule removes anything; all outputs stay")
    return Exit.OK


def _say_notes(shell: Shell, found: dict[str, Any]) -> None:
    for note in found.get("notes") or ():
        shell.out.say(f"note: {plain(note)}")


def _total(found: dict[str, Any]) -> str:
    counts = show_count(found["runs"], "run"), show_count(found["files"], "file")
    return f"{', '.join(counts)}, {show_size(found['bytes'])}"


def _rule_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--days", type=int, metavar="N", help="keep outputs for N days after the run ended")
    parser.add_argument("--last", type=int, metavar="K", help="keep those of the newest K runs")
    parser.add_argument("--tag", action="append", metavar="TAG", default=[], help="keep those of runs with it; repeat")
    parser.add_argument(
        "--experiment", action="append", metavar="NAME", default=[], help="keep those of runs of it; repeat"
    )


def _set_arguments(parser: argparse.ArgumentParser) -> None:
    _rule_arguments(parser)
    parser.add_argument("--notice", type=int, metavar="HOURS", default=24, help="from announcement to removal (24)")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def _set(shell: Shell) -> int:
    options = shell.options
    if options.days is not None or options.last is not None:
        seen = shell.client.retention.preview(options.days, options.last, options.tag, options.experiment)
        _say_notes(shell, seen)
        what = _total(seen)
        if not shell.out.confirm(f"These rules would remove {what} now. Set them?", options.yes):
            return Exit.OK
    rules = shell.client.retention.set(options.days, options.last, options.tag, options.notice, options.experiment)
    if shell.out.is_json:
        shell.out.object(rules)
    else:
        if options.days is None and options.last is None:
            _say_notes(shell, rules)
        shell.out.say("the rules are set; what they do not keep is announced first (berth output retention show)")
    return Exit.OK


def _preview(shell: Shell) -> int:
    options = shell.options
    found = shell.client.retention.preview(options.days, options.last, options.tag, options.experiment)
    if shell.out.is_json:
        shell.out.object(found)
        return Exit.OK
    columns = [
        Column("RUN", lambda one: one.get("run")),
        Column("NAME", lambda one: one.get("name"), is_flexible=True),
        Column("ENDED", lambda one: one.get("finished_at")),
        Column("FILES", lambda one: one.get("files"), is_number=True),
        Column("SIZE", lambda one: show_size(one.get("bytes") or 0), lambda one: one.get("bytes"), is_number=True),
    ]
    shell.out.table(found["items"], columns, "", key="run")
    _say_notes(shell, found)
    shell.out.say(f"would remove {_total(found)}")
    return Exit.OK


COMMANDS = (
    Command(
        "output ls",
        _ls,
        "list a folder of what a run left",
        "berth output ls @last checkpoints",
        _ls_arguments,
        _FIELDS,
    ),
    Command(
        "output get",
        _get,
        "fetch files that a run left",
        "berth output get @last model.joblib -o results",
        _get_arguments,
        description="Fetches outputs, goes on where a broken connection stopped, checks each against its digest,"
        " and prints the paths written.\nGoes on past files that the object store lost, names"
        " them at the end, and exits with 5.",
    ),
    Command(
        "output retention show",
        _show,
        "how long the project keeps outputs",
        "berth output retention show -P vision",
        fields=_RULES,
    ),
    Command(
        "output retention set",
        _set,
        "change that; the rules given are all there are",
        "berth output retention set --days 30 --last 20 --tag best -P vision",
        _set_arguments,
        _RULES,
    ),
    Command(
        "output retention preview",
        _preview,
        "which runs' outputs such rules would remove, and how many bytes",
        "berth output retention preview --days 30 -P vision",
        _rule_arguments,
        _PREVIEW,
    ),
)
