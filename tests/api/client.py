"""The application called in this process: httpx over ASGI, sync, with a client address of one's choice."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio.from_thread
import httpx
from fastapi import FastAPI


class AppTransport(httpx.BaseTransport):
    """Runs each request on the portal's event loop, as a server would."""

    def __init__(self, app: Any, portal: anyio.from_thread.BlockingPortal, address: str) -> None:
        self.inner = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 50_000))
        self.portal = portal

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer: httpx.Response = self.portal.call(
            self._send, request.method, request.url, request.headers.raw, request.read()
        )
        return answer

    async def _send(self, method: str, url: httpx.URL, headers: Any, body: bytes) -> httpx.Response:
        request = httpx.Request(method, url, headers=headers, content=body)
        response = await self.inner.handle_async_request(request)
        # As it was sent: the client takes off what it is packed in.
        content = b"".join([part async for part in response.aiter_raw()])
        return httpx.Response(response.status_code, headers=response.headers, content=content)


class Api:
    """Makes clients of one application."""

    def __init__(self, app: FastAPI, portal: anyio.from_thread.BlockingPortal) -> None:
        self.app = app
        self.portal = portal

    def client(
        self, token: str | None = None, *, cookie: str | None = None, address: str = "127.0.0.1"
    ) -> httpx.Client:
        """A client with a bearer token, a browser's session, or nothing."""
        headers = {"host": "localhost:8800"}
        if token:
            headers["authorization"] = f"Bearer {token}"
        if cookie:
            headers |= {"cookie": f"__Host-berth={cookie}", "sec-fetch-site": "same-origin"}
        return httpx.Client(
            transport=AppTransport(self.app, self.portal, address),
            base_url="http://localhost:8800/api/v1",
            headers=headers,
        )


@contextmanager
def serving(app: FastAPI) -> Iterator[Api]:
    with anyio.from_thread.start_blocking_portal() as portal:
        yield Api(app, portal)
