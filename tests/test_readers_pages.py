"""Leafing through a log, backwards: each record once, in order, whatever file it is in, and never too much at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path

import pytest

from doorlog.readers.files import open_log
from doorlog.readers.filters import Filters
from doorlog.readers.pages import Page, page_of
from support.log_files import WrittenLog

BEGAN = datetime(2026, 3, 1, 15, 2, 11, tzinfo=UTC)


@pytest.fixture
def log(tmp_path: Path) -> WrittenLog:
    """A record a minute: ten in a compressed segment, ten in one that logrotate left, ten in the live file."""
    log = WrittenLog(tmp_path)
    for step in range(3):
        for _ in range(10):
            moment = BEGAN + timedelta(minutes=log.sequence)
            device = "pump-17" if log.sequence % 10 == 0 else None
            log.append(1, device=device, **{"@timestamp": moment.isoformat().replace("+00:00", "Z")})
        if step == 0:
            log.rotate()
            log.compress()
        elif step == 1:
            log.logrotate()
    return log


def page(log: WrittenLog, filters: Filters, count: int = 100, below: int | None = None, budget: int = 10**9) -> Page:
    with open_log(log.live) as opened:
        return page_of(opened, filters, count, below, budget)


def sequences(found: Page) -> list[int]:
    return [one.record["event"]["sequence"] for one in found.found]


def leafed(log: WrittenLog, filters: Filters, count: int, budget: int = 10**9) -> list[list[int]]:
    pages, below = [], None
    while True:
        found = page(log, filters, count, below, budget)
        pages.append(sequences(found))
        if found.older is None:
            return pages
        assert below is None or found.older < below, "it gets on"
        below = found.older


@pytest.mark.parametrize("count", [1, 7, 10, 29, 30, 31])
def test_each_record_comes_once_the_latest_first(log: WrittenLog, count: int) -> None:
    pages = leafed(log, Filters(), count)

    assert list(chain(*pages)) == list(range(30, 0, -1))
    assert all(len(one) <= count for one in pages)


def test_what_is_wanted_is_found_in_every_file(log: WrittenLog) -> None:
    assert leafed(log, Filters(device="pump-17"), 2) == [[21, 11], [1]]
    assert leafed(log, Filters(text="RECORD 7"), 5) == [[7]]


def test_a_page_looks_at_a_bounded_part_and_says_how_far(log: WrittenLog) -> None:
    first = page(log, Filters(device="nobody"), budget=1)

    assert (sequences(first), first.older) == ([], 21)
    assert first.reached == "2026-03-01T15:22:11Z"
    assert list(filter(None, leafed(log, Filters(device="pump-17"), 5, budget=1))) == [[21], [11], [1]]


def test_a_segment_is_begun_while_there_is_time_for_it(log: WrittenLog) -> None:
    live = log.live.stat().st_size

    first = page(log, Filters(device="nobody"), budget=2 * live)
    assert (first.older, first.looked_at) == (21, live)
    assert page(log, Filters(device="nobody"), budget=5 * live).older == 11
    assert page(log, Filters(device="nobody"), budget=100 * live).older is None
    assert leafed(log, Filters(), 100, budget=2 * live) == [
        list(range(30, 20, -1)),
        list(range(20, 10, -1)),
        list(range(10, 0, -1)),
    ]


def test_lines_that_are_no_records_end_a_page_nowhere(tmp_path: Path) -> None:
    log = WrittenLog(tmp_path)
    log.append_raw(b"no record\n" * 20)
    found = page(log, Filters(device="nobody"), budget=1)

    assert (found.found, found.older) == ([], None)


def test_a_jump_to_a_time_reads_what_is_before_it(log: WrittenLog) -> None:
    until = BEGAN + timedelta(minutes=14.5)

    assert sequences(page(log, Filters(until=until), 3)) == [15, 14, 13]
    early = page(log, Filters(until=BEGAN - timedelta(hours=1)))
    assert (sequences(early), early.older) == ([], None)


def test_reading_ends_where_the_span_begins(log: WrittenLog) -> None:
    found = page(log, Filters(since=BEGAN + timedelta(minutes=24.5)))

    assert (sequences(found), found.older) == ([30, 29, 28, 27, 26], None)


def test_a_damaged_file_is_named_and_the_others_are_read(log: WrittenLog) -> None:
    (packed,) = (path for path in log.closed if path.suffix == ".zst")
    packed.write_bytes(packed.read_bytes()[:-20])
    found = page(log, Filters())

    assert sequences(found)[:20] == list(range(30, 10, -1))
    assert found.damaged == [packed.name]


def test_a_broken_line_where_looking_ends_hides_nothing_before_it(tmp_path: Path) -> None:
    log = WrittenLog(tmp_path)
    log.append(3)
    log.logrotate()
    log.append_raw(b"what a crash left\n")
    log.append(3)

    assert leafed(log, Filters(), 10, budget=1) == [[6, 5, 4], [3, 2, 1], []]


def test_nor_what_is_behind_it_where_a_time_is_jumped_to(tmp_path: Path) -> None:
    log = WrittenLog(tmp_path)
    log.append_raw(b"what a crash left\n")
    log.append(3, **{"@timestamp": "2026-03-01T15:00:00.000Z"})

    assert sequences(page(log, Filters(until=BEGAN))) == [3, 2, 1]
