"""A record as an RFC 5424 message, read back by a parser that knows nothing but the RFC's grammar."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorlog.events.records import Event
from doorlog.log.faults import Faults
from doorlog.log.pipeline import Pipeline
from doorlog.log.processors import record_processors
from doorlog.log.syslog_message import SMALLEST_LIMIT, Sender, element, framed, printable, quoted, severity
from doorlog.text import safe_text
from support.events import SERVICE, failed_connect, one_of_each
from support.random_events import events

SENDER = Sender("local0", "broker.example", "doorlog", "4711", "0.1.0", "broker-1")

HEADER = re.compile(
    rb"<(?P<pri>0|[1-9][0-9]{0,2})>1 (?P<timestamp>-|[0-9TZ:.+-]{20,32}) (?P<hostname>[!-~]{1,255})"
    rb" (?P<app_name>[!-~]{1,48}) (?P<procid>[!-~]{1,128}) (?P<msgid>[!-~]{1,32}) "
)
SD_NAME = rb"[!#-<>-\\^-~]{1,32}"
SD_VALUE = rb'"(?:[^"\\\]]|\\["\\\]])*"'
ELEMENT = re.compile(rb"\[(" + SD_NAME + rb")((?: " + SD_NAME + rb"=" + SD_VALUE + rb")*)\]")
PARAM = re.compile(rb" (" + SD_NAME + rb")=(" + SD_VALUE + rb")")


@dataclass(frozen=True)
class Message:
    """What the grammar of RFC 5424, 6 makes of bytes."""

    pri: int
    timestamp: str
    hostname: str
    app_name: str
    procid: str
    msgid: str
    data: dict[str, dict[str, str]]
    text: bytes


def parse(message: bytes) -> Message:
    header = HEADER.match(message)
    assert header, message[:200]
    names = {name: field.decode() for name, field in header.groupdict().items()}
    pri = int(names.pop("pri"))
    rest = message[header.end() :]
    data: dict[str, dict[str, str]] = {}
    if rest.startswith(b"- "):
        rest = rest[1:]
    while found := ELEMENT.match(rest):
        name = found[1].decode()
        assert name not in data, "the same SD-ID must not exist more than once (6.3.2)"
        data[name] = {key.decode(): unquoted(value) for key, value in PARAM.findall(found[2])}
        rest = rest[found.end() :]
    assert rest.startswith(b" "), rest[:100]
    return Message(pri=pri, data=data, text=rest[1:], **names)


def unquoted(value: bytes) -> str:
    return re.sub(r'\\(["\\\]])', r"\1", value.decode()[1:-1])


def line_of(event: Event, message: str = "it happened") -> bytes:
    return Pipeline(record_processors(lambda _: message), SERVICE, Faults(lambda _: None)).line(event)


def test_a_record_of_a_refused_device() -> None:
    line = line_of(failed_connect())
    message = parse(SENDER.message(line))
    record = orjson.loads(line)
    assert message == Message(
        pri=16 * 8 + 4,
        timestamp="2026-03-01T15:02:11.250000Z",
        hostname="broker.example",
        app_name="doorlog",
        procid="4711",
        msgid="connect",
        data={
            "meta": {"sequenceId": "1"},
            "origin": {"software": "doorlog", "swVersion": "0.1.0"},
            "doorlog@32473": {
                "code": "server_certificate_unknown_ca",
                "outcome": "failure",
                "id": record["event"]["id"],
                "sequence": "1",
                "instance": "broker-1",
            },
        },
        text=line.rstrip(b"\n"),
    )


@pytest.mark.parametrize("event", one_of_each(), ids=lambda event: event.event.action)
def test_every_kind_of_record_has_its_action_and_arrives_whole(event: Event) -> None:
    line = line_of(event)
    message = parse(SENDER.message(line))
    assert (message.msgid, message.text) == (event.event.action, line.rstrip(b"\n"))


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"action": "connect", "outcome": "success", "code": "admitted"}, 6),
        ({"action": "connect", "outcome": "failure", "code": "bad_password"}, 4),
        ({"action": "connect", "outcome": "failure", "code": "internal_error"}, 3),
        ({"action": "disconnect", "outcome": "failure", "code": "log_unavailable"}, 3),
        ({"action": "disconnect", "outcome": "success", "code": "normal"}, 6),
        ({"action": "flood", "outcome": "failure", "code": "bad_password"}, 4),
        ({"action": "certificate_expiring", "outcome": "unknown"}, 4),
        ({"action": "audit_gap", "outcome": "unknown"}, 3),
        ({"action": "audit_checkpoint", "outcome": "success"}, 6),
        ({"action": 7, "outcome": None, "code": []}, 6),
    ],
)
def test_how_bad_it_is(event: dict[str, Any], expected: int) -> None:
    assert severity({"event": event}) == expected


def test_the_numbers_of_facilities() -> None:
    def pri(facility: Any) -> int:
        return parse(Sender(facility, "h", "a", "1", "1", "i").message(b"{}")).pri

    assert [pri(name) // 8 for name in ("kern", "daemon", "authpriv", "audit", "local0", "local7")] == [
        0, 3, 10, 13, 16, 23,
    ]  # fmt: skip


@given(events(), st.text(max_size=300))
def test_whatever_an_event_holds_its_message_keeps_to_the_grammar(event: Event, text: str) -> None:
    line = line_of(event, text)
    message = parse(SENDER.message(line))
    assert message.text == line.rstrip(b"\n")
    assert b"\n" not in SENDER.message(line)
    ours = message.data["doorlog@32473"]
    assert ours.get("code", "") == safe_text(event.event.code or "", 128)


@given(st.binary(max_size=200))
def test_what_is_no_record_is_sent_too(line: bytes) -> None:
    message = parse(SENDER.message(line))
    assert message.text == line.rstrip(b"\n")


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "@timestamp": st.one_of(st.text(), st.none(), st.just("2026-03-01T15:02:11Z\n")),
            "event": st.one_of(
                st.none(),
                st.dictionaries(
                    st.sampled_from(["action", "code", "outcome", "id", "sequence"]),
                    st.one_of(st.text(), st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1)),
                ),
            ),
        },
    )
)
def test_whatever_a_foreign_processor_left_of_a_record(record: dict[str, Any]) -> None:
    message = parse(SENDER.message(orjson.dumps(record)))
    assert message.timestamp == "-" or "\n" not in message.timestamp
    assert 1 <= int(message.data["meta"].get("sequenceId", 1)) < 2**31


@given(st.text(), st.text(), st.text(), st.text(), st.text(), st.integers(0, 2**32 - 1))
def test_whatever_names_the_sender_has(
    hostname: str, app_name: str, process_id: str, version: str, instance: str, number: int
) -> None:
    sender = Sender("user", hostname, app_name, process_id, version, instance, number)
    message = parse(sender.message(b"{}"))
    assert message.data[f"doorlog@{number}"] == ({"instance": safe_text(instance, 128)} if instance else {})
    assert len(message.data["origin"].get("swVersion", "")) <= 32 * 6


@given(st.text(max_size=128))
def test_a_value_is_read_back_as_it_was(value: str) -> None:
    assert unquoted(quoted(value).encode()) == safe_text(value, 128)


def test_what_would_end_a_value_is_escaped() -> None:
    assert element("x", {"k": 'a"b\\c]d', "empty": ""}) == r'[x k="a\"b\\c\]d"]'


def test_the_sequence_wraps_as_the_rfc_says() -> None:
    """RFC 5424, 7.3.1: from 2147483647 to 1."""
    for sequence, expected in ((1, "1"), (2**31 - 1, "2147483647"), (2**31, "1"), (2**31 + 1, "2")):
        message = parse(SENDER.message(orjson.dumps({"event": {"sequence": sequence}})))
        assert message.data["meta"] == {"sequenceId": expected}
        assert message.data["doorlog@32473"]["sequence"] == str(sequence)


def test_a_field_of_the_header_is_printable_and_never_empty() -> None:
    assert printable("my broker\n<1>", 8) == "my_broke"
    assert printable("", 8) == "-"


def test_a_frame_counts_bytes_not_characters() -> None:
    assert framed("ä€".encode()) == "5 ä€".encode()


def test_a_message_that_fits_is_whole_and_one_that_does_not_says_so() -> None:
    line = line_of(failed_connect())
    whole = SENDER.message(line)
    assert SENDER.short_message(line, len(whole)) == whole
    short = SENDER.short_message(line, len(whole) - 1)
    assert len(short) < len(whole)
    assert parse(short).data == parse(whole).data
    assert "shortened" in orjson.loads(parse(short).text)["doorlog"]["fault"]


@given(events(), st.text(max_size=3000), st.integers(SMALLEST_LIMIT, 9000))
def test_no_record_is_longer_than_the_limit(event: Event, text: str, limit: int) -> None:
    line = line_of(event, text)
    short = SENDER.short_message(line, limit)
    assert len(short) <= limit
    record = orjson.loads(parse(short).text)
    assert record["event"]["sequence"] == 1
    assert record["event"]["action"] == event.event.action


def test_the_worst_that_a_foreign_processor_can_do_still_fits() -> None:
    long = "\u202e" * 5000
    names = ("kind", "category", "type", "action", "outcome", "code", "id", "x")
    record = {
        "@timestamp": long,
        "message": long,
        "event": {name: [long] * 50 if name == "category" else long for name in names},
        **{name: {"ip": long, "established": long} for name in ("source", "destination", "tls")},
        "doorlog": {"schema_version": long, "connection_id": long, "fault": long},
    }
    sender = Sender("local7", "h" * 999, "a" * 999, "9" * 10, "v" * 999, "\u202e" * 999, 2**32 - 1)
    short = sender.short_message(orjson.dumps(record), SMALLEST_LIMIT)
    assert len(short) <= SMALLEST_LIMIT
    message = parse(short)
    assert message.data == {}
    assert orjson.loads(message.text)["doorlog"]["fault"] == "too long for UDP: shortened"
