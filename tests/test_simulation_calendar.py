"""Who does what when: in order, the same for a seed, and as networks and devices behave."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from doorlog.simulation.calendar import Calendar
from doorlog.simulation.fleet import make_fleet
from doorlog.simulation.models import DAY
from doorlog.simulation.plan import Plan
from doorlog.simulation.scenarios import SCENARIOS, scenario
from doorlog.simulation.steps import Attempt, End, Restart, Step, Visit
from support.simulations import SHORT, fleet_of

ANY = st.sampled_from(sorted(SCENARIOS))
SEEDS = st.integers(0, 1000)


def attempts(steps: list[Step]) -> list[Attempt]:
    return [step for step in steps if isinstance(step, Attempt)]


@given(ANY, SEEDS)
@hypothesis_settings(max_examples=15)
def test_a_seed_gives_the_same_steps_again_in_the_order_of_time(name: str, seed: int) -> None:
    steps = fleet_of(name, 20, seed)[1]

    assert steps == fleet_of(name, 20, seed)[1]
    assert all(one.time <= next_.time for one, next_ in pairwise(steps))
    assert steps[-1].time <= SHORT.end


@given(ANY, SEEDS)
@hypothesis_settings(max_examples=15)
def test_a_device_is_turned_away_only_by_what_the_rotation_changed(name: str, seed: int) -> None:
    fleet, steps = fleet_of(name, 20, seed)
    for step in attempts(steps):
        device = fleet.devices[step.device]
        if step.expected != "admitted":
            assert step.time >= SHORT.rotation
        if step.expected == "refuses":
            assert step.pin is not None
        if step.expected == "refused":
            assert device.certificate in {"expires", "distrusted"}
        assert step.expired <= (device.certificate == "expires")


@given(ANY, SEEDS)
@hypothesis_settings(max_examples=15)
def test_only_open_sessions_end(name: str, seed: int) -> None:
    open_: set[int] = set()
    for step in fleet_of(name, 20, seed)[1]:
        if isinstance(step, Attempt) and step.expected == "admitted":
            open_.add(step.device)
        elif isinstance(step, End):
            open_.remove(step.device)
        elif isinstance(step, Restart):
            open_.clear()


@given(SEEDS)
@hypothesis_settings(max_examples=5)
def test_no_two_lines_on_lease_have_one_address_at_a_time(seed: int) -> None:
    random = Random(seed)
    fleet = make_fleet(scenario("dhcp"), 60, SHORT.rotation, random)
    for step in Calendar(fleet, SHORT, random).steps():
        if isinstance(step, Attempt):
            now = [fleet.network.address(line.number) for line in fleet.lines]
            assert len(set(now)) == len(now)
            assert step.address == now[fleet.devices[step.device].line]


def test_a_tenth_of_the_leases_changes_each_day() -> None:
    fleet, steps = fleet_of("dhcp", 400, plan=Plan(before=10, after=1))
    moves, last = 0, dict[int, str]()
    for step in attempts(steps):
        moves += last.get(step.device, step.address) != step.address
        last[step.device] = step.address
    assert moves / len(fleet.devices) / 11 == pytest.approx(0.1, rel=0.25)


def test_a_static_address_stays() -> None:
    fleet, steps = fleet_of("static", 100)
    addresses: dict[int, set[str]] = {}
    for step in attempts(steps):
        addresses.setdefault(fleet.devices[step.device].line, set()).add(step.address)
    assert all(len(seen) == 1 for seen in addresses.values())
    assert len(set.union(*addresses.values())) == len(addresses)


def test_a_site_behind_nat_shares_its_address() -> None:
    fleet, steps = fleet_of("nat10mixed", 100)
    sites: dict[str, set[int]] = {}
    for step in attempts(steps):
        sites.setdefault(step.address, set()).add(step.device)
    assert max(map(len, sites.values())) >= 10
    for devices in sites.values():
        assert len({fleet.devices[device].line for device in devices}) <= 2  # a later holder of the address


def test_a_carriers_addresses_are_shared_and_change_often() -> None:
    fleet, steps = fleet_of("cgnat", 100)
    pairs = Counter((step.device, step.address) for step in attempts(steps))
    by_device = Counter(device for device, _ in pairs)
    by_address = Counter(address for _, address in pairs)

    assert by_device.total() / len(fleet.devices) > 3
    assert min(by_address.values()) > 10


def test_the_broker_restarts_rotates_and_rolls_back() -> None:
    restarts = [step for step in fleet_of("static")[1] if isinstance(step, Restart)]

    assert [step.chain for step in restarts] == [1, 2, 1]
    assert restarts[1].time == SHORT.rotation
    assert Plan(before=1, after=0.2).rollback is None


def test_broken_devices_try_again_and_again_and_later_less_often() -> None:
    fleet, steps = fleet_of("nat2", 40)
    failed = [step for step in attempts(steps) if step.expected == "refuses"]
    steady = [step for step in failed if fleet.devices[step.device].model.rhythm.period is None]
    assert steady
    times = [step.time for step in steady if step.device == steady[0].device]
    assert len(times) > 5
    assert times[-1] - times[-2] > times[1] - times[0]


def test_strangers_come_from_anywhere_and_from_devices_addresses() -> None:
    _, steps = fleet_of("cgnat", 50, plan=Plan(before=10, after=3))
    visits = [step for step in steps if isinstance(step, Visit)]
    known = {step.address for step in attempts(steps)}

    assert {step.errand for step in visits} == {"silent", "http", "scan", "technician"}
    assert any(step.address in known for step in visits)
    assert any(step.address not in known for step in visits)
    assert all(step.time >= 10 * DAY for step in visits if step.errand == "technician")


def test_simulated_time_begins_on_one_day_for_all() -> None:
    assert Plan().moment(90_000.5) == datetime(2026, 3, 3, 1, 0, 0, 500_000, tzinfo=UTC)
