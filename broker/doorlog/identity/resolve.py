"""Which device was that? Evidence of an attempt and the devices that it could be, to a name, or to candidates.

Pure: the directory is asked before, by ``candidates``; nothing here reads, waits or remembers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol

from doorlog.identity.likelihood import in_use, mover, presence, stranger, takes_over, weight

if TYPE_CHECKING:
    from collections.abc import Sequence

    from doorlog.identity.calibration import Calibration
    from doorlog.identity.evidence import Evidence
    from doorlog.identity.statistics import Statistics
    from doorlog.identity.view import Known

LIKELY: Final = 0.98
"""The score from which on a device is named."""
WORTH_NAMING: Final = 0.0005
"""The score below which a candidate beyond the first five is left out."""
_ALWAYS: Final = 5
_WORTH_SAYING: Final = 0.1  # all candidates together, against a stranger
_LOOK_ALIKE: Final = 0.02  # of the first one's weight, whether connected or not


class Candidate(NamedTuple):
    """A device that it could be."""

    known: Known
    score: float
    """How likely it is this one, 0 to 1."""


class Resolution(NamedTuple):
    """What can be said of an attempt's device."""

    confidence: Literal["likely", "ambiguous", "unknown"]
    candidates: tuple[Candidate, ...]
    """Best first."""
    look_alikes: int
    """How many devices the evidence does not tell from the first one, itself not counted."""
    score: float
    """Of the first one, as computed: before exams correct it."""
    crowd: int = 0
    """How many more it could be, that are not among the candidates."""


class Connected(Protocol):
    """The ids of the devices that have a session."""

    def __len__(self) -> int:
        """Count them."""
        ...

    def __contains__(self, device: object, /) -> bool:
        """Whether a device has one."""
        ...


class Fleet(NamedTuple):
    """What the resolver goes by, beside the evidence and the devices in question."""

    statistics: Statistics
    calibration: Calibration
    connected: Connected


NOBODY: Final = Resolution("unknown", (), 0, 0.0)


def resolve(
    evidence: Evidence, devices: Sequence[Known], fleet: Fleet, *, crowd: float = 0, most: int = 128
) -> Resolution:
    """Rank the devices that an attempt could be of, and name one if only one fits.

    Args:
        evidence: Of the attempt.
        devices: All that it could be, each once.
        fleet: What the fleet does as a rule, and who is connected.
        crowd: How many more devices with this look there are in the network.
        most: How many candidates are given at most.

    Returns:
        ``likely`` with a first candidate of a score of at least 0.98 that nobody looks like; ``ambiguous`` with
        candidates; or ``unknown``.
    """
    if not devices:
        return NOBODY
    statistics = fleet.statistics
    holders = [known for known in devices if known.address == evidence.place.address]
    takes = takes_over(evidence, holders, statistics) if crowd or len(holders) < len(devices) else 1.0
    plain, weights = _weights(evidence, devices, fleet, takes)
    others = stranger(evidence, statistics, at_address=len(holders)) + crowd * mover(evidence, statistics) * takes
    total = sum(weights) + others
    order = sorted(range(len(devices)), key=weights.__getitem__, reverse=True)
    look_alikes = sum(value >= _LOOK_ALIKE * plain[order[0]] for value in plain) - 1
    score = weights[order[0]] / total
    if (total - others) / total < _WORTH_SAYING and not crowd:
        return Resolution("unknown", (), look_alikes, score)
    scores = _corrected([weights[index] / total for index in order], fleet.calibration)
    candidates = tuple(
        Candidate(devices[index], value)
        for place, (index, value) in enumerate(zip(order, scores, strict=True))
        if place < most and (place < _ALWAYS or value >= WORTH_NAMING)
    )
    if scores[0] >= LIKELY and not look_alikes:
        return Resolution("likely", candidates, 0, score)
    return Resolution("ambiguous", candidates, look_alikes, score, round(crowd) + len(devices) - len(candidates))


def _weights(
    evidence: Evidence, devices: Sequence[Known], fleet: Fleet, takes: float
) -> tuple[list[float], list[float]]:
    """Return the weight of each device, whether or not it is connected, and with that."""
    statistics, connected = fleet.statistics, fleet.connected
    absent = presence(statistics, len(connected), is_connected=False)
    present = presence(statistics, len(connected), is_connected=True)
    address = evidence.place.address
    uses = [in_use(evidence, known) for known in devices]
    most = max(uses)  # the one that is missed least: whether it is in use at all is for the exams to tell
    plain = [
        weight(evidence, known, statistics) * use / most * (1.0 if known.address == address or known.follows else takes)
        for known, use in zip(devices, uses, strict=True)
    ]
    factors = [present if known.id in connected else absent for known in devices]
    return plain, [value * factor for value, factor in zip(plain, factors, strict=True)]


def _corrected(scores: list[float], calibration: Calibration) -> list[float]:
    """Correct the first score by what exams have shown; the others share what that leaves or takes."""
    first, *others = scores
    true = calibration.corrected(first)
    share = (1.0 - true) / (1.0 - first) if first < 1.0 else 0.0
    if others and true < others[0] * share:  # the order stands
        return scores
    return [true, *(score * share for score in others)]
