"""Which records are wanted, and what an operator may write for a time or a network."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from doorlog.readers.filters import Filters, moment, network

NOW = datetime(2026, 3, 1, 15, 0, tzinfo=UTC)
RECORD: dict[str, Any] = {
    "@timestamp": "2026-03-01T15:02:11.250000Z",
    "event": {"action": "connect", "code": "bad_password", "outcome": "failure"},
    "source": {"ip": "192.0.2.7"},
    "device": {"id": "pump-17"},
    "doorlog": {"stage": "credentials", "listener": "tls", "device": {"candidates": [{"id": "pump-18"}, 7]}},
}
ODD: list[Any] = [{}, {"event": 1}, {"event": {"code": ["bad_password"]}, "doorlog": "x", "source": {"ip": 7}}]


@pytest.mark.parametrize(
    ("filters", "other"),
    [
        (Filters(device="pump-17"), Filters(device="pump-1")),
        (Filters(device="pump-18", maybe=True), Filters(device="pump-18")),
        (Filters(codes=("unknown_user", "bad_password")), Filters(codes=("unknown_user",))),
        (Filters(stage="credentials"), Filters(stage="connect")),
        (Filters(outcome="failure"), Filters(outcome="success")),
        (Filters(listener="tls"), Filters(listener="tl")),
        (Filters(source=network("192.0.2.0/24")), Filters(source=network("192.0.3.0/24"))),
        (Filters(source=network("192.0.2.7")), Filters(source=network("2001:db8::/32"))),
        (Filters(since=NOW), Filters(since=NOW + timedelta(hours=1))),
        (Filters(until=NOW + timedelta(hours=1)), Filters(until=NOW)),
    ],
)
def test_each_filter_tells_records_apart(filters: Filters, other: Filters) -> None:
    assert filters.match(RECORD)
    assert filters.may_match(orjson.dumps(RECORD))
    assert not other.match(RECORD)
    assert not any(filters.match(record) for record in ODD)


def test_without_filters_all_is_wanted_but_what_is_for_machines() -> None:
    checkpoint = {"event": {"action": "audit_checkpoint"}}

    assert all(Filters().match(record) for record in [RECORD, *ODD, checkpoint])
    assert not Filters(checkpoints=False).match(checkpoint)


@pytest.mark.parametrize("text", ["PUMP-17", "ümlaut", 'a "quoted" name', "bad_password"])
def test_a_text_may_stand_anywhere_in_the_line(text: str) -> None:
    line = orjson.dumps(RECORD | {"message": 'Pump-17, ümlaut, a "quoted" name'})

    assert Filters(text=text).may_match(b"{}\n" + line)
    assert not Filters(text=text + "!").may_match(line)


def test_a_line_without_the_text_need_not_be_parsed() -> None:
    assert not Filters(device="pump-99").may_match(orjson.dumps(RECORD))
    assert not Filters(codes=("throttled",)).may_match(orjson.dumps(RECORD))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", NOW - timedelta(seconds=90)),
        ("15m", NOW - timedelta(minutes=15)),
        ("24h", NOW - timedelta(days=1)),
        ("7d", NOW - timedelta(days=7)),
        ("2w", NOW - timedelta(days=14)),
        ("2026-03-01T15:00:00Z", NOW),
        ("2026-03-01T16:00:00+01:00", NOW),
    ],
)
def test_a_time_or_a_span_back(text: str, expected: datetime) -> None:
    assert moment(text, NOW) == expected


@pytest.mark.parametrize(
    "text",
    ["", "5x", "-5m", "5", "yesterday", "2026-03-01T15:00:00", "999999999d", "\u0665m", "0001-01-01T00:00:00+14:00"],
)
def test_what_is_no_time_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="a span back such as 90s, 15m, 24h or 7d"):
        moment(text, NOW)


@pytest.mark.parametrize("text", ["2026-03-01 16:30", "2026-03-01 16:30:00", "2026-03-01T16:30", "20260301T1630"])
def test_a_time_as_tail_shows_it_is_one_of_this_machine(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        assert moment(text, NOW, local=True) == datetime(2026, 3, 1, 11, 0, tzinfo=UTC)
        assert moment("2026-03-01T15:00:00Z", NOW, local=True) == NOW
        with pytest.raises(ValueError, match="expected a time"):
            moment("yesterday", NOW, local=True)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_what_is_no_network_is_told() -> None:
    with pytest.raises(ValueError, match="expected an address or a network"):
        network("pump-17")
