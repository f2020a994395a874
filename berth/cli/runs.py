"""`berth run ls|show|open|why|wait`: those that look at runs."""

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from berth import quantities
from berth.cli.command import Command
from berth.cli.exits import Exit
from berth.cli.output import STATES, Column, Item
from berth.cli.run_result import RUN_FIELDS, leaving, print_run, wait_for
from berth.cli.shell import Shell
from berth.cli.watch import add_watch, watch

if TYPE_CHECKING:
    from berth.results import Run

_ONE_FIELDS = (*RUN_FIELDS, "spec", "source", "place", "metrics", "attempts")
_WHY_FIELDS = ("id", "state", "code", "text", "args", "place")
_LAST_LINES = 10
_IN_WORDS = {"queued": "waits", "succeeded": "succeeded", "failed": "failed", "stopped": "was stopped"}


def id_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="an id, the beginning of one, or @last")


def _ls_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-q",
        "--query",
        metavar="FILTER",
        help="such as 'status:running,queued owner:me created:<7d -tag:x metric.loss:<0.3 param.lr:>=0.1'",
    )
    parser.add_argument("--view", metavar="NAME", help="a saved view of the page; -q narrows it, --sort orders anew")
    parser.add_argument("--sort", metavar="FIELD", help="such as -created (newest first, the default) or created")
    parser.add_argument("-n", "--limit", type=int, default=50, help="at most so many (50); 0 is all")
    add_watch(parser)


def _ls(shell: Shell) -> int:
    options = shell.options
    limit = options.limit if options.limit > 0 else None
    q, sort = options.query, options.sort
    if options.view is not None:
        stored, order = shell.client.runs.view(options.view)
        q, sort = " ".join(part for part in (stored, q) if part), sort or order
    empty = "no runs match" if q else "no runs yet: `berth run submit -- python train.py`"

    def fetch() -> Iterable[Item]:
        return (run.raw for run in shell.client.runs.list(q=q, sort=sort, limit=limit))

    def draw(found: Iterable[Item]) -> None:
        shell.out.table(found, _columns(), empty)

    if options.watch:
        watch(shell.out, lambda: list(fetch()), draw, _columns())
    draw(fetch())
    return Exit.OK


def _status(run: Item) -> str:
    state, progress = str(run.get("state")), run.get("progress") or {}
    has_share = state == "running" and progress.get("total")
    share = f" {100 * progress['done'] // progress['total']}%" if has_share else ""
    return f"{STATES.get(state, ('?', ''))[0]} {state}{share}"


def _columns() -> list[Column]:
    return [
        Column("ID", lambda run: run.get("id")),
        Column("NAME", lambda run: run.get("name"), is_flexible=True),
        Column(
            "STATUS", _status, lambda run: run.get("state"), lambda run: STATES.get(str(run.get("state")), ("", ""))[1]
        ),
        Column("CPU", lambda run: run.get("cpu"), is_number=True),
        Column("MEM", lambda run: run.get("memory"), is_number=True),
        Column("GPUS", lambda run: run.get("gpus") or "-", lambda run: run.get("gpus"), is_number=True),
        Column(
            "WAITED",
            lambda run: quantities.short(run.get("waited_seconds")),
            lambda run: run.get("waited_seconds"),
            is_number=True,
        ),
        Column(
            "RAN",
            lambda run: quantities.short(run.get("ran_seconds")),
            lambda run: run.get("ran_seconds"),
            is_number=True,
        ),
        Column("WHY", _why_text, is_flexible=True),
    ]


def _why_text(run: Item) -> str:
    if run.get("state") in ("queued", "failed"):
        return str(run.get("first_error") or (run.get("reason") or {}).get("text") or "")
    return ""


def _show_arguments(parser: argparse.ArgumentParser) -> None:
    id_argument(parser)
    add_watch(parser)


def _show(shell: Shell) -> int:
    run_id = shell.run_id(shell.options.run)
    out = shell.out

    def fetch() -> "Run":
        run = shell.client.runs.get(run_id)
        if "metrics" not in (out.fields or ()):
            return run
        return replace(run, raw={**run.raw, "metrics": _metrics(run)})

    if shell.options.watch:
        seen: list[Run] = []

        def fetch_again() -> Sequence[Item]:
            seen[:] = [fetch()]
            return [seen[0].raw]

        watch(out, fetch_again, lambda _: _print_all(shell, seen[0]), _columns())
    run = fetch()
    if out.is_json or out.is_quiet:
        print_run(shell, run)
    else:
        _print_all(shell, run)
    return Exit.OK


def _print_all(shell: Shell, run: "Run") -> None:
    out, raw = shell.out, run.raw
    if out.is_terminal:
        out.line(f"{out.paint(run.id, 'bold')}  {out.state(run.state)}  {run.name}")
    out.facts(_facts(raw, out.is_terminal))
    if not out.is_terminal:
        return
    metrics = _metrics(run)
    if metrics:
        out.line("")
        out.table([{"name": name, **value} for name, value in metrics.items()], _metric_columns())
    if len(run.attempts) > 1:
        out.line("")
        out.table(raw["attempts"], _attempt_columns())
    _print_tail(shell, run.id, ((raw.get("reason") or {}).get("args") or {}).get("replica"))


def _metrics(run: "Run") -> dict[str, dict[str, Any]]:
    """Each series in short; what JSON cannot hold as a number is a text, as in the API."""
    return {
        name: {key: _finite(getattr(metric, key)) for key in ("last", "min", "max", "step")}
        for name, metric in run.metrics.items()
    }


def _finite(value: float | None) -> Any:
    return value if value is None or value - value == 0 else str(value)


def _given(value: Any) -> str:
    """A parameter as --param takes it."""
    return value if isinstance(value, str) else json.dumps(value)


def _facts(run: Mapping[str, Any], is_terminal: bool) -> Iterable[tuple[str, Any]]:
    spec, source = run.get("spec") or {}, run.get("source") or {}
    reason, progress = run.get("reason") or {}, run.get("progress") or {}
    if not is_terminal:
        yield from (("id", run.get("id")), ("name", run.get("name")), ("state", run.get("state")))
    yield "Project", run.get("project")
    yield "Command", " ".join(spec.get("command") or ()) or spec.get("script")
    yield "Why", reason.get("text")
    yield "First error", run.get("first_error")
    yield "Exit code", run.get("exit_code")
    yield "Progress", f"{progress.get('done')} of {progress.get('total')}" if progress else None
    yield "Asked for", f"{run.get('cpu')} CPU, {run.get('memory')}, {run.get('gpus') or 0} GPU, pool {run.get('pool')}"
    yield "Replicas", run.get("replicas") if (run.get("replicas") or 1) > 1 else None
    yield "Image", next((one["image"] for one in reversed(run.get("attempts") or ()) if one.get("image")), None)
    yield "Parameters", ", ".join(f"{name}={_given(value)}" for name, value in (spec.get("parameters") or {}).items())
    yield "By", run.get("created_by")
    yield "Created", run.get("created_at")
    yield "Waited", quantities.short(run.get("waited_seconds")) if is_terminal else run.get("waited_seconds")
    yield "Ran", quantities.short(run.get("ran_seconds")) if is_terminal else run.get("ran_seconds")
    yield "Attempt", run.get("attempt")
    yield "Experiment", run.get("experiment")
    yield "Archived", "yes" if run.get("archived") else None
    yield "Tags", ", ".join(run.get("tags") or ())
    commit = source.get("git_commit")
    yield (
        "Git",
        f"{commit[:12]} {source.get('git_branch', '')}{' (with changes)' if source.get('git_dirty') else ''}"
        if commit
        else None,
    )
    yield "Copy of", None if run.get("debug_of") else run.get("parent")
    yield "Debugs", run.get("debug_of")
    for command in run.get("exec_commands") or ():
        yield "Shell", command
    yield "Page", run.get("url")


def _metric_columns() -> list[Column]:
    return [
        Column("METRIC", lambda row: row.get("name")),
        Column("LAST", lambda row: row.get("last"), is_number=True),
        Column("MIN", lambda row: row.get("min"), is_number=True),
        Column("MAX", lambda row: row.get("max"), is_number=True),
        Column("STEP", lambda row: row.get("step"), is_number=True),
    ]


def _attempt_columns() -> list[Column]:
    return [
        Column("ATTEMPT", lambda row: row.get("number"), is_number=True),
        Column("STATE", lambda row: row.get("state")),
        Column("CAUSE", lambda row: row.get("cause")),
        Column("EXIT", lambda row: row.get("exit_code"), is_number=True),
        Column("WHY", lambda row: row.get("first_error") or (row.get("reason") or {}).get("text"), is_flexible=True),
    ]


def _print_tail(shell: Shell, run_id: str, replica: int | None) -> None:
    from berth.cli.text import coloured

    lines = list(shell.client.runs.logs(run_id, tail=_LAST_LINES, replica=replica))
    which = f"{run_id} --replica {replica}" if replica else run_id
    if lines:
        shell.out.line("")
        shell.out.line(shell.out.paint(f"last lines of the log (`berth run logs {which}` shows all)", "dim"))
        for line in lines:
            shell.out.line(coloured(line.text))


def _open(shell: Shell) -> int:
    """The address on stdout; on a terminal, the browser as well."""
    run = shell.client.runs.get(shell.run_id(shell.options.run))
    if shell.out.is_json:
        shell.out.object({"id": run.id, "url": run.url})
        return Exit.OK
    shell.out.line(run.url)
    if shell.out.is_terminal:
        import webbrowser

        webbrowser.open(run.url)
    return Exit.OK


def _why(shell: Shell) -> int:
    run = shell.client.runs.get(shell.run_id(shell.options.run))
    reason = run.reason
    if shell.out.is_json:
        shell.out.object(
            {
                "id": run.id,
                "state": run.state,
                "code": reason.code if reason else None,
                "text": reason.text if reason else None,
                "args": reason.args if reason else None,
                "place": run.place,
            }
        )
        return Exit.OK
    from berth.cli.text import plain

    shell.out.line(plain(run.why or f"{run.id} {_IN_WORDS.get(run.state, f'is {run.state}')}."))
    if run.first_error:
        shell.out.line(plain(run.first_error))
    if run.place:
        shell.out.say(f"Place in line: {run.place}.")
    return Exit.OK


def _wait_arguments(parser: argparse.ArgumentParser) -> None:
    id_argument(parser)
    parser.add_argument("--timeout", metavar="TIME", help="give up after 90s, 8h, …: exit code 102; the run goes on")
    parser.add_argument("--propagate", action="store_true", help="exit with the run's own exit code")


def _wait(shell: Shell) -> int:
    run_id = shell.run_id(shell.options.run)
    with leaving(shell, run_id):
        return wait_for(shell, run_id, shell.options.timeout, shell.options.propagate)


COMMANDS = (
    Command(
        "run ls",
        _ls,
        "list the project's runs",
        "berth run ls -q 'status:running,queued owner:me'",
        _ls_arguments,
        RUN_FIELDS,
        description="Lists the project's runs, newest first. Without a terminal the columns are: id, name, state, "
        "cpu, memory,\ngpus, seconds waited, seconds ran, why it waits or failed.",
    ),
    Command(
        "run show",
        _show,
        "all about one run",
        "berth run show @last --json=state,exit_code,metrics",
        _show_arguments,
        _ONE_FIELDS,
    ),
    Command("run open", _open, "open its page in the browser", "berth run open @last", id_argument, ("id", "url")),
    Command(
        "run why",
        _why,
        "why it waits, or why it ended",
        "berth run why r-9k2 --json=code,args",
        id_argument,
        _WHY_FIELDS,
    ),
    Command(
        "run wait",
        _wait,
        "wait until it has ended",
        "berth run wait @last --timeout 2h --propagate",
        _wait_arguments,
        _ONE_FIELDS,
    ),
)
