"""`--watch`: the same again every two seconds until Ctrl-C, redrawn on a terminal, a line for each change elsewhere."""

import argparse
import contextlib
import io
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from typing import NoReturn, TypeVar

from berth.cli.output import Column, Item, Output
from berth.cli.text import plain
from berth.errors import BerthError, Unreachable

SECONDS = 2.0
Seen = TypeVar("Seen")
# What is another value each time that one looks, and no news.
_ALWAYS_NEW = frozenset({"waited_seconds", "ran_seconds"})
_AWAY = (502, 503, 504)
_HOME, _END_OF_LINE, _BELOW = "\x1b[H", "\x1b[K", "\x1b[J"
_OTHER_SCREEN, _FIRST_SCREEN = "\x1b[?1049h", "\x1b[?1049l"


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
    if not out.is_terminal or os.environ.get("TERM") == "dumb" or out.is_json or out.is_quiet:
        seen: dict[str, list[object]] = {}
        _repeat(out, fetch, lambda found, away: None if away else _print_changes(out, found, columns, seen))
    last = [""]

    def show(drawn: str, away: str) -> None:
        if not last[0]:
            sys.stdout.write(_OTHER_SCREEN)
        last[0] = drawn
        _redraw(drawn, away)

    try:
        _repeat(out, lambda: _drawn(draw, fetch()), show)
    finally:
        if last[0]:
            # What was on the terminal before is there again, and what was seen last below it.
            sys.stdout.write(_FIRST_SCREEN + last[0])
            sys.stdout.flush()


def _repeat(out: Output, look: Callable[[], Seen], show: Callable[[Seen, str], None]) -> NoReturn:
    found, away = look(), ""
    while True:
        show(found, away)
        time.sleep(SECONDS)
        try:
            found, away = look(), ""
        except BerthError as problem:
            if not isinstance(problem, Unreachable) and problem.status not in _AWAY:
                raise
            if not away and not out.is_terminal:
                out.say(f"{plain(problem.detail)}; trying again")
            away = problem.detail


def _drawn(draw: Callable[[Sequence[Item]], None], found: Sequence[Item]) -> str:
    drawn = io.StringIO()
    with contextlib.redirect_stdout(drawn), contextlib.redirect_stderr(drawn):
        draw(found)
    return drawn.getvalue()


def _redraw(drawn: str, away: str) -> None:
    rows = drawn.splitlines()
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
