"""Where webhooks may go: addresses in every spelling, and names that change their mind."""

from ipaddress import ip_address

import pytest

from app.domain import egress
from app.domain.egress import BadTarget
from app.integrations import webhook

# Each of these is somewhere inside, or nowhere.
INSIDE = [
    "0.0.0.0",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "169.254.170.2",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::a00:1",
    "100::1",
    "2001:0:53aa:64c::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]
OUTSIDE = ["1.1.1.1", "8.8.8.8", "93.184.215.14", "::ffff:8.8.8.8", "2606:4700:4700::1111", "2a00:1450:4001:81b::200e"]
# Spellings that resolvers take for an address.
SPELLINGS = [
    ("2130706433", "127.0.0.1"),
    ("0x7f000001", "127.0.0.1"),
    ("017700000001", "127.0.0.1"),
    ("127.1", "127.0.0.1"),
    ("0177.0.0.1", "127.0.0.1"),
    ("0x7f.0.0.1", "127.0.0.1"),
    ("2852039166", "169.254.169.254"),
    ("0xa9.254.0xa9fe", "169.254.169.254"),
    ("10.1", "10.0.0.1"),
    ("0", "0.0.0.0"),
    ("::ffff:7f00:1", "::ffff:127.0.0.1"),
    ("0:0:0:0:0:ffff:a00:1", "::ffff:10.0.0.1"),
]


@pytest.mark.parametrize("text", INSIDE)
def test_nothing_is_sent_inside(text: str) -> None:
    assert not egress.may_connect(ip_address(text))


@pytest.mark.parametrize("text", OUTSIDE)
def test_public_addresses_are_reached(text: str) -> None:
    assert egress.may_connect(ip_address(text))


@pytest.mark.parametrize(("text", "address"), SPELLINGS)
def test_every_spelling_of_an_address_is_that_address(text: str, address: str) -> None:
    found = egress.literal(text)
    assert found == ip_address(address)
    assert not egress.may_connect(found)
    host = f"[{text}]" if ":" in text else text
    assert webhook.post(f"http://{host}/", b"", {}).error == "refused_address"


def test_only_the_networks_that_an_admin_named_are_allowed() -> None:
    allowed = egress.networks(["10.1.0.0/16", "fd12::/32"])
    assert egress.may_connect(ip_address("10.1.2.3"), allowed)
    assert egress.may_connect(ip_address("::ffff:10.1.2.3"), allowed)
    assert egress.may_connect(ip_address("fd12::1"), allowed)
    for text in ("10.2.0.1", "127.0.0.1", "169.254.169.254", "fd13::1"):
        assert not egress.may_connect(ip_address(text), allowed)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.org",
        "ftp://example.org/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_x",
        "javascript:alert(1)",
        "http://",
        "http:///path",
        "http://user:password@example.org/",
        "http://user@example.org/",
        "http://@example.org/",
        "https://example.org/#fragment",
        "http://example.org:0/",
        "http://example.org:99999/",
        "http://example.org:x/",
        "http://exa mple.org/",
        "http://example.org/a b",
        "http://example.org/\r\nHost: other",
        "http://example.org\\@127.0.0.1/",
        "http://①②⑦.⓪.⓪.①/",
        "http://[::1/",
        "http://[fe80::1%25eth0]/",
        "http://example.org/" + "a" * 2000,
    ],
)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(BadTarget):
        egress.parse_url(url)
    assert webhook.post(url, b"", {}).error == "refused_address"


def test_an_address_is_taken_apart() -> None:
    assert egress.parse_url("HTTPS://Example.ORG.:8443/a?b=c") == egress.Target("https", "example.org", 8443, "/a?b=c")
    assert egress.parse_url("http://[::1]").port == 80


@pytest.mark.parametrize(
    "answers",
    [
        ["127.0.0.1"],
        ["1.1.1.1", "127.0.0.1"],
        ["::ffff:10.0.0.1"],
        ["2606:4700:4700::1111", "::1"],
        ["fe80::1%eth0"],
        [],
    ],
)
def test_a_name_that_leads_inside_is_refused_whatever_else_it_leads_to(answers: list[str]) -> None:
    done = webhook.post("http://rebind.example/", b"", {}, resolver=lambda host, port: answers)
    assert done.error == "refused_address"


def test_a_name_is_resolved_once_and_the_connection_goes_to_what_was_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is public first and inside afterwards: nothing asks it a second time."""
    asked: list[str] = []
    connected: list[str] = []

    def resolver(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["1.1.1.1"] if len(asked) == 1 else ["127.0.0.1"]

    def connect(address: tuple[str, int], *_: object) -> None:
        connected.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr("app.integrations.webhook.socket.create_connection", connect)
    assert webhook.post("http://rebind.example/", b"", {}, resolver=resolver).error == "unreachable"
    assert (asked, connected) == (["rebind.example"], ["1.1.1.1"])
