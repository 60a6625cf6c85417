"""Who there is: devices with their models, the lines that they are on, and what each will go through."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING, Final, Literal

from doorlog.simulation.models import MODELS, Firmware, Model, Pin
from doorlog.simulation.network import Access, Network

if TYPE_CHECKING:
    from doorlog.simulation.scenarios import Quarter, Scenario

CertificateFate = Literal["good", "expires", "distrusted"]
"""What becomes of a client certificate with the rotation."""

_LINES_IN_POOL: Final = 60
_SPARE: Final = 1.2  # addresses of a pool for each line on it, those of others included
_SUBSCRIBERS_AN_ADDRESS: Final = 16  # of a carrier, counting our devices only
_LATE: Final = 0.06  # of the devices are commissioned while we watch
_FROM_SHELF: Final = 0.3  # of these come after the rotation, with what was right when they were made
_RETIRED: Final = 0.03
_REPLACED: Final = 0.02  # by another unit of the same model, in the same place
_UPDATED: Final = 0.12  # get new firmware, where there is any
_BAD_CERTIFICATE: Final = 0.2
_OUTAGES: Final = 1 / 10  # a day, of a line


@dataclass(frozen=True, slots=True)
class Line:
    """One subscriber of a network.

    Attributes:
        number: Its index.
        access: How it gets its address.
        moves: How often it gets another, for each day.
        outages: How often all behind it are cut off for a while, for each day.
        shared: Whether several devices are behind it, and perhaps people.
    """

    number: int
    access: Access
    moves: float
    outages: float
    shared: bool


@dataclass(frozen=True, slots=True)
class Device:
    """One device, and what is going to happen to it; times in seconds from the start.

    Attributes:
        id: Its MQTT client id: the truth.
        model: What it is.
        line: The number of its line.
        firmware: What it runs.
        pin: What it has pinned, if anything.
        begins: When it is commissioned; 0 or before for one that has always been there.
        ends: When it is retired; None for never.
        updated: When it gets the next firmware; None for never.
        next_pin: What it pins from then on.
        certificate: What becomes of its client certificate; None where it has none.
        crystal: How fast its clock runs.
    """

    id: str
    model: Model
    line: int
    firmware: Firmware
    pin: Pin | None
    begins: float = 0.0
    ends: float | None = None
    updated: float | None = None
    next_pin: Pin | None = None
    certificate: CertificateFate | None = None
    crystal: float = 1.0


@dataclass(frozen=True, slots=True)
class Fleet:
    """All devices on all lines; lines without a device are other people's."""

    devices: tuple[Device, ...]
    lines: tuple[Line, ...]
    network: Network


def make_fleet(scenario: Scenario, devices: int, rotation: float, random: Random) -> Fleet:
    """Make the fleet of a scenario.

    Args:
        scenario: Which.
        devices: About how many, at least one site for each quarter.
        rotation: When the chain is rotated, in seconds.
        random: Where chance comes from.
    """
    network = Network(random)
    made: list[Device] = []
    lines: list[Line] = []
    for quarter in scenario.quarters:
        sites = max(1, round(devices * quarter.share / quarter.site))
        own = _lines(quarter, sites, len(lines))
        _connect(network, own, quarter, random)
        lines += own
        for line in own[:sites]:
            made += _site(quarter, line, rotation, len(made), random)
    return Fleet(tuple(made), tuple(lines), network)


def _lines(quarter: Quarter, sites: int, first: int) -> list[Line]:
    """Return the sites' lines; on DHCP there are as many other subscribers, who take addresses that become free."""
    ours = [
        Line(first + number, quarter.access, quarter.moves, _OUTAGES, shared=quarter.site > 1)
        for number in range(sites)
    ]
    if quarter.access != "dhcp":
        return ours
    return ours + [
        Line(first + sites + n, quarter.access, max(quarter.moves, 0.1), 0, shared=False) for n in range(sites)
    ]


def _connect(network: Network, lines: list[Line], quarter: Quarter, random: Random) -> None:
    """Spread the lines over pools."""
    shuffled = random.sample([line.number for line in lines], len(lines))
    if quarter.access == "cgnat":
        network.connect(shuffled, quarter.access, max(4, len(lines) // _SUBSCRIBERS_AN_ADDRESS))
        return
    for place in range(0, len(shuffled), _LINES_IN_POOL):
        part = shuffled[place : place + _LINES_IN_POOL]
        count = len(part) if quarter.access == "static" else int(len(part) * _SPARE) + 2
        network.connect(part, quarter.access, count)


def _site(quarter: Quarter, line: Line, rotation: float, first: int, random: Random) -> Iterator[Device]:
    """Make the devices behind one line."""
    broken = random.randrange(quarter.site)
    for place, model in enumerate(_models(quarter, random)):
        device = _device(model, line, first + place, random)
        if quarter.mix == "alike":
            yield _look_alike(device, is_broken=quarter.broken == "all" or place == broken)
        else:
            yield from _with_fate(device, quarter, rotation, random)


def _models(quarter: Quarter, random: Random) -> list[Model]:
    if quarter.mix == "alike":
        return [_breakable(random)] * quarter.site
    if quarter.mix == "market":
        return [_sold(MODELS, random) for _ in range(quarter.site)]
    chosen: list[Model] = []
    while len(chosen) < quarter.site:
        chosen.append(_sold([model for model in MODELS if model not in chosen] or MODELS, random))
    return chosen


def _sold(models: Sequence[Model], random: Random) -> Model:
    return random.choices(models, [model.share for model in models])[0]


def _breakable(random: Random) -> Model:
    """Choose a model that pins something, and whose devices can not be told apart by the sessions that they resume."""
    models = [model for model in MODELS if model.releases[0].pin and not model.resumes]
    return _sold(models, random)


def _device(model: Model, line: Line, number: int, random: Random) -> Device:
    firmware = random.choice(model.releases)
    return Device(
        id=f"{model.name}-{number:04d}-{random.randrange(16**4):04x}",
        model=model,
        line=line.number,
        firmware=firmware,
        pin=_pin(firmware, random),
        crystal=random.gauss(1, 0.002),
    )


def _pin(firmware: Firmware, random: Random) -> Pin | None:
    return firmware.pin if random.random() < firmware.pinning else None


def _look_alike(device: Device, *, is_broken: bool) -> Device:
    oldest = device.model.releases[0]
    return replace(device, firmware=oldest, pin=oldest.pin if is_broken else None)


def _with_fate(device: Device, quarter: Quarter, rotation: float, random: Random) -> Iterator[Device]:
    """Yield the device with what happens to it, and the one that replaces it, if any does."""
    chance = random.random()
    when = random.uniform(0.1, 0.95) * rotation
    if quarter.certificates != "none":
        device = _certified(device, quarter, random)
    if chance < _LATE:
        is_from_shelf = random.random() < _FROM_SHELF
        yield replace(device, begins=rotation * random.uniform(1.0, 1.05) if is_from_shelf else when)
    elif chance < _LATE + _RETIRED:
        yield replace(device, ends=when)
    elif chance < _LATE + _RETIRED + _REPLACED:
        yield replace(device, ends=when)
        yield replace(device, id=f"{device.id}-b", begins=when + random.uniform(600, 7200))
    elif chance < _LATE + _RETIRED + _REPLACED + _UPDATED and device.firmware is not device.model.releases[-1]:
        next_pin = _pin(device.model.releases[-1], random) if quarter.certificates != "refused" else None
        yield replace(device, updated=when, next_pin=next_pin)
    else:
        yield device


def _certified(device: Device, quarter: Quarter, random: Random) -> Device:
    if quarter.certificates == "pinned":
        return replace(device, certificate="good")
    is_bad = random.random() < _BAD_CERTIFICATE
    fate: CertificateFate = random.choice(("expires", "distrusted")) if is_bad else "good"
    return replace(device, certificate=fate, pin=None)
