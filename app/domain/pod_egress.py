"""What an admin lets pods reach besides the name service and Berth: networks and ports, as one line of text. Pure.

`192.0.2.0/24:443, 192.0.2.9:5000-5010, [2001:db8::/32]:443`, or a network alone for all its ports.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

from app.errors import N_, BadValue

MOST = 50
_WAY = re.compile(
    r"(?:\[(?P<six>[0-9A-Fa-f:.]+(?:/\d{1,3})?)\]|(?P<four>[0-9.]+(?:/\d{1,2})?))"
    r"(?::(?P<first>\d{1,5})(?:-(?P<last>\d{1,5}))?(?:/(?P<protocol>tcp|udp|TCP|UDP))?)?"
)
# Where clouds answer machines' questions about themselves, credentials among the answers.
_METADATA = tuple(
    ip_network(text)
    for text in ("169.254.0.0/16", "168.63.129.16/32", "192.0.0.192/32", "fe80::/10", "fd00:ec2::/32", "fd20:ce::/32")
)


@dataclass(frozen=True)
class Way:
    """One network and what is open of it: all of it where `port` is None, else the port, or those up to `last_port`."""

    cidr: str
    protocol: str = "TCP"
    port: int | None = None
    last_port: int | None = None


def parse_egress(text: str) -> tuple[Way, ...]:
    """The ways of a setting, in their order. Raises BadValue, which names the part that is wrong."""
    parts = [part for part in re.split(r"[\s,]+", text) if part]
    if len(parts) > MOST:
        raise BadValue(N_("must name at most {most} networks"), most=MOST)
    return tuple(dict.fromkeys(_way(part) for part in parts))


def spared(cidr: str) -> tuple[str, ...]:
    """What is never reached of a network: the parts of it where clouds give out credentials of machines."""
    return tuple(str(inner) for inner in _inside(ip_network(cidr)))


def _way(part: str) -> Way:
    found = _WAY.fullmatch(part)
    if found is None:
        raise BadValue(N_("{part} is no network such as 192.0.2.0/24:443"), part=part[:80])
    try:
        network = ip_network(found["six"] or found["four"])
    except ValueError:
        raise BadValue(N_("{part} is no network; the bits behind its mask must be 0"), part=part[:80]) from None
    if any(_is_within(network, one) for one in _METADATA):
        raise BadValue(N_("{part} is where clouds give out the credentials of their machines"), part=part[:80])
    if found["first"] is None:
        return Way(str(network))
    first, last = int(found["first"]), int(found["last"] or found["first"])
    if not 1 <= first <= last <= 65535:
        raise BadValue(N_("{part}: ports are from 1 to 65535, the smaller first"), part=part[:80])
    protocol = (found["protocol"] or "TCP").upper()
    return Way(str(network), protocol, first, last if last > first else None)


def _inside(network: IPv4Network | IPv6Network) -> Iterator[IPv4Network | IPv6Network]:
    for one in _METADATA:
        if one != network and _is_within(one, network):
            yield one


def _is_within(inner: IPv4Network | IPv6Network, outer: IPv4Network | IPv6Network) -> bool:
    return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]
