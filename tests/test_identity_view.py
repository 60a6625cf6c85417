"""What the resolver asks of a directory, and what it is told."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from doorlog.identity import view as view_module
from doorlog.identity.evidence import Evidence, Sighting
from doorlog.identity.gathering import around, at_address
from doorlog.identity.inventory import Imported, store_inventory
from doorlog.identity.learner import Learner
from doorlog.identity.places import place_of
from doorlog.identity.statistics import Statistics
from doorlog.identity.store import open_store
from doorlog.identity.view import MOST_NEAR, Known, View
from support.fleet import evidence

HERE = place_of("192.0.2.1")


class Fleet:
    """A directory that learns at once."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.learner = Learner(connection)
        self.view = View(connection)

    @property
    def statistics(self) -> Statistics:
        return self.learner.statistics

    def see(self, device: str, moment: float, ip: str = "192.0.2.1", look: str = "esp", **more: Any) -> None:
        self.learner.learn(Sighting(device, "c", Evidence(moment, place_of(ip), look, "served"), **more))

    def give(self, *devices: Imported) -> None:
        store_inventory(self.connection, devices, replace=True)
        self.learner.reload()

    def here(self, **more: Any) -> list[str]:
        return ids(at_address(evidence(**more), self.view, self.statistics)[0])

    def around(self, **more: Any) -> list[str]:
        shown = evidence(**more)
        here, _ = at_address(shown, self.view, self.statistics)
        return ids(around(shown, here, self.view, self.statistics)[0])


def ids(devices: list[Known]) -> list[str]:
    return [device.id for device in devices]


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with closing(open_store(tmp_path / "devices.db")) as connection:
        yield Fleet(connection)


def test_who_was_at_an_address_the_latest_first(fleet: Fleet) -> None:
    fleet.see("a", 1)
    fleet.see("b", 2)
    fleet.see("a", 3)
    fleet.see("elsewhere", 4, "192.0.2.2")
    first, second = fleet.view.at(HERE)
    assert (first.id, first.count_here, first.first_here, first.last_here) == ("a", 2, 1, 3)
    assert (second.id, second.look, second.served, second.address) == ("b", "esp", "served", "192.0.2.1")


def test_who_is_near_looks_the_same(fleet: Fleet) -> None:
    fleet.see("same", 1, "192.0.2.2")
    fleet.see("other", 2, "192.0.2.3", "node")
    fleet.see("far", 3, "203.0.113.1")
    assert ids(fleet.view.near(HERE, "esp")) == ["same"]
    assert fleet.view.near(HERE, None) == []
    assert fleet.view.near(place_of("hmac-1:2"), "esp") == []
    assert fleet.view.crowd(HERE, "esp") == 1


def test_whether_somebody_else_is_there_who_looks_the_same(fleet: Fleet) -> None:
    fleet.see("a", 1)
    fleet.see("node", 1, look="node")
    fleet.see("gone", 1)
    fleet.see("gone", 2, "192.0.2.2")
    assert not fleet.view.has_another(HERE, "esp", "a")
    fleet.see("b", 3)
    assert fleet.view.has_another(HERE, "esp", "a")


def test_one_device_and_what_it_has_to_do_with_an_address(fleet: Fleet) -> None:
    fleet.see("a", 1)
    there, elsewhere = fleet.view.device("a", HERE), fleet.view.device("a", place_of("203.0.113.1"))
    assert there is not None
    assert elsewhere is not None
    assert (there.count_here, elsewhere.count_here) == (1, 0)
    assert fleet.view.device("nobody", HERE) is None


def test_who_holds_a_ticket_or_a_certificate(fleet: Fleet) -> None:
    fleet.see("a", 1, ticket="t1", certificate="CC")
    assert fleet.view.holder_of_ticket(["none", "t1"]) == "a"
    assert fleet.view.holder_of_ticket(["none"]) is None
    assert fleet.view.holders_of_certificate("CC") == ["a"]
    for number in range(5):
        fleet.see(f"shared-{number}", 10 + number, certificate="CC")
    assert len(fleet.view.holders_of_certificate("CC")) == 2


def test_whose_serial_it_is(fleet: Fleet) -> None:
    fleet.give(Imported("a", serial="1"), Imported("b", serial="2"), Imported("c", serial="2"))
    assert fleet.view.with_serial("1") == "a"
    assert fleet.view.with_serial("2") is None, "two devices: no answer"
    assert fleet.view.with_serial("3") is None


# who comes into question


def test_where_addresses_stay_only_who_was_there(fleet: Fleet) -> None:
    fleet.see("a", 1)
    fleet.see("b", 1, "192.0.2.2")
    assert fleet.here() == ["a"]
    assert at_address(evidence(), fleet.view, fleet.statistics)[1] == 0


def test_where_addresses_change_the_others_are_counted(fleet: Fleet) -> None:
    fleet.see("a", 1)
    for number in range(9):
        fleet.see("b", number, f"192.0.2.{number + 2}")
    assert 0 < at_address(evidence(), fleet.view, fleet.statistics)[1] <= 1
    assert fleet.around() == ["a", "b"]


def test_nobody_has_no_address(fleet: Fleet) -> None:
    fleet.see("a", 1, "")
    assert at_address(evidence(ip=""), fleet.view, fleet.statistics) == ([], 0.0)


def test_a_rare_look_leads_to_its_device_wherever_it_is(fleet: Fleet) -> None:
    fleet.see("exotic", 1, "203.0.113.1", "exotic")
    for number in range(20):
        fleet.see(f"d{number}", 1, "203.0.113.2")
    assert fleet.around(look="exotic") == ["exotic"]
    assert fleet.around(look="esp") == []


def test_without_a_hello_only_the_address_counts(fleet: Fleet) -> None:
    fleet.see("a", 1)
    fleet.see("b", 2, "192.0.2.2")
    shown = evidence(look=None)
    assert ids(around(shown, fleet.view.at(HERE), fleet.view, fleet.statistics)[0]) == ["a"]


def test_a_crowd_is_counted_not_listed(fleet: Fleet) -> None:
    for number in range(MOST_NEAR + 50):
        fleet.see(f"d{number}", number, f"192.0.2.{number % 20 + 2}")
    devices, beyond = around(evidence(), [], fleet.view, fleet.statistics)
    assert (len(devices), beyond) == (MOST_NEAR, 50)


def test_an_imported_address_is_its_devices_before_it_was_ever_there(fleet: Fleet) -> None:
    fleet.see("seen", 1, "203.0.113.9")
    fleet.see("here", 1)
    fleet.give(*(Imported(name, addresses=("192.0.2.1",)) for name in ("new", "seen", "here")))
    devices = {device.id: device for device in at_address(evidence(), fleet.view, fleet.statistics)[0]}
    assert set(devices) == {"new", "seen", "here"}
    assert devices["new"].connects == 0
    assert {device.address for device in devices.values()} == {"192.0.2.1"}
    assert devices["here"].count_here == 1


@pytest.mark.parametrize("question", [view_module._AT, view_module._NEAR, view_module._CERTIFICATE])
def test_no_question_takes_the_longer_the_more_devices_are_there(fleet: Fleet, question: str) -> None:
    """The log's thread asks: behind one address, or with one certificate, there may be thousands."""
    values = tuple("x" * question.count("?"))
    plan = [row[3] for row in fleet.connection.execute(f"EXPLAIN QUERY PLAN {question}", values)]
    assert not [step for step in plan if "SCAN" in step or "TEMP B-TREE" in step]


def test_whose_devices_they_are(fleet: Fleet) -> None:
    fleet.see("pump", 1, user_name="berlin-1")
    fleet.give(Imported("pump", site="berlin"), Imported("valve", site="paris"), Imported("crane"))

    assert fleet.view.owners(["pump"]) == [("berlin", "berlin-1")]
    assert set(fleet.view.owners(["pump", "valve", "crane", "stranger", "\ud800"])) == {
        ("berlin", "berlin-1"), ("paris", None), (None, None),
    }  # fmt: skip
    assert fleet.view.sites(10) == ["berlin", "paris"]
    assert fleet.view.sites(1) == ["berlin"]
