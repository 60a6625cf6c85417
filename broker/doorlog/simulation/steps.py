"""What happens at the door, as plain values: the calendar makes them, the stage plays them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from doorlog.simulation.models import Pin

Expected = Literal["admitted", "refuses", "refused"]
"""What comes of an attempt: a session, the device turns our chain down, or we turn the device down."""
Ending = Literal["disconnect", "close", "reset", "keep_alive"]
"""How a session ends: with DISCONNECT, FIN, RST, or in silence until the keep-alive is over (MQTT 3.1.1, 3.1.2-24)."""
Errand = Literal["silent", "http", "scan", "technician"]
"""What a stranger wants: nothing, a web page, to know our TLS, or to see why a device can not connect."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A device connects.

    Attributes:
        time: Seconds from the start, as in all steps.
        device: Its index in the fleet.
        address: Where it comes from.
        profile: Its TLS client.
        pin: What it has pinned.
        expected: What will come of it.
        expired: Whether its client certificate is by now too old.
    """

    time: float
    device: int
    address: str
    profile: str
    pin: Pin | None
    expected: Expected
    expired: bool = False


@dataclass(frozen=True, slots=True)
class End:
    """A device's session ends."""

    time: float
    device: int
    how: Ending


@dataclass(frozen=True, slots=True)
class Restart:
    """The broker starts again, and serves this chain, 1 or 2."""

    time: float
    chain: int


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody knocks who is no device of ours."""

    time: float
    address: str
    errand: Errand
    profile: str = "scanner"


Step = Attempt | End | Restart | Visit
