"""Where an attempt comes from: its address, and the network in which a device may get another one."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from socket import AF_INET, inet_pton
from typing import Final, NamedTuple

_PREFIX: Final = {4: 24, 6: 64}
"""IPv4 pools of one site or carrier are handed out in /24s or more; a /64 is one link (RFC 4291, 2.5.1), on which
hosts change their addresses every day (RFC 8981)."""


class Place(NamedTuple):
    """An address and its network; the network is empty where the address is a pseudonym, which has none."""

    address: str
    network: str


NOWHERE: Final = Place("", "")


@lru_cache(maxsize=8192)
def place_of(address: str | None) -> Place:
    """Return the place of an address.

    Args:
        address: IPv4 or IPv6 in any notation, with or without a zone; or a pseudonym (``log.privacy``); or None.

    Returns:
        The address as RFC 5952 writes it, an IPv4-mapped one as IPv4, and its /24 or /64.
    """
    if not address:
        return NOWHERE
    try:
        inet_pton(AF_INET, address)
    except (OSError, ValueError):  # no IPv4 address as it is usually written; a NUL in it
        return _other_place(address)
    return Place(address, f"{address[: address.rindex('.')]}.0/24")


def _other_place(address: str) -> Place:
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return Place(address, "")
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    return Place(str(parsed), str(ip_network((parsed, _PREFIX[parsed.version]), strict=False)))
