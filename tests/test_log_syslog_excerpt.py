"""A record made short is still a record, and says that it is not the whole."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorlog.events.records import ANY_EVENT, Event
from doorlog.log.chain import chained, previous_of
from doorlog.log.faults import Faults
from doorlog.log.pipeline import Pipeline
from doorlog.log.processors import record_processors
from doorlog.log.syslog_excerpt import excerpt, last_resort
from support.events import SERVICE, failed_connect, one_of_each
from support.random_events import events
from support.records import validate_record


def record_of(event: Event, message: str = "it happened") -> dict[str, Any]:
    pipeline = Pipeline(record_processors(lambda _: message), SERVICE, Faults(lambda _: None))
    record: dict[str, Any] = orjson.loads(pipeline.line(event))
    return record


def short(record: dict[str, Any], limit: int) -> dict[str, Any]:
    line = excerpt(record, 9999, limit)
    assert line is not None
    assert len(line) <= limit
    read: dict[str, Any] = orjson.loads(line)
    return read


@pytest.mark.parametrize("event", one_of_each(), ids=lambda event: event.event.action)
def test_an_excerpt_of_every_kind_of_record_is_valid(event: Event) -> None:
    record = short(record_of(event), 1500)
    validate_record(record)
    assert record["doorlog"]["fault"] == ("this copy was shortened, the record has 9999 bytes and was too long for UDP")


def test_who_when_what_and_why_stay_and_the_long_lists_go() -> None:
    whole = record_of(failed_connect())
    record = short(whole, 1500)
    for name in ("@timestamp", "message", "event", "source", "destination", "service", "device"):
        assert record[name] == whole[name]
    assert record["tls"] == {
        name: whole["tls"][name] for name in ("established", "version", "version_protocol", "alert")
    }
    assert record["doorlog"]["connection_id"] == whole["doorlog"]["connection_id"]


def test_a_fault_that_was_there_before_stays() -> None:
    event = failed_connect(doorlog=failed_connect().doorlog.model_copy(update={"fault": "KeyError: x"}))
    assert short(record_of(event), 1500)["doorlog"]["fault"].endswith("too long for UDP; KeyError: x")


def test_the_hash_of_the_line_before_stays_at_the_end() -> None:
    record = orjson.loads(chained(orjson.dumps({"event": {}, "doorlog": {"stage": "hello"}}) + b"\n", b"a" * 64))
    line = excerpt(record, 9999, 1500)
    assert line is not None
    assert previous_of(line) == b"a" * 64


def test_long_texts_are_cut_when_leaving_out_is_not_enough() -> None:
    record = short(record_of(failed_connect(), "ü" * 2000), 1500)
    assert record["message"] == "ü" * 255 + "…"
    validate_record(record)


def test_lists_of_others_are_cut_too() -> None:
    record = short({"event": {"tags": ["x"] * 10_000}, "message": 5, "tls": "none"}, 1500)
    assert record["event"] == {"tags": ["x"] * 16}
    assert (record["message"], record["tls"]) == (5, "none")


@given(events(), st.text(max_size=2048), st.integers(200, 4000))
def test_an_excerpt_fits_and_reads_back_as_the_same_event_or_there_is_none(
    event: Event, message: str, limit: int
) -> None:
    whole = record_of(event, message)
    line = excerpt(whole, 9999, limit)
    if line is None:
        return
    assert len(line) <= limit
    read = ANY_EVENT.validate_json(line)
    assert type(read) is type(event)
    assert read.event.sequence == whole["event"]["sequence"]


def test_there_is_none_where_even_that_is_too_long() -> None:
    assert excerpt(record_of(failed_connect()), 9999, 200) is None


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists))
def test_the_last_resort_is_short_whatever_it_is_made_of(value: Any) -> None:
    names = ("kind", "category", "type", "action", "outcome", "code", "sequence", "id", "ip", "port", "established")
    fields = dict.fromkeys([*names, "schema_version", "connection_id"], value)
    groups = dict.fromkeys(("event", "source", "destination", "tls", "doorlog"), fields)
    line = last_resort({"@timestamp": value, "message": value, **groups})
    assert len(line) <= 1500
    orjson.loads(line)


def test_the_last_resort_says_which_record_it_is() -> None:
    record = orjson.loads(last_resort(record_of(failed_connect())))
    assert record["event"]["sequence"] == 1
    assert record["event"]["code"] == "server_certificate_unknown_ca"
    assert record["source"] == {"ip": "10.0.0.9", "port": 51234}
    assert record["doorlog"] == {
        "schema_version": 1, "connection_id": "0123456789abcdef", "fault": "too long for UDP: shortened",
    }  # fmt: skip
    assert orjson.loads(last_resort({})) == {
        "@timestamp": None, "message": None, "doorlog": {"fault": "too long for UDP: shortened"},
    }  # fmt: skip
