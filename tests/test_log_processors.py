"""From a typed event to one line, whatever its texts hold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorlog.events.changes import changed
from doorlog.events.parts import AlertPart, AuthPart, MqttPart, SourcePart, TlsClientPart, TlsPart, VerdictPart
from doorlog.events.records import Event
from doorlog.events.sentences import message_of, reason_of
from doorlog.log.processors import (
    REMEMBERED,
    TEXT_LIMIT,
    Encoder,
    Sentence,
    record_processors,
    render,
    rfc3339,
    unfold,
)
from support.events import SERVICE, WHEN, admitted_connect, failed_connect, one_of_each
from support.random_events import events as random_events
from support.records import parse_records
from support.sample_events import OURS

FORGED = 'pump-17\n{"@timestamp":"2026-01-01T00:00:00Z","message":"forged"}\r\n'
INVISIBLE = "\x7f\x85\x9b31m\u2028\u2029\u202e\u2066\u061c\u200f"


def keep(_logger: Any, _method_name: str, record: Any) -> Any:
    """A processor that only wants to see the record."""
    return record


def line_of(event: Any, message: str = "it happened", *extra: Any) -> bytes:
    facts: Any = {"event": event, "sequence": 1, "id": "x-1", "service": SERVICE.model_dump()}
    for processor in record_processors(lambda _: message, extra):
        facts = processor(None, "info", facts)
    assert isinstance(facts, bytes)
    return facts


def client_id_in(line: bytes) -> str:
    (record,) = parse_records([line])
    return str(record["mqtt"]["client_id"])


def connect_by(client_id: str) -> Any:
    """Return a failure by that client id; unchecked, since pydantic refuses surrogates where a text is bounded."""
    return failed_connect(mqtt=MqttPart.model_construct(client_id=client_id))


def test_a_client_id_can_not_forge_a_second_line() -> None:
    line = line_of(connect_by(FORGED))
    assert line.count(b"\n") == 1
    assert line.endswith(b"}\n")
    assert client_id_in(line) == FORGED


@pytest.mark.parametrize("character", [*INVISIBLE.replace("31m", ""), "\x00", "\x1b", "\r"])
def test_what_a_terminal_or_a_line_splitter_obeys_is_escaped_in_the_line(character: str) -> None:
    line = line_of(connect_by(f"a{character}b"))
    assert rf"a\u{ord(character):04x}b".encode() in line or rb"a\rb" in line
    assert line.decode()[:-1].isprintable()
    assert client_id_in(line) == f"a{character}b", "it is the same JSON"


def test_text_of_all_countries_stays_readable() -> None:
    assert "Pümpe-№7-泵-🚰".encode() in line_of(connect_by("Pümpe-№7-泵-🚰"))


def test_a_lone_surrogate_does_not_cost_the_record() -> None:
    assert client_id_in(line_of(connect_by("a\ud800b"))) == r"a\uD800b"


def test_surrogates_of_full_length_stay_within_the_schema() -> None:
    assert len(client_id_in(line_of(connect_by("\udfff" * TEXT_LIMIT)))) <= TEXT_LIMIT


@given(st.text(alphabet=st.characters(), max_size=50))
def test_any_text_is_one_valid_line_that_reads_back(text: str) -> None:
    line = line_of(connect_by(text), message=text)
    assert line.count(b"\n") == 1
    assert len(line.decode().splitlines()) == 1
    has_surrogate = any("\ud800" <= character <= "\udfff" for character in text)
    assert client_id_in(line) == text or has_surrogate


def test_numbers_beyond_a_long_are_the_largest_long() -> None:
    assert render(None, "info", {"a": 2**80, "b": -(2**80), "c": True}) == (
        b'{"a":9223372036854775807,"b":-9223372036854775807,"c":true}\n'
    )


def test_mending_one_value_leaves_the_others_as_they_are() -> None:
    odd: Any = {"bad": "\ud800", 5: [WHEN, None, 1.5, ("x",)]}
    assert orjson.loads(render(None, "info", odd)) == {
        "bad": r"\uD800",
        "5": ["2026-03-01T15:02:11.250000Z", None, 1.5, ["x"]],
    }


def test_what_is_not_json_is_refused() -> None:
    with pytest.raises(TypeError):
        render(None, "info", {"a": object()})
    endless: dict[str, Any] = {}
    endless["a"] = endless
    with pytest.raises((TypeError, RecursionError)):
        render(None, "info", endless)


def test_a_sentence_is_printable_and_bounded() -> None:
    facts = Sentence(lambda _: "refused \x1b[2J\n" + "A" * 100_000)(None, "info", {"event": failed_connect()})
    assert facts["message"].startswith(r"refused \u001B[2J\u000AAAA")
    assert len(facts["message"]) == TEXT_LIMIT


def test_an_event_that_says_itself_is_not_said_again() -> None:
    event = failed_connect(message="in its own words")
    assert Sentence(lambda _: "in ours")(None, "info", {"event": event})["message"] == "in its own words"


@pytest.mark.parametrize(
    ("moment", "written"),
    [
        (datetime(2026, 3, 1, 15, 2, 11, 42, UTC), "2026-03-01T15:02:11.000042Z"),
        (datetime(2026, 3, 1, 15, 2, 11, 0, UTC), "2026-03-01T15:02:11.000000Z"),
        (datetime(2026, 3, 1, 17, 2, 11, 1, timezone(timedelta(hours=2))), "2026-03-01T15:02:11.000001Z"),
        (datetime(2026, 3, 1, 0, 2, 11, 1), "2026-03-01T00:02:11.000001Z"),  # noqa: DTZ001 - taken as UTC
    ],
)
def test_a_moment_is_utc_with_six_digits_and_z(moment: datetime, written: str) -> None:
    assert rfc3339(moment) == written


def test_a_line_begins_with_when_and_what() -> None:
    assert line_of(failed_connect()).startswith(
        b'{"@timestamp":"2026-03-01T15:02:11.250000Z","message":"it happened","event":'
    )


@pytest.mark.parametrize("extra", [(), (keep,)], ids=["direct", "by way of a dictionary"])
def test_a_line_ends_with_the_object_that_the_chain_is_put_into(extra: Any) -> None:
    for event in one_of_each():
        line = line_of(event, "it happened", *extra)
        assert line.endswith(b"}}\n")
        assert list(orjson.loads(line))[-1] == "doorlog"


def test_what_a_processor_adds_stands_before_doorlog() -> None:
    def level(_logger: Any, _method_name: str, record: Any) -> Any:
        return {**record, "level": "info"}

    assert list(orjson.loads(line_of(failed_connect(), "it happened", level)))[-2:] == ["level", "doorlog"]


# The way without dictionaries


HOSTILE = ("pump-17", FORGED, INVISIBLE, "a\ud800b", "Pümpe-🚰", '"\\', "\x00")


def odd_events() -> list[Any]:
    verdict = VerdictPart(plugin="FilePlugin", verdict="deny", duration=5)
    client = TlsClientPart.model_construct(server_name="a\ud800b", x509=OURS)
    return [
        *one_of_each(),
        *(connect_by(text) for text in HOSTILE),
        failed_connect(timestamp=WHEN.replace(microsecond=0)),
        failed_connect(timestamp=WHEN.astimezone(timezone(timedelta(hours=2)))),
        failed_connect(tls=TlsPart(established=False), mqtt=MqttPart(keep_alive=0)),
        failed_connect(tls=TlsPart.model_construct(established=True, client=client)),
        failed_connect(source=SourcePart.model_construct(bytes=2**70)),
        failed_connect(doorlog=failed_connect().doorlog.model_copy(update={"auth": AuthPart(verdicts=(verdict,))})),
    ]


def encoded(encode: Encoder, event: Event) -> bytes:
    facts: Any = {"event": event, "sequence": 1, "id": "x-1", "service": SERVICE.model_dump(), "message": "m"}
    return encode(None, "info", facts)


def test_both_ways_say_the_same_also_the_second_time() -> None:
    encode, events = Encoder(), odd_events()
    for event in events + events:
        line = encoded(encode, event)
        assert line.decode()[:-1].isprintable()
        assert orjson.loads(line) == orjson.loads(line_of(event, "m", keep))


@given(random_events())
def test_both_ways_say_the_same_of_any_event(event: Event) -> None:
    event = changed(event, message=None)
    assert orjson.loads(encoded(Encoder(), event)) == orjson.loads(line_of(event, "m", keep))


def test_what_many_records_share_is_turned_into_json_once(monkeypatch: pytest.MonkeyPatch) -> None:
    encode, event = Encoder(), failed_connect()
    first = encoded(encode, event)
    assert event.tls is not None
    assert event.tls.client is not None
    monkeypatch.setitem(event.tls.client.__dict__, "server_name", "changed behind its back")
    assert encoded(encode, event) == first


def test_another_part_in_the_same_place_is_not_taken_for_the_first() -> None:
    """Python gives the id of an object that is gone to the next one."""
    encode = Encoder()
    for number in range(3 * REMEMBERED):
        alert = AlertPart(code=0, description=f"alert {number}", direction="sent")
        event = failed_connect(tls=TlsPart(established=False, alert=alert))
        assert orjson.loads(encoded(encode, event))["tls"]["alert"]["description"] == f"alert {number}"
        del alert, event
    assert encode.remembered == REMEMBERED


REFUSED = failed_connect()


def offers(encode: Encoder, client: TlsClientPart) -> int:
    """Encode what a client offers; return by how many parts more are remembered."""
    before = encode.remembered
    encoded(encode, changed(REFUSED, tls=TlsPart(established=False, client=client)))
    return encode.remembered - before


def test_what_only_one_device_sends_is_not_remembered() -> None:
    encode, x509 = Encoder(), OURS
    encoded(encode, REFUSED)
    assert offers(encode, TlsClientPart(server_name="a")) == 1
    assert offers(encode, TlsClientPart(server_name="a", x509=x509)) == 1, "the certificate alone"
    assert offers(encode, TlsClientPart(server_name="b", x509=x509)) == 0
    assert offers(encode, TlsClientPart(server_name="a", tickets=("0123456789abcdef",))) == 0
    assert offers(encode, TlsClientPart(alpn=("x" * 255,) * 32)) == 0, "nor what is as large as a client could make it"


def test_a_part_of_a_third_party_is_recorded_too() -> None:
    class Located(SourcePart):
        city: str = "Linz"

    event = failed_connect(source=Located(ip="10.0.0.9"))
    assert orjson.loads(line_of(event))["source"] == {"ip": "10.0.0.9"}, "as what it stands for"


def test_what_is_no_part_is_refused() -> None:
    with pytest.raises(TypeError):
        line_of(failed_connect(source=object()))


# Reasons


@given(random_events())
def test_the_message_is_the_same_before_and_after_the_reason_is_said(event: Event) -> None:
    event = changed(event, event=changed(event.event, reason=None), doorlog=changed(event.doorlog, flood=None))
    told = changed(event, event=changed(event.event, reason=reason_of(event)))
    assert message_of(told) == message_of(event)


def test_a_reason_is_said_where_there_is_none() -> None:
    for way in ((), (keep,)):
        facts: Any = {"event": admitted_connect(), "sequence": 1, "id": "x", "service": {}}
        for processor in record_processors(message_of, way, reason_of=reason_of):
            facts = processor(None, "info", facts)
        assert orjson.loads(facts)["event"]["reason"] == "it passed every check"


def test_a_reason_that_the_door_gave_stands() -> None:
    facts = Sentence(message_of, reason_of)(None, "info", {"event": failed_connect()})
    assert "reason" not in facts


def test_events_of_every_kind_are_valid_records_without_null() -> None:
    lines = [line_of(event) for event in one_of_each()]
    records = parse_records(lines)
    assert not any(b"null" in line for line in lines)
    assert {(r["event"]["sequence"], r["event"]["id"], r["service"]["instance"]["id"]) for r in records} == {
        (1, "x-1", "test")
    }


def test_an_event_can_be_unfolded_without_a_sentence() -> None:
    record = unfold(None, "info", {"event": failed_connect(message="itself"), "sequence": 3, "id": "x"})
    assert (record["message"], record["event"]["sequence"]) == ("itself", 3)


def test_a_third_party_sees_the_record_between_unfolding_and_rendering() -> None:
    seen: list[Any] = []

    def third_party(_logger: Any, _method_name: str, record: Any) -> Any:
        seen.append(record["source"]["ip"])
        return record

    first, second, third, fourth = record_processors(str, [third_party])
    assert (second, third, fourth) == (unfold, third_party, render)
    facts: Any = {"event": failed_connect(), "sequence": 1, "id": "x"}
    for processor in (first, second, third, fourth):
        facts = processor(None, "info", facts)
    assert seen == ["10.0.0.9"]
    assert orjson.loads(facts)["source"]["ip"] == "10.0.0.9"
