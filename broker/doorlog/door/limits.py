"""How many strangers may stand at the door at once: for each listener, and for each source address."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network


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


def is_within(ip: str, networks: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    """Whether an address lies in one of the networks; an IPv4-mapped one counts as IPv4."""
    if not networks:
        return False
    address = ip_address(ip.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return any((mapped or address) in network for network in networks)


class AttemptLimits:
    """Counts the attempts without a verdict of one listener.

    Args:
        per_listener: How many there may be.
        per_source: How many there may be from one source.
    """

    __slots__ = ("_by_source", "_per_listener", "_per_source", "total")

    def __init__(self, per_listener: int, per_source: int) -> None:
        self._per_listener = per_listener
        self._per_source = per_source
        self._by_source: Counter[str] = Counter()
        self.total = 0

    def enter(self) -> bool:
        """Count one more attempt of the listener; False if there are too many (it is counted all the same)."""
        self.total += 1
        return self.total <= self._per_listener

    def leave(self) -> None:
        """Undo one ``enter``."""
        self.total -= 1

    def enter_source(self, key: str) -> bool:
        """Count one more attempt of a source; False if there are too many (it is counted all the same)."""
        self._by_source[key] += 1
        return self._by_source[key] <= self._per_source

    def leave_source(self, key: str) -> None:
        """Undo one ``enter_source``."""
        self._by_source[key] -= 1
        if self._by_source[key] <= 0:
            del self._by_source[key]
