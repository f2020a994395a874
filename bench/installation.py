"""A whole Berth as `berth up` starts it: how long from a submission to the process, and how much memory at rest."""

import json
import os
import statistics
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from app.trial.embedded import find
from app.trial.state import running_record
from bench import load, machine, rows
from bench.machine import Process

_REST = 10.0
_PATIENCE = 60.0


@dataclass(frozen=True)
class Installation:
    """Seconds from sending the request to the process's start, and MiB of proportional memory by process."""

    p50: float
    p95: float
    starts: int
    memory: dict[str, float]

    @property
    def whole_memory(self) -> float:
        return sum(self.memory.values())


def measure(folder: Path, starts: int) -> Installation:
    """Starts Berth with its own embedded servers and a new home, submits runs one by one, and lets it rest."""
    home = folder / "home"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("BERTH_")}
    environment["BERTH_HOME"] = str(home)
    command = [sys.executable, "-m", "app.trial.supervisor", "--port", "0", "--stop-runs", "--no-browser"]
    with Process("berth up", command, folder / "up.log", environment) as process:
        record = _wait_until_ready(process, home)
        rows.introduce(find(home, home / "processes").database_url)
        port = int(record["port"])
        _start(port)  # makes what is made once
        seconds = sorted(_start(port) for _ in range(starts))
        time.sleep(_REST)
        memory = {"supervisor": machine.memory_mib([process.pid])}
        for name, child in record["children"].items():
            memory[name] = machine.memory_mib(machine.family([child["pid"]]))
    return Installation(statistics.median(seconds), seconds[len(seconds) * 95 // 100], starts, memory)


def _wait_until_ready(process: Process, home: Path) -> dict[str, Any]:
    deadline = time.monotonic() + _PATIENCE * 2
    while "Berth is ready" not in process.log.read_text():
        if time.monotonic() > deadline:
            raise RuntimeError(f"berth up does not get ready:\n{process.log.read_text()}")
        time.sleep(0.1)
    record = running_record(home)
    assert record is not None, "it says that it is ready, so it has said where"
    return record


def _start(port: int) -> float:
    """Seconds from sending a submission to the start of its process."""
    headers = {"authorization": f"Bearer {rows.TOKEN}"}
    body = json.dumps({"spec": {"name": "start", "command": ["true"], "cpu": "100m", "memory": "64Mi"}}).encode()
    sent = time.time()
    made = load.ask(
        port, load.request("POST", port, f"/api/v1/projects/{rows.PROJECT}/runs", headers, body), status=202
    )
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        time.sleep(0.2)
        run = load.ask(port, load.request("GET", port, f"/api/v1/runs/{made['id']}", headers))
        if run["finished_at"] is not None:
            if run["state"] != "succeeded":
                raise RuntimeError(f"the run ended as {run['state']}: {run['reason']}")
            return datetime.fromisoformat(run["started_at"]).timestamp() - sent
    raise RuntimeError(f"the run did not end in {_PATIENCE:.0f} s: {run['state']}, {run['reason']}")
