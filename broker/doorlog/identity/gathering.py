"""Which devices come into question: the few that the directory is asked for before the resolver weighs them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from doorlog.identity.view import LIMIT, Known

if TYPE_CHECKING:
    from doorlog.identity.evidence import Evidence
    from doorlog.identity.statistics import Statistics
    from doorlog.identity.view import View

RARE: Final = 8
"""A look that so few devices have may lead to one of them wherever it turns up."""


def gather(evidence: Evidence, view: View, statistics: Statistics) -> tuple[list[Known], int]:
    """Return the devices that an attempt could be of, and how many more like the last of them there are.

    Those that were seen at its address; those of the same look in its network, where devices are known to change their
    addresses; and where nobody is known, those of a rare look, wherever they are.
    """
    place, look = evidence.place, evidence.look
    if not place.address:
        return [], 0
    here = view.at(place)
    crowd = 0
    if here and not statistics.moves_in(place.network):
        return _with_fixed(here, evidence, view), 0
    seen = {known.id for known in here}
    near = [known for known in view.near(place, look) if known.id not in seen]
    if len(near) >= LIMIT - len(seen) and look is not None:
        crowd = max(0, view.crowd(place, look) - len(near) - len(seen))
    devices = [*here, *near]
    if not devices and look is not None and 0 < statistics.looks.get(look, 0) <= RARE:
        devices = view.alike(look, place, RARE)
    return _with_fixed(devices, evidence, view), crowd


def _with_fixed(devices: list[Known], evidence: Evidence, view: View) -> list[Known]:
    """Add the devices that an operator has given this address, as if they had been seen there."""
    fixed = view.fixed(evidence.place)
    if not fixed:
        return devices
    by_id = {known.id: known for known in devices}
    for name in fixed:
        known = by_id.get(name) or view.device(name, evidence.place)
        by_id[name] = _at_home(known, evidence) if known else _never_seen(name, evidence)
    return list(by_id.values())


def _at_home(known: Known, evidence: Evidence) -> Known:
    return known._replace(address=evidence.place.address, network=evidence.place.network)


def _never_seen(name: str, evidence: Evidence) -> Known:
    """Return a device that was imported and never admitted: whatever its look is, it may be this one."""
    place = evidence.place
    return Known(name, evidence.moment, 0, place.address, place.network, evidence.look, None, None)
