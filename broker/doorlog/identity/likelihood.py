"""How likely a known device is behind an attempt: one factor for each thing that tells devices apart.

The factors are the likelihood ratios of a naive Bayes model (as in record linkage: Fellegi and Sunter, 1969): where a
device is, how its ClientHello looks, whether it has accepted the certificate that was refused, whether it is connected.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from doorlog.identity.evidence import Evidence
    from doorlog.identity.statistics import Statistics
    from doorlog.identity.view import Known

LEAST_ABSENCE: Final = 43_200.0
"""Seconds that any device may be away without being missed."""
_MISSED: Final = 4.0
"""So many times its usual absence, too."""
_MOBILITY_WEIGHT: Final = 1.0
"""Moves that each device is given beforehand, as many as expected: what it did weighs more, the more there is of it."""
_EXCESS_WEIGHT: Final = 10.0
_FOLLOWS: Final = 0.5
"""How likely a device is where those have gone that had its address at the same time."""
_SURE: Final = 0.9999
_OLD_LOOK: Final = 0.3  # of those whose look has changed: back to the one before
_OTHER_LOOK: Final = 0.05  # to this very one, of all that there are
_STRANGER_LOOK: Final = 0.05  # scanners come with a few stacks
_STRANGERS_HERE: Final = 0.0005
"""Attempts by nobody's device for each one of a device, at an address where devices are known: with a ClientHello."""
_SILENT_STRANGERS_HERE: Final = 0.25  # without one: health checks, port scans, things that got the port wrong
_STRANGERS_ELSEWHERE: Final = 0.5


def weight(evidence: Evidence, known: Known, statistics: Statistics) -> float:
    """Return how likely a device is at this address with this look, 0 to 1, whether or not it is connected."""
    acceptance = evidence.acceptance if accepted(evidence, known) else 1.0
    stays = stay(evidence, known, statistics)
    return _placed(evidence, known, statistics, stays) * _looks(evidence, known, statistics) * acceptance


def stay(evidence: Evidence, known: Known, statistics: Statistics) -> float:
    """Return how likely a device is where it was last seen, 0 to 1.

    What devices of its network do after such an absence, times how much more or less than they it has moved so far
    (a gamma-Poisson frailty: Clayton, 1978); and at least as often away as it has moved where others would have stayed.
    """
    move = 1.0 - statistics.stay(known.network, max(0.0, evidence.moment - known.last_seen))
    mobility = (known.moves + _MOBILITY_WEIGHT) / (known.moves_expected + _MOBILITY_WEIGHT)
    excess = (known.moves - known.moves_expected) / (known.connects + _EXCESS_WEIGHT)
    return min(_SURE, max(0.0, 1.0 - max(move * mobility, excess)))


def mover(evidence: Evidence, statistics: Statistics) -> float:
    """Return the weight of a device of the network of which nothing else is known, if it has come to this address."""
    network = evidence.place.network
    return (1.0 - statistics.stay(network, LEAST_ABSENCE)) * statistics.moves_near / statistics.pool(network)


def takes_over(evidence: Evidence, holders: Sequence[Known], statistics: Statistics) -> float:
    """Return how likely an address can be another device's than those that hold it, 0 to 1.

    Where an address is one device's at a time, another one can only have it when that one has left.
    """
    if len(holders) != 1:
        return 1.0
    shared = statistics.shared(evidence.place.network)
    return shared + (1.0 - shared) * (1.0 - stay(evidence, holders[0], statistics))


def in_use(evidence: Evidence, known: Known) -> float:
    """Return how likely a device is still in use, compared with others: by how much longer it is away than usual.

    Since a certificate is served that it may refuse, it can not be here, whatever its habits: that time does not count.
    """
    until = min(evidence.moment, evidence.served_since or evidence.moment)
    missed = (until - known.last_seen) / max(LEAST_ABSENCE, _MISSED * (known.absence or 0.0))
    return 1.0 / (1.0 + missed**3) if missed > 0 else 1.0


def accepted(evidence: Evidence, known: Known) -> bool:
    """Whether a device was admitted with the very certificate that this attempt was shown."""
    return evidence.served is not None and known.served == evidence.served


def presence(statistics: Statistics, connected: int, *, is_connected: bool) -> float:
    """Return how much more likely a device is behind an attempt since it has, or has not, a session right now.

    Args:
        statistics: Of the fleet.
        connected: How many devices have one.
        is_connected: Whether this one has.
    """
    share = min(0.95, max(0.05, connected / max(1, statistics.devices)))
    overlap = statistics.overlap
    return overlap / share if is_connected else (1.0 - overlap) / (1.0 - share)


def stranger(evidence: Evidence, statistics: Statistics, *, at_address: int) -> float:
    """Return the weight of everybody else: devices that are not known yet, and what is no device.

    Args:
        evidence: Of the attempt.
        statistics: Of the fleet.
        at_address: How many devices are known at the address.
    """
    look, network = evidence.look, evidence.place.network
    popularity = statistics.popularity(look) if look is not None else 1.0
    scanner = _STRANGER_LOOK if look is not None else 1.0
    if at_address:
        rate = _STRANGERS_HERE if look is not None else _SILENT_STRANGERS_HERE
        return at_address * statistics.newcomers("new_at_address") * popularity + rate * scanner
    members = statistics.members.get(network, 0)
    if members:
        pool = statistics.pool(network)
        return (members * statistics.newcomers("new_in_network") * popularity + _STRANGERS_HERE * scanner) / pool
    new = statistics.newcomers("new_elsewhere") * max(1, statistics.devices) * popularity
    return (new + _STRANGERS_ELSEWHERE * scanner) / statistics.anywhere


def _placed(evidence: Evidence, known: Known, statistics: Statistics, stays: float) -> float:
    place = evidence.place
    if known.address == place.address:
        return stays
    if known.follows:
        return _FOLLOWS
    if known.count_here:
        return (1.0 - stays) * statistics.moves_back * known.count_here / max(1, known.connects)
    if known.network == place.network:
        return (1.0 - stays) * statistics.moves_near / statistics.pool(place.network)
    return (1.0 - stays) * statistics.moves_far / statistics.anywhere


def _looks(evidence: Evidence, known: Known, statistics: Statistics) -> float:
    if evidence.look is None:
        return 1.0
    same = statistics.same_look
    if evidence.look == known.look:
        return same
    if evidence.look == known.former_look:
        return (1.0 - same) * _OLD_LOOK
    return (1.0 - same) * _OTHER_LOOK
