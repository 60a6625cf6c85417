"""The scenarios: where the devices of a fleet live, how alike they are, and which of them a rotation breaks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from doorlog.errors import SettingsError

if TYPE_CHECKING:
    from doorlog.simulation.network import Access

Broken = Literal["by model", "all", "one"]
"""Who refuses the new chain at a site: those whose firmware pins the old one, everybody, or one device."""
Mix = Literal["market", "alike", "different"]
"""The models of a site's devices: as they are sold, so that common ones repeat; all of one; or no two of the same."""
Certificates = Literal["none", "refused", "pinned"]
"""Client certificates: none; some are refused by us after the rotation; or devices refuse us before showing theirs."""


@dataclass(frozen=True, slots=True)
class Quarter:
    """A part of a fleet that lives alike.

    Attributes:
        share: How much of the fleet it is.
        access: How its lines get their address.
        moves: How often a line gets another address, for each day.
        site: Devices behind each line.
        mix: Which models a site's devices are of; ``alike`` ones have the same firmware, too.
        broken: Who refuses the new chain.
        certificates: Whether devices have a client certificate.
    """

    share: float = 1.0
    access: Access = "static"
    moves: float = 0.0
    site: int = 1
    mix: Mix = "market"
    broken: Broken = "by model"
    certificates: Certificates = "none"


@dataclass(frozen=True, slots=True)
class Scenario:
    """A fleet to be made.

    Attributes:
        name: As it is asked for.
        says: What it is, in one line.
        quarters: What it consists of.
        devices: How many there are, if nobody says otherwise.
    """

    name: str
    says: str
    quarters: tuple[Quarter, ...]
    devices: int = 240


_BEARERS_A_DAY: Final = 3.0  # sessions with the mobile carrier
_NAT_MOVES: Final = 0.02  # a day: a site's own public address mostly stays


def _alike(size: int, broken: Broken = "all") -> tuple[Quarter, ...]:
    return (Quarter(access="dhcp", moves=_NAT_MOVES, site=size, mix="alike", broken=broken),)


SCENARIOS: Final = {
    scenario.name: scenario
    for scenario in (
        Scenario("static", "each device has an address of its own for good", (Quarter(),)),
        Scenario("dhcp", "10 % of the devices get another address each day", (Quarter(access="dhcp", moves=0.1),)),
        Scenario("nat2", "sites of 2 look-alikes behind one address, all broken", _alike(2), 120),
        Scenario("nat10", "sites of 10 look-alikes behind one address, all broken", _alike(10), 200),
        Scenario("nat100", "sites of 100 look-alikes behind one address, all broken", _alike(100), 200),
        Scenario("nat2one", "sites of 2 look-alikes, one of them broken", _alike(2, "one"), 200),
        Scenario("nat10one", "sites of 10 look-alikes, one of them broken", _alike(10, "one"), 300),
        Scenario(
            "nat10mixed",
            "sites of 10 devices behind one address, their models as they are sold",
            (Quarter(access="dhcp", moves=_NAT_MOVES, site=10),),
        ),
        Scenario(
            "nat10varied",
            "sites of 10 devices behind one address, no two of one model",
            (Quarter(access="dhcp", moves=_NAT_MOVES, site=10, mix="different"),),
        ),
        Scenario(
            "cgnat", "hundreds of devices share a carrier's addresses", (Quarter(access="cgnat", moves=_BEARERS_A_DAY),)
        ),
        Scenario(
            "mtls",
            "client certificates on mobile addresses: some have expired, or their authority is not trusted any more",
            (Quarter(access="cgnat", moves=_BEARERS_A_DAY, certificates="refused"),),
        ),
        Scenario(
            "mtlspinned",
            "client certificates on mobile addresses; broken devices refuse us before they show theirs",
            (Quarter(access="cgnat", moves=_BEARERS_A_DAY, certificates="pinned"),),
        ),
        Scenario(
            "mixed",
            "a bit of everything",
            (
                Quarter(0.25),
                Quarter(0.25, access="dhcp", moves=0.1),
                Quarter(0.2, access="dhcp", moves=_NAT_MOVES, site=10),
                Quarter(0.1, access="dhcp", moves=_NAT_MOVES, site=4, mix="alike"),
                Quarter(0.15, access="cgnat", moves=_BEARERS_A_DAY),
                Quarter(0.05, access="cgnat", moves=_BEARERS_A_DAY, certificates="refused"),
            ),
        ),
    )
}
"""All of them, by name."""


def scenario(name: str) -> Scenario:
    """Return a scenario.

    Raises:
        SettingsError: There is none of that name.
    """
    if name not in SCENARIOS:
        raise SettingsError(f"there is no scenario {name!r}: choose one of {', '.join(SCENARIOS)}")
    return SCENARIOS[name]
