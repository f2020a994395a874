"""Where Berth may send what a user asked it to send: the guard against requests into its own network.

Pure: an address that a name was resolved to is judged here, and the connection is made to that very address, so a
name that resolves differently a moment later gains nothing.
"""

import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from app.errors import N_

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_LONGEST = 2000
_WELL_KNOWN = {"http": 80, "https": 443}
# Public by their number and yet inside a cloud: the platform's own services.
_INSIDE = (ip_network("168.63.129.16/32"), ip_network("192.0.0.0/24"))
# What clouds answer machines' questions about themselves at, besides the link-local addresses.
_METADATA = (*_INSIDE, ip_network("fd00:ec2::/32"), ip_network("fd20:ce::/32"))
# Addresses of version 6 that lead to one of version 4 behind a translator, which might be any.
_TRANSLATED = tuple(
    ip_network(text)
    for text in ("::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16")
)


class BadTarget(ValueError):
    """The address cannot be used; the message is for translation."""


@dataclass(frozen=True)
class Target:
    """An address taken apart. `path` has the query; `host` is in lower case, without brackets."""

    scheme: str
    host: str
    port: int
    path: str


def parse_url(url: str) -> Target:
    """The parts of a webhook's address. Raises BadTarget for all but plain http and https."""
    if len(url) > _LONGEST or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise BadTarget(N_("must be an address of at most 2000 visible ASCII characters"))
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BadTarget(N_("is no address")) from None
    if parts.scheme not in _WELL_KNOWN:
        raise BadTarget(N_("must begin with https:// or http://"))
    host = (parts.hostname or "").rstrip(".")
    if not host or len(host) > 253 or "%" in host or port == 0:
        raise BadTarget(N_("is no address"))
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        raise BadTarget(N_("must hold no user name and no password"))
    if parts.fragment:
        raise BadTarget(N_("must hold no fragment"))
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, host, port or _WELL_KNOWN[parts.scheme], path)


def literal(host: str) -> Address | None:
    """The address that `host` is in any spelling that a resolver takes: dotted, decimal, octal, hexadecimal, short."""
    try:
        return ip_address(host)
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(host)) if host[:1].isdigit() else None
    except OSError:
        return None


def networks(texts: list[str]) -> tuple[Network, ...]:
    """The networks of a setting. Raises ValueError."""
    return tuple(ip_network(text) for text in texts)


def may_connect(address: Address, allowed: tuple[Network, ...] = ()) -> bool:
    """Whether Berth may connect there: public addresses, and those in the networks that an admin has allowed."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if any(address in network for network in allowed if network.version == address.version):
        return True
    if any(address in network for network in (*_INSIDE, *_TRANSLATED) if network.version == address.version):
        return False
    if address.is_multicast or address.is_reserved or address.is_unspecified or address.is_loopback:
        return False
    if address.is_link_local or address.is_private or getattr(address, "is_site_local", False):
        return False
    return address.is_global


def may_be_api_server(address: Address) -> bool:
    """Whether an API server may be there. Private addresses and this machine's are where they usually are; what none
    has are the addresses at which clouds give out the credentials of their machines."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if any(address in network for network in (*_METADATA, *_TRANSLATED[2:]) if network.version == address.version):
        return False
    if address.is_loopback:
        return True
    return not (address.is_link_local or address.is_multicast or address.is_reserved or address.is_unspecified)
