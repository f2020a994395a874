"""What talking to an API server costs when it does not talk."""

import http.server
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from app.clusters.base import ClusterUnavailable
from app.clusters.kubeconfig import Connection
from app.clusters.kubernetes_api import AlreadyThere, Api


@contextmanager
def answering(*statuses: int, **headers: str) -> Iterator[Api]:
    """Of a server that answers so, one after the other; 0 cuts the connection. The last one stays."""
    left = list(statuses)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            status = left.pop(0) if len(left) > 1 else left[0]
            if status:
                body = b'{"reason": "AlreadyExists"}' if status == 409 else b'{"kind": "Job"}'
                self.send_response(status)
                for name, value in (headers | {"Content-Length": str(len(body))}).items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        try:
            with closing(Api("east", Connection(f"http://127.0.0.1:{server.server_port}", token="t"))) as api:
                yield api
        finally:
            server.shutdown()


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 0])
def test_what_fails_in_passing_is_asked_again(status: int) -> None:
    with answering(status, status, 201) as api:
        assert api.create("/apis/batch/v1/namespaces/a/jobs", {})["kind"] == "Job"
        assert api.calls == 3
    with answering(status) as api:
        with pytest.raises(ClusterUnavailable, match=str(status) if status else "Connection"):
            api.create("/apis/batch/v1/namespaces/a/jobs", {})
        assert api.calls == 3
        for _ in range(4):  # others do not wait for what does not pass
            with pytest.raises(ClusterUnavailable):
                api.create("/apis/batch/v1/namespaces/a/jobs", {})
        assert api.calls == 7


def test_an_answer_that_was_lost_leaves_what_it_made() -> None:
    with answering(0, 409) as api, pytest.raises(AlreadyThere):
        api.create("/apis/batch/v1/namespaces/a/jobs", {})


def test_who_is_told_to_wait_longer_does_not_ask_again() -> None:
    with answering(429, Retry_After="7") as api:
        with pytest.raises(ClusterUnavailable) as raised:
            api.create("/apis/batch/v1/namespaces/a/jobs", {})
        assert (api.calls, raised.value.retry_after) == (1, 7.0)


def test_a_silent_server_takes_the_time_of_one_call_and_not_of_all() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        api = Api("east", Connection(f"https://127.0.0.1:{silent.getsockname()[1]}", token="t"))
        with pytest.raises(ClusterUnavailable, match="does not answer"):
            api.get("/version")
        begun = time.monotonic()
        for _ in range(100):
            with pytest.raises(ClusterUnavailable) as raised:
                api.get("/version")
        assert time.monotonic() - begun < 1
        assert 0 < raised.value.retry_after <= 6
        assert api.calls == 1
        api.close()


def test_a_server_that_refuses_is_asked_each_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    api = Api("east", Connection(f"https://127.0.0.1:{port}", token="t"))
    for _ in range(3):
        with pytest.raises(ClusterUnavailable, match="refused"):
            api.get("/version")
    assert api.calls == 3
    api.close()
