"""A closed-loop HTTP client: a few kept-alive connections, each with one request on its way at a time.

As small as asyncio allows, since it works on the same processors as what it measures.
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import uvloop

from bench import machine

# A request as the bytes that are sent.
Maker = Callable[[int], bytes]


@dataclass(frozen=True)
class Sample:
    """One series of requests; CPU is for each of them. `foreign` is the part of all processors that others used."""

    requests: int
    rate: float
    p50_ms: float
    p95_ms: float
    server_cpu_ms: float
    database_cpu_ms: float
    foreign: float
    answer_bytes: int

    @property
    def cpu_ms(self) -> float:
        return self.server_cpu_ms + self.database_cpu_ms


def request(
    method: str, port: int, path: str, headers: dict[str, str] | None = None, body: bytes | None = None
) -> bytes:
    """One HTTP/1.1 request."""
    lines = [f"{method} {path} HTTP/1.1", f"host: localhost:{port}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body is not None:
        lines += ["content-type: application/json", f"content-length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


def measure(
    port: int,
    requests: Sequence[bytes],
    connections: int,
    *,
    server: Iterable[int],
    database: Iterable[int],
    status: int,
) -> Sample:
    """Sends all requests and waits for their answers. Raises RuntimeError for an answer with another status."""
    servers, databases = list(server), list(database)
    own, busy = time.process_time(), machine.busy_seconds()
    server_before, database_before = machine.cpu_seconds(servers), machine.cpu_seconds(databases)
    started = time.perf_counter()
    try:
        seconds, size = uvloop.run(_send(port, requests, connections, status))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    wall = time.perf_counter() - started
    server_cpu = machine.cpu_seconds(servers) - server_before
    database_cpu = machine.cpu_seconds(databases) - database_before
    ours = server_cpu + database_cpu + time.process_time() - own
    seconds.sort()
    count = len(seconds)
    return Sample(
        requests=count,
        rate=count / wall,
        p50_ms=seconds[count // 2] * 1e3,
        p95_ms=seconds[count * 95 // 100] * 1e3,
        server_cpu_ms=server_cpu / count * 1e3,
        database_cpu_ms=database_cpu / count * 1e3,
        foreign=max(0.0, machine.busy_seconds() - busy - ours) / wall / machine.processors(),
        answer_bytes=size // count,
    )


def ask(port: int, raw: bytes, status: int = 200) -> Any:
    """One answer's JSON, or its text where it is none. Raises RuntimeError for another status."""

    async def once() -> bytes:
        connection = await _connect(port)
        answered, body = await connection.ask(raw)
        connection.close()
        _check(answered, status, body)
        return body

    body = uvloop.run(once())
    try:
        return json.loads(body)
    except ValueError:
        return body.decode()


async def _send(port: int, requests: Sequence[bytes], connections: int, status: int) -> tuple[list[float], int]:
    waiting = iter(requests)
    seconds: list[float] = []
    size = 0

    async def work() -> None:
        nonlocal size
        connection = await _connect(port)
        for raw in waiting:
            started = time.perf_counter()
            answered, body = await connection.ask(raw)
            seconds.append(time.perf_counter() - started)
            size += len(body)
            if answered != status:
                _check(answered, status, body)
        connection.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(work())
    return seconds, size


def _check(answered: int, status: int, body: bytes) -> None:
    if answered != status:
        raise RuntimeError(f"answered {answered} instead of {status}: {body[:500]!r}")


async def _connect(port: int) -> "_Connection":
    _, connection = await asyncio.get_running_loop().create_connection(_Connection, "127.0.0.1", port)
    return connection


class _Connection(asyncio.Protocol):
    """Answers are read by their Content-Length, which everything measured here sends."""

    def __init__(self) -> None:
        self._received = b""
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one, and says so to nobody

    def ask(self, raw: bytes) -> "asyncio.Future[tuple[int, bytes]]":
        assert self._transport is not None
        self._received = b""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(raw)
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._received = self._received + data if self._received else data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator or self._answer is None:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r", 1)[0])
        if len(body) >= length and not self._answer.done():
            self._answer.set_result((int(head[9:12]), body))

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or ConnectionError("the server closed the connection"))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
