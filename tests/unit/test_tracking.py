"""The job's side of the SDK against a small server that may be slow, broken or gone."""

import json
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from app.services import metrics
from berth import tracking
from berth.tracking import Run


class Server:
    """Keeps each point once, as Berth does, and answers as a test wants."""

    def __init__(self) -> None:
        self.points: dict[tuple[str, int, int], Any] = {}
        self.batches: list[int] = []
        self.progress: list[dict[str, Any]] = []
        self.tokens: set[str] = set()
        self.answers: list[tuple[int, dict[str, Any]]] = []
        self.lose_answers = 0
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.http.daemon_threads = True
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_port}"

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                assert self.path == "/api/v1/runs/r-abc/metrics"
                status, answer = server.answers.pop(0) if server.answers else (202, {})
                if status == 202:
                    server.take(body, self.headers["authorization"])
                    if server.lose_answers:
                        server.lose_answers -= 1
                        self.close_connection = True
                        return
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler

    def take(self, body: dict[str, Any], token: str) -> None:
        self.tokens.add(token)
        self.batches.append(len(body["points"]))
        metrics.read_body(body)  # as strict as Berth itself
        for name, step, at, value in body["points"]:
            self.points.setdefault((name, step, at), value)
        if "progress" in body:
            self.progress.append(body["progress"])


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "FLUSH_SECONDS", 0.05)
    monkeypatch.setattr("berth.tracking.atexit.register", lambda function: function)


def environment(server: Server | None, **more: str) -> dict[str, str]:
    url = {"BERTH_URL": server.url} if server else {}
    return {"BERTH_RUN_ID": "r-abc", "BERTH_TOKEN": "secret", "BERTH_ATTEMPT": "2", **url, **more}


def test_names_are_the_servers() -> None:
    assert metrics._NAME.pattern == tracking.NAME


def test_points_and_progress_arrive(server: Server, quick: None) -> None:
    with Run(environment(server)) as run:
        for step in range(2500):
            run.log({"loss": 1 / (step + 1), "acc": step}, step=step)
        run.progress(1, 90)
        run.progress(31, 90)
    assert len(server.points) == 5000
    assert server.progress[-1] == {"done": 31, "total": 90}
    assert server.tokens == {"Bearer secret"}
    assert max(server.batches) <= 1000
    assert run.attempt == 2


def test_the_first_points_are_sent_at_once(server: Server, quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "FLUSH_SECONDS", 3600)
    run = Run(environment(server))
    run.log({"loss": 1.0})
    until = time.monotonic() + 30
    while not server.points and time.monotonic() < until:
        time.sleep(0.01)
    assert list(server.points.values()) == [1.0]
    assert run.flush(5)


def test_steps_count_by_themselves_and_a_step_may_come_twice(server: Server, quick: None) -> None:
    run = Run(environment(server))
    for _ in range(3):
        run.log({"loss": 1.0})
    run.log({"loss": 2.0}, step=10)
    run.log({"loss": 3.0})
    for value in range(50):
        run.log({"same": value}, step=7)
    assert run.flush(5)
    assert [step for name, step, _ in sorted(server.points) if name == "loss"] == [0, 1, 2, 10, 11]
    assert sorted(value for (name, _, _), value in server.points.items() if name == "same") == list(range(50))


def test_values_of_all_kinds(server: Server, quick: None, capfd: pytest.CaptureFixture[str]) -> None:
    class Tensor:
        def __float__(self) -> float:
            return 0.5

    class Broken:
        def __float__(self) -> float:
            raise RuntimeError("a tensor with two elements")

    run = Run(environment(server))
    run.log({"a": Tensor(), "b": True, "c": math.nan, "d": -math.inf, "e": 10**400, "f": "x", "g": Broken()})
    run.log({"g": Broken(), "h": None, "": 1, "bad\nname": 1, 5: 1, "ok": 2})  # type: ignore[dict-item]
    run.log("nonsense")  # type: ignore[arg-type]
    run.log({"ok": 1}, step="x")  # type: ignore[arg-type]
    run.log({"ok": 1}, step=2**60)
    run.progress(-1)
    run.progress("x")  # type: ignore[arg-type]
    assert run.flush(5)
    assert {name: value for (name, _, _), value in server.points.items()} == {
        "a": 0.5,
        "b": 1.0,
        "c": "nan",
        "d": "-inf",
        "ok": 2.0,
    }
    said = capfd.readouterr().err
    assert said.count("a value of 'g'") == 1
    assert "cannot be a metric's name" in said


def test_lost_answers_and_busy_servers_lose_and_double_nothing(
    server: Server, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers = [(503, {}), (429, {}), (500, {})]
    server.lose_answers = 2
    run = Run(environment(server))
    for step in range(100):
        run.log({"loss": step}, step=step)
    assert run.flush(20)
    assert sorted(server.points.values()) == list(range(100))


def test_training_never_waits_for_a_server_that_is_gone(
    server: Server, quick: None, capfd: pytest.CaptureFixture[str]
) -> None:
    server.close()
    run = Run(environment(server))
    started = time.monotonic()
    for step in range(20_000):
        run.log({"loss": step}, step=step)
    assert time.monotonic() - started < 5
    assert not run.flush(0.5)
    assert capfd.readouterr().err.count("does not answer") == 1


def test_the_buffer_is_bounded_and_says_so_once(
    server: Server, quick: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tracking, "MAX_BUFFERED", 100)
    server.answers = [(503, {})] * 3
    run = Run(environment(server))
    for step in range(2000):
        run.log({"loss": step}, step=step)
    assert run.flush(20)
    assert capfd.readouterr().err.count("the oldest are dropped") == 1
    assert 1999.0 in server.points.values()
    assert len(server.points) < 2000


def test_refused_points_are_left_out_and_the_rest_is_sent(
    server: Server, quick: None, capfd: pytest.CaptureFixture[str]
) -> None:
    server.answers = [(422, {"detail": "no", "errors": [{"pointer": "/points/1/0"}, {"pointer": "/points/3"}]})]
    run = Run(environment(server))
    run.log(dict.fromkeys("abcde", 1))
    assert run.flush(10)
    assert sorted(name for name, _, _ in server.points) == ["a", "c", "e"]
    server.answers = [(422, {"detail": "all wrong"}), (413, {})]
    run.log({"x": 1})
    assert run.flush(10)
    run.log(dict.fromkeys("fghi", 1))
    assert run.flush(10)
    assert {"f", "g", "h", "i"} <= {name for name, _, _ in server.points}


def test_a_run_that_is_over_ends_the_sending(server: Server, quick: None, capfd: pytest.CaptureFixture[str]) -> None:
    server.answers = [(401, {})]
    run = Run(environment(server))
    run.log({"loss": 1})
    assert run.flush(5)
    run.log({"loss": 1})
    run.progress(1)
    assert run.flush(5)
    assert server.points == {}
    assert capfd.readouterr().err.count("no longer takes points") == 1


def test_outside_of_berth_it_only_says_so(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with Run({}) as run:
        run.log({"loss": 1})
        run.progress(1, 2)
        assert run.parameters == {}
        (run.output / "model").write_text("x")
        (run.checkpoint / "state").write_text("x")
    assert capfd.readouterr().err == "berth: not inside a Berth run: nothing is logged\n"
    assert (tmp_path / "output" / "model").exists()


def test_what_the_environment_says(server: Server, tmp_path: Path, quick: None) -> None:
    more = {"BERTH_PARAMETERS": '{"lr": 0.1}', "BERTH_OUTPUT": str(tmp_path / "o"), "BERTH_REPLICAS": "x"}
    run = Run(environment(server, **more))
    assert run.parameters == {"lr": 0.1}
    assert run.output == tmp_path / "o"
    assert run.output.is_dir()
    assert run.replicas == 1
    assert Run(environment(server, BERTH_PARAMETERS="{")).parameters == {}


def test_it_follows_berth_to_another_address(server: Server, tmp_path: Path, quick: None) -> None:
    address = tmp_path / "url"
    address.write_text("")
    run = Run(environment(None, BERTH_URL="http://127.0.0.1:9", BERTH_URL_FILE=str(address)))
    run.log({"loss": 1.0}, step=1)
    assert not run.flush(0.3)
    address.write_text(f"{server.url}/\n")
    assert run.flush(10)
    assert len(server.points) == 1


def run_program(server: Server, program: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **environment(server), "http_proxy": "http://127.0.0.1:9"}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program], env=env, capture_output=True, text=True, timeout=60, check=False
    )


def test_the_last_points_are_sent_at_exit(server: Server) -> None:
    done = run_program(server, "import berth\nr = berth.run()\nassert r is berth.run()\nr.log({'loss': 0.5})\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert list(server.points.values()) == [0.5]


def test_also_when_training_raises(server: Server) -> None:
    done = run_program(server, "import berth\nwith berth.run() as r:\n  r.log({'loss': 0.5})\n  raise SystemExit(3)\n")
    assert done.returncode == 3
    assert list(server.points.values()) == [0.5]


FORK = """
import os, berth
r = berth.run()
for n in range(100): r.log({"parent": n})
children = []
for c in range(3):
    pid = os.fork()
    if pid == 0:
        for n in range(100): r.log({f"child{c}": n})
        raise SystemExit(0)
    children.append(pid)
for pid in children: assert os.waitpid(pid, 0)[1] == 0
for n in range(100): r.log({"parent": n})
"""


def test_forked_children_send_their_own_and_nothing_of_their_parent(server: Server) -> None:
    done = run_program(server, FORK)
    assert (done.returncode, done.stderr) == (0, "")
    counts: dict[str, int] = {}
    for name, _, _ in server.points:
        counts[name] = counts.get(name, 0) + 1
    assert counts == {"parent": 200, "child0": 100, "child1": 100, "child2": 100}
