"""Small simulated fleets for tests."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from doorlog.simulation.calendar import Calendar
from doorlog.simulation.fleet import Fleet, make_fleet
from doorlog.simulation.plan import Plan
from doorlog.simulation.scenarios import scenario

if TYPE_CHECKING:
    from doorlog.simulation.steps import Step

SHORT = Plan(before=3, after=1)


def fleet_of(name: str, devices: int = 40, seed: int = 1, plan: Plan = SHORT) -> tuple[Fleet, list[Step]]:
    """Return the fleet of a scenario, and all that it does."""
    random = Random(seed)
    fleet = make_fleet(scenario(name), devices, plan.rotation, random)
    return fleet, list(Calendar(fleet, plan, random).steps())
