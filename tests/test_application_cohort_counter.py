"""Attempts by cohort: each counted once, named or folded, and by what the directory says now."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from doorlog.application.cohort_counter import FRESH_SECONDS, MOST_REMEMBERED, CohortCounter
from doorlog.events.parts import DevicePart, MqttPart
from doorlog.events.records import ConnectEvent
from doorlog.settings.cohort_models import CohortSettings
from doorlog.watch.tally import Tally
from doorlog.watch.witnesses import Witnesses
from support.events import admitted_connect, failed_connect, refused_password

COHORTS = [
    CohortSettings.model_validate({"name": "lan", "network": "10.0.0.0/8"}),
    CohortSettings.model_validate({"name": "berlin", "site": "berlin"}),
]


class Inventory:
    """A directory that knows sites, and may break."""

    def __init__(self, **sites: str) -> None:
        self.by_device = sites
        self.asked = 0
        self.is_broken = False

    def owners(self, names: Sequence[str]) -> list[tuple[str | None, str | None]]:
        if self.is_broken:
            raise sqlite3.OperationalError("no such table")
        self.asked += 1
        known = (name.replace("-", "_") for name in names)
        return [(self.by_device[name], None) for name in known if name in self.by_device]

    def sites(self, most: int) -> list[str]:
        self.owners(())
        return sorted(set(self.by_device.values()))[:most]


class Counting:
    """A counter, its tally and its clock."""

    def __init__(self, inventory: Inventory | None = None) -> None:
        self.tally = Tally(["tls"])
        self.now = 0.0
        self.witnesses = Witnesses()
        self.counter = CohortCounter(COHORTS, self.tally, self.witnesses, clock=lambda: self.now)
        if inventory is not None:
            self.counter.attach(inventory)

    def failures(self) -> dict[str, int]:
        cohorts = self.tally.counts().cohorts
        return {cohort: number for (cohort, outcome), number in cohorts.items() if outcome == "failure" and number}


def unnamed(**changes: Any) -> ConnectEvent:
    """An attempt that says nothing of its device, before it is named."""
    sample = failed_connect()
    return sample.model_copy(
        update={"device": None, "doorlog": sample.doorlog.model_copy(update={"device": None}), **changes}
    )


def test_named_cohorts_and_sites_are_told_before_anybody_comes() -> None:
    counting = Counting(Inventory(pump_17="paris"))
    assert {cohort for cohort, _ in counting.tally.counts().cohorts} == {"lan", "berlin", "site:paris"}


def test_an_attempt_is_counted_at_once_where_it_shows_it_and_else_once_it_is_named() -> None:
    counting = Counting(Inventory(pump_17="berlin"))
    counting.counter.count(unnamed())
    assert counting.failures() == {"lan": 1}

    counting.counter.count_named(failed_connect())  # pump-17
    assert counting.failures() == {"lan": 1, "berlin": 1, "site:berlin": 1}

    counting.counter.count_named(admitted_connect())
    assert counting.tally.counts().cohorts["berlin", "success"] == 1


def test_candidates_that_look_alike_are_of_a_site_if_all_of_them_are() -> None:
    ambiguous = failed_connect(device=None)  # pump-17 or pump-18
    counting = Counting(Inventory(pump_17="berlin", pump_18="berlin"))
    counting.counter.count_named(ambiguous)
    assert counting.failures() == {"berlin": 1, "site:berlin": 1}

    counting = Counting(Inventory(pump_17="berlin", pump_18="paris"))
    counting.counter.count_named(ambiguous)
    assert counting.failures() == {}


def test_a_repeat_that_nobody_names_is_of_those_that_looked_like_it() -> None:
    counting = Counting(Inventory(pump_17="berlin"))
    counting.counter.count_named(failed_connect())
    for _ in range(3):
        counting.counter.count_folded(unnamed())
    counting.counter.count_folded(unnamed(mqtt=MqttPart(client_id="somebody else")))
    assert counting.failures() == {"berlin": 4, "site:berlin": 4}


def test_what_looked_alike_is_forgotten_in_the_end() -> None:
    counting = Counting(Inventory(pump_17="berlin"))
    counting.counter.count_named(failed_connect())
    for number in range(MOST_REMEMBERED):
        counting.counter.count_named(unnamed(mqtt=MqttPart(client_id=str(number))))
    counting.counter.count_folded(unnamed())
    assert counting.failures() == {"berlin": 1, "site:berlin": 1}


def test_the_directory_is_asked_again_after_a_while() -> None:
    inventory = Inventory(pump_17="berlin")
    counting = Counting(inventory)
    for _ in range(5):
        counting.counter.count_named(failed_connect())
    assert inventory.asked == 2  # for its sites, and once

    inventory.by_device["pump_17"] = "paris"
    counting.now = FRESH_SECONDS
    counting.counter.count_named(failed_connect())
    assert counting.failures() == {"berlin": 5, "site:berlin": 5, "site:paris": 1}


def test_a_device_that_was_not_known_is_asked_for_again_at_once() -> None:
    inventory = Inventory()
    counting = Counting(inventory)
    counting.counter.count_named(failed_connect())
    inventory.by_device["pump_17"] = "berlin"
    counting.counter.count_named(failed_connect())
    assert counting.failures() == {"berlin": 1, "site:berlin": 1}


def test_without_a_directory_or_with_a_broken_one_there_are_no_sites() -> None:
    alone = Counting()
    alone.counter.count_named(failed_connect())
    assert alone.failures() == {}

    inventory = Inventory(pump_17="berlin")
    inventory.is_broken = True
    counting = Counting(inventory)
    counting.counter.count_named(failed_connect())
    assert counting.failures() == {}


def test_known_devices_that_fail_are_witnesses_until_they_are_admitted() -> None:
    counting = Counting(Inventory(pump_17="berlin"))
    witnesses = counting.witnesses
    counting.counter.count_named(failed_connect())
    counting.counter.count_folded(unnamed())
    assert witnesses.devices(0) == {
        ("cohort", "lan"): ("pump-17",), ("cohort", "berlin"): ("pump-17",), ("cohort", "site:berlin"): ("pump-17",),
        ("listener", "tls"): ("pump-17",),
    }  # fmt: skip
    assert witnesses.unknown() == {}

    counting.counter.count_named(admitted_connect())
    assert witnesses.devices(0) == {}


def test_whoever_is_not_known_from_before_is_no_witness() -> None:
    counting = Counting(Inventory())
    counting.counter.count_named(refused_password(device=DevicePart(id="invented")))
    assert counting.witnesses.devices(0) == {}
    assert counting.witnesses.unknown() == {("cohort", "lan"): 1}
