"""`--watch`: the same again every two seconds until Ctrl-C, redrawn on a terminal, a line for each change elsewhere."""

import argparse
import contextlib
import io
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from typing import NoReturn

from berth.cli.output import Column, Item, Output
from berth.cli.text import plain
from berth.errors import BerthError, Unreachable

SECONDS = 2.0
# What is another value each time that one looks, and no news.
_ALWAYS_NEW = frozenset({"waited_seconds", "ran_seconds"})
_AWAY = (502, 503, 504)
_HOME, _END_OF_LINE, _BELOW = "\x1b[H", "\x1b[K", "\x1b[J"


def add_watch(parser: argparse.ArgumentParser) -> None:
    """The option itself."""
    parser.add_argument(
        "-w", "--watch", action="store_true", help="show it anew every 2 s until Ctrl-C; piped, a line for each change"
    )


def watch(
    out: Output, fetch: Callable[[], Sequence[Item]], draw: Callable[[Sequence[Item]], None], columns: Sequence[Column]
) -> NoReturn:
    """Shows what `fetch` finds, again and again. `draw` prints it for a terminal; elsewhere each run that is new or
    changed is a line of `columns`, or a JSON object.

    Ends by KeyboardInterrupt, or by what `fetch` raises; a server that is away for a while is waited for.
    """
    is_screen = out.is_terminal and os.environ.get("TERM") != "dumb" and not (out.is_json or out.is_quiet)
    seen: dict[str, list[object]] = {}
    found, away = fetch(), ""
    while True:
        if is_screen:
            _redraw(found, draw, away)
        elif not away:
            _print_changes(out, found, columns, seen)
        time.sleep(SECONDS)
        try:
            found, away = fetch(), ""
        except BerthError as problem:
            if not isinstance(problem, Unreachable) and problem.status not in _AWAY:
                raise
            if not is_screen and not away:
                out.say(f"{plain(problem.detail)}; trying again")
            away = problem.detail


def _redraw(found: Sequence[Item], draw: Callable[[Sequence[Item]], None], away: str) -> None:
    drawn = io.StringIO()
    with contextlib.redirect_stdout(drawn), contextlib.redirect_stderr(drawn):
        draw(found)
    rows = drawn.getvalue().splitlines()
    room = max(shutil.get_terminal_size().lines - 2, 1)
    parts = [time.strftime("%H:%M:%S"), f"every {SECONDS:g} s, Ctrl-C ends"]
    if len(rows) > room:
        parts.append(f"{len(rows) - room} more lines than fit")
    if away:
        parts.append(f"as last seen: {plain(away)}")
    shown = ["  ".join(parts), *rows[:room]]
    sys.stdout.write(_HOME + "".join(f"{row}{_END_OF_LINE}\n" for row in shown) + _BELOW)
    sys.stdout.flush()


def _print_changes(
    out: Output, found: Sequence[Item], columns: Sequence[Column], seen: dict[str, list[object]]
) -> None:
    for item in found:
        # By what is shown: fields that nobody asked for are no news either.
        names = out.fields if out.fields is not None else ("state", "name", "reason", "first_error")
        state: list[object] = [item.get(name) for name in names if name not in _ALWAYS_NEW]
        name = str(item.get("id"))
        if seen.get(name) == state:
            continue
        seen[name] = state
        if out.is_json:
            out.stream(item)
        else:
            out.row(item, columns)
    sys.stdout.flush()
