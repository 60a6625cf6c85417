"""What admitted connections leave in the directory, in what bounds, and what becomes of it with time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from doorlog.identity import learner as module
from doorlog.identity.evidence import Departure, Evidence, Failure, Serving, Sighting, Whose
from doorlog.identity.learner import Learner
from doorlog.identity.places import place_of
from doorlog.identity.statistics import Statistics
from doorlog.identity.store import open_store
from support.fleet import DAY, HOUR


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_store(tmp_path / "devices.db")) as connection:
        yield connection


def sighting(device: str, moment: float, ip: str = "192.0.2.1", look: str | None = "esp", **more: Any) -> Sighting:
    return Sighting(device, f"{device}-{moment}", Evidence(moment, place_of(ip), look, "served"), **more)


def failure(device: str, moment: float = 0.0, *, whose: Whose = Whose.OWN) -> Failure:
    return Failure(device, moment, "bad_password", "likely", "client_id", "c1", whose)


def all_of(connection: sqlite3.Connection, what: str) -> list[Any]:
    rows = connection.execute(f"SELECT {what}").fetchall()
    return [row[0] if len(row) == 1 else row for row in rows]


def test_a_device_is_learned(connection: sqlite3.Connection) -> None:
    learner = Learner(connection)
    learner.learn(
        sighting("pump-17", 100, user_name="anna", tls_version="1.3", protocol_version="3.1.1", keep_alive=60)
    )
    learner.learn(Departure("pump-17", 110))
    learner.learn(sighting("pump-17", 210, "192.0.2.2", user_name="berta"))
    what = "user_name, first_seen, last_seen, connects, rhythm, absence, moves, address, look, served, sessions"
    assert all_of(connection, f"{what} FROM device") == [
        ("berta", 100, 210, 2, 110, 100, 1, "192.0.2.2", "esp", "served", 1)
    ]
    assert all_of(connection, "address, count FROM sighting ORDER BY 1") == [("192.0.2.1", 1), ("192.0.2.2", 1)]


def test_a_change_of_stack_is_remembered(connection: sqlite3.Connection) -> None:
    learner = Learner(connection)
    for look in ("esp", "esp", None, "node"):
        learner.learn(sighting("pump-17", 1, look=look))
    assert all_of(connection, "look, former_look FROM device") == [("node", "esp")]
    assert learner.statistics.looks == {"node": 1}


def test_sessions_are_counted_and_begin_anew_with_a_broker(connection: sqlite3.Connection) -> None:
    learner = Learner(connection)
    learner.learn(sighting("pump-17", 1))
    learner.learn(sighting("pump-17", 2))
    learner.learn(Departure("pump-17", 3))
    assert all_of(connection, "sessions FROM device") == [1]
    learner.learn(Departure("nobody", 3))
    learner.begin_run()
    learner.learn(Departure("pump-17", 4))
    assert all_of(connection, "sessions FROM device") == [0]


def test_certificates_and_tickets_are_kept_with_their_device(connection: sqlite3.Connection) -> None:
    learner = Learner(connection)
    for number in range(10):
        learner.learn(sighting("pump-17", number, certificate=f"{number}", subject="CN=pump-17", ticket=f"t{number}"))
    learner.learn(sighting("pump-18", 20, certificate="9", ticket="t9"))
    assert all_of(connection, "sha256 FROM certificate WHERE device = 1 ORDER BY 1") == ["6", "7", "8", "9"]
    assert all_of(connection, "digest FROM ticket WHERE device = 1 ORDER BY 1") == ["t6", "t7", "t8"]
    assert all_of(connection, "digest FROM ticket WHERE device = 2") == ["t9"], "the latest holder"


def test_a_device_that_wanders_keeps_its_latest_addresses(connection: sqlite3.Connection) -> None:
    learner = Learner(connection)
    for number in range(40):
        learner.learn(sighting("tracker", number, f"192.0.2.{number}"))
    addresses = all_of(connection, "address FROM sighting ORDER BY last")
    assert addresses == [f"192.0.2.{number}" for number in range(24, 40)]


def test_stale_addresses_are_forgotten(connection: sqlite3.Connection) -> None:
    learner = Learner(connection, forget_days=10)
    learner.learn(sighting("pump-17", 0, ticket="t"))
    learner.learn(sighting("pump-17", 5 * DAY, "192.0.2.2"))
    learner.tidy(12 * DAY)
    assert all_of(connection, "address FROM sighting") == ["192.0.2.2"]
    assert all_of(connection, "digest FROM ticket") == []
    assert learner.statistics.pools == {"192.0.2.0/24": 1}


def test_ids_that_are_made_up_for_each_connection_crowd_out_only_one_another(connection: sqlite3.Connection) -> None:
    learner = Learner(connection, remember=100)
    for device in ("pump-17", "pump-18"):
        learner.learn(sighting(device, 0))
        learner.learn(sighting(device, 1))
    for number in range(300):
        learner.learn(sighting(f"mosq-{number}", 10 + number))
    learner.tidy(1_000)
    devices = all_of(connection, "id FROM device")
    assert len(devices) <= 100
    assert {"pump-17", "pump-18", "mosq-299"} <= set(devices)
    assert learner.statistics.devices == len(devices)
    assert all_of(connection, "count(DISTINCT device) FROM sighting") == [len(devices)]


def test_it_looks_after_itself(connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOOK_AFTER", 50)
    learner = Learner(connection, remember=100)
    for number in range(400):
        learner.learn(sighting(f"mosq-{number}", number))
        learner.learn(failure(f"mosq-{number}", number))
    assert len(all_of(connection, "id FROM device")) < 160


def test_failures_are_kept_beside(connection: sqlite3.Connection) -> None:
    learner = Learner(connection)
    learner.learn(sighting("pump-17", 0))
    for moment in range(5):
        learner.learn(failure("pump-17", moment))
        learner.learn(failure("pump-17", moment, whose=Whose.CLAIMED))
        learner.learn(failure("made-up", moment, whose=Whose.CLAIMED))
    assert all_of(connection, "id, is_claim, moment, count FROM failure") == [
        ("pump-17", 0, 4, 5),
        ("pump-17", 1, 4, 5),
    ]


def test_failures_of_devices_that_were_never_admitted_are_bounded(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their certificates were verified, so there are as many as were issued; still."""
    monkeypatch.setattr(module, "MOST_FAILURES", 10)
    learner = Learner(connection)
    for number in range(50):
        learner.learn(failure(f"new-{number}"))
    assert len(all_of(connection, "id FROM failure")) == 10


# counters


def counters(statistics: Statistics) -> dict[str, Any]:
    return {name: value for name, value in vars(statistics).items() if name != "dirty"}


def test_counters_are_those_of_the_tables_and_survive_a_restart(connection: sqlite3.Connection) -> None:
    learner = Learner(connection)
    for number in range(200):
        device, moment = f"d{number % 17}", number * HOUR
        learner.learn(sighting(device, moment, f"192.0.{number % 3}.{number % 11}", f"look-{number % 5}"))
    learner.learn(Serving("served", 7.0))
    learner.learn(Serving("served", 9.0))
    learner.learn(sighting("d1", 300 * HOUR, exam=(0.9, True)))
    learner.store_counters()
    again = Learner(connection)
    assert counters(again.statistics) == counters(learner.statistics)
    assert again.statistics.served == {"served": 7.0}, "when it was first"
    assert again.calibration.table() == learner.calibration.table() != []


def test_in_its_first_day_nobody_is_a_newcomer(connection: sqlite3.Connection) -> None:
    """All are: that says nothing of the days to come. Nor do exams, which nobody can pass yet."""
    learner = Learner(connection)
    learner.learn(sighting("a", 0))
    learner.learn(sighting("b", HOUR, exam=(0.99, False)))
    assert "new_at_address" not in learner.statistics.sums
    assert learner.calibration.table() == []
    learner.learn(sighting("c", 2 * DAY, exam=(0.99, False)))
    learner.learn(sighting("d", 2 * DAY, "192.0.2.7"))
    learner.learn(sighting("e", 2 * DAY, "203.0.113.1"))
    assert [learner.statistics.sums[f"new_{where}"] for where in ("at_address", "in_network", "elsewhere")] == [1, 1, 1]
    assert len(learner.calibration.table()) == 1


def test_how_devices_move_is_counted(connection: sqlite3.Connection) -> None:
    learner = Learner(connection)
    for moment, ip in enumerate(["192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.1", "203.0.113.1"]):
        learner.learn(sighting("a", moment, ip, overlapped=moment == 1))
    sums = learner.statistics.sums
    assert {name: sums[name] for name in ("returns", "moves", "moves_back", "moves_near", "overlaps", "same_look")} == {
        "returns": 4, "moves": 3, "moves_back": 1, "moves_near": 1, "overlaps": 1, "same_look": 4,
    }  # fmt: skip
    assert learner.statistics.used == {"203.0.113.0/24": 1}
    assert learner.statistics.holders == {"203.0.113.1": 1}


def test_another_programs_changes_are_counted_anew(connection: sqlite3.Connection) -> None:
    learner = Learner(connection)
    learner.learn(sighting("a", 0))
    learner.store_counters()
    connection.execute("DELETE FROM device")
    learner.reload()
    assert learner.statistics.devices == 0
    assert learner.statistics.holders == {}


# what a long session, a restart and a crowd must not do


def test_where_a_device_is_right_now_is_not_forgotten(connection: sqlite3.Connection) -> None:
    learner = Learner(connection, forget_days=1)
    learner.learn(sighting("pump-17", 0))
    learner.tidy(30 * DAY)
    assert all_of(connection, "address FROM sighting") == ["192.0.2.1"], "it is still connected"
    learner.learn(Departure("pump-17", 30 * DAY))
    learner.tidy(30 * DAY + HOUR)
    assert all_of(connection, "address FROM sighting") == ["192.0.2.1"], "it was there an hour ago"
    learner.tidy(32 * DAY)
    assert all_of(connection, "address FROM sighting") == []


def test_a_device_that_never_left_is_not_crowded_out(connection: sqlite3.Connection) -> None:
    learner = Learner(connection, remember=100)
    learner.learn(sighting("pump-17", 0))
    for number in range(150):
        learner.learn(sighting(f"made-up-{number}", number + 1))
        learner.learn(Departure(f"made-up-{number}", number + 1))
    learner.tidy(200)
    assert "pump-17" in all_of(connection, "id FROM device")


def test_who_was_connected_when_a_broker_was_killed_was_there_until_then(connection: sqlite3.Connection) -> None:
    learner = Learner(connection)
    learner.learn(sighting("pump-17", 0))
    learner.learn(sighting("valve-18", 0))
    learner.learn(Departure("valve-18", 10))
    learner.learn(sighting("gateway", 30 * DAY))
    learner.begin_run()
    assert all_of(connection, "id, last_seen, sessions FROM device ORDER BY id") == [
        ("gateway", 30 * DAY, 0), ("pump-17", 30 * DAY, 0), ("valve-18", 10, 0),
    ]  # fmt: skip


def test_a_broker_that_is_restarted_often_forgets_too(connection: sqlite3.Connection) -> None:
    Learner(connection).learn(sighting("pump-17", 0))
    Learner(connection).begin_run()
    Learner(connection, forget_days=1).learn(sighting("valve-18", 30 * DAY, "192.0.2.2"))
    assert "192.0.2.1" not in all_of(connection, "address FROM sighting")


def test_failures_of_forgotten_devices_are_bounded(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_FAILURES", 3)
    learner = Learner(connection)
    learner.learn(sighting("pump-17", 0))
    learner.learn(failure("pump-17"))
    for number in range(10):
        learner.learn(sighting(f"made-up-{number}", number + 1))
        learner.learn(failure(f"made-up-{number}", number + 1))
    connection.execute("DELETE FROM device WHERE id <> 'pump-17'")
    learner.tidy(100)
    assert all_of(connection, "id FROM failure") == ["made-up-7", "made-up-8", "made-up-9", "pump-17"]


def test_an_address_that_is_left_out_is_no_place(connection: sqlite3.Connection) -> None:
    """``log.privacy`` with ``address: omit``: else every attempt would come from where every device was."""
    learner = Learner(connection)
    learner.learn(sighting("pump-17", 0, ""))
    learner.learn(sighting("pump-17", 10, ""))
    assert all_of(connection, "* FROM sighting") == []
    assert all_of(connection, "connects, moves FROM device") == [(2, 0)]
