"""From a typed event to one line, whatever its texts hold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorlog.events.parts import MqttPart
from doorlog.log.processors import TEXT_LIMIT, Sentence, record_processors, render, rfc3339, unfold
from support.events import SERVICE, WHEN, failed_connect, one_of_each
from support.records import parse_records

FORGED = 'pump-17\n{"@timestamp":"2026-01-01T00:00:00Z","message":"forged"}\r\n'
INVISIBLE = "\x7f\x85\x9b31m\u2028\u2029\u202e\u2066\u061c\u200f"


def line_of(event: Any, message: str = "it happened") -> bytes:
    facts: Any = {"event": event, "sequence": 1, "id": "x-1", "service": SERVICE.model_dump()}
    for processor in record_processors(lambda _: message):
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
        b'{"@timestamp":"2026-03-01T15:02:11.250000Z","message":"it happened","ecs":'
    )


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
