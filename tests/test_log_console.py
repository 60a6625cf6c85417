"""The readable line: what a person sees on a terminal, and what a hostile device can not do to it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, timedelta, timezone
from typing import Any, TextIO

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import COLOR_SYSTEMS

from doorlog.errors import SinkError
from doorlog.events.parts import DoorlogPart, MqttPart, SourcePart
from doorlog.events.records import Event
from doorlog.log.console import ConsoleSink, Readable
from doorlog.log.faults import Faults
from doorlog.log.pipeline import Pipeline
from doorlog.log.processors import record_processors
from support.events import (
    SERVICE,
    admitted_connect,
    ended_session,
    failed_connect,
    refused_publish,
    served_certificate,
    stopped_audit,
)

PLAIN = Readable(timezone=UTC)
COLORED = Readable(COLOR_SYSTEMS["256"], timezone=UTC)
OUR_COLORS = re.compile(r"\x1b\[[0-9;]*m")
MESSAGE = "device refused our certificate: it does not trust its issuer"


def line_of(event: Event, message: str = MESSAGE) -> bytes:
    return Pipeline(record_processors(lambda _: message), SERVICE, Faults()).line(event)


def shown(event: Event, message: str = MESSAGE, readable: Readable = PLAIN) -> str:
    return readable.line(orjson.loads(line_of(event, message)))


@contextmanager
def terminal() -> Iterator[tuple[TextIO, int]]:
    """Open a terminal; give its program's side as a stream and its person's side as a descriptor."""
    person, program = os.openpty()
    with os.fdopen(program, "w", encoding="utf-8") as stream:
        yield stream, person
    os.close(person)


@given(st.text(), st.text(), st.text())
def test_no_text_can_break_the_line_or_reach_the_terminal(client_id: str, listener: str, message: str) -> None:
    record = {
        "event": {"action": "connect", "code": "admitted", "outcome": "success"},
        "mqtt": {"client_id": client_id},
        "doorlog": {"listener": listener},
        "message": message,
    }
    for readable in (PLAIN, COLORED):
        line = readable.line(record)
        assert line.endswith("\n")
        assert "\x1b" not in OUR_COLORS.sub("", line)
        assert len(line.splitlines()) == 1
        assert line.encode("utf-8", "strict")


def test_a_client_id_can_not_clear_the_screen_or_write_a_line_of_its_own() -> None:
    hostile = "\x1b[2J\x1b]0;title\x07\r\n12:00:00 ✓ admitted  \x9b31m\u202e"
    line = shown(failed_connect(device=None, mqtt=MqttPart(client_id=hostile)), readable=COLORED)
    assert r"\u001B[2J\u001B]0;title\u0007\u000D\u000A12:00:00 ✓ admitted" in line
    assert OUR_COLORS.sub("", line)[:-1].isprintable()


def test_rich_markup_is_only_text() -> None:
    assert "[bold]hi[/bold]" in shown(failed_connect(), "[bold]hi[/bold]", COLORED)


def test_a_huge_message_is_cut() -> None:
    line = shown(failed_connect(), "A" * 100_000)
    assert line.endswith("A…\n")
    assert len(line) < 800


@settings(max_examples=30)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["event", "@timestamp", "code", "ip"]), inner),
    ).filter(lambda value: isinstance(value, dict))
)
def test_an_odd_record_is_still_one_line(record: Any) -> None:
    assert PLAIN.line(record).count("\n") == 1


def test_a_failure() -> None:
    assert shown(failed_connect()) == (
        f"15:02:11 ✗ server_certificate_unknown_ca  10.0.0.9  tls  pump-17?  {MESSAGE}\n"
    )


def test_a_device_that_is_certain_has_no_question_mark() -> None:
    assert shown(admitted_connect(), "welcome") == "15:02:11 ✓ admitted  10.0.0.9  tls  pump-17  welcome\n"


def ambiguous(*names: object) -> dict[str, Any]:
    """A record whose device is one of several."""
    candidates = [{"id": name, "score": 0.5} for name in names]
    return {"doorlog": {"device": {"confidence": "ambiguous", "candidates": candidates}}, "message": MESSAGE}


def test_where_it_was_one_of_several_devices_they_are_named() -> None:
    assert f"  one of plug-13, plug-14?  {MESSAGE}" in PLAIN.line(ambiguous("plug-13", "plug-14"))
    assert "  one of a, b, c, …?  " in PLAIN.line(ambiguous("a", "b", "c", "d"))
    assert "  maybe a?  " in PLAIN.line(ambiguous("a"))
    assert "  one of a\\u001B[2J?  " in PLAIN.line(ambiguous("a\x1b[2J", 7, None))


@pytest.mark.parametrize("candidates", [None, 7, "plug", {"id": "plug"}, [], ["plug"], [None, 3]])
def test_candidates_that_are_none_are_left_out(candidates: object) -> None:
    record = {"doorlog": {"device": {"candidates": candidates}}, "message": MESSAGE}

    assert "one of" not in (line := PLAIN.line(record))
    assert "maybe" not in line


def test_a_client_id_stands_where_no_device_is_known() -> None:
    event = failed_connect(device=None, doorlog=DoorlogPart(listener="tls"), mqtt=MqttPart(client_id="x"))
    assert "  tls  x  " in shown(event)


def test_records_of_other_kinds_say_which() -> None:
    line = shown(ended_session(), "gone")
    assert line == "15:02:11 ✗ disconnect keep_alive_timeout  10.0.0.9  tls  pump-17  gone\n"
    assert shown(refused_publish(), "no").startswith("15:02:11 ✗ authorize  10.0.0.9")
    assert shown(served_certificate(), "new") == "15:02:11 ✓ certificate_served  tls  new\n"
    assert shown(stopped_audit(), "bye") == "15:02:11 ✓ audit_stopped  bye\n"


def test_an_outcome_that_is_unknown_has_its_own_mark() -> None:
    event = failed_connect(event=failed_connect().event.model_copy(update={"outcome": "unknown"}))
    assert shown(event).startswith("15:02:11 • server")


def test_an_address_that_is_unknown_leaves_no_hole() -> None:
    assert "unknown_ca  tls  " in shown(failed_connect(source=SourcePart()))


def test_times_are_those_of_the_wall_clock() -> None:
    assert shown(failed_connect(), readable=Readable(timezone=timezone(timedelta(hours=2)))).startswith("17:02:11 ")


def test_a_terminal_that_knows_ascii_only_gets_it() -> None:
    ascii_only = Readable(ascii_only=True, timezone=UTC)
    assert shown(failed_connect(), readable=ascii_only).startswith("15:02:11 x server")
    assert shown(admitted_connect(), readable=ascii_only).startswith("15:02:11 + admitted")


def test_a_terminal_gets_colors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    with terminal() as (stream, person):
        sink = ConsoleSink(stream)
        sink.write([line_of(failed_connect())])
        sink.close()
        assert b"\x1b[1;31m\xe2\x9c\x97 server_certificate_unknown_ca\x1b[0m" in os.read(person, 4096)


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_a_terminal_without_colors_gets_plain_text(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv(name, value)
    with terminal() as (stream, person):
        sink = ConsoleSink(stream)
        sink.write([line_of(failed_connect())])
        sink.close()
        assert b"\x1b" not in os.read(person, 4096)


def test_a_pipe_gets_plain_text_in_its_encoding() -> None:
    read_fd, write_fd = os.pipe()
    with os.fdopen(write_fd, "w", encoding="ascii") as stream:
        sink = ConsoleSink(stream)
        sink.write([line_of(failed_connect(), "Pümpe"), line_of(stopped_audit(), "bye")])
        sink.close()
    with os.fdopen(read_fd, "rb") as reader:
        first, second = reader.read().splitlines()
    assert first[8:] == rb" x server_certificate_unknown_ca  10.0.0.9  tls  pump-17?  P\xfcmpe"
    assert second[8:] == rb" + audit_stopped  bye"


def test_a_console_that_is_closed_is_refused() -> None:
    read_fd, write_fd = os.pipe()
    os.close(read_fd)
    stream = os.fdopen(write_fd, "w", encoding="utf-8")
    stream.close()
    with pytest.raises(SinkError, match="it is closed"):
        ConsoleSink(stream)


def test_a_terminal_that_has_gone_is_a_sink_error() -> None:
    read_fd, write_fd = os.pipe()
    with os.fdopen(write_fd, "w", encoding="utf-8") as stream:
        sink = ConsoleSink(stream)
        os.close(read_fd)
        with pytest.raises(SinkError, match="Broken pipe"):
            sink.write([line_of(failed_connect())])
        sink.close()


def test_it_writes_to_standard_error_as_it_is(capfd: pytest.CaptureFixture[str]) -> None:
    sink = ConsoleSink(sys.__stderr__ or sys.stderr)
    sink.write([line_of(admitted_connect(), "welcome")])
    sink.close()
    assert capfd.readouterr().err.endswith("  welcome\n")
