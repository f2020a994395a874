"""What every request passes first and every answer last, as pure ASGI: bounds, Host, request id, headers.

Starlette's BaseHTTPMiddleware starts a task per request and breaks streaming; these three cost microseconds.
"""

import re
import time
from collections.abc import Callable
from urllib.parse import urlsplit
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import observability
from app.api.packing import packing
from app.api.problems import BodyTooLarge, Misdirected, as_app_error
from app.errors import AppError
from app.settings import Settings

ErrorRenderer = Callable[[Request, AppError], Response]

# Pages load scripts, styles, images and fonts from this host only, and nothing may frame them.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = [
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
]
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_SNAPSHOT = re.compile(r"/api/v1/projects/[^/]+/snapshots/")
_ATTEMPT_FILES = re.compile(r"/api/v1/runs/[^/]+/(?:outputs/|checkpoint$)")
_HAS_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})
# Pods have their own address of Berth, so what a run itself asks for may come by any name. A page that rebinds its name
# to Berth's address gains nothing by that: it has no cookie of Berth's host there, and no valid token of a run.
_OF_RUN = b"Bearer berth_r_"
_BY_RUNS = re.compile(r"/api/v1/runs/[^/]+/(?:metrics$|code$|checkpoint$|outputs/)")
_PROBES = frozenset({"/livez", "/readyz", "/metrics"})  # asked for by address, not by name


class Edge:
    """The outermost application: nothing that goes wrong inside leaves it without an answer."""

    def __init__(self, app: ASGIApp, settings: Settings, render: ErrorRenderer) -> None:
        self.app = app
        self.render = render
        self.max_body = settings.web.max_body_bytes
        self.max_snapshot = settings.limits.snapshot_bytes
        self.max_outputs = settings.limits.output_bytes
        self.hosts = allowed_hosts(settings)
        self.headers = list(_HEADERS)
        if settings.console_url.startswith("https://"):
            self.headers.append((b"strict-transport-security", b"max-age=31536000"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        host = authorization = given_id = length = None
        for name, value in headers:
            if name == b"host":
                host = value if host is None else b""  # two of them: others might read the other one
            elif name == b"authorization":
                authorization = value if authorization is None else b""
            elif name == b"x-request-id":
                given_id = value
            elif name == b"content-length":
                length = value
        is_head = scope["method"] == "HEAD"
        if is_head:  # answered as GET is, without the body
            scope = {**scope, "method": "GET"}
        request_id = _request_id(given_id)
        scope["berth.request_id"] = request_id
        observability.request_id.set(request_id)
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = [*message.get("headers", ())]
                present = {name for name, _ in own}
                own += [pair for pair in self.headers if pair[0] not in present]
                own.append((b"x-request-id", request_id.encode()))
                if outage := scope.get("berth.outage"):
                    own.append((b"berth-outage", outage.encode()))
                message = {**message, "headers": own}
            elif is_head:
                message = {**message, "body": b""}
            await send(message)

        try:
            if not ((authorization or b"").startswith(_OF_RUN) and _BY_RUNS.match(scope["path"])):
                self._admit(scope, host)
            if scope["method"] in _HAS_BODY:
                receive = self._bounded(scope, receive, length)
            await self.app(scope, receive, packing(scope, send_with_headers))
        except Exception as error:  # the last resort: logged with an id and answered
            request = Request(scope)
            found = as_app_error(request, error)
            if status:
                raise  # the answer has begun: all that is left is to break the connection
            await self.render(request, found)(scope, receive, send_with_headers)
        finally:
            observability.count_request(scope, status, time.perf_counter() - started)

    def _admit(self, scope: Scope, host: bytes | None) -> None:
        if scope["path"] not in _PROBES and (host or b"").lower() not in self.hosts:
            name, _, port = (host or b"").lower().rpartition(b":")
            if name not in self.hosts or not port.isdigit():
                raise Misdirected

    def _bounded(self, scope: Scope, receive: Receive, length: bytes | None) -> Receive:
        limit = self.max_snapshot if _SNAPSHOT.match(scope["path"]) else self.max_body
        if _ATTEMPT_FILES.match(scope["path"]):
            limit = self.max_outputs
        if length is not None and length.isdigit() and int(length[:20]) > limit:
            raise BodyTooLarge(limit=limit)
        taken = 0

        async def receive_counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > limit:
                raise BodyTooLarge(limit=limit)
            return message

        return receive_counted


def allowed_hosts(settings: Settings) -> frozenset[bytes]:
    """Host names this installation answers to, any port: that of its URL; on a trial also this machine's own."""
    hosts = {(urlsplit(settings.console_url).hostname or "").encode()}
    if settings.trial:
        hosts |= {b"localhost", b"127.0.0.1", b"[::1]", b"::1", (urlsplit(settings.run_url).hostname or "").encode()}
    return frozenset(hosts)


def _request_id(given: bytes | None) -> str:
    if given is not None and _REQUEST_ID.fullmatch(given):
        return given.decode()
    return uuid4().hex
