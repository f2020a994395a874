"""`berth run archive|unarchive|tag|retry` and `stop -q`: many runs by one request; `berth run compare`."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from berth.cli.command import Command
from berth.cli.exits import Exit
from berth.cli.output import Column, Item
from berth.cli.shell import Shell
from berth.cli.text import plain
from berth.errors import InvalidInput

BULK_FIELDS = ("id", "name", "changed", "code", "text", "new_id")
COMPARE_FIELDS = ("summary", "runs", "parts", "metrics", "url")
_LONGEST_VALUE = 40
# Options of `run tag` that are one letter; other words that begin with a dash are tags to take away.
_WITH_VALUE = frozenset({"-q", "--q", "--query", "-P", "--project", "--add", "--remove", "--experiment"})
_SHORT = frozenset({"-y", "-q", "-P", "-h"})


def selection_arguments(parser: argparse.ArgumentParser) -> None:
    """Which runs: ids, or a filter."""
    parser.add_argument("runs", metavar="RUN", nargs="*", help="ids, beginnings of them, or @last")
    filter_arguments(parser)
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def filter_arguments(parser: argparse.ArgumentParser) -> None:
    """The filter in place of ids, and the dry run."""
    parser.add_argument(
        "-q",
        "--q",
        "--query",
        dest="query",
        metavar="FILTER",
        help="all that match, such as 'status:failed created:>7d'",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would happen, and change nothing")


def change(shell: Shell, verb: str, ids: Sequence[str], labels: Mapping[str, Any] | None = None) -> int:
    """Asks, unless told not to, with the server's own dry run; does it; prints what became of each run."""
    options = shell.options
    if bool(ids) == (options.query is not None):
        raise InvalidInput("name runs, or give a filter with -q", hint=f"`berth run {verb} --help`")
    asked: dict[str, Any] = dict(labels or {})
    asked |= {"q": options.query} if options.query is not None else {"ids": [shell.run_id(text) for text in ids]}
    runs = shell.client.runs
    is_one = len(asked.get("ids", ())) == 1
    if shell.out.may_ask and not (options.yes or options.dry_run or is_one):
        foreseen = runs.bulk(verb, dry_run=True, **asked)
        question = f"{_told(foreseen, would=True)} Go on?"
        if not foreseen["changed"] or not shell.out.confirm(question, options.yes):
            shell.out.say("Nothing was changed." if foreseen["changed"] else _told(foreseen, would=True))
            return Exit.OK
    result = runs.bulk(verb, dry_run=options.dry_run, **asked)
    shell.out.table(result["items"], _columns(), "no runs match")
    if not shell.out.is_quiet and not shell.out.is_json:
        shell.out.say(_told(result, would=options.dry_run))
    is_missing = any(item["code"] == "NOT_FOUND" for item in result["items"])
    return Exit.NOT_FOUND if is_missing else Exit.OK


def _told(result: Mapping[str, Any], *, would: bool) -> str:
    reasons: dict[str, int] = {}
    for item in result["items"]:
        if item["text"]:
            reasons[item["text"]] = reasons.get(item["text"], 0) + 1
    why = "".join(f" {count} skipped: {plain(text)}" for text, count in reasons.items())
    return f"{result['changed']} of {result['matched']} {'would change' if would else 'changed'}.{why}"


def _columns() -> list[Column]:
    return [
        Column("ID", lambda item: item.get("id")),
        Column("NAME", lambda item: item.get("name"), is_flexible=True),
        Column("CHANGED", lambda item: item.get("changed")),
        Column("WHY NOT", lambda item: item.get("text"), lambda item: item.get("code"), is_flexible=True),
        Column("NEW RUN", lambda item: item.get("new_id")),
    ]


def _archive(shell: Shell) -> int:
    return change(shell, "archive", shell.options.runs)


def _unarchive(shell: Shell) -> int:
    return change(shell, "unarchive", shell.options.runs)


def _rerun_failed(shell: Shell) -> int:
    return change(shell, "rerun-failed", shell.options.runs)


def _tag_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", metavar="RUN | +TAG | -TAG", nargs="*", help="runs, tags to add and tags to take away")
    parser.add_argument("--add", action="append", default=[], metavar="TAG", help="the same as +TAG")
    parser.add_argument("--remove", action="append", default=[], metavar="TAG", help="the same as -TAG")
    experiment = parser.add_mutually_exclusive_group()
    experiment.add_argument("--experiment", metavar="NAME", help="put the runs into this experiment")
    experiment.add_argument("--no-experiment", action="store_true", help="take them out of their experiment")
    filter_arguments(parser)
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def keep_minus(words: list[str]) -> list[str]:
    """Arguments in which "-tag" is no option any more: argparse takes each word with a dash for one."""
    before = ["", *words]
    return [
        f"+-{word[1:]}" if _is_minus(word) and option not in _WITH_VALUE else word
        for option, word in zip(before, words, strict=False)
    ]


def _is_minus(word: str) -> bool:
    return len(word) > 1 and word[0] == "-" and word[1] != "-" and word not in _SHORT


def _tag(shell: Shell) -> int:
    options = shell.options
    ids = [word for word in options.words if not word.startswith("+")]
    marked = [word[1:] for word in options.words if word.startswith("+")]
    labels: dict[str, Any] = {
        "add": [word for word in marked if not word.startswith("-")] + options.add,
        "remove": [word[1:] for word in marked if word.startswith("-")] + options.remove,
    }
    if options.experiment is not None or options.no_experiment:
        labels["experiment"] = options.experiment or ""
    if not any(labels.values()) and "experiment" not in labels:
        raise InvalidInput("no tag is named", hint="`berth run tag r-7f3 +baseline -draft`")
    return change(shell, "tag", ids, labels)


def _compare_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", metavar="RUN", nargs="+", help="2 to 20 ids, beginnings of them, or @last")
    parser.add_argument("--lower", metavar="NAMES", help="metrics of which less is better, by commas")
    parser.add_argument("--higher", metavar="NAMES", help="metrics of which more is better, by commas")
    parser.add_argument("--all", action="store_true", help="also what is the same in all of them")


def _compare(shell: Shell) -> int:
    options, out = shell.options, shell.out
    ids = [shell.run_id(text) for text in options.runs]
    found = shell.client.runs.compare(ids, lower=options.lower, higher=options.higher)
    if out.is_json:
        out.object(found)
        return Exit.OK
    if out.is_quiet:
        out.line(found["url"])
        return Exit.OK
    if out.is_terminal:
        out.line(plain(found["summary"]))
        out.line("")
    rows = [row for part in found["parts"] for row in _part_rows(part, is_all=options.all)]
    rows += [_metric_row(metric) for metric in found["metrics"]]
    out.table(rows, _compare_columns(found["runs"]))
    out.say(found["url"])
    return Exit.OK


def _part_rows(part: Mapping[str, Any], *, is_all: bool) -> list[dict[str, Any]]:
    return [
        {"part": part["part"], "name": line["name"], "values": ["-" if v is None else v for v in line["values"]]}
        for line in part["lines"]
        if line["differs"] or is_all
    ]


def _figure(value: Any) -> str:
    return "-" if value is None else f"{value:.5g}" if isinstance(value, float) else str(value)


def _metric_row(metric: Mapping[str, Any]) -> dict[str, Any]:
    best = set(metric["best"])
    shown = [
        "-" if value is None else f"{value:.5g}" if isinstance(value, float) else str(value) for value in metric["last"]
    ]
    values = [f"{value} *" if place in best else value for place, value in enumerate(shown)]
    return {"part": "metric", "name": f"{metric['name']} ({metric['better']})", "values": values}


def _compare_columns(runs: Sequence[Item]) -> list[Column]:
    def of(place: int) -> Any:
        return lambda row: row["values"][place]

    def short(place: int) -> Any:
        return lambda row: " ".join(str(row["values"][place]).split())[:_LONGEST_VALUE]

    names = [f"{run['name']} {run['id']}"[:_LONGEST_VALUE] for run in runs]
    return [
        Column("PART", lambda row: row["part"]),
        Column("NAME", lambda row: row["name"], is_flexible=True),
        *(Column(name, short(place), of(place), is_flexible=True) for place, name in enumerate(names)),
    ]


COMMANDS = (
    Command(
        "run archive",
        _archive,
        "hide ended runs from lists; nothing is deleted",
        "berth run archive -q 'status:failed created:>30d' --dry-run",
        selection_arguments,
        BULK_FIELDS,
    ),
    Command(
        "run unarchive",
        _unarchive,
        "put archived runs back into lists",
        "berth run unarchive -q archived:yes",
        selection_arguments,
        BULK_FIELDS,
    ),
    Command(
        "run rerun-failed",
        _rerun_failed,
        "submit failed runs again, each once",
        "berth run rerun-failed -q 'experiment:digits created:<1d'",
        selection_arguments,
        BULK_FIELDS,
    ),
    Command(
        "run tag",
        _tag,
        "add tags to runs, take tags away, set their experiment",
        "berth run tag r-7f3 r-9k2 +baseline -draft --experiment digits",
        _tag_arguments,
        BULK_FIELDS,
        usage="berth run tag [options] RUN … +TAG … -TAG …",
        prepare=keep_minus,
    ),
    Command(
        "run compare",
        _compare,
        "what differs between runs, and which has the best metrics",
        "berth run compare r-7f3 r-9k2",
        _compare_arguments,
        COMPARE_FIELDS,
        description="Says what differs between 2 to 20 runs of a project: parameters, code, definition, environment\n"
        "and resources, then the last value of each metric; * marks the best one.",
    ),
)
