"""What a job says about itself: `berth.run()` logs numbers and progress to the run it belongs to.

Training comes first: nothing here raises into it, waits for the network, or grows without bound. Points are
buffered and a thread sends them, again and again if need be; the server stores each once, because a point
is known by its name, step and time. Standard library only, and for the Python of any training image (3.9+).
"""

from __future__ import annotations

import atexit
import codecs
import json
import math
import os
import random
import re
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

FLUSH_SECONDS = 1.0
BATCH = 1000
MAX_BUFFERED = 1_000_000
EXIT_SECONDS = 30.0
_TIMEOUT = 15.0
_LONGEST_PAUSE = 30.0
_LARGEST_STEP = 2**53 - 1
# As the server has it (app/services/metrics.py); a test compares the two.
NAME = r"[\w./:@%()+=,#\[\]^~-](?:[\w ./:@%()+=,#\[\]^~-]{0,198}[\w./:@%()+=,#\[\]^~-])?"
_NAME = re.compile(NAME)

Point = tuple[str, int, int, Any]  # (name, step, milliseconds, value), the value as JSON can hold it


class Run:
    """The run that this process belongs to; `with berth.run() as r:` sends everything at the end of the block.

    Outside of Berth it does nothing but say so once, so that a program runs the same on a laptop.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.id = environment.get("BERTH_RUN_ID", "")
        self.attempt = _int(environment.get("BERTH_ATTEMPT"), 1)
        self.replica = _int(environment.get("BERTH_REPLICA"), 0)
        self.replicas = _int(environment.get("BERTH_REPLICAS"), 1)
        self._said: set[str] = set()
        self._sender: _Sender | None = None
        if environment.get("BERTH_URL") and self.id:
            self._sender = _Sender(environment, self._say)
        else:
            self._say("outside", "not inside a Berth run: nothing is logged")
        self._next_step = 0
        self._last: dict[str, tuple[int, int]] = {}
        self._lock = threading.Lock()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._start_over)

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters that the run was submitted with."""
        try:
            found = json.loads(self._environment.get("BERTH_PARAMETERS") or "{}")
        except ValueError:
            self._say("parameters", "BERTH_PARAMETERS is not JSON")
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def output(self) -> Path:
        """The folder whose files are kept as the run's outputs. Outside of Berth: ./output."""
        return self._folder("BERTH_OUTPUT", "output")

    @property
    def checkpoint(self) -> Path:
        """The folder that the next attempt finds again. Outside of Berth: ./checkpoint."""
        return self._folder("BERTH_CHECKPOINT", "checkpoint")

    def log(self, values: Mapping[str, Any], step: int | None = None) -> None:
        """Logs numbers by name. Without `step` each call is one step after the last.

        Whatever has `float()` will do, tensors with one element too; NaN and infinity are kept as such.
        """
        try:
            self._log(values, step)
        except Exception as error:
            self._say("log", f"a call of log() was left out: {error!r}")

    def progress(self, done: int, total: int | None = None) -> None:
        """Says how much of how much is done; the latest word counts."""
        try:
            if self._sender is not None:
                count, whole = _count(done), None if total is None else _count(total)
                self._sender.set_progress({"done": count if whole is None else min(count, whole), "total": whole})
        except Exception as error:
            self._say("progress", f"a call of progress() was left out: {error!r}")

    def flush(self, timeout: float = EXIT_SECONDS) -> bool:
        """Waits until all is sent, at most `timeout` seconds; whether it is."""
        return self._sender is None or self._sender.flush(timeout)

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.flush()

    def _log(self, values: Mapping[str, Any], step: int | None) -> None:
        now = time.time_ns() // 1_000_000
        points: list[Point] = []
        with self._lock:
            at_step = self._next_step if step is None else int(step)
            if not -_LARGEST_STEP <= at_step <= _LARGEST_STEP:
                raise ValueError(f"the step {at_step} is too large")
            self._next_step = at_step + 1
            for name, value in values.items():
                number = self._number(name, value)
                if number is None:
                    continue
                last_step, last_at = self._last.get(name, (None, 0))
                # The same step twice in a millisecond are two points.
                at = max(now, last_at + 1) if at_step == last_step else now
                self._last[name] = (at_step, at)
                points.append((name, at_step, at, number))
        if self._sender is not None:
            self._sender.add(points)

    def _number(self, name: Any, value: Any) -> float | str | None:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            self._say(f"name {name!r}", f"{str(name)[:60]!r} cannot be a metric's name, it is left out")
            return None
        try:
            number = float(value)
        except Exception as error:
            self._say(f"value {name}", f"a value of {name!r} is not a number, it is left out: {error}")
            return None
        if math.isfinite(number):
            return number
        return "nan" if math.isnan(number) else "inf" if number > 0 else "-inf"

    def _start_over(self) -> None:
        """In a forked child: locks that another thread of the parent may have held are made anew."""
        self._lock = threading.Lock()
        if self._sender is not None:
            self._sender.start_over()

    def _folder(self, variable: str, otherwise: str) -> Path:
        folder = Path(self._environment.get(variable) or otherwise)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            self._say(variable, f"{folder} cannot be made: {error}")
        return folder

    def _say(self, key: str, text: str) -> None:
        """Tells something once on standard error, which may be closed."""
        if key in self._said or len(self._said) > 100:
            return
        self._said.add(key)
        try:
            sys.stderr.write(f"berth: {text}\n")
            sys.stderr.flush()
        except Exception:
            return


class _Sender:
    """The buffer and the thread that empties it."""

    def __init__(self, environment: Mapping[str, str], say: Any) -> None:
        self._base = url = environment["BERTH_URL"].rstrip("/")
        self._base_file = environment.get("BERTH_URL_FILE", "")
        self._path = f"/api/v1/runs/{environment['BERTH_RUN_ID']}/metrics"
        self._headers = {
            "Authorization": f"Bearer {environment.get('BERTH_TOKEN', '')}",
            "Content-Type": "application/json",
            "User-Agent": "berth-tracking",
        }
        is_here = urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")
        handlers = [urllib.request.ProxyHandler({})] if is_here else []
        self._opener = urllib.request.build_opener(*handlers)
        # Host names need this codec. A fork while the thread imports it would leave children that never can.
        codecs.lookup("idna")
        self._say = say
        self.start_over()
        atexit.register(self._at_exit)

    def start_over(self) -> None:
        """Empty, and with no thread: as new, and as it has to be in a forked child. What the parent has
        buffered the parent sends."""
        self._lock = threading.Lock()
        self._points: deque[Point] = deque()
        self._batch: list[Point] = []
        self._size = BATCH
        self._progress: dict[str, Any] | None = None
        self._dropped = 0
        self._is_over = False
        self._is_hurried = False
        self._wake = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._thread: threading.Thread | None = None

    def add(self, points: list[Point]) -> None:
        """Buffers points and returns at once."""
        if not points or self._is_over:
            return
        with self._lock:
            self._points.extend(points)
            excess = len(self._points) - MAX_BUFFERED
            for _ in range(excess):
                self._points.popleft()
            self._idle.clear()
            is_full = len(self._points) >= BATCH
        if excess > 0:
            self._dropped += excess
            self._say("dropped", f"the server cannot be reached and {MAX_BUFFERED} points wait: the oldest are dropped")
        self._ensure_thread()
        if is_full:
            self._wake.set()

    def set_progress(self, progress: dict[str, Any]) -> None:
        """Replaces what is said of the progress."""
        if self._is_over:
            return
        with self._lock:
            self._progress = progress
            self._idle.clear()
        self._ensure_thread()

    def flush(self, timeout: float) -> bool:
        """Waits until the buffer is empty; whether it is."""
        until = time.monotonic() + timeout
        if self._idle.is_set():
            return True
        self._is_hurried = True
        self._wake.set()
        if self._thread is None or not self._thread.is_alive():
            self._empty(until)  # no thread may be started while the interpreter ends
        else:
            self._idle.wait(max(0.0, until - time.monotonic()))
        self._is_hurried = False
        return self._idle.is_set()

    def _at_exit(self) -> None:
        try:
            if not self.flush(EXIT_SECONDS):
                left = len(self._points) + len(self._batch)
                self._say("exit", f"{left} points could not be sent within {EXIT_SECONDS:.0f} s and are lost")
        except Exception as error:
            self._say("exit", f"the last points could not be sent: {error!r}")

    def _ensure_thread(self) -> None:
        if self._thread is not None and self._thread.is_alive():
            return
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="berth-tracking", daemon=True)
                try:
                    self._thread.start()
                except RuntimeError:  # the interpreter is ending: the exit handler sends
                    self._thread = None

    def _work(self) -> None:
        while True:  # the first points go at once, so that a curve begins when its run does; later ones gather
            try:
                self._empty(None)
            except Exception as error:
                self._say("work", f"sending was interrupted and goes on: {error!r}")
                time.sleep(FLUSH_SECONDS)
            self._wake.wait(FLUSH_SECONDS)
            self._wake.clear()

    def _empty(self, until: float | None) -> None:
        """Sends batch after batch until nothing is left, or until the time is over."""
        pause = 0.5
        while not self._idle.is_set() and (until is None or time.monotonic() < until):
            progress = self._take()
            if not self._batch and progress is None:
                continue
            if self._send(progress):
                pause = 0.5
                continue
            with self._lock:
                if self._progress is None:
                    self._progress = progress
            longest = 1.0 if self._is_hurried or until is not None else _LONGEST_PAUSE
            self._sleep(min(pause, longest) * (0.5 + random.random() / 2))  # noqa: S311 - only to spread retries
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _take(self) -> dict[str, Any] | None:
        """Fills the batch and returns the progress to say; notes when there is neither."""
        with self._lock:
            while self._points and len(self._batch) < self._size:
                self._batch.append(self._points.popleft())
            progress, self._progress = self._progress, None
            if not self._batch and progress is None:
                self._idle.set()
        return progress

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.2))
            if self._is_hurried and left > 1.0:
                return

    def _send(self, progress: dict[str, Any] | None) -> bool:
        """Sends the batch; whether it is settled, for good or ill. False: try again."""
        body: dict[str, Any] = {"points": self._batch}
        if progress is not None:
            body["progress"] = progress
        data = json.dumps(body, separators=(",", ":")).encode()
        request = urllib.request.Request(self._base + self._path, data, self._headers, method="POST")  # noqa: S310 - from BERTH_URL
        try:
            with self._opener.open(request, timeout=_TIMEOUT) as answer:
                answer.read()
        except urllib.error.HTTPError as error:
            return self._refused(error)
        except (OSError, ValueError, urllib.error.URLError) as error:
            if self._has_moved():
                return self._send(progress)
            self._say("unreachable", f"the server does not answer, points wait in memory: {error}")
            return False
        except Exception as error:  # such as http.client.HTTPException: a broken answer
            self._say("broken", f"the server's answer cannot be read, points wait in memory: {error!r}")
            return False
        self._batch = []
        self._size = BATCH
        return True

    def _has_moved(self) -> bool:
        """Whether Berth has another address now; a run may outlive the one that started it."""
        try:
            found = Path(self._base_file).read_text(encoding="utf-8").strip().rstrip("/") if self._base_file else ""
        except (OSError, ValueError):
            return False
        if not found.startswith(("http://", "https://")) or found == self._base:
            return False
        self._base = found
        return True

    def _refused(self, error: urllib.error.HTTPError) -> bool:
        answer = _read_json(error)
        if error.code in (408, 425, 429) or error.code >= 500:
            self._say("busy", f"the server answers {error.code}, points wait in memory")
            return False
        if error.code in (401, 403, 404):
            self._say("over", f"the server no longer takes points of this run ({error.code}); nothing more is logged")
            with self._lock:
                self._is_over = True
                self._points.clear()
                self._progress = None
        elif error.code == 413 and len(self._batch) > 1:
            with self._lock:
                self._points.extendleft(reversed(self._batch[len(self._batch) // 2 :]))
            self._batch = self._batch[: len(self._batch) // 2]
            self._size = max(1, len(self._batch))
            return True
        else:
            return self._drop_wrong(error.code, answer)
        self._batch = []
        return True

    def _drop_wrong(self, status: int, answer: dict[str, Any]) -> bool:
        """Takes the points out that the server names, and sends the rest again; all where it names none."""
        pointers = [str(one.get("pointer", "")) for one in answer.get("errors") or [] if isinstance(one, dict)]
        found = [re.match(r"/points/(\d+)", pointer) for pointer in pointers]
        wrong = {int(match[1]) for match in found if match is not None}
        self._say(f"refused {status}", f"the server refuses points, which are left out: {answer.get('detail', status)}")
        kept = [point for index, point in enumerate(self._batch) if index not in wrong] if wrong else []
        self._batch = kept
        return True


def run() -> Run:
    """The run that this process belongs to; always the same object."""
    global _run
    with _making:
        if _run is None:
            _run = Run(os.environ)
        return _run


_run: Run | None = None
_making = threading.Lock()


def _count(value: Any) -> int:
    number = int(value)
    if not 0 <= number <= _LARGEST_STEP:
        raise ValueError(f"{number} is not a count")
    return number


def _int(text: str | None, otherwise: int) -> int:
    try:
        return int(text) if text else otherwise
    except ValueError:
        return otherwise


def _read_json(error: urllib.error.HTTPError) -> dict[str, Any]:
    try:
        found = json.loads(error.read())
    except Exception:
        return {}
    return found if isinstance(found, dict) else {}
