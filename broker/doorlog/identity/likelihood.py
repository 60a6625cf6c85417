"""How likely a known device is behind an attempt: one factor for each thing that tells devices apart.

The factors are the likelihood ratios of a naive Bayes model (as in record linkage: Fellegi and Sunter, 1969): where a
device is, how its ClientHello looks, whether it has accepted the certificate that was refused, whether it is connected.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from doorlog.identity.evidence import Evidence
    from doorlog.identity.statistics import Statistics
    from doorlog.identity.view import Known

SILENCE_SECONDS: Final = 10 * 86_400.0
"""A device that is silent for so long is half as likely to be still there."""
_OLD_LOOK: Final = 0.3  # of those whose look has changed: back to the one before
_OTHER_LOOK: Final = 0.05  # to this very one, of all that there are
_STRANGER_LOOK: Final = 0.05  # scanners come with a few stacks
_STRANGERS_HERE: Final = 0.0005
"""Attempts by nobody's device for each one of a device, at an address where devices are known: with a ClientHello."""
_SILENT_STRANGERS_HERE: Final = 0.25  # without one: health checks, port scans, things that got the port wrong
_STRANGERS_ELSEWHERE: Final = 0.5


def weight(evidence: Evidence, known: Known, statistics: Statistics) -> float:
    """Return how likely a device is at this address with this look, 0 to 1, whether or not it is connected."""
    gap = max(0.0, evidence.moment - known.last_seen)
    silence = math.exp2(-gap / SILENCE_SECONDS)
    acceptance = evidence.acceptance if accepted(evidence, known) else 1.0
    return _placed(evidence, known, statistics, gap) * _looks(evidence, known, statistics) * silence * acceptance


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


def _placed(evidence: Evidence, known: Known, statistics: Statistics, gap: float) -> float:
    place = evidence.place
    stay = statistics.stay(known.network, gap)
    if known.address == place.address:
        return stay
    if known.count_here:
        return (1.0 - stay) * statistics.moves_back * known.count_here / max(1, known.connects)
    if known.network == place.network:
        return (1.0 - stay) * statistics.moves_near / statistics.pool(place.network)
    return (1.0 - stay) * statistics.moves_far / statistics.anywhere


def _looks(evidence: Evidence, known: Known, statistics: Statistics) -> float:
    if evidence.look is None:
        return 1.0
    same = statistics.same_look
    if evidence.look == known.look:
        return same
    if evidence.look == known.former_look:
        return (1.0 - same) * _OLD_LOOK
    return (1.0 - same) * _OTHER_LOOK
