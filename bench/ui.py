"""`python -m bench.ui`: measures the pages in a browser, prints goals and figures, writes docs/benchmarks-ui.md."""

import argparse
import datetime
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench import postgres, report, ui_browser, ui_live, ui_pages, ui_report, ui_terminal
from bench.clicks import BY_KEYBOARD, TASKS, TooManyActionsError, perform
from bench.report import Row
from bench.ui_site import Sizes, UiSite, site

DOCUMENT = Path(__file__).parent.parent / "docs" / "benchmarks-ui.md"
QUICK = Sizes(runs=2_000, lines=20_000, metrics=200)
PARTS = ("u1", "u2", "u3", "u4", "u9", "u10", "u14", "u16")


def main(arguments: list[str] | None = None) -> int:
    """0 when all goals are met, 1 when some are missed, 2 where there is no Chromium."""
    options = _options(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are ended then, too
    executable = ui_browser.path()
    if executable is None:
        _say("no Chromium here; install it with: apt-get install chromium (or set BERTH_TEST_CHROMIUM)")
        return 2
    sizes = QUICK if options.quick else Sizes()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="berth-bench-")))
        folder.chmod(0o755)  # Postgres may run as another user
        browser = stack.enter_context(ui_browser.chromium(executable))
        versions = f"Chromium {browser.version}"
        found = list[Row]()
        if "u1" in options.parts:
            _say("u1: an empty machine")
            found += ui_terminal.first_run(browser, folder)
        if set(options.parts) != {"u1"}:
            server = stack.enter_context(postgres.server(folder))
            versions += f", Postgres {server.version}"
            _say(f"filling a database with {sizes.runs:,} runs and {sizes.lines:,} lines")
            filled = stack.enter_context(site(server, folder, sizes))
            for part in [one for one in options.parts if one != "u1"]:
                _say(part)
                for row in _measure(part, browser, filled, folder, options):
                    _say(f"  {row.title}: {row.figure}")
                    found.append(row)
    print(report.terminal(found))
    if options.write:
        old = DOCUMENT.read_text() if DOCUMENT.exists() else ""
        when = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
        facts = {"versions": versions, "when": when, "load": os.getloadavg()[0], "repeats": options.repeats}
        DOCUMENT.write_text(ui_report.document(found, old, sizes=sizes, **facts))
        _say(f"wrote {DOCUMENT}")
    return 1 if any(row.is_met is False for row in found) else 0


def _measure(part: str, browser: Any, filled: UiSite, folder: Path, options: argparse.Namespace) -> Iterator[Row]:
    if part == "u2":
        yield from ui_pages.weight(browser, filled)
    elif part == "u3":
        yield from ui_pages.speed(browser, filled, options.repeats)
    elif part == "u4":
        yield from ui_pages.big_data(browser, filled, options.repeats)
    elif part == "u9":
        yield from ui_live.steady(browser, filled, options.polls)
    elif part == "u10":
        yield from ui_live.live(browser, filled, options.repeats)
    elif part == "u14":
        yield from ui_terminal.command_line(filled, folder, options.repeats)
    elif part == "u16":
        yield from _clicks(browser, filled)
        yield _keyboard(browser, filled)


def _clicks(browser: Any, filled: UiSite) -> Iterator[Row]:
    for task in TASKS:
        with ui_browser.context(browser, filled.cookies()) as inside:
            try:
                acts = perform(inside, filled.url, filled.ground(), task)
                figure, is_met = f"{len(acts)}" + (f" ({', '.join(acts)})" if acts else ""), True
            except TooManyActionsError as problem:
                figure, is_met = str(problem), False
        yield Row(f"u16-{task.key}", f"U16 {task.title}", f"at most {task.limit}", figure, is_met)


def _keyboard(browser: Any, filled: UiSite) -> Row:
    """U5: the same tasks without a mouse."""
    pressed, wrong = list[str](), list[str]()
    for task in BY_KEYBOARD:
        with ui_browser.context(browser, filled.cookies()) as inside:
            try:
                acts = perform(inside, filled.url, filled.ground(), task)
            except AssertionError as problem:
                wrong.append(f"{task.title}: {problem}")
                continue
        if {"click", "load"} & set(acts):
            wrong.append(f"{task.title}: {', '.join(acts)}")
        pressed.append(f"{task.key} {len(acts)}")
    figure = f"{len(BY_KEYBOARD) - len(wrong)}, presses: {', '.join(pressed)}" + "".join(f"; {one}" for one in wrong)
    return Row("u5-keyboard", "U5 Tasks that go by keyboard alone", f"all {len(BY_KEYBOARD)}", figure, not wrong)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.ui", description="Berth's pages beside their goals.")
    parser.add_argument("--quick", action="store_true", help="a look: little of everything, nothing written")
    parser.add_argument("--repeats", type=int, default=5, help="times that each page is opened")
    parser.add_argument("--polls", type=int, default=20, help="polls that a page must bear without moving")
    parser.add_argument("--parts", type=_parts, default=PARTS, help=f"only these, by commas: {','.join(PARTS)}")
    parser.add_argument("--no-write", dest="write", action="store_false", help="leave docs/benchmarks-ui.md as it is")
    options = parser.parse_args(arguments)
    if options.quick:
        options.repeats, options.polls, options.write = 1, 3, False
    if set(options.parts) != set(PARTS):
        options.write = False
    return options


def _parts(text: str) -> tuple[str, ...]:
    found = tuple(text.split(","))
    if unknown := set(found) - set(PARTS):
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}")
    return found


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
