"""What changed before a device began to fail, as somebody would say it who compared the records."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from doorlog.readers.changes import (
    MOST_ATTEMPTS,
    Attempt,
    Break,
    attempt_of,
    attempts_of,
    break_of,
    changes_between,
    changes_of,
)
from doorlog.readers.table import open_table
from support.web_log import NEW, Day, rotation

BEFORE = Attempt(
    time=datetime(2026, 3, 1, tzinfo=UTC), outcome="success", code="admitted", stage="session", message=None,
    connection_id="a", source_ip="192.0.2.1", listener="tls", confidence="certain", generation=1, served_sha256="AA",
    served_issuer="CN=CA 1", server_name="mqtt", ja4="t13", tls_version="1.3", user_name="pump", client_sha256="11",
    protocol_version="3.1.1",
)  # fmt: skip


def broken(day: Day, device: str) -> Break | None:
    since, until = day.now - timedelta(days=2), day.now + timedelta(seconds=1)
    with open_table(day.log.live) as table:
        return break_of(table, device, attempts_of(table, device, since, until), since, until)


def test_the_certificate_was_another_one(tmp_path: Path) -> None:
    day = rotation(tmp_path)
    day.attempt(1, "server_certificate_unknown_ca", "meter-4", issuer="CA 2")
    found = broken(day, "pump-17")

    assert found is not None
    assert (found.failures, found.others) == (3, 1)
    assert found.last_success is not None
    assert found.first_failure.time - found.last_success.time == timedelta(hours=13)
    assert found.changes == [
        "we serve another certificate, by CN=CA 2, before by CN=CA 1",
    ]


@pytest.mark.parametrize("was_admitted", [True, False])
def test_thousands_of_failures_in_a_row_are_counted_from_the_first_one(tmp_path: Path, *, was_admitted: bool) -> None:
    day = Day(tmp_path)
    day.attempt(30, "bad_password", "pump-17")
    if was_admitted:
        day.attempt(20, "admitted", "pump-17")
    for number in range(MOST_ATTEMPTS + 50):
        day.attempt(10 - number / 1_000, "server_certificate_unknown_ca", "pump-17", issuer="CA 2", sha256=NEW)
    found = broken(day, "pump-17")

    assert found is not None
    assert found.failures == MOST_ATTEMPTS + 50 + (not was_admitted)
    assert found.first_failure.time == day.now - timedelta(hours=10 if was_admitted else 30)
    assert (found.last_success is not None) is was_admitted
    assert bool(found.changes) is was_admitted


def test_failures_that_were_folded_are_counted(tmp_path: Path) -> None:
    day = rotation(tmp_path)
    day.flood(1, "server_certificate_unknown_ca", "pump-17", 500)
    day.flood(1, "server_certificate_unknown_ca", "pump-18", 7)
    found = broken(day, "pump-17")

    assert found is not None
    assert (found.failures, found.others) == (503, 1)


def test_a_device_that_gets_in_is_not_broken(tmp_path: Path) -> None:
    day = rotation(tmp_path)
    day.attempt(0.1, "admitted", "pump-17")

    assert broken(day, "pump-17") is None
    assert broken(day, "nobody") is None


def test_a_device_that_never_got_in_has_nothing_to_compare_with(tmp_path: Path) -> None:
    day = Day(tmp_path)
    day.attempt(1, "bad_password", "pump-17")
    found = broken(day, "pump-17")

    assert found is not None
    assert (found.last_success, found.changes) == (None, [])


NEW_CHAIN = "we serve another certificate, by CN=CA 2, before by CN=CA 1"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"served_sha256": "BB", "code": "server_certificate_unknown_ca"},
            "we serve another certificate, by the same issuer, CN=CA 1",
        ),
        (
            {"served_sha256": "BB", "served_issuer": "CN=CA 2", "code": "closed_before_connect"},
            f"{NEW_CHAIN}; it left without a word then: likely why, but not proven",
        ),
        (
            {"served_sha256": "BB", "code": "bad_password"},
            "we serve another certificate, by the same issuer, CN=CA 1; that is not why: it got past that",
        ),
        (
            {"client_sha256": None, "code": "client_certificate_missing"},
            "it showed a certificate then, and shows none now",
        ),
        (
            {"code": "client_certificate_untrusted"},
            "it shows the same certificate as then: what changed is whom we trust (cafile, crlfile)",
        ),
        ({"code": "client_certificate_expired"}, "it shows the same certificate as then, which has expired since"),
        ({"protocol_version": "5.0"}, "it speaks another version of MQTT: 5.0, before 3.1.1"),
        ({"listener": "mtls"}, "it came to listener mtls, before to tls"),
        ({"client_sha256": "22"}, "its certificate is another one: 22, before 11"),
        ({"ja4": "t12"}, "its TLS library or its settings are others (JA4): t12, before t13"),
        ({"server_name": "old"}, "it asks for another server name: old, before mqtt"),
        ({"source_ip": "192.0.2.2"}, "its address is another one: 192.0.2.2, before 192.0.2.1"),
        ({"user_name": "other"}, "it uses another user name: other, before pump"),
    ],
)
def test_each_difference_is_a_sentence(changes: dict[str, Any], sentence: str) -> None:
    assert list(changes_between(BEFORE, BEFORE._replace(**changes))) == [sentence]
    assert list(changes_between(BEFORE, BEFORE)) == []


def test_records_are_compared_as_rows_are() -> None:
    tls = {"server": {"hash": {"sha256": "AA"}, "x509": {"issuer": {"distinguished_name": "CN=CA 1"}}, "generation": 1}}
    before = {"@timestamp": "2026-03-01T15:00:00Z", "event": {"outcome": "success", "code": "admitted"}, "tls": tls}
    other = {"server": {"hash": {"sha256": "BB"}, "x509": {"issuer": {"distinguished_name": "CN=CA 2"}}}}
    after = before | {"event": {"outcome": "failure", "code": "server_certificate_unknown_ca"}, "tls": other}

    assert changes_of(before, after) == ["we serve another certificate, by CN=CA 2, before by CN=CA 1"]
    assert changes_of(None, after) == changes_of(before, None) == changes_of({}, after) == []


@pytest.mark.parametrize("odd", [None, 7, "x", [], {"server": 7}, {"server": {"generation": "1", "hash": [1]}}])
def test_what_is_odd_in_a_record_is_left_out(odd: object) -> None:
    record = {"@timestamp": "2026-03-01T15:00:00Z", "event": odd, "tls": odd, "source": odd, "doorlog": odd}

    found = attempt_of(record)
    assert found is not None
    assert (found.outcome, found.generation, found.served_sha256) == ("", None, None)


def test_a_certificate_that_it_got_past_comes_last() -> None:
    after = BEFORE._replace(served_sha256="BB", code="unsupported_protocol_version", protocol_version="5.0")

    first, last = changes_between(BEFORE, after)
    assert first.startswith("it speaks another version of MQTT")
    assert last.endswith("that is not why: it got past that")
