"""Thousands of runs through one worker: how fast, at what cost, by which calls, and whether memory grows."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

from bench import machine
from bench.kubernetes.latency import Submitter, wait_until
from bench.kubernetes.site import Call, Site, count

PROCESSES = ("worker", "controller", "web", "postgres")
_AT_ONCE = 4
_PATIENCE = 900.0


@dataclass
class Many:
    """`cpu_ms` is for each run, by process; `memory` the worker's resident MiB by how many runs had been cleaned up."""

    runs: int
    seconds: float
    succeeded: int
    cpu_ms: dict[str, float]
    calls: dict[str, int]
    streams: dict[str, int]
    refused: dict[str, int]
    memory: dict[int, float] = field(default_factory=dict)
    controller_memory: dict[int, float] = field(default_factory=dict)

    @property
    def calls_per_run(self) -> float:
        return sum(self.calls.values()) / self.runs

    @property
    def rate(self) -> float:
        return self.runs / self.seconds


def measure(site: Site, runs: int, say: Callable[[str], None], marks: int = 4) -> Many:
    """Submits them as fast as they are taken, and waits until all were cleaned up. Memory is read `marks` times."""
    ((before,),) = site.query(_CLEANED)
    site.audit.skip()
    used = {name: machine.cpu_seconds([site.pids[name]]) for name in PROCESSES}
    own, opened = threading.local(), ExitStack()

    def submit(number: int) -> None:
        if not hasattr(own, "submitter"):
            own.submitter = opened.enter_context(closing(Submitter(site)))
        own.submitter.submit(f"many-{number}")

    wanted = [runs * (mark + 1) // marks for mark in range(marks)]
    memory: dict[int, float] = {}
    of_controller: dict[int, float] = {}

    def is_done() -> bool:
        ((cleaned,),) = site.query(_CLEANED)
        for mark in wanted:
            if cleaned - before >= mark and mark not in memory:
                memory[mark] = resident_mib(site.pids["worker"])
                of_controller[mark] = resident_mib(site.pids["controller"])
                say(f"{mark} runs cleaned up, {time.monotonic() - began:.0f} s")
        return bool(cleaned - before >= runs)

    began = time.monotonic()
    with opened, ThreadPoolExecutor(_AT_ONCE) as pool:
        submitted = [pool.submit(submit, number) for number in range(runs)]
        wait_until(is_done, _PATIENCE, every=0.5)
        for future in submitted:
            future.result()
    seconds = time.monotonic() - began
    cpu = {name: (machine.cpu_seconds([site.pids[name]]) - used[name]) / runs * 1e3 for name in PROCESSES}
    calls = [call for call in site.audit.read() if call.agent == "berth"]
    ((succeeded,),) = site.query("select count(*) from run where name like 'many-%%' and state = 'succeeded'")
    return Many(
        runs=runs,
        seconds=seconds,
        succeeded=succeeded,
        cpu_ms=cpu,
        calls=count([call for call in calls if not call.is_stream]),
        streams=count([call for call in calls if call.is_stream]),
        refused=_refusals(calls),
        memory=memory,
        controller_memory=of_controller,
    )


_CLEANED = "select count(*) from attempt where cleaned_at is not null"


def _refusals(calls: list[Call]) -> dict[str, int]:
    refused = [call for call in calls if call.status >= 400]
    return {
        f"{name}: {status}": number
        for status in sorted({call.status for call in refused})
        for name, number in count([call for call in refused if call.status == status]).items()
    }


def resident_mib(pid: int) -> float:
    """The resident memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024
