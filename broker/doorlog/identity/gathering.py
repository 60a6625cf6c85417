"""Which devices come into question: the few that the directory is asked for before the resolver weighs them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from doorlog.identity.view import MOST_HERE, MOST_NEAR, Known

if TYPE_CHECKING:
    from doorlog.identity.evidence import Evidence
    from doorlog.identity.statistics import Statistics
    from doorlog.identity.view import View

SITE_SECONDS: Final = 7 * 86_400.0
"""So long after a site got another address, a device of it may come that was not there since."""
SETTLED_SECONDS: Final = 18_000.0
_HELD: Final = 0.5
"""The share of devices that still have their address after so long, where addresses are those of sites."""
RARE: Final = 8
"""A look that so few devices have may lead to one of them wherever it turns up."""


def at_address(evidence: Evidence, view: View, statistics: Statistics) -> tuple[list[Known], float]:
    """Return the devices that were seen at an attempt's address, and about how many others of its network it may be."""
    if not evidence.place.address:
        return [], 0.0
    devices = _with_fixed(view.at(evidence.place), evidence, view)
    devices += _followers(evidence, devices, view, statistics)
    if not statistics.moves_in(evidence.place.network):
        return devices, 0.0
    others = max(0, statistics.members.get(evidence.place.network, 0) - len(devices))
    return devices, others * (statistics.popularity(evidence.look) if evidence.look is not None else 1.0)


def around(evidence: Evidence, here: list[Known], view: View, statistics: Statistics) -> tuple[list[Known], float]:
    """Return the devices of ``at_address`` and those of the same look that are near, and how many there are beyond.

    Near are those of its network; and where nobody is, those of a rare look, wherever they are.
    """
    place, look = evidence.place, evidence.look
    if look is None:
        return here, 0.0
    seen = {known.id for known in here}
    found = view.near(place, look)
    near = [known for known in found if known.id not in seen]
    is_crowd = len(found) >= MOST_NEAR or len(here) >= MOST_HERE
    crowd = max(0, view.crowd(place, look) - len(near) - len(here)) if is_crowd else 0
    if here or near or not 0 < statistics.looks.get(look, 0) <= RARE:
        return [*here, *near], float(crowd)
    return view.alike(look, place, RARE), 0.0


def _followers(evidence: Evidence, here: list[Known], view: View, statistics: Statistics) -> list[Known]:
    """Return the devices of a site that has moved to this address and have not been here yet.

    Not where addresses change all the time: who had one in common there has nothing else in common.
    """
    since = evidence.moment - SITE_SECONDS
    came = any((known.first_here or 0.0) > since and known.connects > known.count_here for known in here)
    if not came or statistics.stay(evidence.place.network, SETTLED_SECONDS) < _HELD:
        return []
    seen = {known.id for known in here}
    return [known for known in view.followers(evidence.place, since) if known.id not in seen]


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
