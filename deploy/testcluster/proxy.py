"""A proxy before the API server that delays, fails, cuts or withholds calls: by method and path, so many times.

It ends TLS with the cluster's own certificate, so callers are known by bearer tokens, which pass through; client
certificates do not. Watches and followed logs stream through. Upgrades (`kubectl exec`) do not.
"""

import http.client
import http.server
import json
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from deploy.testcluster.api import Api
from deploy.testcluster.pki import write_kubeconfig


@dataclass
class Rule:
    """What happens to calls that fit. Of several rules the first that fits counts."""

    method: str = ".*"
    path: str = ".*"
    delay: float = 0.0  # seconds before anything else
    status: int = 0  # answered instead of asking the API server
    retry_after: int = 0  # seconds, said with the status
    cut: str = ""  # "before": closed unasked; "after": done, but the answer is lost
    times: int | None = None  # how often; None: always
    hits: int = field(default=0, init=False)

    def fits(self, method: str, path: str) -> bool:
        return (
            (self.times is None or self.hits < self.times)
            and re.fullmatch(self.method, method) is not None
            and re.search(self.path, path) is not None
        )


class Proxy:
    """A context manager: it listens while entered. `rules` may be changed at any time; `calls` is what came."""

    def __init__(self, upstream: Path, pki: Path, token: str) -> None:
        self.rules: list[Rule] = []
        self.calls: list[tuple[str, str]] = []
        # What becomes of each event of a watch, also of those under way: the lines that are passed on for it.
        self.events: Callable[[bytes], Iterable[bytes]] | None = None
        self._upstream = Api(upstream)
        self._lock = threading.Lock()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pki / "server.crt", pki / "server.key")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        port = self.server.server_address[1]
        self.kubeconfig = upstream.parent / f"proxy-{port}.kubeconfig"
        write_kubeconfig(self.kubeconfig, f"https://127.0.0.1:{port}", self._upstream.authority, {"token": token})
        self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> "Proxy":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()
        self.kubeconfig.unlink(missing_ok=True)

    def add(self, rule: Rule) -> Rule:
        """Adds a rule before all others and returns it: its `hits` count."""
        self.rules.insert(0, rule)
        return rule

    def clear(self) -> None:
        """Calls pass again."""
        self.rules.clear()

    def rule_for(self, method: str, path: str) -> Rule | None:
        """Notes the call and returns the rule for it, counted."""
        with self._lock:
            self.calls.append((method, path))
            for rule in list(self.rules):
                if rule.fits(method, path):
                    rule.hits += 1
                    return rule
        return None

    def ask(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[Any, http.client.HTTPResponse]:
        """Asks the API server with the caller's own headers. Returns the connection, to be closed, and the answer."""
        connection = http.client.HTTPSConnection(
            urlsplit(self._upstream.server).netloc, timeout=3600, context=_as_nobody(self._upstream.authority)
        )
        connection.request(method, path, body or None, headers)
        return connection, connection.getresponse()


def _as_nobody(authority: bytes) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=authority.decode())


def _lines(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    rest = b""
    while part := answer.read1(65536):
        *whole, rest = (rest + part).split(b"\n")
        yield from (line + b"\n" for line in whole)


def _handler(proxy: Proxy) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 3600

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            rule = proxy.rule_for(self.command, self.path)
            if rule is not None:
                time.sleep(rule.delay)
                if rule.cut == "before":
                    self.close_connection = True
                    return
                if rule.status:
                    self._answer(rule)
                    return
            self._pass_on(body, lost=rule is not None and rule.cut == "after")

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Nothing: the proxy's `calls` say what came."""

        def _answer(self, rule: Rule) -> None:
            message = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "failed on demand"}
            data = json.dumps({**message, "code": rule.status}).encode()
            self.send_response(rule.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            if rule.retry_after:
                self.send_header("Retry-After", str(rule.retry_after))
            self.end_headers()
            self.wfile.write(data)

        def _pass_on(self, body: bytes, *, lost: bool) -> None:
            dropped = ("host", "connection", "transfer-encoding", "content-length")
            headers = {name: value for name, value in self.headers.items() if name.lower() not in dropped}
            self.close_connection = True
            try:
                connection, answer = proxy.ask(self.command, self.path, body, headers)
            except (OSError, http.client.HTTPException):
                return
            try:
                if lost:
                    answer.read()
                    return
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("connection", "transfer-encoding", "date", "server"):
                        self.send_header(name, value)
                # The end of the body is the end of the connection: right for watches and for everything else.
                self.send_header("Connection", "close")
                self.end_headers()
                parts = _lines(answer) if "watch=true" in self.path else iter(partial(answer.read1, 65536), b"")
                for part in parts:
                    changed = proxy.events(part) if proxy.events and "watch=true" in self.path else [part]
                    self.wfile.write(b"".join(changed))
                    self.wfile.flush()
            except (OSError, http.client.HTTPException):
                return
            finally:
                connection.close()

    return Handler
