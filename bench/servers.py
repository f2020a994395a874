"""The servers that are measured: the floor, and Berth's web process, each one uvicorn process with its own database."""

import json
import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bench import floor, load, rows
from bench.machine import Process, free_port
from bench.postgres import Server

FLOOR_ROWS = 100_000
SPEC = {
    "name": "train-resnet",
    "tags": ["vision"],
    "command": ["python", "train.py", "--lr", "0.1"],
    "env": {"LR": "0.1", "SEED": "42"},
    "parameters": {"lr": 0.1, "epochs": 90},
    "cpu": "1",
    "memory": "1Gi",
}


@dataclass(frozen=True)
class Target:
    """Something to be measured. `runs` is 0 for the floor."""

    name: str
    port: int
    pid: int
    url: str
    runs: int = 0


@contextmanager
def floor_server(database: Server, folder: Path) -> Iterator[Target]:
    """The floor with its table filled."""
    url = database.create("floor")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(floor.SCHEMA)
        connection.execute(floor.FILL, {"rows": FLOOR_ROWS})
        connection.execute("vacuum (freeze, analyze)")
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "bench.floor:app", "--port", str(port), "--no-access-log"]
    command += ["--log-level", "warning"]
    with Process("the floor", command, folder / "floor.log", os.environ | {"FLOOR_DSN": url}) as process:
        process.wait_for(f"http://127.0.0.1:{port}/hello")
        yield Target("floor", port, process.pid, url)


@contextmanager
def berth_server(database: Server, folder: Path, runs: int) -> Iterator[Target]:
    """Berth's web process as `berth up` starts it, with `runs` runs in its database."""
    url = database.create(f"berth_{runs}")
    rows.prepare(url)
    with _web(url, folder, f"Berth with {runs} runs") as (port, process):
        made = load.ask(port, submit(port), 202)
        rows.fill(url, runs, made["id"])
        yield Target(f"berth_{runs}", port, process.pid, url, runs)


def submit(port: int, project: str = rows.PROJECT) -> bytes:
    """The request that submits a run."""
    headers = {"authorization": f"Bearer {rows.TOKEN}"}
    body = json.dumps({"spec": SPEC}).encode()
    return load.request("POST", port, f"/api/v1/projects/{project}/runs", headers, body)


@contextmanager
def _web(url: str, folder: Path, name: str) -> Iterator[tuple[int, Process]]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(1024)
        port = listening.getsockname()[1]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("BERTH_")}
        environment |= {
            "BERTH_HOME": tempfile.mkdtemp(dir=folder),
            "BERTH_DATABASE__URL": url,
            "BERTH_WEB__PORT": str(port),
            "BERTH_SECRET_KEY": "benchmark" * 4,
        }
        command = [sys.executable, "-m", "app.trial.web", str(listening.fileno()), "1"]
        log = folder / f"web-{port}.log"
        with Process(name, command, log, environment, pass_fds=[listening.fileno()]) as process:
            process.wait_for(f"http://127.0.0.1:{port}/readyz")
            yield port, process
