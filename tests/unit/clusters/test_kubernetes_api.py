"""What talking to an API server costs when it does not talk."""

import socket
import time

import pytest

from app.clusters.base import ClusterUnavailable
from app.clusters.kubeconfig import Connection
from app.clusters.kubernetes_api import Api


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
