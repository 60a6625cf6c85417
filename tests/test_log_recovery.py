"""Where a log stopped, after every way of stopping."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
import zstandard

from doorlog.errors import SinkError
from doorlog.log.chain import line_hash
from doorlog.log.recovery import Tail, tail_of
from doorlog.log.segments import segment_name
from support.events import WHEN, failed_connect, stopped_audit
from support.log_lines import closed_log, lines_of

LINES = lines_of()
WHOLE = b"".join(LINES)


def tail(path: Path, data: bytes) -> Tail:
    path.write_bytes(data)
    fd = os.open(path, os.O_RDONLY)
    try:
        return tail_of(path, fd)
    finally:
        os.close(fd)


@pytest.fixture
def live(tmp_path: Path) -> Path:
    return tmp_path / "doorlog.jsonl"


def close_segment(live: Path, lines: list[bytes], suffix: str = "") -> Path:
    path = live.with_name(segment_name(live, WHEN, 1) + suffix)
    data = b"".join(lines)
    path.write_bytes(zstandard.compress(data) if suffix == ".zst" else data)
    return path


# what is no log of ours


@pytest.mark.parametrize(
    "data",
    [
        b"precious\n",
        b"precious",
        b'{"some":"json"}\n',
        b'{"event":{"sequence":1}',
        b'{"sequence":1}\n',
        b'{"event":{"sequence":1}\n',
        b'[{"sequence":1}]\n',
        b'{"event":[],"sequence":1}\n',
        b"\x7fELF\x00\x00\x00",
        b"x" * 3_000_000,
        b"x" * 3_000_000 + b"\n",
    ],
)
def test_a_file_of_somebody_else_is_refused(live: Path, data: bytes) -> None:
    with pytest.raises(SinkError, match=r"is no log of doorlog: name another file"):
        tail(live, data)


# what a crash leaves


def test_a_file_that_ends_with_a_whole_record_without_an_end_was_not_closed(live: Path) -> None:
    assert tail(live, WHOLE) == Tail(3, line_hash(LINES[-1]), WHEN, was_closed=False, good_bytes=len(WHOLE))


@pytest.mark.parametrize("torn", [b"{", LINES[0][:-1], LINES[0][:100], b"\0" * 4096, LINES[0][:50] + b"\0" * 512])
def test_what_stands_behind_the_last_record_is_torn(live: Path, torn: bytes) -> None:
    found = tail(live, WHOLE + torn)
    assert (found.sequence, found.good_bytes, found.torn_bytes, found.was_closed) == (3, len(WHOLE), len(torn), False)


@pytest.mark.parametrize("strange", [b"\0" * 100 + b"\n", b"not ours\n", b"{}\n", b'{"sequence":9}\n', b"\n"])
def test_lines_that_are_no_records_behind_the_last_are_torn_too(live: Path, strange: bytes) -> None:
    found = tail(live, WHOLE + strange + b"rest")
    assert (found.sequence, found.good_bytes, found.torn_bytes) == (3, len(WHOLE), len(strange) + 4)


@pytest.mark.parametrize("torn", [b"{", b'{"@timestamp":"2026-', b"\0" * 9000, LINES[0][:-1], b"\0\0\n"])
def test_the_first_record_of_all_may_be_torn(live: Path, torn: bytes) -> None:
    assert tail(live, torn) == Tail(was_closed=False, torn_bytes=len(torn))


def test_an_absent_past_is_no_fault(live: Path) -> None:
    assert tail(live, b"") == Tail()


def test_a_long_log_is_read_from_its_end_only(live: Path) -> None:
    lines = lines_of(count=2500, size=2000)
    data = b"".join(lines)
    assert len(data) > 3 * 2_097_152
    found = tail(live, data + b"{")
    assert (found.sequence, found.sha256, found.good_bytes) == (2500, line_hash(lines[-1]), len(data))


# whether it was closed


def test_a_log_that_was_stopped_was_closed(live: Path) -> None:
    assert tail(live, b"".join(closed_log())).was_closed


def test_a_checkpoint_behind_the_stop_changes_nothing_and_one_without_it_is_no_stop(live: Path) -> None:
    checkpoint = b'{"event":{"action":"audit_checkpoint","sequence":5}}\n'
    assert tail(live, b"".join(closed_log()) + checkpoint).was_closed
    assert not tail(live, WHOLE + checkpoint).was_closed
    assert not tail(live, checkpoint).was_closed


def test_a_stop_with_something_torn_behind_it_was_no_stop(live: Path) -> None:
    assert not tail(live, b"".join(closed_log()) + b"{").was_closed


# when the live file is new


@pytest.mark.parametrize("suffix", ["", ".zst"])
def test_the_last_closed_segment_tells_if_the_live_file_is_empty(live: Path, suffix: str) -> None:
    lines = closed_log()
    close_segment(live, lines, suffix)
    assert tail(live, b"") == Tail(4, line_hash(lines[-1]), WHEN, was_closed=True)
    torn = tail(live, b'{"@time')
    assert (torn.sequence, torn.was_closed, torn.good_bytes, torn.torn_bytes) == (4, False, 0, 7)


def test_a_closed_segment_that_holds_nothing_is_passed_over(live: Path) -> None:
    lines = lines_of(failed_connect(), stopped_audit())
    close_segment(live, lines)
    live.with_name(segment_name(live, WHEN, 99)).write_bytes(b"strange\n")
    assert tail(live, b"").sequence == 2


# when


@pytest.mark.parametrize(
    ("timestamp", "time"),
    [
        ("2026-03-01T15:02:11Z", datetime(2026, 3, 1, 15, 2, 11, tzinfo=UTC)),
        ("2026-03-01T15:02:11", datetime(2026, 3, 1, 15, 2, 11, tzinfo=UTC)),
        ("yesterday", None),
    ],
)
def test_the_time_of_the_last_record(live: Path, timestamp: str, time: datetime | None) -> None:
    line = b'{"@timestamp":"%s","event":{"sequence":7}}\n' % timestamp.encode()
    assert tail(live, line).time == time
