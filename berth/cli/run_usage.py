"""`berth run usage`: what a run used of the machine, against what it asked for."""

import argparse
from collections.abc import Mapping
from typing import Any

from berth.cli.command import Command
from berth.cli.exits import Exit
from berth.cli.output import Column
from berth.cli.shell import Shell
from berth.quantities import show_size

_FIELDS = (
    "id",
    "attempt",
    "replica",
    "state",
    "is_exact",
    "asked",
    "summary",
    "gpu_reason",
    "gpu_text",
    "at_ms",
    "span_ms",
    "series",
)
_NOTHING = {
    "waiting": "it has not started yet",
    "starting": "it has just started: the first figures come within a second or two",
    "short": "it ran too briefly to be measured",
    "none": "it was not measured",
}


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="an id, the beginning of one, or @last")
    parser.add_argument("-a", "--attempt", type=int, metavar="N", help="one attempt (the newest)")
    parser.add_argument("--replica", type=int, metavar="N", help="one replica (0)")
    parser.add_argument(
        "-b", "--buckets", type=int, metavar="N", default=60, help="for --json: at most so many places (60)"
    )


def _usage(shell: Shell) -> int:
    options = shell.options
    run_id = shell.run_id(options.run)
    found = shell.client.runs.usage(run_id, options.attempt, options.buckets, options.replica)
    if shell.out.is_json:
        shell.out.object({"id": run_id, **found})
        return Exit.OK
    if found["summary"] is None or found["state"] in _NOTHING:
        shell.out.say(f"{run_id}: {_NOTHING.get(found['state'], _NOTHING['none'])}")
        return Exit.OK
    columns = [
        Column("WHAT", lambda row: row["what"]),
        Column("MEAN", lambda row: row["mean"], is_number=True),
        Column("MOST", lambda row: row["most"], is_number=True),
        Column("ASKED", lambda row: row["asked"], is_number=True),
        Column("OF ASKED", lambda row: row["part"], is_number=True),
    ]
    shell.out.table(_rows(found), columns, key="what")
    if found["gpu_text"]:
        shell.out.say(found["gpu_text"])
    return Exit.OK


def _rows(found: Mapping[str, Any]) -> list[dict[str, str]]:
    used, asked = found["summary"], found["asked"]
    rows = [
        _row("cpu", f"{used['cpu_mean']:.2f}", f"{used['cpu_max']:.2f}", f"{asked['cpu']:g}", used["cpu_percent"]),
        _row(
            "memory",
            show_size(used["memory_mean"]),
            show_size(used["memory_max"]),
            show_size(asked["memory_bytes"]),
            used["memory_percent"],
        ),
        _row("disk read", "", show_size(used["disk_read"])),
        _row("disk written", "", show_size(used["disk_written"])),
    ]
    if used["folder_bytes"] is not None:
        rows.append(_row("files", "", show_size(used["folder_bytes"])))
    gpu = used["gpu"]
    if gpu:
        busy = "" if gpu["busy_percent"] is None else f"{gpu['busy_percent']:.0f}%"
        memory = "" if gpu["memory_bytes"] is None else show_size(gpu["memory_bytes"])
        rows += [_row("gpus", busy, str(gpu["count"]), str(asked["gpus"])), _row("gpu memory", "", memory)]
    return rows


def _row(what: str, mean: str, most: str, asked: str = "", percent: float | None = None) -> dict[str, str]:
    part = "" if percent is None else f"{percent:.0f}%"
    return {"what": what, "mean": mean, "most": most, "asked": asked, "part": part}


USAGE = Command(
    "run usage",
    _usage,
    "CPU, memory, disk and GPU use against what was asked",
    "berth run usage @last --json=summary,asked",
    _arguments,
    _FIELDS,
)
COMMANDS = (USAGE,)
