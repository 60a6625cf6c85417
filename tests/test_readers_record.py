"""What a line says is found where it stands, whatever a client wrote into it."""

from __future__ import annotations

import orjson
import pytest

from doorlog.log.chain import chained
from doorlog.readers.record import Line, number_at, text_at, value_at
from support.chained_logs import ChainedLog, log_key


def line_of(data: bytes) -> Line:
    return Line("doorlog.jsonl", 1, data.removesuffix(b"\n"))


def test_a_line_says_where_it_belongs() -> None:
    log = ChainedLog(log_key()).start().connect().checkpoint()
    started, connect, checkpoint = map(line_of, log.lines)

    assert [line.sequence for line in (started, connect, checkpoint)] == [1, 2, 3]
    assert [line.action for line in (started, connect, checkpoint)] == ["audit_started", "connect", "audit_checkpoint"]
    assert connect.previous == started.hash
    assert checkpoint.follows == {connect.hash}
    assert connect.run == started.run == b"000000000001"
    assert connect.time == "2026-03-01T15:02:12.250000Z"
    assert connect.is_record


def test_a_gap_follows_the_last_line_that_was_written_as_well() -> None:
    log = ChainedLog().start()
    log.write_failed(log.fork().connect())
    first, gap = map(line_of, log.lines)

    assert gap.previous != first.hash
    assert gap.follows == {gap.previous, first.hash}


@pytest.mark.parametrize(
    "data", [b"", b"\0", b"{}", b"[]", b'{"sequence":1}', b'{"event":{"action":"a","sequence":1}}']
)
def test_what_is_no_record(data: bytes) -> None:
    line = line_of(data)

    assert not line.is_record
    assert (line.run, line.time) == (None, None)


def test_a_client_s_text_is_not_taken_for_a_key() -> None:
    text = '"action":"audit_gap","sequence":77,"id":"f-77","after_sha256":"' + "0" * 64 + '"'
    record = {"message": text, "event": {"action": "connect", "sequence": 5, "id": "a-5"}, "doorlog": {"x": text}}
    line = line_of(chained(orjson.dumps(record) + b"\n", b"1" * 64))

    assert (line.sequence, line.action, line.run, line.previous) == (5, "connect", b"a", b"1" * 64)


@pytest.mark.parametrize("data", [b"{", b"[1]", b"7", b'{"a":\0}', b"[" * 5000])
def test_what_can_not_be_parsed_is_none(data: bytes) -> None:
    assert line_of(data).parsed() is None


def test_values_of_a_strange_kind_are_none() -> None:
    record = {"a": {"n": 3, "minus": -1, "yes": True, "t": "x", "l": [1]}}

    assert value_at(record, "a", "l") == [1]
    assert value_at(record, "a", "t", "deeper") is None
    assert [number_at(record, "a", key) for key in ("n", "minus", "yes", "t", "l", "none")] == [3, *[None] * 5]
    assert [text_at(record, "a", key) for key in ("t", "n", "none")] == ["x", None, None]
