"""Stands by one process until it has ended: its output, requests to stop, its time, its memory."""

import contextlib
import fcntl
import os
import select
import signal
import time
from typing import NamedTuple

from app.clusters.local_wrapper import processes
from app.clusters.local_wrapper.capture import Capture
from app.clusters.local_wrapper.child import Child
from app.clusters.local_wrapper.folder import Folder
from app.clusters.local_wrapper.meter import Meter

_PIPE = 1 << 18
_TICK = 1.0  # seconds between looks at the stop file, should its signal be lost, and at what is used
_WATCHDOG_TICK = 0.25
_FIRST_TICK = 0.05  # then longer and longer, so that short programs are measured too
_SEEN = 1.0  # seconds after which what was watched tells more than the kernel does of bubblewrap
_DRAIN = 2.0  # seconds for output that is still in the pipes when everything was killed


class Bounds(NamedTuple):
    """`seconds` it may take; `memory_bytes` where no control group enforces it; else None."""

    seconds: float | None
    grace: float
    memory_bytes: int | None


class Ended(NamedTuple):
    """How a process ended. `asked` is the cause for which it was made to end, None if it ended by itself.

    What it used is what it was last seen to use: bubblewrap does not wait for its program, so the kernel's
    own account of a sandboxed one is of bubblewrap alone.
    """

    code: int  # negative: the signal's number
    asked: str | None
    killed: bool  # the grace was not enough
    clean: bool  # nothing is left of it
    cpu_seconds: float
    max_rss_bytes: int


class Requests:
    """What is asked of the wrapper: by the stop file, for which SIGUSR1 is the bell, and by SIGTERM."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self.is_terminated = False
        self.bell, write = os.pipe()
        os.set_blocking(self.bell, False)
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        for number in (signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        for number in (signal.SIGUSR1, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        signal.signal(signal.SIGTERM, self._terminate)

    def _terminate(self, *_: object) -> None:
        self.is_terminated = True

    def silence(self) -> None:
        """Forgets the rings so far."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.bell, 512)

    def stop_grace(self) -> float | None:
        """Seconds of grace of the request to stop; None when there is none."""
        if not self._folder.exists("stop"):
            return None
        return float((self._folder.read("stop") or {}).get("grace", 0))


class _Watch:
    """One process while it lives. Times are of the monotonic clock."""

    def __init__(self, child: Child, requests: Requests, bounds: Bounds, meter: Meter | None) -> None:
        self.child = child
        self.meter = meter
        self.requests = requests
        self.bounds = bounds
        self.asked: str | None = None
        self.killed = False
        self.is_told = False
        self.max_rss = 0
        self.kill_at: float | None = None
        self.ends_at = None if bounds.seconds is None else time.monotonic() + bounds.seconds
        self.started = time.monotonic()
        self.cpu_ticks = 0
        self._seen: list[int] = []
        self._interval = _FIRST_TICK
        self._measure_at = time.monotonic() + _FIRST_TICK

    def pause(self) -> float:
        """Seconds until something has to be looked at."""
        tick = self._interval
        if self.asked and not self.is_told and not self.killed:
            tick = 0.05
        due = self.meter.due if self.meter is not None and self.bounds.memory_bytes is None else None
        points = [point for point in (self.kill_at, self.ends_at, due) if point is not None]
        return max(0.0, min([tick, *(point - time.monotonic() for point in points)]))

    def look(self) -> None:
        """Acts on what is due."""
        now = time.monotonic()
        grace = self.requests.stop_grace()
        if self.asked is None:
            if grace is not None:
                self._ask("stopped", grace)
            elif self.requests.is_terminated:
                self._ask("lost", self.bounds.grace)
            elif self.ends_at is not None and now >= self.ends_at:
                self._ask("timed_out", self.bounds.grace)
        elif grace is not None and self.kill_at is not None:
            self.kill_at = min(self.kill_at, now + grace)
        if self.asked and not self.is_told and self.kill_at is not None and now < self.kill_at:
            self.is_told = self.child.signal(signal.SIGTERM)  # nobody hears it while the sandbox is being made
        is_fresh = now >= self._measure_at
        if is_fresh:
            longest = _TICK if self.bounds.memory_bytes is None else _WATCHDOG_TICK
            self._interval = min(longest, 2 * self._interval)
            self._measure_at = now + self._interval
            self._measure()
        # What the watchdog has just looked through serves both.
        if self.meter is not None and now >= self.meter.due and (is_fresh or self.bounds.memory_bytes is None):
            self.meter.look(now, self.cpu_seconds(), self._pids)
        if self.kill_at is not None and now >= self.kill_at and not self.killed:
            self.killed = True
            self.child.kill()

    def _ask(self, cause: str, grace: float) -> None:
        self.asked = cause
        self.ends_at = None
        self.kill_at = time.monotonic() + grace

    def cpu_seconds(self) -> float:
        """Processor time so far, of the program alone where that can be told."""
        used = self.child.group.cpu_seconds() if self.child.group is not None else None
        if used is not None:
            return used - (self.meter.cpu_before if self.meter else 0.0)
        return self.cpu_ticks / os.sysconf("SC_CLK_TCK")

    def _pids(self) -> list[int]:
        if self.child.group is not None:
            return self.child.group.members()
        return self._seen

    def _members(self) -> list[processes.Stat]:
        helper = self.meter.gpus.helper if self.meter else 0
        return [stat for stat in self.child.members() if not helper or stat.session != helper]

    def _see_memory(self, used: int) -> None:
        self.max_rss = max(self.max_rss, used)
        if self.meter is not None:
            self.meter.see_memory(used)

    def _measure(self) -> None:
        if self.bounds.memory_bytes is None:
            if self.child.group is not None:
                self._see_memory(self.child.group.resident_bytes())
            return
        members = self._members()
        self._seen = [stat.process.pid for stat in members]
        self.cpu_ticks = max(self.cpu_ticks, sum(stat.ticks for stat in members))
        used = processes.resident_bytes(self._seen)
        self._see_memory(used)
        if used > self.bounds.memory_bytes and not self.killed:
            self.asked, self.killed = "oom_killed", True
            self.child.kill()


def supervise(
    child: Child,
    capture: Capture,
    requests: Requests,
    bounds: Bounds,
    label: bytes | None = None,
    meter: Meter | None = None,
) -> Ended:
    """Returns when the process has ended and all that it started was ended too."""
    streams = {child.stdout: b"o", child.stderr: b"e"}
    poll = select.poll()
    for handle in (*streams, requests.bell):
        os.set_blocking(handle, False)
        poll.register(handle, select.POLLIN)
    for handle in streams:
        with contextlib.suppress(OSError):  # fewer switches for programs that write much; not essential
            fcntl.fcntl(handle, 1031, _PIPE)  # F_SETPIPE_SZ
    watch = _Watch(child, requests, bounds, meter)
    while not _has_ended(child.pid):
        watch.look()
        for handle, _ in poll.poll(watch.pause() * 1000 + 1):
            if handle == requests.bell:
                requests.silence()
            else:
                _transfer(handle, streams, capture, label, poll)
    if meter is not None:
        meter.see_disks([child.pid])  # those of what it waited for are its own by now
    clean = child.kill()  # before waiting for it: until then its number cannot be another's
    _, status, usage = os.wait4(child.pid, 0)
    _drain(poll, streams, requests.bell, capture, label)
    capture.flush(label)
    cpu_seconds = max(usage.ru_utime + usage.ru_stime, watch.cpu_seconds())
    max_rss = watch.max_rss
    if not child.isolated or time.monotonic() - watch.started < _SEEN:
        max_rss = max(max_rss, usage.ru_maxrss * 1024)
    if meter is not None:
        meter.finish(time.monotonic(), cpu_seconds, max_rss)
    return Ended(
        code=os.waitstatus_to_exitcode(status),
        asked=watch.asked,
        killed=watch.killed,
        clean=clean,
        cpu_seconds=cpu_seconds,
        max_rss_bytes=max_rss,
    )


def _has_ended(pid: int) -> bool:
    """Also buries others: the wrapper inherits what the program leaves behind when it is not isolated."""
    while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        if ended.si_pid == pid:
            return True
        os.waitpid(ended.si_pid, 0)
    return False


def _transfer(handle: int, streams: dict[int, bytes], capture: Capture, label: bytes | None, poll: select.poll) -> None:
    try:
        data = os.read(handle, _PIPE)
    except BlockingIOError:
        return
    if data:
        capture.feed(streams[handle], data, label)
    else:
        poll.unregister(handle)
        os.close(handle)
        del streams[handle]


def _drain(poll: select.poll, streams: dict[int, bytes], bell: int, capture: Capture, label: bytes | None) -> None:
    until = time.monotonic() + _DRAIN
    poll.unregister(bell)
    while streams and time.monotonic() < until:
        for handle, _ in poll.poll(100):
            _transfer(handle, streams, capture, label, poll)
    for handle in streams:
        os.close(handle)
