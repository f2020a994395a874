"""The application called in this very thread, for tests that send tens of thousands of requests.

What `client.AppTransport` spends most of its time on is left out: a client for each request, the way to the event
loop's thread and back, and a thread for each of the application's synchronous parts. The application is the same.
"""

import asyncio
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import anyio.to_thread
import httpx
import pytest
from fastapi import FastAPI


class Direct:
    """Sends requests to an application, one after the other, on an event loop of its own."""

    def __init__(self, app: FastAPI, loop: asyncio.AbstractEventLoop) -> None:
        self._app = app
        self._loop = loop

    def send(self, request: httpx.Request, token: str | None = None) -> httpx.Response:
        """The whole answer to a request whose body is in memory, sent with this bearer token."""
        headers = [(name.lower(), value) for name, value in request.headers.raw]
        if token:
            headers = [(name, value) for name, value in headers if name != b"authorization"]
            headers.append((b"authorization", f"Bearer {token}".encode()))
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "headers": headers,
            "scheme": request.url.scheme,
            "path": request.url.path,
            "raw_path": request.url.raw_path.split(b"?")[0],
            "query_string": request.url.query,
            "server": (request.url.host, request.url.port),
            "client": ("127.0.0.1", 50_000),
            "root_path": "",
        }
        return self._loop.run_until_complete(self._answer(scope, request))

    async def _answer(self, scope: dict[str, Any], request: httpx.Request) -> httpx.Response:
        started: dict[str, Any] = {}
        body: list[bytes] = []
        asked = iter([{"type": "http.request", "body": request.content, "more_body": False}])

        async def receive() -> dict[str, Any]:
            given = next(asked, None)
            if given is None:  # as a server does, while the client waits for the rest of its answer
                await asyncio.Event().wait()
            return given or {}

        async def send(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                started.update(message)
            else:
                body.append(message.get("body", b""))

        try:
            await self._app(scope, receive, send)
        except Exception:
            if started.get("status") != 500:  # else it is what has been answered already
                raise
        return httpx.Response(started["status"], headers=started["headers"], content=b"".join(body), request=request)


@contextmanager
def in_this_thread(app: FastAPI) -> Iterator[Direct]:
    """While it lasts, what is synchronous in the application runs where it is called from."""

    async def here(function: Callable[..., Any], *args: Any, **_: Any) -> Any:
        return function(*args)

    loop = asyncio.new_event_loop()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(anyio.to_thread, "run_sync", here)
        yield Direct(app, loop)
    loop.close()
