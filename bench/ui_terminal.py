"""The first minutes with an empty machine (U1) and the command line (U14)."""

import json
import os
import pty
import re
import resource
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench import machine, rows, wheel
from bench.machine import Process
from bench.report import Row
from bench.ui_browser import SIZE, wait
from bench.ui_site import UiSite
from berth.cli.app import GROUPS, commands_of
from berth.cli.exits import Exit

VISIBLE_S, LINE_S, POINT_S = 60, 3, 5
START_CPU_MS = 200


def first_run(browser: Any, folder: Path) -> Iterator[Row]:
    """U1: the wheel in an empty environment, `berth up` in an empty home, its link, one click, and the sample."""
    home, start = folder / "first", folder / "elsewhere"
    for made in (home, start):
        made.mkdir()
    built = wheel.build(folder)
    began = time.monotonic()
    is_cached = wheel.install(folder / "environment", f"berth[server,embedded] @ {built.as_uri()}")
    installed = time.monotonic()
    programs = folder / "environment" / "bin"
    # Nothing but what every machine has: no checkout to start from, no configuration, no cache.
    environment = {"HOME": str(home), "PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
    command = [str(programs / "berth"), "up", "--port", "0", "--stop-runs", "--no-browser"]
    with Process("berth up", command, folder / "first.log", environment, folder=start) as process:
        link = _link(process)
        ready = time.monotonic()
        inside = browser.new_context(viewport=SIZE)
        page = inside.new_page()
        page.goto(link, wait_until="load")
        opened = time.monotonic()
        page.fill("main input[name=name]", "first")
        page.fill("main input[name=password]", "benchmark" * 2)
        page.fill("main input[name=project]", "first")
        page.locator("main form button.primary").click()
        page.locator("#nav-home").wait_for()
        clicked = time.monotonic()
        page.locator("#run-sample").click()
        wait(page, "document.querySelector('#status') !== null")
        visible = time.monotonic()
        wait(page, "document.querySelector('#L1') !== null", 30)
        line = time.monotonic() - clicked
        point = None
        with suppress(TimeoutError):
            wait(page, "document.querySelector('#charts .uplot, #charts .chart') !== null", 30)
            point = time.monotonic() - clicked
        inside.close()
    parts = {
        "environment" if is_cached else "environment, with downloads": installed - began,
        "start": ready - installed,
        "first page": opened - ready,
        "set-up and sample": visible - opened,
    }
    yield Row(
        "u1-visible",
        "U1 From the wheel on an empty machine to the sample on its page, s",
        f"< {VISIBLE_S}",
        f"{visible - began:.1f} ({', '.join(f'{name} {seconds:.1f}' for name, seconds in parts.items())})",
        visible - began < VISIBLE_S,
    )
    yield Row(
        "u1-line",
        "U1 From the click on the sample to the first line on the screen, s",
        f"< {LINE_S}",
        f"{line:.1f}",
        line < LINE_S,
    )
    figure = "none within 30" if point is None else f"{point:.1f}"
    yield Row(
        "u1-point",
        "U1 From the click on the sample to the first chart on the screen, s",
        f"< {POINT_S}",
        figure,
        point is not None and point < POINT_S,
    )


def _link(process: Process) -> str:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        found = re.search(r"http://\S+\?k=\S+", process.log.read_text(errors="replace"))
        if found:
            return found[0]
        time.sleep(0.05)
    raise RuntimeError(f"berth up does not get ready:\n{process.log.read_text(errors='replace')}")


def command_line(site: UiSite, folder: Path, repeats: int) -> Iterator[Row]:
    """U14: how much processor time a command takes, and whether each exit code is the one that the table says."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("BERTH_")}
    environment |= {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "BERTH_SERVER": site.url}
    environment |= {"BERTH_TOKEN": rows.TOKEN, "BERTH_PROJECT": rows.PROJECT}
    commands = {
        "--version": ["--version"],
        "run submit --help": ["run", "submit", "--help"],
        "run ls": ["run", "ls"],
        "run ls --json": ["run", "ls", "--json"],
    }
    spent = {
        name: statistics.median(_cpu_ms(words, environment) for _ in range(repeats)) for name, words in commands.items()
    }
    figure = ", ".join(f"`{name}` {value:.0f}" for name, value in spent.items())
    yield Row(
        "u14-start",
        "U14 Processor time of a command, ms",
        f"at most {START_CPU_MS}",
        figure,
        max(spent.values()) <= START_CPU_MS,
    )
    found, wrong = 0, list[str]()
    stopped = _call(["run", "ls", "-q", "status:stopped", "-n", "1", "--quiet"], environment).stdout.strip()
    for expected, words, changed in _exits(site, stopped):
        ctrl_c = expected is Exit.INTERRUPTED
        for where, call in (("piped", _piped), ("on a terminal", _on_terminal)):
            code = call(words, environment | changed, ctrl_c)
            found += code == expected
            if code != expected:
                wrong.append(f"`berth {' '.join(words)}` {where} {code} instead of {int(expected)}")
    figure = f"{found} of {found + len(wrong)}" + (f": {'; '.join(wrong)}" if wrong else "")
    yield Row(
        "u14-exits", "U14 Exit codes that are as the table says, piped and on a terminal", "all", figure, not wrong
    )
    listed = json.loads(_call(["run", "ls", "--json"], environment).stdout)
    fields = [name for name in ("id", "state", "name") if listed and name in listed[0]]
    yield Row(
        "u14-json",
        "U14 `--json` without a terminal is JSON with its fields",
        "3 of 3",
        f"{len(fields)} of 3",
        len(fields) == 3,
    )
    commands_there = [command for noun in GROUPS for command in commands_of(noun)]
    without = [command.name for command in commands_there if not command.example]
    figure = f"{len(commands_there) - len(without)} of {len(commands_there)}"
    yield Row("u14-examples", "U14 Commands whose help has an example", "all", figure, not without)


def _exits(site: UiSite, stopped: str) -> list[tuple[Exit, list[str], dict[str, str]]]:
    """Every code but 1, for which a server must be broken: tests/cli/test_exit_codes.py breaks one."""
    nowhere = {"BERTH_SERVER": f"http://127.0.0.1:{machine.free_port()}"}
    too_large = ["run", "submit", "--no-snapshot", "--cpu", "100000", "--", "true"]
    return [
        (Exit.OK, ["run", "ls"], {}),
        (Exit.INVALID, ["run", "ls", "--no-such-option"], {}),
        (Exit.INVALID, ["run", "ls", "-q", "stats:failed"], {}),
        (Exit.NOT_SIGNED_IN, ["run", "ls"], {"BERTH_TOKEN": "berth_u_" + "x" * 36}),
        (Exit.NOT_FOUND, ["run", "show", "r-2222222222"], {}),
        (Exit.NOT_FOUND, ["run", "ls"], {"BERTH_PROJECT": "project-05"}),
        (Exit.UNREACHABLE, ["run", "ls"], nowhere),
        (Exit.RUN_FAILED, ["run", "wait", site.runs["failed"]], {}),
        (Exit.OK, ["run", "wait", site.runs["long"]], {}),
        (Exit.CONFLICT, ["run", "rerun", "--exact", site.runs["failed"]], {}),  # older than capsules
        (Exit.REFUSED, too_large, {}),
        (Exit.RUN_STOPPED, ["run", "wait", stopped], {}),
        (Exit.INTERRUPTED, ["run", "logs", "-f", site.runs["live"]], {}),
        (Exit.WAIT_TIMEOUT, ["run", "wait", site.runs["live"], "--timeout", "1s"], {}),
    ]


def _piped(words: Sequence[str], environment: dict[str, str], ctrl_c: bool) -> int:
    if not ctrl_c:
        return _call(words, environment).returncode
    command = [sys.executable, "-m", "berth", *words]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.stdout.read()
    return process.returncode


def _on_terminal(words: Sequence[str], environment: dict[str, str], ctrl_c: bool) -> int:
    """The exit code on a terminal of its own; with `ctrl_c` that is pressed when the first text has come."""
    pid, screen = pty.fork()
    if pid == 0:
        os.execve(sys.executable, [sys.executable, "-m", "berth", *words], environment)
    with suppress(OSError):  # how a terminal says that nobody writes to it any more
        while os.read(screen, 1 << 16):
            if ctrl_c:
                os.write(screen, b"\x03")
                ctrl_c = False
    os.close(screen)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _call(words: Sequence[str], environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "berth", *words],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def _cpu_ms(words: Sequence[str], environment: dict[str, str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = _call(words, environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise RuntimeError(f"berth {' '.join(words)}: {done.stderr}")
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000
