"""What is true of this machine: how much there is for runs, which limits are in force, what isolates runs."""

import os
import shutil
import subprocess
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from app.clusters.base import Capacity, ClusterUnavailable
from app.clusters.local_wrapper import cgroups
from app.settings import LocalSettings

_PROBE = ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--unshare-pid", "--unshare-ipc"]
_UNLIMITED = 1 << 60


def read_capacity(settings: LocalSettings) -> Capacity:
    """This machine, or the part of it that Berth may use, without a reserve for the machine itself."""
    cpus = settings.cpus or min(float(len(os.sched_getaffinity(0))), _cpu_limit())
    memory = settings.memory_bytes
    if memory is None:
        there = min(_total_memory(), _memory_limit())
        memory = there - min(there // 10, 1 << 30)
    return Capacity(cpu_millis=int(cpus * 1000), memory_bytes=memory, gpus=0)


def read_limits(settings: LocalSettings) -> dict[str, Any]:
    """`limits`: which limits of memory and processor time are in force, and the reason if not the better ones."""
    fallback = "watchdog and affinity"
    if not settings.cgroups:
        return {"limits": fallback, "limits_reason": "control groups are switched off (BERTH_LOCAL__CGROUPS)"}
    try:
        group = cgroups.create(f"berth-probe-{os.getpid()}", 1000, 64 << 20)
    except OSError as error:
        return {"limits": fallback, "limits_reason": str(error)}
    group.remove()
    return {"limits": f"cgroup v{group.version}", "limits_reason": ""}


def read_isolation(settings: LocalSettings) -> dict[str, Any]:
    """`isolation`: "bubblewrap" or "none", and why."""
    if not settings.isolate:
        return {"isolation": "none", "isolation_reason": "isolation is switched off (BERTH_LOCAL__ISOLATE)"}
    reason = _probe_bubblewrap(shutil.which("bwrap"))
    return {"isolation": "none" if reason else "bubblewrap", "isolation_reason": reason}


@lru_cache
def _probe_bubblewrap(program: str | None) -> str:
    """Why it cannot be used; empty when it can."""
    if program is None:
        return "bubblewrap is not installed"
    try:
        probe = subprocess.run([program, *_PROBE, "true"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bubblewrap does not work here: {error}"
    return "" if probe.returncode == 0 else f"bubblewrap does not work here: {probe.stderr.strip()}"


def _total_memory() -> int:
    with suppress(OSError), Path("/proc/meminfo").open() as file:
        for line in file:
            if line.startswith("MemTotal:"):
                return int(line.split()[1]) * 1024
    raise ClusterUnavailable("/proc/meminfo does not say how much memory there is")


def _memory_limit() -> int:
    limits = [_UNLIMITED]
    for folder in _own_groups("memory"):
        for name in ("memory.limit_in_bytes", "memory.max"):
            with suppress(OSError, ValueError):
                limits.append(int((folder / name).read_text()))
    return min(limits)


def _cpu_limit() -> float:
    limits = [float(_UNLIMITED)]
    for folder in _own_groups("cpu"):
        with suppress(OSError, ValueError):
            quota, period = (int((folder / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
            limits += [quota / period] if quota > 0 else []
        with suppress(OSError, ValueError):
            words = (folder / "cpu.max").read_text().split()
            limits.append(int(words[0]) / int(words[1]))
    return min(limits)


def _own_groups(controller: str) -> list[Path]:
    """The folder of the control group that Berth is in, and those above it."""
    found = []
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, names, path = line.split(":", 2)
            if names == "" or controller in names.split(","):
                mount = Path("/sys/fs/cgroup") / (controller if names else "")
                inner = Path(path.lstrip("/"))
                found += [mount / inner, *(mount / above for above in inner.parents)]
    return found
