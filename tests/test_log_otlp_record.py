"""A record becomes a log record with every field, under OpenTelemetry's names where it has one."""

from __future__ import annotations

import ast
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import opentelemetry.semconv
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.sdk._logs import ReadableLogRecord

from doorlog.events.records import Event
from doorlog.log.faults import Faults
from doorlog.log.otlp_record import EVENT_PREFIX, OTEL_NAMES, RESOURCE_FIELDS, log_record
from doorlog.log.pipeline import Pipeline
from doorlog.log.processors import record_processors
from doorlog.log.schema import json_schema
from support.events import SERVICE, WHEN, failed_connect, one_of_each, refused_password
from support.log_page import schema_fields
from support.otlp_receiver import attributes

PAGE = Path(__file__).parent.parent / "docs" / "otlp.md"
OURS = {"service.name": "doorlog", "service.version": "1", "service.instance.id": "this one"}
NOW = 1_800_000_000_000_000_000


def line_of(event: Event) -> bytes:
    pipeline = Pipeline(record_processors(lambda _: "said"), SERVICE, Faults(lambda _: None))
    return pipeline.line(event)


def translated(line: bytes | dict[str, Any]) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """Return the log record, its attributes and its resource's, as the exporter encodes them."""
    (resource,) = encode_logs([readable(line)]).resource_logs
    (scope,) = resource.scope_logs
    (log,) = scope.log_records
    assert scope.scope.name == "doorlog"
    return log, attributes(log.attributes), attributes(resource.resource.attributes)


def readable(line: bytes | dict[str, Any]) -> ReadableLogRecord:
    return log_record(line if isinstance(line, bytes) else orjson.dumps(line), OURS, NOW)


def dotted(record: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for key, value in record.items():
        if isinstance(value, dict):
            fields |= dotted(value, f"{prefix}{key}.")
        else:
            fields[prefix + key] = value
    return fields


def test_what_the_data_model_has_a_place_for_stands_there() -> None:
    log, named, resource = translated(line_of(failed_connect()))

    assert log.time_unix_nano == 1_772_377_331_250_000_000
    assert datetime.fromtimestamp(log.time_unix_nano / 1e9, UTC) == WHEN
    assert log.observed_time_unix_nano == NOW
    assert (log.body.string_value, log.event_name) == ("said", "doorlog.connect")
    assert resource == {"service.name": "doorlog", "service.version": "0.0.0", "service.instance.id": "test"}
    assert not {"message", "@timestamp", *RESOURCE_FIELDS} & set(named)
    assert (log.trace_id, log.span_id) == (b"", b"")


def test_a_device_has_the_names_of_the_conventions() -> None:
    _, named, _ = translated(line_of(failed_connect()))

    assert (named["source.address"], named["client.address"]) == ("10.0.0.9", "10.0.0.9")
    assert (named["source.port"], named["client.port"], named["server.port"]) == (51234, 51234, 8883)
    assert (named["tls.protocol.version"], named["tls.protocol.name"]) == ("1.3", "tls")
    assert named["tls.server.subject"] == "CN=mqtt.example.org"
    assert named["tls.server.not_after"] == "2027-01-01T00:00:00Z"
    assert (named["error.type"], named["event.code"]) == (("server_certificate_unknown_ca",) * 2)
    assert named["log.record.uid"] == named["event.id"]
    assert (named["tls.alert.code"], named["tls.established"], named["device.id"]) == (48, False, "pump-17")
    assert len(named["tls.client.supported_ciphers"]) == 31
    assert named["doorlog.device.candidates"] == [{"id": "pump-17", "score": 0.9}, {"id": "pump-18", "score": 0.1}]


@pytest.mark.parametrize("event", one_of_each(), ids=lambda event: event.event.action)
def test_no_field_is_lost(event: Event) -> None:
    line = line_of(event)
    log, named, resource = translated(line)
    told = {**named, **resource, "message": log.body.string_value}

    for name, value in dotted(orjson.loads(line)).items():
        if name != "@timestamp":
            assert all(told[other] == value for other in OTEL_NAMES.get(name, (name,))), name


@pytest.mark.parametrize(
    ("event", "severity"),
    [
        ({"action": "connect", "outcome": "success"}, (9, "INFO")),
        ({"action": "connect", "outcome": "failure"}, (13, "WARN")),
        ({"action": "flood", "outcome": "failure"}, (13, "WARN")),
        ({"action": "audit_gap", "outcome": "failure"}, (17, "ERROR")),
        ({"action": "disconnect", "outcome": "unknown"}, (9, "INFO")),
        ({}, (9, "INFO")),
    ],
)
def test_the_severity_says_whom_to_wake(event: dict[str, str], severity: tuple[int, str]) -> None:
    log, _, _ = translated({"event": event})

    assert (log.severity_number, log.severity_text) == severity


def test_a_success_is_no_error() -> None:
    _, named, _ = translated({"event": {"outcome": "success", "code": "admitted"}})

    assert named == {"event.outcome": "success", "event.code": "admitted"}


def test_a_pseudonym_stands_for_an_address() -> None:
    _, named, _ = translated({"source": {"address": "hmac:1234"}})

    assert named == {"source.address": "hmac:1234", "client.address": "hmac:1234"}


def test_what_others_put_under_a_name_of_the_conventions_stays() -> None:
    _, named, _ = translated({"source": {"ip": "10.0.0.9"}, "client": {"address": "nat"}})

    assert named == {"source.address": "10.0.0.9", "client.address": "nat"}


def test_a_line_of_an_earlier_run_names_that_run() -> None:
    _, _, resource = translated({"service": {"name": "other", "instance": {"id": "before"}}})

    assert resource == {"service.name": "other", "service.version": "1", "service.instance.id": "before"}


# hostile


@pytest.mark.parametrize("line", [b"no json\n", b'"text"\n', b"[1]\n", b"\xff\xfe\n", b"\n", b'{"a":\n'])
def test_what_is_no_record_holds_up_nobody(line: bytes) -> None:
    log, named, resource = translated(line)

    assert log.body.string_value == line[:-1].decode(errors="backslashreplace")
    assert (named, resource) == ({}, OURS)


@pytest.mark.parametrize(
    "timestamp", ["", "yesterday", "9999-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "1969-12-31T00:00:00Z", 7, None, []]
)
def test_a_time_that_is_none_stays_as_it_is(timestamp: Any) -> None:
    log, named, _ = translated({"@timestamp": timestamp})

    assert log.time_unix_nano == 0
    assert named.get("@timestamp") == timestamp


def test_a_time_without_zone_is_utc() -> None:
    assert readable({"@timestamp": "1970-01-01T00:00:01.000001"}).log_record.timestamp == 1_000_001_000


def test_numbers_that_are_too_large_are_text() -> None:
    _, named, _ = translated(b'{"a":18446744073709551615,"b":9223372036854775807,"c":[18446744073709551615],"d":true}')

    assert named == {"a": "18446744073709551615", "b": 2**63 - 1, "c": ["18446744073709551615"], "d": True}


def test_what_is_nested_deeply_is_text_in_the_end() -> None:
    log, named, _ = translated(b'{"a":' * 100 + b"[" * 100 + b"7" + b"]" * 100 + b"}" * 100)

    assert list(named) == [".".join(["a"] * 17)]
    assert log.attributes[0].SerializeToString().count(b"[" * 100 + b"7" + b"]" * 100) == 1


def test_what_is_nested_deeper_than_any_line_of_ours_holds_up_nobody() -> None:
    line = b'{"a":' * 300 + b"[" * 300 + b"]" * 300 + b"}" * 300
    log, named, _ = translated(line)

    assert (log.body.string_value, named) == (line.decode(), {})


def test_names_and_texts_of_clients_stay_what_they_are() -> None:
    hostile = 'x","source":{"ip":"1.2.3.4"\x00\n\u202e\U0001f600'
    _, named, _ = translated({"mqtt": {"client_id": hostile}, "odd": {"": None, "a.b": {}, "n": "null"}})

    assert named == {"mqtt.client_id": hostile, "odd.a.b": {}, "odd.n": "null"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
)


@given(st.dictionaries(st.sampled_from(["@timestamp", "message", "event", "source", "tls", "service", "x"]), JSON))
def test_any_json_becomes_a_log_record(record: dict[str, Any]) -> None:
    try:
        line = orjson.dumps(record)
    except TypeError:  # surrogates, which no line holds
        return
    translated_log = encode_logs([log_record(line, OURS, NOW)])

    assert len(translated_log.resource_logs) == 1


# documented, and true


def conventions() -> set[str]:
    """Return every attribute name of the semantic conventions that are installed."""
    (folder,) = opentelemetry.semconv.__path__
    return {
        node.value
        for path in Path(folder).rglob("*_attributes.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_each_name_is_one_of_the_conventions_or_the_record_s_own() -> None:
    known = conventions()
    unknown = {name for names in OTEL_NAMES.values() for name in names} - known

    assert unknown == {"event.id"}
    assert {"error.type", "log.record.uid", *RESOURCE_FIELDS} <= known


def test_each_translated_field_is_one_of_the_schema() -> None:
    assert set(OTEL_NAMES) <= set(schema_fields(json_schema()))


def test_the_page_shows_the_table_as_it_is() -> None:
    rows = re.findall(r"^\| `([^`|]+)` \| (`[^|]+`) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    shown = {name: tuple(re.findall(r"`([^`]+)`", targets)) for name, targets in rows}

    assert shown == OTEL_NAMES
    text = PAGE.read_text(encoding="utf-8")
    assert all(f"`{name}`" in text for name in (*RESOURCE_FIELDS, "error.type", f"{EVENT_PREFIX}connect"))


def test_a_password_that_was_refused_is_told_with_the_user() -> None:
    _, named, _ = translated(line_of(refused_password()))

    assert (named["user.name"], named["mqtt.client_id"], named["error.type"]) == ("pump-17", "pump-17", "bad_password")
