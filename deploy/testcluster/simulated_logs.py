"""The log of every container on a simulated node: the same three lines. One that is followed ends a second after it was
asked for first, which is when such a container ends unless it was told otherwise.

`python simulated_logs.py ADDRESS PORT CERTIFICATE KEY`. kwok can tell logs, too, but never ends one that is followed.
"""

import http.server
import socket
import ssl
import sys
import time
from urllib.parse import parse_qs, urlsplit

SECONDS = 1.0
_first_asked: dict[str, float] = {}
LINES = [f"simulated, line {number}" for number in range(3)]


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        query = parse_qs(asked.query)
        is_log = asked.path.startswith("/containerLogs/")
        if is_log and query.get("follow") == ["true"]:
            now = time.monotonic()
            time.sleep(max(_first_asked.setdefault(asked.path, now) + SECONDS - now, 0.0))
        stamps = [f"2026-01-01T00:00:00.{number:09d}Z " for number in range(len(LINES))]
        prefixes = stamps if query.get("timestamps") == ["true"] else [""] * len(LINES)
        text = "".join(f"{prefix}{line}\n" for prefix, line in zip(prefixes, LINES, strict=True)).encode()
        self.send_response(200 if is_log else 404)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Thousands of requests are no news."""


def main(address: str, port: str, certificate: str, key: str) -> None:
    """Serves until it is killed."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    server = http.server.ThreadingHTTPServer((address, int(port)), _Handler)
    server.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:5])
