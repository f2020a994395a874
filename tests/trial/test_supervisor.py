"""`berth up` as a process: one per home, restarts what crashes, ends what it started, tidies up after a SIGKILL."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

import berth
from app.trial.demo import members_of
from app.trial.embedded import find
from app.trial.postgres import wait_until
from app.trial.processes import is_alive
from app.trial.state import read_record

COMMAND = [sys.executable, "-P", "-m", "app.trial.supervisor", "--no-browser"]
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("BERTH_", "PYTEST"))}


class Up:
    """A started `berth up`: its process, what it printed, and its record."""

    def __init__(self, home: Path, process: "subprocess.Popen[str]", heard: str) -> None:
        self.home = home
        self.process = process
        self.heard = heard

    @property
    def record(self) -> dict[str, Any]:
        return read_record(self.home)

    @property
    def url(self) -> str:
        return str(self.record["url"])

    def child(self, name: str) -> psutil.Process:
        return psutil.Process(self.record["children"][name]["pid"])

    def end(self, number: int = signal.SIGTERM) -> str:
        """Everything it said from then on."""
        self.process.send_signal(number)
        said, _ = self.process.communicate(timeout=180)
        return said


@contextmanager
def berth_up(home: Path, *flags: str, **settings: str) -> Iterator[Up]:
    process = subprocess.Popen(
        [*COMMAND, *(flags or ("--port", "0"))],
        env={**ENVIRONMENT, "BERTH_HOME": str(home), **settings},
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        heard = ""
        for line in process.stdout:
            heard += line
            if line.startswith("Berth is ready"):
                break
        assert "Berth is ready" in heard, heard
        yield Up(home, process, heard)
    finally:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=180)
        elif process.stdout is not None:
            process.stdout.close()


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """One home for all: the second start on the same state is part of what is tested."""
    folder = Path(tempfile.mkdtemp(prefix="berth-t-"))
    yield folder
    servers = find(folder, folder)
    for server in (servers.postgres, servers.valkey):
        if server is not None:
            server.stop()
    shutil.rmtree(folder)


def get(url: str) -> int:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return int(answer.status)


def test_the_life_of_one_start(home: Path) -> None:
    """Ready, alone in its home, heals a killed web process without refusing a request, ends all at SIGTERM."""
    with berth_up(home) as up:
        assert re.search(r"^Berth is ready: http://localhost:\d+/\?k=[\w-]{20,}$", up.heard, re.M)
        assert get(f"{up.url}/readyz") == 200

        second = subprocess.run(
            COMMAND, env={**ENVIRONMENT, "BERTH_HOME": str(home)}, capture_output=True, text=True, check=False
        )
        assert second.returncode == 3
        assert f"already running for {home} at {up.url}" in second.stderr

        web = up.child("web")
        web.kill()
        # The socket is the supervisor's: this request waits for the new process instead of being refused.
        assert get(f"{up.url}/livez") == 200
        assert up.child("web").pid != web.pid

        started = [up.child(name) for name in ("web", "worker", "controller")]
        started += [child for process in started for child in process.children(recursive=True)]
        said = up.end()
        assert "web ended (signal SIGKILL); starting it again" in said
        assert said.endswith("Berth has stopped\n")
        assert up.process.returncode == 0
        assert not [process for process in started if is_alive(process)]
        servers = find(home, home / "processes")
        assert servers.postgres is not None
        assert servers.postgres.processes() == []
        _nobody_else_can_read(home)


@contextmanager
def client_of(up: Up) -> Iterator[berth.Client]:
    """An administrator's client; the first call in a home sets the administrator up through the API."""
    key = up.heard.partition("/?k=")[2].split()[0]
    body = json.dumps({"key": key, "name": "admin", "password": "long enough to be taken", "project": "demo"})
    request = urllib.request.Request(
        f"{up.url}/api/v1/setup", body.encode(), {"Content-Type": "application/json", "Origin": up.url}
    )
    try:
        urllib.request.urlopen(request, timeout=60).close()
    except urllib.error.HTTPError as error:
        assert error.code == 404, "only the key of an empty home sets up"
        error.close()
    addresses = find(up.home, up.home / "processes").environment()
    made = subprocess.run(
        [sys.executable, "-m", "app.trial.owner", "token"],
        env={**ENVIRONMENT, **addresses, "BERTH_HOME": str(up.home)},
        capture_output=True,
        text=True,
        check=True,
    )
    with berth.Client(up.url, json.loads(made.stdout)["token"], "demo") as client:
        yield client


def test_runs_outlive_berth_and_are_adopted_or_stopped(home: Path) -> None:
    with berth_up(home) as up, client_of(up) as client:
        run = client.runs.submit(["sleep", "600"], name="long", cpu="100m", memory="64Mi", grace="2s")
        assert wait_until(lambda: client.runs.get(run.id).state == "running", 60)
        reset = subprocess.run(
            [sys.executable, "-m", "berth", "admin", "reset-password", "admin"],
            env={**ENVIRONMENT, "BERTH_HOME": str(home)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert reset.stdout.startswith(f"{up.url}/")
        assert get(reset.stdout.strip()) == 200
        assert "the 1 running run keeps going" in up.end()
    assert processes_of(run.id), "the run went on without Berth"

    with berth_up(home, "--port", "0", "--stop-runs") as up, client_of(up) as client:
        adopted = client.runs.get(run.id)
        assert (adopted.state, adopted.attempt) == ("running", 1)
        assert "all runs have ended" in up.end()
    assert not processes_of(run.id)
    with berth_up(home) as up, client_of(up) as client:
        assert client.runs.get(run.id).state == "stopped"


def processes_of(run_id: str) -> list[int]:
    return [member.process.pid for member in members_of(run_id)]


def test_a_killed_supervisor_leaves_nothing_double(home: Path) -> None:
    """Two of its processes follow it by themselves; one that cannot is found and ended by the next start."""
    with berth_up(home) as up:
        before = {name: up.child(name) for name in ("web", "worker", "controller")}
        before["controller"].suspend()
        up.process.kill()
        up.process.wait()
        assert wait_until(lambda: not is_alive(before["web"]) and not is_alive(before["worker"]), 60)
        assert is_alive(before["controller"])
    with berth_up(home) as up:
        assert not is_alive(before["controller"])
        assert "ended a controller process" in up.heard
        for name, process in before.items():
            assert up.child(name).pid != process.pid
        assert get(f"{up.url}/readyz") == 200


def test_a_taken_port_is_told_with_the_setting(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [*COMMAND, "--port", port],
            env={**ENVIRONMENT, "BERTH_HOME": str(home)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert f"port {port} is taken" in done.stderr
    assert "BERTH_WEB__PORT" in done.stderr
    assert "--port 0" in done.stderr


def test_a_wrong_setting_is_named(home: Path) -> None:
    done = subprocess.run(
        COMMAND,
        env={**ENVIRONMENT, "BERTH_HOME": str(home), "BERTH_WEB__PORT": "99999"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "BERTH_WEB__PORT" in done.stderr
    assert "Traceback" not in done.stderr


def _nobody_else_can_read(home: Path) -> None:
    assert home.stat().st_mode & 0o077 == 0
    for path in (home / "secrets.json", home / "valkey" / "valkey.conf"):
        assert path.stat().st_mode & 0o077 == 0, path
    passwords = json.loads((home / "secrets.json").read_text()).values()
    for log in (home / "processes").iterdir():
        text = log.read_text(errors="replace")
        assert not [password for password in passwords if password in text], log
