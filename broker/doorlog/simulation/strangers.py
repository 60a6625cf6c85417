"""Who else knocks: scanners from the internet, health checks, and people at the addresses of devices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

from doorlog.simulation.models import DAY
from doorlog.simulation.steps import Errand, Visit

_RATES: Final[tuple[tuple[Errand, float], ...]] = (("scan", 8.0), ("silent", 6.0), ("http", 2.0))
"""Of the internet's background noise, for each day; a public port sees more, in the same proportions."""
_FROM_HEALTH_CHECK: Final = 12.0
_FROM_DEVICES_ADDRESS: Final = 1.0  # a neighbour behind the same NAT, a former or later holder of the address
_TECHNICIANS: Final = 3.0  # a day, once devices are broken
_LAPTOPS: Final = (("laptop", 7), ("openssl-3", 2), ("node-18", 1))
"""What technicians try with; the latter two are what some devices are built on."""
_HEALTH_CHECK: Final = "127.240.0.1"


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """Where strangers may come from.

    Attributes:
        known: Draws an address that a device has now.
        shared: Draws one that people share with devices; None where nobody does.
    """

    known: Callable[[], str]
    shared: Callable[[], str | None]


def visits(start: float, end: float, rotation: float, places: Neighbourhood, random: Random) -> Iterator[Visit]:
    """Yield all visits in the order of time.

    Args:
        start: Seconds.
        end: Seconds.
        rotation: From when on technicians look into what is broken.
        places: Asked at the time of each visit, so take one visit at a time.
        random: Where chance comes from.
    """
    rates = [*_RATES, ("health", _FROM_HEALTH_CHECK), ("known", _FROM_DEVICES_ADDRESS), ("technician", _TECHNICIANS)]
    kinds, weights = [kind for kind, _ in rates], [rate for _, rate in rates]
    time = start
    while (time := time + random.expovariate(sum(weights) / DAY)) < end:
        kind = random.choices(kinds, weights)[0]
        if kind == "technician":
            address = places.shared() if time > rotation else None
            if address is not None:
                laptop = random.choices([name for name, _ in _LAPTOPS], [weight for _, weight in _LAPTOPS])[0]
                yield Visit(time, address, "technician", laptop)
        elif kind == "known":
            yield Visit(time, places.known(), random.choice(("scan", "silent")))
        elif kind == "health":
            yield Visit(time, _HEALTH_CHECK, "silent")
        else:
            yield Visit(time, _from_anywhere(random), _errand(kind))


def _errand(kind: str) -> Errand:
    return next(errand for errand, _ in _RATES if errand == kind)


def _from_anywhere(random: Random) -> str:
    return f"127.{random.randrange(200, 240)}.{random.randrange(256)}.{random.randrange(1, 255)}"
