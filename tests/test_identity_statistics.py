"""What a fleet does as a rule: begins with what networks usually do, and follows what is seen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorlog.identity import statistics as module
from doorlog.identity.statistics import Statistics
from support.fleet import DAY, HOUR

HOME, CARRIER = "192.0.2.0/24", "198.51.100.0/24"


def test_who_nothing_is_known_of_stays_for_minutes_rather_than_for_weeks() -> None:
    stays = [Statistics().stay(HOME, gap) for gap in (60, HOUR, 5 * HOUR, 20 * HOUR, 3 * DAY, 30 * DAY)]
    assert stays == sorted(stays, reverse=True)
    assert stays[0] > 0.98
    assert stays[-1] <= 0.5


def test_networks_are_learned_apart() -> None:
    statistics = Statistics()
    for _ in range(300):
        statistics.count_return(HOME, HOUR, stayed=True)
        statistics.count_return(CARRIER, HOUR, stayed=False)
    assert statistics.stay(HOME, HOUR) > 0.97
    assert statistics.stay(CARRIER, HOUR) < 0.05
    assert 0.3 < statistics.stay("203.0.113.0/24", HOUR) < 0.7, "of a new network, what the fleet does is known"
    assert statistics.moves_in(CARRIER)
    assert not statistics.moves_in(HOME)
    assert not statistics.moves_in("203.0.113.0/24")


def test_spans_are_learned_apart() -> None:
    """A lease that lasts a day says nothing of minutes."""
    statistics = Statistics()
    for _ in range(200):
        statistics.count_return(HOME, 2 * DAY, stayed=False)
    assert statistics.stay(HOME, 2 * DAY) < 0.1
    assert statistics.stay(HOME, 60) > 0.9


def test_a_network_that_changes_is_noticed() -> None:
    statistics = Statistics()
    for _ in range(2_000):
        statistics.count_return(HOME, HOUR, stayed=True)
    for _ in range(600):
        statistics.count_return(HOME, HOUR, stayed=False)
    assert statistics.stay(HOME, HOUR) < 0.3


def test_networks_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_NETWORKS", 3)
    statistics = Statistics()
    for number in range(10):
        statistics.count_return(f"10.0.{number}.0/24", HOUR, stayed=True)
    assert len(statistics.stays) == 3


def test_the_fleets_sums_are_halved_when_there_are_many() -> None:
    statistics = Statistics()
    statistics.count("admissions", 30_000)
    statistics.count("moves", 100)
    statistics.forget_some()
    assert statistics.sums == {"admissions": 15_000, "moves": 50}
    statistics.forget_some()
    assert statistics.sums["admissions"] == 15_000


def test_a_look_that_many_have_is_popular() -> None:
    statistics = Statistics()
    statistics.devices, statistics.looks = 100, {"esp": 90}
    assert statistics.popularity("esp") > 0.8
    assert statistics.popularity("never seen") < 0.01


def test_addresses_are_shared_where_there_are_more_devices_than_addresses() -> None:
    statistics = Statistics()
    assert statistics.shared(HOME) < 0.1
    statistics.members, statistics.used = {HOME: 50, CARRIER: 1_000}, {HOME: 50, CARRIER: 10}
    assert statistics.shared(HOME) < 0.01
    assert statistics.shared(CARRIER) > 0.98


NAMES = ("returns", "same_look", "moves", "moves_back", "moves_near", "admissions", "overlaps", "new_at_address")


@given(st.dictionaries(st.sampled_from(NAMES), st.integers(0, 1_000)))
def test_all_rates_are_rates(counts: dict[str, int]) -> None:
    statistics = Statistics()
    for name in ("same_look", "overlaps"):
        counts[name] = min(counts.get(name, 0), counts.get("returns", 0))
    counts["moves_back"] = min(counts.get("moves_back", 0), counts.get("moves", 0))
    counts["moves_near"] = min(counts.get("moves_near", 0), counts.get("moves", 0) - counts["moves_back"])
    counts["new_at_address"] = min(counts.get("new_at_address", 0), counts.get("admissions", 0))
    for name, count in counts.items():
        statistics.count(name, count)
    rates = [
        statistics.same_look, statistics.moves_back, statistics.moves_near, statistics.moves_far, statistics.overlap,
        statistics.newcomers("new_at_address"), statistics.newcomers("new_elsewhere"),
    ]  # fmt: skip
    assert all(0 < rate <= 1 for rate in rates)
    assert statistics.pool(HOME) >= 8
    assert statistics.anywhere >= 1_000
