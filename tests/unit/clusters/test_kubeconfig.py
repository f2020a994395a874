"""Kubeconfigs: what is taken, and that nothing of one is run, read or left unchecked."""

import base64
import json
from typing import Any

import pytest

from app.clusters.kubeconfig import read_kubeconfig
from app.errors import BadValue

PEM = base64.b64encode(b"-----BEGIN CERTIFICATE-----\nx\n").decode()
CLUSTER = {"server": "https://10.0.0.1:6443", "certificate-authority-data": PEM}
USER = {"token": "abc"}


def config(cluster: dict[str, Any] = CLUSTER, user: dict[str, Any] = USER, more: dict[str, Any] | None = None) -> str:
    made = {
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}, {"name": "else", "context": {}}],
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
    }
    return json.dumps(made | (more or {}))


def test_what_is_taken() -> None:
    found = read_kubeconfig(config())
    assert (found.server, found.token, found.ca[:10]) == ("https://10.0.0.1:6443", "abc", "-----BEGIN")
    assert "abc" not in repr(found)
    found = read_kubeconfig(config(user={"client-certificate-data": PEM, "client-key-data": PEM}))
    assert found.certificate == found.key


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is no kubeconfig"),
        ("[" * 3000, "is no YAML"),
        ("x" * (257 << 10), "larger"),
        (config(user={"exec": {"command": "sh"}}), "running a program"),
        (config(user={"auth-provider": {}}), "running a program"),
        (config(user={"tokenFile": "/etc/passwd"}), "names a file"),
        (config(user={"client-key": "/etc/passwd"}), "names a file"),
        (config(user={"username": "x", "password": "y"}), "does not know"),
        (config(user={}), "no token"),
        (config(cluster=CLUSTER | {"insecure-skip-tls-verify": True}), "unchecked"),
        (config(cluster=CLUSTER | {"proxy-url": "http://x"}), "does not know"),
        (config(cluster={"server": "http://10.0.0.1"}), "https://"),
        (config(cluster={"server": "https://169.254.169.254"}), "an API server can have"),
        (config(cluster={"server": "https://x", "certificate-authority-data": "?"}), "base64"),
        (config(user={"token": "a\r\nX: y"}), "no line of text"),
        (config(more={"current-context": "gone"}), "has no context"),
    ],
)
def test_what_is_refused(text: str, told: str) -> None:
    with pytest.raises(BadValue) as caught:
        read_kubeconfig(text)
    assert told in str(caught.value)
