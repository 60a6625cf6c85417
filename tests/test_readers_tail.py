"""The last records of a log: from its end on, over segments, whatever stands between them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from doorlog.readers import tail as module
from doorlog.readers.files import open_log
from doorlog.readers.filters import Filters
from doorlog.readers.tail import Found, Tail, blocks_backwards, tail_of, wanted
from support.log_files import WrittenLog


def read(log: WrittenLog, count: int = 3, filters: Filters | None = None) -> Tail:
    with open_log(log.live) as opened:
        return tail_of(opened, filters or Filters(), count)


def sequences(tail: Tail) -> list[int]:
    return [record["event"]["sequence"] for _line, record in tail.found]


@pytest.fixture
def log(tmp_path: Path) -> WrittenLog:
    """Three segments, the oldest ones compressed: 1 to 10, 11 to 20, and 21 to 25 in the live file."""
    log = WrittenLog(tmp_path)
    for count in (10, 10):
        log.append(count)
        log.rotate()
    log.compress()
    log.append(5)
    return log


@pytest.mark.parametrize("count", [0, 1, 5, 6, 15, 25, 100])
def test_the_last_records_over_compressed_segments(log: WrittenLog, count: int) -> None:
    tail = read(log, count)

    assert sequences(tail) == list(range(1, 26))[max(0, 25 - count) :]
    assert [found.line + b"\n" for found in tail.found] == log.written[max(0, 25 - count) :]
    assert tail.last is not None
    assert tail.last.sequence == 25


def test_older_segments_are_not_opened_when_enough_was_found(log: WrittenLog) -> None:
    for path in log.closed:
        path.write_bytes(b"no zstd at all")

    assert sequences(read(log, 5)) == [21, 22, 23, 24, 25]
    assert read(log, 6).damaged == [path.name for path in reversed(log.closed)]


def test_reading_ends_where_records_are_too_old(log: WrittenLog) -> None:
    log.closed[0].write_bytes(b"no zstd at all")
    since = datetime(2026, 3, 2, tzinfo=UTC)

    tail = read(log, 100, Filters(since=since))
    assert (sequences(tail), tail.damaged) == ([], [])
    log.append(2, **{"@timestamp": "2026-03-02T00:00:01Z"})
    assert sequences(read(log, 100, Filters(since=since))) == [26, 27]


def test_filters_find_what_is_far_back(log: WrittenLog) -> None:
    log.append(1, device="pump-17")
    log.append(30)

    assert sequences(read(log, 3, Filters(device="pump-17"))) == [26]


def test_an_empty_live_file_has_its_end_in_the_segment_before(log: WrittenLog) -> None:
    log.rotate()
    log.live.touch()

    tail = read(log, 0)
    assert tail.last is not None
    assert tail.last.sequence == 25
    assert sequences(read(log, 2)) == [24, 25]


def test_hostile_lines_are_left_out(log: WrittenLog) -> None:
    log.append_raw(b"\n\x00\xff\xfe binary\n[]\n{}\n" + b'{"event":{"x":"' + b"y" * 3_000_000 + b'"}}\n')
    log.append(1)
    log.append_raw(b'{"event":{"sequence":99,"id":"torn')

    tail = read(log, 3)
    assert sequences(tail) == [24, 25, 26]
    assert tail.last is not None
    assert tail.last.sequence == 26
    assert wanted(b'{"event":{}}' + b" " * 2_000_000, Filters()) is None


def test_a_live_file_is_read_from_its_end_only(log: WrittenLog, monkeypatch: pytest.MonkeyPatch) -> None:
    log.append(5_000)
    asked: list[bytes] = []

    def counting(line: bytes, filters: Filters) -> Found | None:
        asked.append(line)
        return wanted(line, filters)

    monkeypatch.setattr(module, "wanted", counting)

    assert len(sequences(read(log, 7))) == 7
    assert len(asked) == 7


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("data", [b"", b"a", b"\n", b"a\nbb\n\nccc\n", b"a\nbb\ntorn", b"\n\n\n"])
def test_blocks_backwards_give_each_whole_line_once(tmp_path: Path, data: bytes, chunk: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    with path.open("rb") as file:
        blocks = list(blocks_backwards(file, chunk))

    assert b"".join(reversed(blocks)) == data[: data.rfind(b"\n") + 1]
    assert all(block.endswith(b"\n") for block in blocks)
