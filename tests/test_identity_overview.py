"""The devices for a person: who is failing, who is silent, and what does not make a device either of them."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from doorlog.identity.evidence import Departure, Evidence, Failure, Sighting, Whose
from doorlog.identity.inventory import Imported, store_inventory
from doorlog.identity.learner import Learner
from doorlog.identity.overview import DeviceSummary, addresses, admissions, ids_like, last_there, states, summaries
from doorlog.identity.places import place_of
from doorlog.identity.store import open_store

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

START = 1_780_000_000.0
HOUR, DAY = 3_600.0, 86_400.0


class Fleet:
    """A directory that is taught by hand."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._learner = Learner(connection)

    def admitted(self, device: str, at: float, address: str = "192.0.2.17", **more: Any) -> None:
        evidence = Evidence(START + at, place_of(address), "t13d1310_aa_bb mqtt.example.org", None)
        self._learner.learn(Sighting(device, f"{device}-{at}", evidence, **more))

    def left(self, device: str, at: float) -> None:
        self._learner.learn(Departure(device, START + at))

    def failed(self, device: str, at: float, *, claim: bool = False, confidence: str = "likely") -> None:
        code, method = ("bad_password", "client_id") if claim else ("server_certificate_unknown_ca", "certificate")
        self._learner.learn(Failure(device, START + at, code, confidence, method, f"failed-{at}", Whose(claim)))

    def one_of_several_failed(self, *devices: str, at: float) -> None:
        for device in devices:
            code, method = "server_certificate_unknown_ca", "address_and_client_hello"
            self._learner.learn(
                Failure(device, START + at, code, "ambiguous", method, f"failed-{at}", Whose.ONE_OF_SEVERAL)
            )

    def seen(self, at: float, device: str | None = None) -> list[DeviceSummary]:
        return summaries(self.connection, START + at, device)

    def states(self, at: float) -> dict[str, str]:
        return {one.id: one.state for one in self.seen(at)}


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with closing(open_store(tmp_path / "devices.db")) as connection:
        yield Fleet(connection)


def test_a_device_with_a_session_is_ok_however_long_ago_it_came(fleet: Fleet) -> None:
    fleet.admitted("pump-17", 0, user_name="anna", tls_version="1.3")

    (pump,) = fleet.seen(400 * DAY)
    assert (pump.state, pump.connected, pump.connects, pump.first_seen) == ("ok", True, 1, START)
    assert (pump.user_name, pump.tls_version, pump.address, pump.rhythm) == ("anna", "1.3", "192.0.2.17", None)
    assert (pump.last_failure, pump.last_claim, pump.name, pump.tags) == (None, None, None, ())


def test_a_device_is_silent_after_a_day_and_four_times_what_is_usual(fleet: Fleet) -> None:
    fleet.admitted("daily", 0)
    fleet.left("daily", HOUR)
    fleet.admitted("weekly", -7 * DAY)
    fleet.left("weekly", -7 * DAY + HOUR)
    fleet.admitted("weekly", 0)
    fleet.left("weekly", HOUR)

    assert fleet.states(DAY + HOUR) == {"daily": "ok", "weekly": "ok"}
    assert fleet.states(DAY + HOUR + 1) == {"daily": "silent", "weekly": "ok"}
    assert fleet.states(28 * DAY + HOUR + 1) == {"daily": "silent", "weekly": "silent"}


def test_where_one_of_several_failed_each_is_unclear_until_it_is_admitted(fleet: Fleet) -> None:
    for device in ("plug-13", "plug-14", "pump-11"):
        fleet.admitted(device, 0)
        fleet.left(device, 1)
    fleet.one_of_several_failed("plug-13", "plug-14", at=HOUR)
    fleet.failed("pump-11", HOUR - 1)

    assert [one.id for one in fleet.seen(HOUR)] == [
        "pump-11",
        "plug-13",
        "plug-14",
    ]
    assert fleet.states(HOUR) == {"pump-11": "failing", "plug-13": "unclear", "plug-14": "unclear"}
    assert states(fleet.connection, START + HOUR) == {"failing": 1, "unclear": 2, "silent": 0, "ok": 0}
    (plug,) = fleet.seen(HOUR, "plug-13")
    assert plug.last_failure is None
    assert plug.last_unclear is not None
    assert (plug.last_unclear.code, plug.last_unclear.confidence) == ("server_certificate_unknown_ca", "ambiguous")

    fleet.admitted("plug-13", 2 * HOUR)
    fleet.failed("plug-14", 2 * HOUR)
    assert fleet.states(2 * HOUR) == {"pump-11": "failing", "plug-13": "ok", "plug-14": "failing"}


def test_a_failure_makes_it_failing_until_it_is_admitted(fleet: Fleet) -> None:
    fleet.admitted("pump-17", 0)
    fleet.left("pump-17", 1)
    fleet.failed("pump-17", 10)
    fleet.failed("pump-17", 20)

    (pump,) = fleet.seen(30)
    assert pump.state == "failing"
    assert pump.last_failure is not None
    assert (pump.last_failure.moment, pump.last_failure.times) == (START + 20, 2)
    assert (pump.last_failure.code, pump.last_failure.connection_id) == ("server_certificate_unknown_ca", "failed-20")

    fleet.admitted("pump-17", 40)
    assert fleet.states(50) == {"pump-17": "ok"}
    assert fleet.seen(50)[0].last_failure == pump.last_failure


def test_whoever_only_writes_its_name_does_not_make_it_failing(fleet: Fleet) -> None:
    fleet.admitted("pump-17", 0)
    fleet.failed("pump-17", 10, claim=True)
    fleet.failed("pump-17", 20, claim=True)
    fleet.failed("nobody", 20, claim=True)

    (pump,) = fleet.seen(30)
    assert (pump.id, pump.state, pump.last_failure) == ("pump-17", "ok", None)
    assert pump.last_claim is not None
    assert (pump.last_claim.code, pump.last_claim.times) == ("bad_password", 2)


def test_a_device_is_known_by_its_certificate_alone(fleet: Fleet) -> None:
    fleet.failed("pump-17", 10, confidence="certain")

    (pump,) = fleet.seen(20)
    assert (pump.state, pump.last_success, pump.connects, pump.address) == ("failing", None, 0, None)
    assert pump.last_failure is not None
    assert pump.last_failure.confidence == "certain"


def test_an_imported_device_is_silent_until_it_is_heard_of(fleet: Fleet) -> None:
    known = Imported("pump-17", "Pump", "berlin", "P2", "A12", ("192.0.2.17",), ("water", "old"))
    store_inventory(fleet.connection, [known], replace=False)

    (pump,) = fleet.seen(0)
    assert (pump.state, pump.connected, pump.first_seen) == ("silent", False, None)
    assert (pump.name, pump.site, pump.model, pump.serial, pump.tags) == ("Pump", "berlin", "P2", "A12", known.tags)

    fleet.failed("pump-17", 10)
    assert fleet.states(20) == {"pump-17": "failing"}
    fleet.admitted("pump-17", 30)
    assert [(one.id, one.state, one.site) for one in fleet.seen(40)] == [("pump-17", "ok", "berlin")]


def test_failing_ones_come_first_the_latest_before_the_others(fleet: Fleet) -> None:
    for at, name in enumerate(["ok-1", "ok-2", "failing-1", "failing-2", "silent"]):
        fleet.admitted(name, at)
    fleet.left("silent", 10)
    fleet.failed("failing-1", 100)
    fleet.failed("failing-2", 50)

    found = [one.id for one in fleet.seen(2 * DAY)]
    assert found == ["failing-1", "failing-2", "silent", "ok-2", "ok-1"]


def test_one_device_can_be_asked_for(fleet: Fleet) -> None:
    fleet.admitted("pump-17", 0)
    fleet.admitted("pump-18", 0)

    assert [one.id for one in fleet.seen(0, "pump-18")] == ["pump-18"]
    assert fleet.seen(0, "pump-1") == []
    assert fleet.seen(0, "") == []


def test_the_addresses_of_a_device_the_latest_first(fleet: Fleet) -> None:
    fleet.admitted("pump-17", 0)
    fleet.admitted("pump-17", 10, "2001:db8::17")
    fleet.admitted("pump-17", 20)
    fleet.admitted("pump-17", 15, "2001:db8::17")

    assert addresses(fleet.connection, "pump-17") == [
        ("192.0.2.17", START, START + 20, 2),
        ("2001:db8::17", START + 10, START + 15, 2),
    ]
    assert addresses(fleet.connection, "pump-18") == []


def test_who_was_last_at_an_address(fleet: Fleet) -> None:
    fleet.admitted("plug-13", 0)
    fleet.admitted("plug-14", 10)
    fleet.admitted("plug-15", 20)
    fleet.admitted("plug-15", 30, "198.51.100.7")
    for number in range(6):
        fleet.admitted(f"pump-{number}", 40 + number, "2001:db8::17")
    fleet.failed("pump-19", 50)

    asked = ["192.0.2.17", "::ffff:192.0.2.17", "2001:DB8::17", "203.0.113.1", '"]', ""]
    assert last_there(fleet.connection, asked) == {
        "192.0.2.17": ("plug-14", "plug-13"),
        "::ffff:192.0.2.17": ("plug-14", "plug-13"),
        "2001:DB8::17": ("pump-5", "pump-4", "pump-3", "pump-2"),
    }
    assert last_there(fleet.connection, []) == {}


def test_the_last_admissions_of_some_devices(fleet: Fleet) -> None:
    fleet.admitted("pump-17", 0)
    fleet.admitted("pump-17", 10)
    fleet.admitted('"]', 20)
    fleet.admitted("pump-18", 30)
    fleet.failed("pump-19", 40)

    asked = ["pump-17", '"]', "pump-19", "nobody", "\udcff"]
    assert admissions(fleet.connection, asked) == {"pump-17": START + 10, '"]': START + 20}
    assert admissions(fleet.connection, []) == {}


def test_ids_are_found_by_their_beginning(fleet: Fleet) -> None:
    store_inventory(fleet.connection, [Imported("pump-17"), Imported("pump%")], replace=False)
    for name in ("pump-2", "pump-17", "valve", "PUMP"):
        fleet.admitted(name, 0)

    assert ids_like(fleet.connection, "pump", 10) == ["pump%", "pump-17", "pump-2"]
    assert ids_like(fleet.connection, "pump%", 10) == ["pump%"]
    assert ids_like(fleet.connection, "", 2) == ["PUMP", "pump%"]


@pytest.mark.parametrize("at", [0.0, DAY + HOUR + 1, 2 * DAY, 28 * DAY + HOUR + 1])
def test_the_states_are_counted_as_they_are_told(fleet: Fleet, at: float) -> None:
    fleet.admitted("weekly", -7 * DAY)
    for name in ("connected", "daily", "weekly", "failing", "claimed"):
        fleet.admitted(name, 0)
    for name in ("daily", "weekly", "weekly"):
        fleet.left(name, HOUR)
    fleet.failed("failing", 10)
    fleet.failed("claimed", 10, claim=True)
    fleet.failed("by-certificate", 20)
    fleet.failed("nobody", 20, claim=True)
    fleet.admitted("alike", 0)
    fleet.one_of_several_failed("alike", "failing", at=30)
    store_inventory(fleet.connection, [Imported("imported", None, None, None, None, (), ())], replace=False)

    told = list(fleet.states(at).values())
    assert states(fleet.connection, START + at) == {
        name: told.count(name) for name in ("failing", "unclear", "silent", "ok")
    }
