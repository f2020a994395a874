"""HTTP over real sockets: kept connections, closed ones, streams, and answers that break off."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from berth.errors import InvalidInput, Unreachable
from berth.transport import HttpTransport, read_server_url

SEEN: list[tuple[str, str, int, bytes]] = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        SEEN.append((self.command, self.path, self.client_address[1], self.rfile.read(length)))
        if self.path == "/die":
            self.close_connection = True
            self.connection.close()
            return
        if self.path == "/half":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"x" * 10)
            self.close_connection = True
            return
        if self.path == "/stream":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for piece in (b"one\ntw", b"o\n", b"three"):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
            return
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.send_header("X-Shape", "Round")
        self.end_headers()
        self.wfile.write(b"ok")
        # The connection is announced as kept, and closed all the same: what an idle timeout looks like.
        self.close_connection = self.path == "/leave"

    do_POST = do_PATCH = do_GET  # noqa: N815 - the names of http.server

    def log_message(self, *arguments: Any) -> None:
        pass


@contextmanager
def serving() -> Iterator[str]:
    SEEN.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def server() -> Iterator[str]:
    with serving() as url:
        yield url


@pytest.fixture
def transport(server: str) -> Iterator[HttpTransport]:
    made = HttpTransport(server + "/base/")
    made._prefix = ""
    yield made
    made.close()


def test_connections_are_kept(transport: HttpTransport) -> None:
    for _ in range(3):
        answer = transport.request("GET", "/", {})
        assert (answer.status, answer.headers["x-shape"], answer.body) == (200, "Round", b"ok")
    assert len({port for _, _, port, _ in SEEN}) == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_kept_connection_that_was_closed_is_replaced(transport: HttpTransport, method: str) -> None:
    transport.request("GET", "/leave", {})
    assert transport.request(method, "/", {"Idempotency-Key": "k"}, b"body").body == b"ok"
    assert SEEN[-1][3] == b"body"


def test_a_write_without_a_key_is_not_sent_twice(transport: HttpTransport) -> None:
    transport.request("GET", "/leave", {})
    with pytest.raises(Unreachable):
        transport.request("PATCH", "/", {}, b"body")
    assert [path for _, path, _, _ in SEEN] == ["/leave"]


def test_a_new_connection_that_dies_is_told(transport: HttpTransport) -> None:
    with pytest.raises(Unreachable):
        transport.request("GET", "/die", {})
    assert len(SEEN) == 1


def test_lines_of_a_stream(transport: HttpTransport) -> None:
    stream = transport.stream("GET", "/stream", {}, 5)
    assert list(stream.lines()) == [b"one", b"two", b"three"]
    stream.close()


def test_a_download_that_breaks_off_is_no_download(transport: HttpTransport) -> None:
    stream = transport.stream("GET", "/half", {}, 5)
    with pytest.raises(Unreachable):
        list(stream.chunks())
    stream.close()
    with pytest.raises(Unreachable):
        transport.request("GET", "/half", {})


def test_nobody_there() -> None:
    with pytest.raises(Unreachable) as caught:
        HttpTransport("http://127.0.0.1:9").request("GET", "/", {})
    assert "Connection refused" in caught.value.detail


def test_a_proxy_is_used_but_not_for_this_machine(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server)
    monkeypatch.setenv("no_proxy", "")
    transport = HttpTransport("http://berth.example/base")
    assert transport.request("GET", "/x", {}).body == b"ok"
    assert SEEN[-1][1] == "http://berth.example/base/x"
    transport.close()
    assert HttpTransport(server)._proxy is None


@pytest.mark.parametrize(
    "text", ["localhost:8800", "ftp://x", "http://", "http://a:b@c", "http://x:99999", "http://x?y"]
)
def test_addresses_that_cannot_be(text: str) -> None:
    with pytest.raises(InvalidInput):
        read_server_url(text)


@pytest.mark.parametrize("token", ["a\nb: c", "a\r\nHost: x", "schlüssel\u4e2d", "a\0"])
def test_what_no_header_can_carry_is_refused_before_it_is_sent(token: str) -> None:
    with pytest.raises(InvalidInput, match="Authorization") as refused:
        HttpTransport("http://127.0.0.1:1").request("GET", "/", {"Authorization": f"Bearer {token}"})
    assert token not in str(refused.value)
