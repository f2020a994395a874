"""Processes that can be told apart from others that have their number now: pid, start time and boot together.

A signal is sent through a pidfd whose process was checked after it was opened, so a reused pid is never hit.
"""

import os
import signal
from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple


class Process(NamedTuple):
    """One process: `start` is field 22 of /proc/<pid>/stat, in clock ticks since boot."""

    pid: int
    start: int


class Stat(NamedTuple):
    """What this module needs of /proc/<pid>/stat."""

    process: Process
    state: str
    parent: int
    group: int
    session: int
    ticks: int  # processor time of it and of the children it waited for


@cache
def boot_id() -> str:
    """Which boot of the machine this is; a pid means nothing in another one."""
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


def read_stat(pid: int) -> Stat | None:
    """What /proc says of a process; None when there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    state, parent, group, session = fields[0].decode(), *map(int, fields[1:4])
    ticks = sum(map(int, fields[11:15]))
    return Stat(Process(pid, int(fields[19])), state, parent, group, session, ticks)


def identify(pid: int) -> dict[str, Any]:
    """The identity of a live process, to be written to disk. Raises ProcessLookupError when it is gone."""
    stat = read_stat(pid)
    if stat is None:
        raise ProcessLookupError(pid)
    return {"pid": pid, "start": stat.process.start, "boot": boot_id()}


def find(identity: dict[str, Any] | None) -> Process | None:
    """The process that `identity` was written for, if it is still alive; a zombie is not."""
    if not identity or identity.get("boot") != boot_id():
        return None
    stat = read_stat(identity["pid"])
    if stat is None or stat.process.start != identity["start"] or stat.state in "ZX":
        return None
    return stat.process


def send(process: Process, number: int) -> bool:
    """Signals exactly this process. Returns whether it was there; one that may not be signalled was not."""
    try:
        handle = os.pidfd_open(process.pid)
    except OSError:
        return False
    try:
        stat = read_stat(process.pid)
        if stat is None or stat.process != process:
            return False
        signal.pidfd_send_signal(handle, number)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(handle)


def every() -> list[Stat]:
    """All processes that can be seen, without zombies."""
    stats = (read_stat(int(name)) for name in os.listdir("/proc") if name.isdigit())
    return [stat for stat in stats if stat is not None and stat.state not in "ZX"]


def descendants(leader: int, stats: list[Stat]) -> list[Stat]:
    """The processes below `leader`, itself left out, nearest first."""
    children: dict[int, list[Stat]] = {}
    for stat in stats:
        children.setdefault(stat.parent, []).append(stat)
    found: list[Stat] = []
    waiting = [leader]
    while waiting:
        below = children.get(waiting.pop(0), [])
        found += below
        waiting += [stat.process.pid for stat in below]
    return found


def in_session(leader: int, stats: list[Stat]) -> list[Stat]:
    """The members of the session or process group that `leader` made, itself included."""
    return [stat for stat in stats if leader in (stat.session, stat.group)]


def has_environment(pid: int, name: str, value: str) -> bool:
    """Whether a process was started with this variable, as far as may be read."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return f"{name}={value}".encode() in file.read().split(b"\0")
    except OSError:
        return False


def resident_bytes(pids: Iterable[int]) -> int:
    """Memory of these processes together: each one's own pages, and the largest share of what they share."""
    page = os.sysconf("SC_PAGESIZE")
    own = shared = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/statm", "rb") as file:
                fields = file.read().split()
        except OSError:
            continue
        own += int(fields[1]) - int(fields[2])
        shared = max(shared, int(fields[2]))
    return (own + shared) * page
