"""Posts a webhook: to an address that the egress guard has checked, to no other, once, within a time.

Chat services are asked the same way (integrations/guarded_requests.py): this is the one door to addresses of users.

The name is resolved here, every address of it is judged, and the connection is made to the judged address itself:
what the name resolves to a moment later does not matter. Redirects are not followed and proxies of the
environment are not used.
"""

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as ResolvingTooLong
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address

from app.domain import egress
from app.domain.egress import Address, Network, Target
from app.domain.notifications import inert

ANSWER_BYTES = 1024

Resolve = Callable[[str, int], list[str]]


@dataclass(frozen=True)
class Answer:
    """What came of it: `ok` for 2xx, `status` of HTTP, `error` a code, `text` the beginning of the answer."""

    ok: bool
    status: int | None = None
    error: str | None = None
    text: str = ""


@dataclass(frozen=True)
class Reply:
    """The whole of an answer, for whoever must read it: `answer` as for a webhook, then what was sent."""

    answer: Answer
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


def resolve(host: str, port: int) -> list[str]:
    """All addresses of a name, by the system's resolver. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    allowed: tuple[Network, ...] = (),
    timeout: float = 10.0,
    resolver: Resolve = resolve,
) -> Answer:
    """One POST that takes at most `timeout` seconds in all. Raises nothing: what went wrong is in the answer."""
    return exchange("POST", url, body, headers, allowed=allowed, timeout=timeout, resolver=resolver).answer


def exchange(
    method: str,
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    allowed: tuple[Network, ...] = (),
    timeout: float = 10.0,
    resolver: Resolve = resolve,
    longest: int = ANSWER_BYTES,
) -> Reply:
    """As `post`, by any method; of what is answered the first `longest` bytes."""
    ends = time.monotonic() + timeout
    try:
        target = egress.parse_url(url)
    except egress.BadTarget:
        return Reply(Answer(False, error="refused_address"))
    try:
        addresses = [ip_address(text.partition("%")[0]) for text in _in_time(resolver, target, timeout)]
    except (ResolvingTooLong, OSError, UnicodeError, ValueError):
        return Reply(Answer(False, error="unresolved"))
    # One forbidden address among good ones is a trick, not a choice.
    if not addresses or not all(egress.may_connect(address, allowed) for address in addresses):
        return Reply(Answer(False, error="refused_address"))
    request = _Request(method, target, addresses[0], body, headers)
    return _exchange(request, max(0.1, ends - time.monotonic()), longest)


@dataclass(frozen=True)
class _Request:
    method: str
    target: Target
    address: Address
    body: bytes
    headers: Mapping[str, str]


def _exchange(request: _Request, left: float, longest: int) -> Reply:
    connection = _Pinned(request.target, request.address, left)
    expired = threading.Event()

    def cut() -> None:
        expired.set()
        connection.cut()

    # A timeout of the socket starts anew with every byte that comes; this one does not.
    watch = threading.Timer(left, cut)
    watch.daemon = True
    watch.start()
    try:
        connection.request(request.method, request.target.path, request.body, dict(request.headers))
        response = connection.getresponse()
        status, raw = response.status, b""
        if expired.is_set():  # what was cut off in its headers looks like an answer
            return Reply(Answer(False, error="timeout"))
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError):  # the status has said all
            raw = response.read(longest)
        said = dict(response.headers)
        text = inert(raw[:ANSWER_BYTES])
        if 200 <= status < 300:
            return Reply(Answer(True, status, None, text), said, raw)
        return Reply(Answer(False, status, "redirect" if 300 <= status < 400 else "status", text), said, raw)
    except ssl.SSLError as error:
        return Reply(Answer(False, error="timeout" if expired.is_set() else "tls", text=_why(error)))
    except TimeoutError:
        return Reply(Answer(False, error="timeout"))
    except OSError as error:
        return Reply(Answer(False, error="timeout" if expired.is_set() else "unreachable", text=_why(error)))
    except (http.client.HTTPException, ValueError, AttributeError):
        return Reply(Answer(False, error="timeout" if expired.is_set() else "protocol"))
    finally:
        watch.cancel()
        connection.close()


class _Pinned(http.client.HTTPConnection):
    """Says the name, and connects to the address that was judged."""

    def __init__(self, target: Target, address: Address, timeout: float) -> None:
        super().__init__(target.host, target.port, timeout=timeout)
        self._target = target
        self._address = address
        # What the header Host leaves out.
        self.default_port = 443 if target.scheme == "https" else 80

    def connect(self) -> None:
        made = socket.create_connection((str(self._address), self.port), self.timeout)
        self.sock = made
        if self._target.scheme == "https":
            self.sock = _context().wrap_socket(made, server_hostname=self._target.host)

    def cut(self) -> None:
        """Ends whatever another thread waits for on this connection."""
        made = self.sock
        if made is not None:
            try:
                made.shutdown(socket.SHUT_RDWR)
            except OSError:
                return


@lru_cache
def _context() -> ssl.SSLContext:
    return ssl.create_default_context()


@lru_cache
def _resolvers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(16, thread_name_prefix="resolve")


def _in_time(resolver: Resolve, target: Target, timeout: float) -> list[str]:
    # The system's resolver knows no timeout of ours; who waits for it must.
    return _resolvers().submit(resolver, target.host, target.port).result(timeout)


def _why(error: OSError) -> str:
    return inert((error.strerror or type(error).__name__).encode())
