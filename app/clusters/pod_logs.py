"""The log of a pod's program, followed through the API server, as records of Berth's own format.

Where reading goes on is told by the time that the kubelet gave the last line, in nanoseconds: the API server knows no
other place in a log. After a break the log is asked for from that second on, and what was read before is passed over,
so that nothing is lost or told twice. What the kubelet has thrown away by then leaves a gap in the log.
"""

import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import lru_cache

from app.clusters.base import ClusterRejected, ClusterUnavailable, LogPiece
from app.clusters.kubernetes_api import Api, NotThere
from app.clusters.local_wrapper.capture import MASK
from app.domain.loglines import MAX_TEXT

OVER = 1 << 62
"""The offset after which nothing can follow."""
_BUFFER_BYTES = 2 << 20
_WAIT_SECONDS = 0.2
_HURRY_SECONDS = 1.0
_PAUSE_SECONDS = 1.0
_MOST_DONE = 2000
_OF_TOKENS = b"berth_r_"  # services/run_tokens.py
_TOKEN = re.compile(_OF_TOKENS + rb"[A-Za-z0-9_-]{20,}")
Masks = re.Pattern[bytes] | None
_Line = tuple[int, bytes]  # nanoseconds since the epoch, and the records of one line


def hide_tokens(text: bytes) -> bytes:
    """The text with `***` in the place of tokens of runs. It sees each line of each log: mostly nothing is there."""
    return _TOKEN.sub(MASK, text) if _OF_TOKENS in text else text


def lost(why: str) -> LogPiece:
    """A gap after which nothing follows."""
    return LogPiece(_gap(time.time_ns(), why), OVER)


class PodLogs:
    """All logs of a cluster that somebody reads. Each that is followed costs a thread and a connection."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._tails: dict[tuple[str, str], _Tail] = {}
        self._lock = threading.Lock()
        self._hurry_until = 0.0

    def read(
        self, path: str, container: str, offset: int, limit: int, *, is_over: bool, masks: Masks = None
    ) -> LogPiece:
        """The next whole records after `offset` of the pod at that path of the API. `is_over`: its container has ended
        for good, so that an empty piece has to mean that there is no more. `masks`: what is written as `***`, as
        tokens of runs always are. Raises ClusterUnavailable."""
        if offset == OVER:
            return LogPiece(b"", OVER)
        with self._lock:
            tail = self._tails.get((path, container))
            if tail is None or tail.position != offset or tail.is_spent(is_over):
                before = tail if tail is not None and tail.position == offset else None
                if tail is not None:
                    tail.close()
                self._prune()
                tail = self._tails[path, container] = _Tail(self._api, path, container, offset, is_over, before, masks)
        # Many logs that end together are read one after the other: when one of them was waited for in vain, the others
        # are only begun, so that all come at the same time.
        patience = 0.0 if time.monotonic() < self._hurry_until else _WAIT_SECONDS
        try:
            return tail.take(limit, wait=is_over, patience=patience)
        except ClusterUnavailable:
            if patience:
                self._hurry_until = time.monotonic() + _HURRY_SECONDS
            raise

    def close(self) -> None:
        """Ends all connections."""
        with self._lock:
            for tail in self._tails.values():
                tail.close()
            self._tails.clear()

    def _prune(self) -> None:
        if len(self._tails) > _MOST_DONE:
            self._tails = {key: tail for key, tail in self._tails.items() if not tail.is_done}


class _Tail:
    """One connection to one log, read by a thread into a bounded buffer."""

    ended_well: bool
    rest: bytes

    def __init__(
        self,
        api: Api,
        path: str,
        container: str,
        offset: int,
        opened_over: bool,
        before: "_Tail | None",
        masks: Masks,
    ) -> None:
        self._masks = masks
        self._api, self._path, self._container = api, path, container
        self.position = offset
        self._opened_over = opened_over
        self._was_read_to_end = before is not None and before.ended_well
        self._rest_before = before.rest if before is not None else b""
        self._lines: deque[_Line] = deque()
        self._size = 0
        self._more = threading.Condition()
        self._error: Exception | None = None
        self.is_done = False
        self._done_at = 0.0
        self.ended_well = False
        self.rest = b""
        self._is_closed = False
        threading.Thread(target=self._read, name=f"log {path}", daemon=True).start()

    def is_spent(self, is_over: bool) -> bool:
        """Whether another connection may know more than this one, which has ended."""
        with self._more:
            if not self.is_done or self._lines or time.monotonic() - self._done_at < _PAUSE_SECONDS:
                return is_over and self.ended_well and not self._lines and not self._opened_over
            return not (self._opened_over and self.ended_well)

    def take(self, limit: int, *, wait: bool, patience: float) -> LogPiece:
        """What is there, at most about `limit` bytes. With `wait`, until there is something or the end is known, for
        `patience` seconds."""
        with self._more:
            if wait:
                self._more.wait_for(lambda: self._lines or self.is_done, patience)
            if not self._lines and self._error is not None:
                raise ClusterUnavailable(str(self._error), retry_after=1.0)
            if not self._lines and wait and not (self.is_done and self._opened_over):
                raise ClusterUnavailable(f"the log of {self._path} is not read to its end yet", retry_after=1.0)
            taken: list[bytes] = []
            size = 0
            # Lines of the same time stay together: the time says where to go on.
            while self._lines and (not size or size + len(self._lines[0][1]) <= limit or self._is_same()):
                self.position, data = self._lines.popleft()
                taken.append(data)
                size += len(data)
            self._size -= size
            self._more.notify_all()
            return LogPiece(b"".join(taken), self.position)

    def close(self) -> None:
        with self._more:
            self._is_closed = True
            self._more.notify_all()

    def _is_same(self) -> bool:
        return self._lines[0][0] == self.position

    def _read(self) -> None:
        try:
            self._follow()
            self.ended_well = True
        except (NotThere, ClusterRejected) as error:
            # The kubelet has nothing of it (any more). That is no loss where it was read to its end before.
            if self._opened_over:
                self._end_without(str(error))
            else:
                self._error = ClusterUnavailable(str(error))
        except ClusterUnavailable as error:
            self._error = error
        except Exception as error:  # a thread that dies silently would look like a log without an end
            self._error = error
        finally:
            with self._more:
                self.is_done = True
                self._done_at = time.monotonic()
                self._more.notify_all()

    def _follow(self) -> None:
        query: dict[str, object] = {"container": self._container, "follow": "true", "timestamps": "true"}
        since = self.position
        if since:
            query["sinceTime"] = f"{datetime.fromtimestamp(since // 10**9, UTC):%Y-%m-%dT%H:%M:%SZ}"
        pieces = self._api.stream(f"{self._path}/log", **query)
        passing, is_found = bool(since), False
        try:
            for raw in self._whole_lines(pieces):
                line = read_line(raw)
                if line is None:  # no line of the log, but what the kubelet has to say instead of it
                    raise NotThere(raw[:500].decode(errors="replace"))
                at, text = line
                if passing:
                    is_found = is_found or at == since
                    if at == since or (at < since and not is_found):
                        continue
                    passing = False
                    if not is_found:
                        self._put((at, _gap(at, "the cluster had thrown them away before they were read")))
                self._put((at, self._records(at, text)))
        finally:
            close: Callable[[], None] | None = getattr(pieces, "close", None)
            if close:
                close()

    def _whole_lines(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        rest = b""
        for piece in pieces:
            *whole, rest = (rest + piece).split(b"\n")
            yield from whole
            if self._is_closed:
                return
        self.rest = rest
        if rest and self._opened_over:
            yield rest

    def _records(self, at: int, text: bytes) -> bytes:
        return _records(at, hide_tokens(text if self._masks is None else self._masks.sub(MASK, text)))

    def _put(self, line: _Line) -> None:
        with self._more:
            self._more.wait_for(lambda: self._size < _BUFFER_BYTES or self._is_closed)
            if self._is_closed:
                raise ClusterUnavailable("nobody reads it any more")
            self._lines.append(line)
            self._size += len(line[1])
            self._more.notify_all()

    def _end_without(self, why: str) -> None:
        """The log cannot be had any more: what was held back is a line, what was not read is a gap."""
        self.ended_well = True
        if self._was_read_to_end:
            line = read_line(self._rest_before) if self._rest_before else None
            if line is not None:
                self._put((OVER, self._records(*line)))
            return
        self._put((OVER, _gap(time.time_ns(), f"the log was gone before it was read to its end ({why[:200]})")))


def read_line(raw: bytes) -> _Line | None:
    """The time and the text of "2026-11-22T22:49:00.123456789Z text"; None for anything else."""
    stamp, _, text = raw.partition(b" ")
    try:
        seconds = _seconds(stamp[:19], stamp[29:])
        return seconds * 10**9 + int(stamp[20:29]), text
    except ValueError:
        return None


@lru_cache(maxsize=64)
def _seconds(time: bytes, zone: bytes) -> int:
    return int(datetime.fromisoformat((time + zone).decode()).timestamp())


def _records(at: int, text: bytes) -> bytes:
    prefix = b"%d o " % (at // 1_000_000)
    text = text.replace(b"\0", b" ")
    if len(text) <= MAX_TEXT:
        return prefix + text + b"\n"
    parts = (text[start : start + MAX_TEXT] for start in range(0, len(text), MAX_TEXT))
    return b"".join(prefix + part + b"\n" for part in parts)


def _gap(at: int, why: str) -> bytes:
    line = " ".join(why.split())
    return b"%d g 0 0 %s\n" % (at // 1_000_000, line.encode())
