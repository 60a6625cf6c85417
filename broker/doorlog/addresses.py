"""What counts as one source of connections, and which network an address lies in."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network


@lru_cache(maxsize=4096)
def source_key(ip: str) -> str:
    """Give what counts as one source: an IPv4 address, or the /64 of an IPv6 address.

    A host of an IPv6 network can take any address of its /64 (RFC 4291, 2.5.1; RFC 8981).
    """
    try:
        address = ip_address(ip.partition("%")[0])
    except ValueError:
        return ip
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ip_network((int(address) >> 64 << 64, 64)))


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address to bind; any name but ``localhost`` counts as open."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def plain_address(ip: str) -> IPv4Address | IPv6Address:
    """Return an address without its zone; an IPv4-mapped one counts as IPv4.

    Raises:
        ValueError: It is none.
    """
    address = ip_address(ip.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def is_within(ip: str, networks: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    """Whether an address lies in one of the networks; an IPv4-mapped one counts as IPv4."""
    if not networks:
        return False
    address = plain_address(ip)
    return any(address in network for network in networks)
