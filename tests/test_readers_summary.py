"""A day at the door in numbers: they are those that anybody gets who counts the lines."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from doorlog.readers.summary import Summary, summary_of
from doorlog.readers.table import open_table
from support.log_files import WrittenLog

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY = timedelta(days=1)
OLD, NEW = "AA" * 32, "BB" * 32


def at(hours_ago: float) -> str:
    return (NOW - timedelta(hours=hours_ago)).isoformat().replace("+00:00", "Z")


class Door:
    """Writes what happened, hours ago."""

    def __init__(self, folder: Path) -> None:
        self.log = WrittenLog(folder)

    def attempt(self, hours_ago: float, code: str = "admitted", device: str | None = None, **facts: Any) -> None:
        outcome = "success" if code == "admitted" else "failure"
        self._write(hours_ago, {"action": "connect", "code": code, "outcome": outcome}, device, **facts)

    def flood(self, hours_ago: float, code: str, count: int, device: str | None = None) -> None:
        event = {"action": "flood", "code": code, "outcome": "failure"}
        self._write(hours_ago, event, device, flood={"action": "connect", "count": count})

    def other(self, hours_ago: float, action: str, **facts: Any) -> None:
        self._write(hours_ago, {"action": action, "outcome": "success"}, None, **facts)

    def _write(self, hours_ago: float, event: dict[str, Any], device: str | None, **facts: Any) -> None:
        served, address = facts.pop("served", None), facts.pop("address", "192.0.2.1")
        method, confidence = facts.pop("method", "address"), facts.pop("confidence", "likely")
        doorlog = {
            "listener": "tls",
            **facts,
            **({"device": {"method": method, "confidence": confidence}} if device else {}),
        }
        number = self.log.sequence + 1
        record = {
            "@timestamp": at(hours_ago),
            "event": event | {"sequence": number, "id": f"x-{number}"},
            "source": {"ip": address},
            "doorlog": doorlog,
        }
        if device is not None:
            record["device"] = {"id": device}
        if served is not None:
            x509 = {
                "subject": {"distinguished_name": "CN=mqtt"},
                "issuer": {"distinguished_name": f"CN=CA {served[0]}"},
            }
            record["tls"] = {"server": {"hash": {"sha256": served}, "generation": 1, "x509": x509}}
        self.log.append_raw(orjson.dumps(record) + b"\n")
        self.log.sequence = number

    def summary(self, span: timedelta = DAY) -> Summary:
        with open_table(self.log.live, since=NOW - 2 * span, until=NOW) as table:
            return summary_of(table, NOW - span, NOW)


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path)


def test_attempts_are_counted_in_the_span_and_in_the_one_before(door: Door) -> None:
    for hours_ago in (1, 2, 25, 49):
        door.attempt(hours_ago, device="pump-17")
    door.attempt(3, "bad_password", "pump-18")
    door.other(3, "disconnect")
    found = door.summary()

    assert (found.attempts, found.admitted, found.failed) == (3, 2, 1)
    assert found.before == (1, 1)
    assert (found.missing, found.starts) == (0, 0)


def test_attempts_that_a_flood_record_stands_for_are_counted(door: Door) -> None:
    door.attempt(1, "bad_password", "pump-17")
    door.flood(1, "bad_password", 4_711, "pump-17")

    (code,) = door.summary().codes
    assert (code.code, code.attempts, code.devices, code.sources) == ("bad_password", 4_712, 1, 0)


def test_what_did_not_happen_before_is_new(door: Door) -> None:
    door.attempt(30, "bad_password", "pump-17")
    door.attempt(2, "bad_password", "pump-17")
    door.attempt(1, "server_certificate_unknown_ca", "pump-18")
    found = door.summary()

    assert {code.code: code.new for code in found.codes} == {
        "bad_password": False,
        "server_certificate_unknown_ca": True,
    }
    assert {device.device: device.new for device in found.devices} == {"pump-17": False, "pump-18": True}


def test_devices_that_fail_come_first_then_those_that_came_back_then_addresses(door: Door) -> None:
    for number in range(9):
        door.attempt(5 + number, "client_certificate_expired", "came-back")
        door.attempt(5 + number, "closed_before_hello", address="198.51.100.9")
    door.attempt(20, device="fails")
    door.attempt(3, "server_certificate_unknown_ca", "fails")
    door.attempt(2, "bad_password", "somebody", method="client_id")
    door.attempt(1, device="came-back")
    devices = door.summary().devices

    assert [one.device or one.source for one in devices] == ["fails", "somebody", "came-back", "198.51.100.9"]
    assert [(one.recovered, one.claimed) for one in devices] == [
        (False, False),
        (False, True),
        (True, False),
        (False, False),
    ]
    assert devices[0].admitted == NOW - timedelta(hours=20)
    assert devices[0].code == "server_certificate_unknown_ca"
    assert (devices[2].first, devices[2].last) == (NOW - timedelta(hours=13), NOW - timedelta(hours=5))


def test_what_was_served_and_how_devices_took_it(door: Door) -> None:
    door.other(40, "certificate_served", served=OLD)
    door.attempt(20, device="pump-17", served=OLD)
    door.other(10, "certificate_served", served=NEW)
    door.attempt(9, "server_certificate_unknown_ca", "pump-17", served=NEW)
    door.attempt(8, device="pump-18", served=NEW)
    old, new = door.summary().certificates

    assert (old.sha256, old.issuer, old.admitted, old.failed) == (OLD, "CN=CA A", 1, 0)
    assert (new.sha256, new.issuer, new.admitted, new.failed) == (NEW, "CN=CA B", 1, 1)
    assert (old.first, new.first) == (NOW - timedelta(hours=40), NOW - timedelta(hours=10))


def test_what_is_missing_and_each_start_is_told(door: Door) -> None:
    door.other(5, "audit_gap", gap={"records": 12})
    door.other(4, "audit_started")
    found = door.summary()

    assert (found.missing, found.starts) == (12, 1)
    assert (found.attempts, found.codes, found.devices, found.certificates) == (0, [], [], [])


_ATTEMPTS = st.lists(
    st.tuples(
        st.floats(0, 60, allow_nan=False),
        st.sampled_from(["admitted", "bad_password", "not_tls", "throttled"]),
        st.sampled_from([None, "a", "b", "c"]),
        st.sampled_from([None, 1, 7]),
    ),
    max_size=40,
)


@pytest.mark.hypothesis
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(_ATTEMPTS)
def test_the_numbers_are_those_that_come_of_counting_lines(
    tmp_path_factory: pytest.TempPathFactory, attempts: list[tuple[float, str, str | None, int | None]]
) -> None:
    door = Door(tmp_path_factory.mktemp("log"))
    door.other(70, "audit_started")
    counted: Counter[tuple[str, str | None]] = Counter()
    for hours_ago, code, device, folded in attempts:
        if folded is not None and code != "admitted":
            door.flood(hours_ago, code, folded, device)
        else:
            door.attempt(hours_ago, code, device)
        if datetime.fromisoformat(at(hours_ago)) >= NOW - DAY:
            counted[code, device] += folded if folded is not None and code != "admitted" else 1
    found = door.summary()

    assert found.attempts == counted.total()
    assert found.admitted == sum(number for (code, _), number in counted.items() if code == "admitted")
    failed = {key: number for key, number in counted.items() if key[0] != "admitted"}
    assert {code.code: code.attempts for code in found.codes} == dict(
        sum((Counter({code: number}) for (code, _), number in failed.items()), Counter())
    )
    assert {one.device: one.attempts for one in found.devices} == dict(
        sum((Counter({device: number}) for (_, device), number in failed.items()), Counter())
    )
