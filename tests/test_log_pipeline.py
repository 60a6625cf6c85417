"""Each event leaves one line with the next number, whatever the processors do."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from structlog.processors import add_log_level

from doorlog.events.parts import MqttPart, SourcePart
from doorlog.events.records import Event
from doorlog.log.chain import NOTHING_BEFORE, is_signed_by, line_hash, previous_of
from doorlog.log.faults import Faults
from doorlog.log.pipeline import Pipeline
from doorlog.log.processors import record_processors, render, unfold
from doorlog.log.segments import sequence_of
from support.events import SERVICE, failed_connect, one_of_each, stopped_audit
from support.records import Record, parse_records, sequences


def quiet() -> Faults:
    return Faults(lambda _: None)


def through(*processors: Any, events: Any = (), faults: Faults | None = None) -> list[Record]:
    pipeline = Pipeline(processors, SERVICE, faults or quiet())
    return parse_records(pipeline.line(event) for event in events or [failed_connect()])


def raising(error: BaseException) -> Any:
    def processor(_logger: Any, _method_name: str, _facts: Any) -> Any:
        raise error

    return processor


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no\x1b[31m\n"),
        structlog.DropEvent(),
        RecursionError("too deep"),
        UnicodeError("\ud800"),
        SystemExit(1),
    ],
)
def test_a_processor_that_raises_does_not_cost_the_record(error: BaseException) -> None:
    faults = quiet()
    (record,) = through(*record_processors(lambda _: "fine", [raising(error)]), faults=faults)
    assert (record["event"]["sequence"], record["event"]["code"]) == (1, "server_certificate_unknown_ca")
    assert (record["source"]["ip"], record["service"]["instance"]["id"]) == ("10.0.0.9", "test")
    assert record["doorlog"]["fault"].startswith(type(error).__name__)
    assert "this record is incomplete" in record["message"]
    assert [(fault.where, fault.count, fault.lost) for fault in faults.all()] == [("processors", 1, 0)]


def test_a_sentence_that_can_not_be_said_does_not_cost_the_record() -> None:
    def message_of(_event: object) -> str:
        raise KeyError("bad_password")

    (record,) = through(*record_processors(message_of))
    assert record["doorlog"]["fault"] == "KeyError: 'bad_password'"


def test_a_sentence_that_is_no_text_does_not_cost_the_record() -> None:
    nothing: Any = lambda _: None  # noqa: E731 - typed as what it is not
    (record,) = through(*record_processors(nothing))
    assert record["doorlog"]["fault"].startswith("TypeError")


@pytest.mark.parametrize("last", ["text\n", b"no end", b"two\nlines\n", b"", {"a": 1}, None, 5])
def test_a_renderer_that_gives_something_else_than_a_line_does_not_cost_the_record(last: Any) -> None:
    (record,) = through(lambda *_: last)
    assert record["event"]["code"] == "server_certificate_unknown_ca"
    assert record["doorlog"]["fault"]


def test_a_processor_that_breaks_the_record_does_not_cost_it() -> None:
    def break_it(_logger: Any, _method_name: str, record: Any) -> Any:
        record["source"]["ip"] = object()
        return record

    (record,) = through(*record_processors(lambda _: "fine", [break_it]))
    assert record["source"]["ip"] == "10.0.0.9"
    assert record["doorlog"]["fault"].startswith("TypeError")


def test_a_failing_processor_and_hostile_text_together_do_not_cost_the_record() -> None:
    event = failed_connect(mqtt=MqttPart.model_construct(client_id="\ud800\n\x9b"))
    (record,) = through(raising(ValueError("x")), events=[event])
    assert record["mqtt"]["client_id"] == r"\uD800\u000A\u009B"


def test_what_is_no_event_at_all_leaves_a_gap_record_with_the_sequence() -> None:
    records = through(
        *record_processors(lambda _: "fine"), events=[failed_connect(), None, {"event": 1}, failed_connect()]
    )
    assert sequences(records) == [1, 2, 3, 4]
    assert [record["event"]["action"] for record in records] == ["connect", "audit_gap", "audit_gap", "connect"]


def test_a_processor_that_fails_now_and_then_leaves_no_gap() -> None:
    calls = iter(range(100))

    def moody(_logger: Any, _method_name: str, facts: Any) -> Any:
        if next(calls) % 3 == 0:
            raise OSError("bad day")
        return facts

    records = through(*record_processors(lambda _: "fine", [moody]), events=one_of_each() * 3)
    assert sequences(records) == list(range(1, 3 * len(one_of_each()) + 1))
    assert sum("fault" in record["doorlog"] for record in records) == len(one_of_each())


def test_ids_are_unique_also_between_runs() -> None:
    records = [record for _ in range(3) for record in through(unfold, render, events=one_of_each())]
    assert len({record["event"]["id"] for record in records}) == 3 * len(one_of_each())


def test_a_refinement_that_fails_costs_only_what_it_would_have_said() -> None:
    def refine(_event: object) -> Any:
        raise OSError("the directory is locked")

    (record,) = through(*record_processors(lambda _: "fine", refine=refine))
    assert (record["source"]["ip"], record["doorlog"]["fault"]) == ("10.0.0.9", "OSError: the directory is locked")


def test_a_refined_event_is_what_is_said_and_recorded() -> None:
    def refine(event: Event) -> Event:
        return event.model_copy(update={"source": SourcePart(port=7)})

    (record,) = through(*record_processors(lambda event: str(event.model_dump()["source"]["port"]), refine=refine))
    assert (record["message"], record["source"]) == ("7", {"port": 7})


def test_a_processor_of_structlog_works() -> None:
    pipeline = Pipeline(record_processors(lambda _: "fine", [add_log_level]), SERVICE, quiet())
    assert b'"level":"info"' in pipeline.line(failed_connect())


def test_a_processor_that_changes_the_service_changes_one_record_only() -> None:
    def rename(_logger: Any, _method_name: str, record: Any) -> Any:
        record["service"] = {**record["service"], "name": record["service"]["name"] + "!"}
        return record

    records = through(*record_processors(lambda _: "fine", [rename]), events=one_of_each())
    assert {record["service"]["name"] for record in records} == {"doorlog!"}


def test_where_names_are_hidden_no_text_of_an_error_stands_in_a_record() -> None:
    pipeline = Pipeline([raising(KeyError("pump-99"))], SERVICE, Faults(lambda _: None, discreet=True))

    assert b"pump-99" not in pipeline.line(failed_connect())


@pytest.mark.parametrize("doorlog", [{}, None, "text", [], 5])
def test_a_processor_that_leaves_no_place_for_the_chain_does_not_cost_the_record(doorlog: Any) -> None:
    def replace(_logger: Any, _method_name: str, record: Any) -> Any:
        return {**record, "doorlog": doorlog}

    records = through(*record_processors(lambda _: "fine", [replace]), events=one_of_each())
    assert all(record["doorlog"]["fault"].startswith("ValueError") for record in records)
    assert all(len(record["doorlog"]["previous_sha256"]) == 64 for record in records)


def test_a_processor_that_takes_doorlog_away_does_not_cost_the_record() -> None:
    def take(_logger: Any, _method_name: str, record: Any) -> Any:
        del record["doorlog"]
        return record

    (record,) = through(*record_processors(lambda _: "fine", [take]))
    assert (
        record["doorlog"]["fault"]
        == "ValueError: the last processor gave a record that does not end with its doorlog object"
    )
    assert record["event"]["code"] == "server_certificate_unknown_ca"


def test_lines_are_chained_across_processors_that_add_and_fail() -> None:
    calls = iter(range(100))

    def moody(_logger: Any, _method_name: str, record: Any) -> Any:
        if next(calls) % 2 == 0:
            raise OSError("bad day")
        return {**record, "site": {"name": "north"}}

    pipeline = Pipeline(record_processors(lambda _: "fine", [moody]), SERVICE, quiet())
    lines = [pipeline.line(event) for event in one_of_each()]
    assert [previous_of(line) for line in lines] == [NOTHING_BEFORE, *map(line_hash, lines[:-1])]
    assert pipeline.previous == line_hash(lines[-1])


def test_the_numbers_and_the_chain_of_an_earlier_run_go_on() -> None:
    pipeline = Pipeline(record_processors(lambda _: "fine"), SERVICE, quiet(), sequence=41, previous=b"a" * 64)
    line = pipeline.line(failed_connect())
    assert (sequence_of(line), previous_of(line)) == (42, b"a" * 64)


def test_a_checkpoint_is_signed_and_the_chain_holds_its_signature() -> None:
    key = Ed25519PrivateKey.generate()
    pipeline = Pipeline(record_processors(lambda _: "fine"), SERVICE, quiet())
    signed, unsigned = pipeline.checkpoint_line(failed_connect(), key), pipeline.checkpoint_line(failed_connect(), None)
    assert (is_signed_by(signed, key.public_key()), is_signed_by(unsigned, key.public_key())) == (True, False)
    assert previous_of(unsigned) == line_hash(signed)


# The chain


def chain_of(lines: list[bytes], before: bytes = NOTHING_BEFORE) -> None:
    """Fail where a line does not hold the hash of the line before it."""
    for line in lines:
        assert previous_of(line) == before
        before = hashlib.sha256(line[:-1]).hexdigest().encode()


def test_each_line_holds_the_hash_of_the_line_before() -> None:
    pipeline = Pipeline(record_processors(lambda _: "fine"), SERVICE, quiet())
    large = failed_connect(mqtt=MqttPart(client_id="\x9b" * 2000))
    lines = [pipeline.line(event) for event in (*one_of_each(), large, *one_of_each())]
    chain_of(lines)
    parse_records(lines)
    assert pipeline.previous == hashlib.sha256(lines[-1][:-1]).hexdigest().encode()


def test_a_log_goes_on_where_it_was() -> None:
    pipeline = Pipeline(record_processors(lambda _: "fine"), SERVICE, quiet(), sequence=41, previous=b"a" * 64)
    line = pipeline.line(failed_connect())
    chain_of([line], before=b"a" * 64)
    assert sequences(parse_records([line])) == [42]
    assert pipeline.sequence == 42


def test_a_checkpoint_is_signed_and_chained_with_its_signature() -> None:
    key = Ed25519PrivateKey.generate()
    pipeline = Pipeline(record_processors(lambda _: "fine"), SERVICE, quiet())
    lines = [
        pipeline.line(failed_connect()),
        pipeline.checkpoint_line(stopped_audit(), key),
        pipeline.checkpoint_line(stopped_audit(), None),
        pipeline.line(failed_connect()),
    ]
    assert [is_signed_by(line, key.public_key()) for line in lines] == [False, True, False, False]
    assert sequences(parse_records(lines)) == [1, 2, 3, 4]
    first, signed, *rest = lines
    assert previous_of(signed) == hashlib.sha256(first[:-1]).hexdigest().encode()
    chain_of(rest, before=hashlib.sha256(signed[:-1]).hexdigest().encode())


@pytest.mark.parametrize("size", [0, 1, 2046, 2047, 2048, 4093, 4094, 4095, 10_000])
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_the_hash_of_a_line_is_that_of_all_its_bytes(size: int, end: bytes) -> None:
    line = b"x" * size
    assert line_hash(line + end) == hashlib.sha256(line).hexdigest().encode()


@pytest.mark.parametrize(
    "last", [b'{"a":{}}\n', b'{"a":1}\n', b'{"a":1,"doorlog":{}}\n', b'{"doorlog":1,"b":{"c":1}}\n']
)
def test_a_record_into_which_no_hash_fits_is_replaced(last: bytes) -> None:
    (record,) = through(lambda *_: last)
    assert record["event"]["code"] == "server_certificate_unknown_ca"
    assert "doorlog object" in record["doorlog"]["fault"]
