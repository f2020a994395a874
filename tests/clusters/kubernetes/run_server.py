"""As much of Berth's API as the runtime image talks to, for tests of clusters: snapshots, outputs, checkpoints."""

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit


class RunServer:
    """Serves on one address until it is closed. What runs sent is in `outputs` and `checkpoints`."""

    def __init__(self, address: str) -> None:
        self.archives: dict[str, bytes] = {}  # by run
        self.outputs: dict[tuple[str, str], bytes] = {}  # by run and path
        self.checkpoints: dict[str, bytes] = {}
        self.posted: list[tuple[str, bytes]] = []
        self.tokens: set[str] = set()
        outer = self

        class Handler(_Handler):
            server_of = outer

        self._server = ThreadingHTTPServer((address, 0), Handler)
        self.url = f"http://{address}:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    server_of: RunServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        run, what = self._what()
        found = {"code": self.server_of.archives, "checkpoint": self.server_of.checkpoints}.get(what, {}).get(run)
        self._answer(404 if found is None else 200, found or b"")

    def do_PUT(self) -> None:
        run, what = self._what()
        body = self._body()
        if what == "checkpoint":
            self.server_of.checkpoints[run] = body
        else:
            self.server_of.outputs[run, what.removeprefix("outputs/")] = body
        self._answer(204, b"")

    def do_POST(self) -> None:
        self.server_of.posted.append((self.path, self._body()))
        self._answer(202, b'{"accepted": 1}')

    def log_message(self, *_: object) -> None:
        pass

    def _what(self) -> tuple[str, str]:
        self.server_of.tokens.add(self.headers.get("Authorization", ""))
        found = re.fullmatch(r"/api/v1/runs/([^/]+)/(.*)", urlsplit(self.path).path)
        assert found, self.path
        return found[1], unquote(found[2])

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
