"""What a fleet does as a rule: how long addresses are kept, how often newcomers come, which stacks are common.

All of it is counted from admitted connections. Rates that nothing is known of yet begin with what networks usually do,
and weigh like a few dozen observations.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

GAPS: Final = (600.0, 3_600.0, 21_600.0, 86_400.0, 604_800.0)
"""Seconds between two sightings of a device: what is known of each span is kept apart, since leases run out."""
_USUAL_STAY: Final = (0.99, 0.985, 0.97, 0.93, 0.8, 0.5)
_FLEET_WEIGHT: Final = 40.0
_NETWORK_WEIGHT: Final = 12.0
_NETWORK_MEMORY: Final = 400.0
"""Observations of one span in one network; then both sums are halved, so that what changes is noticed."""
_FLEET_MEMORY: Final = 20_000.0
MOST_NETWORKS: Final = 100_000
_LEAST_ADDRESSES: Final = 1_000.0
_LEAST_POOL: Final = 8.0


class Statistics:
    """Counters of a fleet. Written by one thread; others may read at any time.

    Attributes:
        looks: How many devices have each look.
        devices: How many devices there are.
        addresses: How many addresses there are.
        members: How many devices were last seen in each network.
        pools: How many addresses of each network are known.
        holders: How many devices were last seen at each address.
        used: How many addresses of each network are those at which a device was last seen.
        served: When each certificate of ours was first shown, in seconds since 1970.
        stays: For each network, and ``""`` for the fleet: returns by span, then those to the same address by span.
        sums: Of the fleet: ``returns``, ``same_look``, ``moves``, ``moves_back``, ``moves_near``, ``admissions``,
            ``overlaps``, ``new_at_address``, ``new_in_network``, ``new_elsewhere``.
    """

    def __init__(self) -> None:
        self.looks: dict[str, int] = {}
        self.devices = 0
        self.addresses = 0
        self.members: dict[str, int] = {}
        self.pools: dict[str, int] = {}
        self.holders: dict[str, int] = {}
        self.used: dict[str, int] = {}
        self.served: dict[str, float] = {}
        self.stays: dict[str, list[float]] = {}
        self.sums: dict[str, float] = {}
        self.dirty: set[str] = set()
        """Keys of ``stays`` and ``sums`` that have changed since they were stored."""

    # Counting

    def count(self, name: str, amount: float = 1.0) -> None:
        """Add to one of the sums."""
        self.sums[name] = self.sums.get(name, 0.0) + amount
        self.dirty.add(f"sum {name}")

    def count_return(self, network: str, gap: float, *, stayed: bool) -> None:
        """Count that a device came back, and whether it came from the same address."""
        span = bisect_right(GAPS, gap)
        for key, most in ((network, _NETWORK_MEMORY), ("", _FLEET_MEMORY)):
            if key not in self.stays and len(self.stays) >= MOST_NETWORKS:
                continue
            sums = self.stays.setdefault(key, [0.0] * (2 * len(_USUAL_STAY)))
            if sums[span] >= most:
                sums[span] /= 2
                sums[span + len(_USUAL_STAY)] /= 2
            sums[span] += 1
            sums[span + len(_USUAL_STAY)] += stayed
            self.dirty.add(f"stays {key}")

    def forget_some(self) -> None:
        """Halve the sums of the fleet once there are many, so that what changes is noticed."""
        if self.sums.get("admissions", 0.0) >= _FLEET_MEMORY:
            for name in self.sums:
                self.count(name, -self.sums[name] / 2)

    # Rates, each 0 to 1

    def stay(self, network: str, gap: float) -> float:
        """Return how likely a device of a network still has its address.

        Args:
            network: Where the device was last seen.
            gap: Seconds since then.
        """
        span = bisect_right(GAPS, gap)
        fleet = self.stays.get("")
        usual = _usual(fleet, span, _USUAL_STAY[span], _FLEET_WEIGHT)
        return _usual(self.stays.get(network), span, usual, _NETWORK_WEIGHT)

    def rate(self, name: str, of: str, usual: float, weight: float) -> float:
        """Return the share that one sum is of another, beginning with what is usual."""
        return (self.sums.get(name, 0.0) + usual * weight) / (self.sums.get(of, 0.0) + weight)

    def shared(self, network: str) -> float:
        """Return how likely an address of a network is one that several devices have at the same time."""
        members = self.members.get(network, 0)
        return (max(0, members - self.used.get(network, 0)) + 0.05) / (members + 1.0)

    @property
    def same_look(self) -> float:
        """How likely a device that comes back has the same look as before."""
        return self.rate("same_look", "returns", 0.995, 200.0)

    @property
    def moves_back(self) -> float:
        """How likely a device that has moved is at an address that it had before."""
        return self.rate("moves_back", "moves", 0.3, 10.0)

    @property
    def moves_near(self) -> float:
        """How likely it is at a new address of the same network."""
        return self.rate("moves_near", "moves", 0.4, 10.0)

    @property
    def moves_far(self) -> float:
        """How likely it is in another network, where it never was."""
        return max(0.02, 1.0 - self.moves_back - self.moves_near)

    @property
    def overlap(self) -> float:
        """How likely a device that connects still has a session that it left without a word."""
        return self.rate("overlaps", "returns", 0.03, 50.0)

    def newcomers(self, where: str) -> float:
        """Return how likely an admitted connection is a device's first one.

        Args:
            where: ``new_at_address`` known of another device, ``new_in_network`` or ``new_elsewhere``.
        """
        return self.rate(where, "admissions", 0.001, 1_000.0)

    def popularity(self, look: str) -> float:
        """Return the share of the devices that have this look."""
        return (self.looks.get(look, 0) + 0.5) / (self.devices + 5.0)

    def pool(self, network: str) -> float:
        """Return from how many addresses a device of a network takes a new one, as far as can be seen."""
        return max(_LEAST_POOL, float(self.pools.get(network, 0)))

    @property
    def anywhere(self) -> float:
        """Return from how many addresses a device takes one in a network where it never was."""
        return max(_LEAST_ADDRESSES, float(self.addresses))

    def moves_in(self, network: str) -> bool:
        """Whether devices of a network were ever seen to change their address."""
        sums = self.stays.get(network)
        return sums is not None and sum(sums[: len(_USUAL_STAY)]) > sum(sums[len(_USUAL_STAY) :])


def _usual(sums: list[float] | None, span: int, usual: float, weight: float) -> float:
    if sums is None:
        return usual
    return (sums[span + len(_USUAL_STAY)] + usual * weight) / (sums[span] + weight)
