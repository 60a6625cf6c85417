"""Which files of a log need be opened for a span of time."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from doorlog.readers.spans import begun, files_between

FILES = [
    Path("doorlog.jsonl.1"),
    Path("doorlog-20260301T100000Z-0000000000000000001.jsonl.zst"),
    Path("doorlog-20260301T110000Z-0000000000000000101.jsonl"),
    Path("doorlog-20260301T120000Z-0000000000000000201.jsonl.gz"),
    Path("doorlog.jsonl"),
]


def at(hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 3, 1, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        (None, None, [0, 1, 2, 3, 4]),
        (at(10, 30), None, [1, 2, 3, 4]),
        (at(11), None, [1, 2, 3, 4]),  # the last record of the segment before may have been written in that second
        (at(11, 1), at(11, 59), [2, 4]),
        (at(13), None, [3, 4]),
        (None, at(9), [0, 4]),
        (at(8), at(9), [0, 4]),
    ],
)
def test_only_files_that_can_hold_records_of_a_span(
    since: datetime | None, until: datetime | None, expected: list[int]
) -> None:
    assert list(files_between(FILES, since, until)) == [FILES[number] for number in expected]


def test_the_name_of_a_closed_segment_tells_when_it_begins() -> None:
    assert begun(FILES[1].name) == at(10)
    assert begun(FILES[0].name) is None
    assert begun("doorlog-20261399T990000Z-0000000000000000001.jsonl") is None
