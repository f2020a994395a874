"""What an admin lets pods reach, as it is written and as it is read."""

import pytest

from app.domain.clusters import ClusterSettings, problems_of
from app.domain.pod_egress import Way, parse_egress, spared
from app.errors import BadValue


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        (" ,\n", ()),
        ("10.20.0.0/16", (Way("10.20.0.0/16"),)),
        ("10.20.0.0/16:443", (Way("10.20.0.0/16", "TCP", 443),)),
        ("10.20.0.9:5000-5010", (Way("10.20.0.9/32", "TCP", 5000, 5010),)),
        ("192.0.2.0/24:53/udp", (Way("192.0.2.0/24", "UDP", 53),)),
        ("[2001:db8::/32]:443", (Way("2001:db8::/32", "TCP", 443),)),
        ("[2001:db8::1]", (Way("2001:db8::1/128"),)),
        (
            "10.0.0.0/8:443, 10.0.0.0/8:443\n0.0.0.0/0:443",
            (Way("10.0.0.0/8", "TCP", 443), Way("0.0.0.0/0", "TCP", 443)),
        ),
    ],
)
def test_read(text: str, expected: tuple[Way, ...]) -> None:
    assert parse_egress(text) == expected
    assert not problems_of(ClusterSettings(egress=text))


@pytest.mark.parametrize(
    "text",
    [
        "example.com:443",
        "10.20.0.1/16:443",
        "10.20.0.0/33",
        "300.1.1.1/8",
        "2001:db8::/32",
        "10.0.0.0/8:0",
        "10.0.0.0/8:70000",
        "10.0.0.0/8:443-80",
        "10.0.0.0/8:443/icmp",
        "10.0.0.0/8:443/",
        "10.0.0.0/8:",
        "*",
        "169.254.169.254/32:80",
        "169.254.0.0/16",
        "[fd00:ec2::254]:80",
        " ".join(f"10.0.{number}.0/24" for number in range(51)),
        "x" * 5000,
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(BadValue):
        parse_egress(text)
    (problem,) = problems_of(ClusterSettings(egress=text))
    assert problem.pointer == "/settings/egress"


def test_machines_credentials_are_never_reached() -> None:
    assert "169.254.0.0/16" in spared("0.0.0.0/0")
    assert {"fe80::/10", "fd00:ec2::/32"} <= set(spared("::/0"))
    assert spared("10.0.0.0/8") == ()
