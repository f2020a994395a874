"""HTTP by the standard library: kept-alive connections, streams, proxies and TLS; nothing about Berth.

Not httpx: importing it and making a client costs 300 ms of CPU, more than a whole command may (200 ms),
and a client without dependencies fits into every training environment.
"""

import http.client
import os
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any, Protocol
from urllib.parse import SplitResult, urlsplit

from berth.errors import InvalidInput, Unreachable

CONNECT_TIMEOUT = 10.0
_LINE_LIMIT = 1 << 22
_VISIBLE = re.compile(r"[\t\x20-\x7e]*")
_PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")

Body = bytes | IO[bytes] | None


@dataclass(frozen=True)
class Response:
    """A whole answer. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Stream(Protocol):
    """An answer whose body is read as it comes. Close it, or use it in `with`."""

    status: int
    headers: Mapping[str, str]

    def lines(self) -> Iterator[bytes]: ...
    def chunks(self, size: int = 1 << 16) -> Iterator[bytes]: ...
    def close(self) -> None: ...


class Transport(Protocol):
    """What the client needs of HTTP; tests put a fake here."""

    def request(self, method: str, target: str, headers: Mapping[str, str], body: Body = None) -> Response: ...
    def stream(self, method: str, target: str, headers: Mapping[str, str], timeout: float) -> Stream: ...
    def close(self) -> None: ...


class HttpTransport:
    """Requests to one server. Threads may share it: each request borrows a connection of its own."""

    def __init__(self, server: str, timeout: float = 60.0) -> None:
        self.server = server
        self.timeout = timeout
        self._url = read_server_url(server)
        self._prefix = self._url.path.rstrip("/")
        self._proxy = _find_proxy(self._url)
        self._idle: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()
        self._tls: Any = None

    def request(self, method: str, target: str, headers: Mapping[str, str], body: Body = None) -> Response:
        """The whole answer. Raises Unreachable. A kept connection that the server had closed is replaced."""
        _check(headers)
        reused, connection = self._borrow()
        try:
            answer = self._exchange(connection, method, target, headers, body)
            content = answer.read()
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError) as error:
            connection.close()
            # PATCH and a POST without a key may have been carried out: the caller has to decide.
            if not reused or not _may_repeat(method, headers):
                raise self._unreachable(error) from error
            self.close()
            if body is not None and not isinstance(body, bytes):
                body.seek(0)
            return self.request(method, target, headers, body)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise self._unreachable(error) from error
        except BaseException:
            connection.close()
            raise
        self._left(connection)
        if answer.will_close:
            connection.close()
        else:
            with self._lock:
                self._idle.append(connection)
        return Response(answer.status, _lower(answer), content)

    def stream(self, method: str, target: str, headers: Mapping[str, str], timeout: float) -> Stream:
        """An answer to be read piece by piece; `timeout` seconds of silence end it. Raises Unreachable."""
        _check(headers)
        connection = self._connect(timeout)
        try:
            return _Streaming(self, connection, self._exchange(connection, method, target, headers, None))
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise self._unreachable(error) from error
        except BaseException:
            connection.close()
            raise

    def close(self) -> None:
        """Closes the kept connections; the transport may be used again."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _entered(self, connection: http.client.HTTPConnection) -> None:
        """Called with a connected connection before it is used; what it raises ends the request."""

    def _left(self, connection: http.client.HTTPConnection) -> None:
        """Called when a connection is no longer used, before another request may have it."""

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: Body,
    ) -> http.client.HTTPResponse:
        self._entered(connection)
        path = self._prefix + target
        if self._proxy and self._url.scheme == "http":
            path = f"http://{self._url.netloc}{path}"
        connection.request(method, path, body=body, headers=dict(headers))
        return connection.getresponse()

    def _borrow(self) -> tuple[bool, http.client.HTTPConnection]:
        with self._lock:
            if self._idle:
                return True, self._idle.pop()
        return False, self._connect(self.timeout)

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
        target = self._proxy or self._url
        host, port = target.hostname or "", target.port or (443 if target.scheme == "https" else 80)
        connection: http.client.HTTPConnection
        if self._url.scheme == "https":
            connection = http.client.HTTPSConnection(host, port, timeout=CONNECT_TIMEOUT, context=self._context())
            if self._proxy:
                connection.set_tunnel(self._url.hostname or "", self._url.port or 443)
        else:
            connection = http.client.HTTPConnection(host, port, timeout=CONNECT_TIMEOUT)
        try:
            connection.connect()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise self._unreachable(error) from error
        connection.sock.settimeout(timeout)
        return connection

    def _context(self) -> Any:
        if self._tls is None:
            import ssl

            self._tls = ssl.create_default_context()
        return self._tls

    def _unreachable(self, error: Exception) -> Unreachable:
        what = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return Unreachable(f"{self.server} does not answer: {what}")


class _Streaming:
    """The answer of one connection that is closed after it."""

    def __init__(
        self, transport: HttpTransport, connection: http.client.HTTPConnection, answer: http.client.HTTPResponse
    ) -> None:
        self._transport, self._connection, self._answer = transport, connection, answer
        self.status = answer.status
        self.headers: Mapping[str, str] = _lower(answer)

    def lines(self) -> Iterator[bytes]:
        """Lines without their end, until the server closes. Raises Unreachable where it broke off."""
        try:
            while line := self._answer.readline(_LINE_LIMIT):
                yield line.rstrip(b"\r\n")
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self._transport._unreachable(error if isinstance(error, OSError) else OSError(str(error))) from error

    def chunks(self, size: int = 1 << 16) -> Iterator[bytes]:
        """The body in pieces. Raises Unreachable where fewer bytes came than were promised."""
        try:
            while chunk := self._answer.read(size):
                yield chunk
        except (OSError, http.client.HTTPException) as error:
            raise self._transport._unreachable(error) from error
        # A sized body that breaks off ends `read(size)` early without an exception.
        if self._answer.length:
            raise Unreachable(f"{self._transport.server} broke off {self._answer.length} bytes before the end")

    def close(self) -> None:
        self._transport._left(self._connection)
        self._connection.close()


def read_server_url(server: str) -> SplitResult:
    """The parts of a server's address. Raises InvalidInput for one that cannot be used."""
    url = urlsplit(server)
    try:
        usable = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        usable = False
    if not usable or url.query or url.fragment or url.username:
        raise InvalidInput(
            f"{server!r} is not a server's address",
            hint="Write it as http://localhost:8800 or https://berth.example.org.",
        )
    return url


def _find_proxy(url: SplitResult) -> SplitResult | None:
    if not any(os.environ.get(name) for name in _PROXY_VARIABLES):
        return None
    from urllib.request import getproxies, proxy_bypass

    proxies = getproxies()
    address = proxies.get(url.scheme) or proxies.get("all")
    if not address or proxy_bypass(url.netloc) or (url.hostname or "") in ("localhost", "127.0.0.1", "::1"):
        return None
    return urlsplit(address if "://" in address else f"http://{address}")


def _may_repeat(method: str, headers: Mapping[str, str]) -> bool:
    return method in ("GET", "HEAD", "PUT", "DELETE") or "Idempotency-Key" in headers


def _lower(answer: http.client.HTTPResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.getheaders()}


def _check(headers: Mapping[str, str]) -> None:
    """Raises InvalidInput, without the value: it may be a token."""
    for name, value in headers.items():
        if not _VISIBLE.fullmatch(value):
            raise InvalidInput(
                f"what is to be sent as {name} has characters that HTTP cannot carry",
                hint="`berth config show --origin` tells where a token comes from.",
            )
