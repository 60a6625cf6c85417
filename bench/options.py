"""How much to do: enough to trust the ratios, less in a hurry, next to nothing to see that it still runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """Sizes of all scenarios; every load ends by itself."""

    rounds: int = 9
    bursts: int = 20
    """Of ten operations for each server in each round."""
    connections: int = 500
    """Held open to measure memory."""
    storm_seconds: float = 60.0
    calm_seconds: float = 10.0
    """For the servers that are shown for comparison."""
    handshakes_per_second: int = 200
    hostile_attempts: int = 20_000
    logins_per_second: int = 20
    login_storm_seconds: float = 15.0
    is_thorough: bool = True
    """Whether each kind of connection is measured with fresh processes, and each server under each storm."""


FULL = Options()
QUICK = Options(
    rounds=5, bursts=8, connections=200, storm_seconds=8, calm_seconds=4, hostile_attempts=3_000, login_storm_seconds=5
)
SMOKE = Options(
    rounds=1,
    bursts=1,
    connections=3,
    storm_seconds=0.5,
    calm_seconds=0.2,
    handshakes_per_second=40,
    hostile_attempts=120,
    logins_per_second=4,
    login_storm_seconds=0.5,
    is_thorough=False,
)
