"""Calls of the sync client made from an event loop: each in a thread, and each can be given up at once.

A thread that waits for a server cannot be cancelled. Its socket can be shut down: reading from it then ends
like a broken connection, and `Abandoned` keeps the client from repeating the request.
"""

import asyncio
import contextlib
import functools
import http.client
import inspect
import socket
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from itertools import islice
from typing import Any, Concatenate, ParamSpec, TypeVar

from berth.errors import BerthError, Unreachable
from berth.transport import HttpTransport

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
# Objects that one turn of a thread takes from a list: a page of it (connection.PAGE_SIZE), so that objects that
# have come already wait for no thread.
BATCH = 200

_thread = threading.local()


class Abandoned(BaseException):
    """Ends the work of a thread whose caller has gone. No `except Exception` may stop it."""


class Call:
    """What one call has open, so that it can be given up from outside its thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._sockets: dict[http.client.HTTPConnection, Any] = {}

    def enter(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            if self._over.is_set():
                raise Abandoned
            self._sockets[connection] = connection.sock

    def leave(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            self._sockets.pop(connection, None)

    def pause(self, seconds: float) -> None:
        if self._over.wait(seconds):
            raise Abandoned

    def abandon(self) -> None:
        """Ends it, now or when it next wants to send something."""
        with self._lock:
            self._over.set()
            for opened in self._sockets.values():
                with contextlib.suppress(OSError):
                    # Not the method of a TLS socket, which would first take its state away under the reader.
                    socket.socket.shutdown(opened, socket.SHUT_RDWR)


class CallTransport(HttpTransport):
    """Tells the call that runs in this thread what it has open."""

    def _entered(self, connection: http.client.HTTPConnection) -> None:
        _current().enter(connection)

    def _left(self, connection: http.client.HTTPConnection) -> None:
        _current().leave(connection)


def pause(seconds: float) -> None:
    """Sleeps in a call's thread, until the call is given up at the longest."""
    _current().pause(seconds)


class Calls:
    """Everything that one client has under way: at most `threads` requests at once, further ones wait in order."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="berth-call")
        self._under_way: set[Call] = set()
        self._closed = False

    async def run(self, work: Callable[[], R], call: Call | None = None, executor: Executor | None = None) -> R:
        """What `work` returns in a thread. When the task is cancelled, the request is broken off at once."""
        call = call or Call()
        if self._closed:
            raise _closed()
        self._under_way.add(call)
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(executor or self._pool, _within, call, work)
        except asyncio.CancelledError:
            call.abandon()
            raise
        except (Abandoned, Unreachable):
            if not self._closed:
                raise
            raise _closed() from None
        finally:
            self._under_way.discard(call)

    async def iterate(self, start: Callable[[], Iterator[T]], follows: bool = False) -> AsyncGenerator[T, None]:
        """The objects of an iterator that is made and advanced in threads.

        One that `follows` has a thread of its own, because it waits for long, and hands over each object as it comes.
        """
        call, turn = Call(), threading.Lock()
        made: list[Iterator[T]] = []
        private = ThreadPoolExecutor(1, thread_name_prefix="berth-call-follow") if follows else None

        def take() -> list[T]:
            with turn:
                if not made:
                    made.append(start())
                return list(islice(made[0], 1 if follows else BATCH))

        def finish() -> None:
            with turn:
                for iterator in made:
                    if isinstance(iterator, Generator):
                        iterator.close()

        try:
            while batch := await self.run(take, call, private):
                for item in batch:
                    yield item
        finally:
            call.abandon()
            # A loop that was left early leaves a stream open; it is closed once its thread has let go of it.
            with contextlib.suppress(RuntimeError):
                (private or self._pool).submit(_within, call, finish)
            if private is not None:
                private.shutdown(wait=False)

    def close(self) -> None:
        """Gives up all that is under way; those who wait for it get BerthError with the code CLIENT_CLOSED."""
        self._closed = True
        for call in tuple(self._under_way):
            call.abandon()
        self._pool.shutdown(wait=False, cancel_futures=True)


class AsyncNoun:
    """A noun of the async client: the sync one, whose methods run in threads."""

    def __init__(self, calls: Calls, noun: Any) -> None:
        self._calls = calls
        self._noun = noun


def awaited(method: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, R]]:
    """The async twin of a method that returns a value."""

    @functools.wraps(method)
    async def twin(self: AsyncNoun, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await self._calls.run(lambda: method(self._noun, *args, **kwargs))

    return twin


def iterated(
    method: Callable[Concatenate[Any, P], Iterator[T]],
) -> Callable[Concatenate[Any, P], AsyncGenerator[T, None]]:
    """The async twin of a method that returns an iterator, for `async for`."""
    signature = inspect.signature(method)

    @functools.wraps(method)
    async def twin(self: AsyncNoun, /, *args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[T, None]:
        follows = bool(signature.bind(self, *args, **kwargs).arguments.get("follow"))
        objects = self._calls.iterate(lambda: method(self._noun, *args, **kwargs), follows)
        async with contextlib.aclosing(objects):
            async for item in objects:
                yield item

    return twin


def _within(call: Call, work: Callable[[], R]) -> R:
    _thread.call = call
    try:
        return work()
    finally:
        del _thread.call


def _current() -> Call:
    # Connections are also let go of where no call runs: when the garbage collector ends a stream.
    call: Call | None = getattr(_thread, "call", None)
    return call if call is not None else Call()


def _closed() -> BerthError:
    return BerthError("the client is closed", code="CLIENT_CLOSED", hint="Use it within its `async with`.")
