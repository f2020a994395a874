"""Every exit code that can occur, on a terminal and without one; colour and questions on a terminal only."""

import http.server
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from app import db
from app.workers.logs import ship_logs
from berth.cli.exits import Exit
from tests import factories
from tests.cli.conftest import World
from tests.fakes_logs import FakeLogCluster

SUBMIT = ["run", "submit", "--no-snapshot", "--quiet"]


class Broken(http.server.BaseHTTPRequestHandler):
    """A server with a fault of its own."""

    def do_GET(self) -> None:
        self.send_response(500)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def broken_server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Broken) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def on_terminal(world: World, words: list[str], changed: dict[str, str], stop_after: str = "") -> tuple[int, str]:
    """The exit code and the screen of a command on a terminal of its own; after a text is seen, Ctrl-C is pressed."""
    pid, screen = pty.fork()
    if pid == 0:
        os.chdir(world.cli.folder)
        environment = {**world.cli.environment, "TERM": "xterm-256color", "COLUMNS": "100", **changed}
        os.execve(sys.executable, [sys.executable, "-P", "-m", "berth", *words], environment)
    shown, deadline, is_stopped = b"", time.monotonic() + 60, False
    while time.monotonic() < deadline:
        if not select.select([screen], [], [], 0.2)[0]:
            continue
        try:
            piece = os.read(screen, 1 << 16)
        except OSError:
            break
        if not piece:
            break
        shown += piece
        if stop_after and not is_stopped and stop_after.encode() in shown:
            is_stopped = True
            os.write(screen, b"\x03")
    os.close(screen)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode()


def make_runs(world: World) -> dict[str, str]:
    made = {state: world.make_run(state=state).public_id for state in ("queued", "succeeded", "failed", "stopped")}
    world.set(made["failed"], exit_code=77, first_error="ValueError: no")
    return made


@pytest.mark.parametrize("is_terminal", [False, True], ids=["piped", "terminal"])
def test_each_exit_code(world: World, is_terminal: bool) -> None:
    runs = make_runs(world)
    with socket.socket() as taken, broken_server() as broken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        nowhere = f"http://127.0.0.1:{taken.getsockname()[1]}"
        cases: list[tuple[int, list[str], dict[str, str]]] = [
            (Exit.OK, ["run", "ls"], {}),
            (Exit.OK, ["run", "wait", runs["succeeded"]], {}),
            (Exit.UNEXPECTED, ["run", "ls"], {"BERTH_SERVER": broken}),
            (Exit.INVALID, ["run", "ls", "-q", "stats:failed"], {}),
            (Exit.NOT_SIGNED_IN, ["run", "ls"], {"BERTH_TOKEN": "berth_u_" + "x" * 36}),
            (Exit.NOT_FOUND, ["run", "show", "r-2222222222"], {}),
            (Exit.CONFLICT, ["run", "rerun", "--exact", runs["succeeded"]], {}),
            (Exit.REFUSED, [*SUBMIT, "--cpu", "4000", "--", "true"], {}),
            (Exit.UNREACHABLE, ["run", "ls"], {"BERTH_SERVER": nowhere}),
            (Exit.RUN_FAILED, ["run", "wait", runs["failed"]], {}),
            (77, ["run", "wait", runs["failed"], "--propagate"], {}),
            (Exit.RUN_STOPPED, ["run", "wait", runs["stopped"]], {}),
            (Exit.WAIT_TIMEOUT, ["run", "wait", runs["queued"], "--timeout", "0.2"], {}),
        ]
        for code, words, changed in cases:
            if is_terminal:
                found, said = on_terminal(world, words, changed)
            else:
                done = world.cli(*words, code=None, env=changed)
                found, said = done.returncode, done.stdout + done.stderr
                assert "\x1b" not in said, words
                assert "[y/N]" not in said
            assert found == code, (words, said)
            if code in range(1, 9):
                assert re.search(r"error: .*\([A-Z_0-9]+\)", said, re.S), (words, said)
    covered = {int(code) for code, _, _ in cases} | {Exit.INTERRUPTED}  # that one is below
    assert covered - {77} == {int(code) for code in Exit}


@pytest.mark.parametrize("words", [["run", "logs", "-f"], ["run", "wait"]], ids=["logs", "wait"])
def test_ctrl_c_on_a_terminal_leaves_the_run(world: World, words: list[str]) -> None:
    run = world.make_run(state="running")
    with db.unit_of_work() as session:
        factories.make_attempt(session, run, state="running")
    cluster = FakeLogCluster()
    cluster.write(run.public_id, 1, "the first line")
    while ship_logs(cluster):
        pass
    if words[1] == "logs":
        code, screen = on_terminal(world, [*words, run.public_id], {}, stop_after="the first line")
    else:  # it says nothing while it waits: without a terminal, a signal is what Ctrl-C is
        process = world.cli.start("run", "submit", "--no-snapshot", "--wait", "--", "true", start_new_session=True)
        assert process.stderr is not None
        screen = process.stderr.readline()
        os.killpg(process.pid, signal.SIGINT)
        screen += process.communicate(timeout=30)[1]
        code = process.returncode
    assert code == Exit.INTERRUPTED, screen
    assert "goes on" in screen
    assert "Traceback" not in screen
    assert world.cli.json("run", "show", run.public_id, "--json=desired") == {"desired": "running"}


def test_what_only_a_terminal_gets(world: World) -> None:
    runs = make_runs(world)
    both = [runs["queued"], runs["failed"]]
    narrow = on_terminal(world, ["run", "ls"], {"COLUMNS": "60"})[1]
    assert "\x1b[" in narrow
    assert "\x1b[" not in on_terminal(world, ["run", "ls"], {"NO_COLOR": "1"})[1]
    code, screen = on_terminal(world, ["run", "stop", *both], {}, stop_after="[y/N]")
    assert (code, "2 runs" in screen) == (Exit.INTERRUPTED, True)
    piped = subprocess.run(
        [sys.executable, "-P", "-m", "berth", "run", "ls"],
        env={**world.cli.environment, "COLUMNS": "40"},
        cwd=world.cli.folder,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "ValueError: no" in piped
    assert "…" not in piped
    assert {line.count("\t") for line in piped.splitlines()} == {8}


@pytest.mark.parametrize("words", [["run", "ls"], ["run", "show"]], ids=["ls", "show"])
def test_watching_goes_on_until_ctrl_c(world: World, words: list[str]) -> None:
    run = world.make_run(state="queued", name="watched")
    words = [*words, *([run.public_id] if words[1] == "show" else []), "--watch"]
    process = world.cli.start(*words, start_new_session=True)
    assert process.stdout is not None
    assert process.stdout.readline().split("\t")[:3] == [run.public_id, "watched", "queued"]
    world.set(run.public_id, state="failed", first_error="ValueError: no")
    assert process.stdout.readline().split("\t")[2::6] == ["failed", "ValueError: no\n"]
    os.killpg(process.pid, signal.SIGINT)
    rest, talk = process.communicate(timeout=30)
    assert (process.returncode, rest, "Traceback" in talk) == (Exit.INTERRUPTED, "", False)
    code, screen = on_terminal(world, words, {}, stop_after="every 2 s")
    assert code == Exit.INTERRUPTED
    assert "\x1b[H" in screen
    assert "watched" in screen.partition("\x1b[?1049l")[2], "what was seen last stays"


def test_watching_as_json_tells_of_the_fields_asked_for(world: World) -> None:
    run = world.make_run(state="queued", name="watched")
    process = world.cli.start("run", "ls", "-w", "--json=name", "--jq", ".name", start_new_session=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "watched\n"
    world.set(run.public_id, state="running")
    world.make_run(name="another")
    assert process.stdout.readline() == "another\n", "the state was not asked for"
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate(timeout=30)[0] == ""


def test_a_plan_submits_nothing(world: World) -> None:
    for words in (["run", "plan"], ["run", "submit", "--dry-run"]):
        plan = world.cli.json(*words, "--cpu", "1", "--json", "--", "python", "train.py")
        assert (plan["starts"], plan["pool"], plan["asked"]["cpu"], plan["reason"]) == ("now", "local", "1", None)
    done = world.cli("run", "plan", "--json=starts", "--", "true")
    assert done.stdout == '{"starts": "now"}\n'
    assert world.cli("run", "plan", "--", "true").stdout.split("\t")[:2] == ["now", "local"]
    assert "NEVER_FITS" in world.cli("run", "plan", "--cpu", "4000", "--", "true", code=7).stderr
    assert "decimal unit" in world.cli("run", "submit", "--dry-run", "--memory", "1G", "--", "true", code=2).stderr
    assert "at once" in on_terminal(world, ["run", "plan", "--", "true"], {})[1]
    assert world.cli("run", "ls").stdout == ""
    run = world.make_run().public_id
    assert world.cli.json("run", "clone", run, "--dry-run", "--cpu", "2", "--json")["asked"]["cpu"] == "2"
    world.cli("run", "clone", run, "--dry-run", "--cpu", "4000", code=7)
    assert len(world.cli("run", "ls").stdout.splitlines()) == 1
    world.cli("run", "plan", "--", "true", code=5, env=world.as_("viewer"))


def test_what_a_code_means(world: World) -> None:
    done = world.cli("help", "NEVER_FITS")
    assert done.stdout.startswith("NEVER_FITS: No machine of this pool is that large\n")
    assert "hint: The nearest that fits is" in done.stdout
    assert "CPU" in world.cli("help", "CPU_BUSY").stdout
    assert "没有" in world.cli("help", "NEVER_FITS", env={"BERTH_LANG": "zh"}).stdout
    assert "no code NO_SUCH" in world.cli("help", "NO_SUCH", code=5).stderr
    assert "usage" in world.cli("help", "run", "ls").stdout


def test_a_saved_view_lists_what_the_page_does(world: World) -> None:
    from berth.client import Client

    runs = make_runs(world)
    with Client(world.web.url, world.tokens["owner"], "vision") as client:
        client.post("/projects/vision/views", {"name": "bad ones", "q": "status:failed,stopped", "sort": "created"})
    listed = world.cli("run", "ls", "--view", "bad ones", "--quiet").stdout.split()
    assert listed == [runs["failed"], runs["stopped"]]
    more = world.cli("run", "ls", "--view", "bad ones", "-q", "status:failed", "--quiet", code=None)
    assert more.returncode == 0
    assert "There are: bad ones" in world.cli("run", "ls", "--view", "none", code=5).stderr


def test_logs_since_a_time(world: World) -> None:
    run = world.make_run(state="running")
    with db.unit_of_work() as session:
        factories.make_attempt(session, run, state="running")
    cluster = FakeLogCluster()
    cluster.write(run.public_id, 1, "a line of now")
    while ship_logs(cluster):
        pass
    assert "a line of now" in world.cli("run", "logs", run.public_id, "--since", "20000d").stdout
    assert "such as 10m" in world.cli("run", "logs", run.public_id, "--since", "soon", code=2).stderr
