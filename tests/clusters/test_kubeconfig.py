"""What a kubeconfig may hold, and what is refused by name."""

from ipaddress import ip_address
from pathlib import Path

import pytest

from app.clusters.kubeconfig import Connection, check_resolved, in_cluster, read_kubeconfig
from app.domain.egress import may_be_api_server
from app.errors import BadValue

GOOD = """\
apiVersion: v1
kind: Config
current-context: berth
contexts: [{name: berth, context: {cluster: east, user: berth}}]
clusters: [{name: east, cluster: {server: "https://10.20.0.5:6443/"}}]
users: [{name: berth, user: {token: "abc"}}]
"""


def test_an_inline_token_is_read_and_not_shown() -> None:
    found = read_kubeconfig(GOOD)
    assert found == Connection("https://10.20.0.5:6443", token="abc")
    assert "abc" not in repr(found)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("kind: Config", "kind: Pod", "is no kubeconfig"),
        (GOOD, "a: [", "is no YAML"),
        (GOOD, "- 1", "is no kubeconfig"),
        (GOOD, "kind: Config" + "\n# " + "x" * 300_000, "is larger"),
        ("current-context: berth", "current-context: other", "has no context"),
        ("user: berth}}", "user: nobody}}", "has no user"),
        ('token: "abc"', "exec: {command: sh}", "running a program"),
        ('token: "abc"', "auth-provider: {name: gcp}", "running a program"),
        ('token: "abc"', "tokenFile: /etc/passwd", "names a file"),
        ('token: "abc"', "username: a", "has username"),
        ('token: "abc"', 'token: "a\\nb"', "no line of text"),
        ('token: "abc"', 'token: ""', "names no token"),
        ('token: "abc"', "client-certificate-data: '%%', client-key-data: ''", "not in base64"),
        ('token: "abc"', "client-certificate-data: YWJj, client-key-data: YWJj", "holds no PEM"),
        ("server:", "insecure-skip-tls-verify: true, server:", "unchecked"),
        ("server:", "proxy-url: 'http://x', server:", "has proxy-url"),
        ("https://", "http://", "https://host:port"),
        ("10.20.0.5", "a:b@10.20.0.5", "https://host:port"),
        ("10.20.0.5:6443", "10.20.0.5:99999", "https://host:port"),
        ("10.20.0.5:6443", "169.254.169.254", "an API server can have"),
        ("10.20.0.5:6443", "2852039166", "an API server can have"),
        ("10.20.0.5:6443", "[fd00:ec2::254]", "an API server can have"),
    ],
)
def test_what_is_refused(old: str, new: str, said: str) -> None:
    assert old in GOOD
    with pytest.raises(BadValue, match=said):
        read_kubeconfig(GOOD.replace(old, new))


@pytest.mark.parametrize(
    ("address", "may"),
    [
        ("10.0.0.1", True),
        ("127.0.0.1", True),
        ("::1", True),
        ("192.168.1.1", True),
        ("8.8.8.8", True),
        ("fd12::1", True),
        ("2a00:1450::1", True),
        ("169.254.169.254", False),
        ("fe80::1", False),
        ("168.63.129.16", False),
        ("::ffff:169.254.169.254", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("224.0.0.1", False),
        ("0.0.0.0", False),
        ("255.255.255.255", False),
    ],
)
def test_where_an_api_server_may_be(address: str, may: bool) -> None:
    assert may_be_api_server(ip_address(address)) is may


def test_a_name_is_judged_by_where_it_leads(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = Connection("https://east.example.com:6443")
    for address, may in (("10.0.0.7", True), ("169.254.169.254", False)):
        monkeypatch.setattr("socket.getaddrinfo", lambda *_, at=address, **__: [(2, 1, 6, "", (at, 6443))])
        if may:
            check_resolved(connection)
        else:
            with pytest.raises(BadValue, match="an API server can have"):
                check_resolved(connection)


def test_without_the_files_of_a_pod_there_is_no_cluster_around(tmp_path: Path) -> None:
    with pytest.raises(BadValue, match="does not run in a cluster"):
        in_cluster(tmp_path, "https://kubernetes.default.svc")
