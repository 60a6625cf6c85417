"""Addresses as networks give them out: for good, on lease, or shared by many subscribers of a carrier.

A line is one subscriber: a device of its own, or a site whose devices share its address behind NAT (RFC 3022).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final, Literal

Access = Literal["static", "dhcp", "cgnat"]

_FIRST: Final = 16  # 127.16.0.0; strangers come from 127.200.0.0 on
_HOSTS: Final = 250  # of a /24
_CARRIERS_NETWORKS: Final = 4  # /24 over which a carrier's addresses are spread


@dataclass(slots=True)
class LeasePool:
    """A DHCP server's pool (RFC 2131, 4.3.1): an address has one holder at a time, and a new holder once it is free.

    Attributes:
        addresses: All of them.
        random: Where chance comes from.
    """

    addresses: Sequence[str]
    random: Random
    _free: list[str] = field(init=False)
    _held: dict[int, str] = field(init=False, default_factory=dict)
    _last: dict[int, str] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._free = list(self.addresses)

    def take(self, line: int) -> str:
        """Return the line's address; for one without, its last one if that is still free, else any free one."""
        if line in self._held:
            return self._held[line]
        last = self._last.get(line)
        chosen = last if last in self._free else self.random.choice(self._free)
        self._hold(line, chosen)
        return chosen

    def move(self, line: int) -> str:
        """Return another address than before: while the line was away its lease ran out, and somebody took it."""
        old = self._held.get(line)
        choices = [address for address in self._free if address != old]
        if not choices:
            return self.take(line)
        self.release(line)
        chosen = self.random.choice(choices)
        self._hold(line, chosen)
        return chosen

    def release(self, line: int) -> None:
        """Free the line's address."""
        if line in self._held:
            self._free.append(self._held.pop(line))

    def _hold(self, line: int, address: str) -> None:
        self._free.remove(address)
        self._held[line] = self._last[line] = address


@dataclass(slots=True)
class SharedPool:
    """A carrier's public addresses, each shared by many subscribers (RFC 6888).

    A subscriber keeps one as long as it has a session with the carrier (REQ-2, paired pooling); a new session gets
    any of them.

    Attributes:
        addresses: All of them.
        random: Where chance comes from.
    """

    addresses: Sequence[str]
    random: Random
    _mapped: dict[int, str] = field(init=False, default_factory=dict)

    def take(self, line: int) -> str:
        """Return the address of the line's session with the carrier, which begins if there is none."""
        if line not in self._mapped:
            self._mapped[line] = self.random.choice(self.addresses)
        return self._mapped[line]

    def move(self, line: int) -> str:
        """Return the address of a new session."""
        self.release(line)
        return self.take(line)

    def release(self, line: int) -> None:
        """End the line's session with the carrier."""
        self._mapped.pop(line, None)


class Network:
    """All lines and their addresses, on loopback (127.0.0.0/8).

    Args:
        random: Where chance comes from.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._pool_of: dict[int, LeasePool | SharedPool] = {}
        self._networks = 0

    def connect(self, lines: Iterable[int], access: Access, count: int) -> None:
        """Let lines get their addresses from a new pool of so many, which no other pool has."""
        kind = SharedPool if access == "cgnat" else LeasePool
        spread = _CARRIERS_NETWORKS if access == "cgnat" else -(-count // _HOSTS)
        addresses = [_address(self._networks + place % spread, 1 + place // spread) for place in range(count)]
        self._networks += spread
        pool = kind(addresses, self._random)
        self._pool_of.update(dict.fromkeys(lines, pool))

    def address(self, line: int) -> str:
        """Return a line's address of now."""
        return self._pool_of[line].take(line)

    def move(self, line: int) -> str:
        """Give a line another address, and return it."""
        return self._pool_of[line].move(line)

    def release(self, line: int) -> None:
        """Let a line's address be taken by others."""
        self._pool_of[line].release(line)


def _address(network: int, host: int) -> str:
    return f"127.{_FIRST + network // 256}.{network % 256}.{host}"
