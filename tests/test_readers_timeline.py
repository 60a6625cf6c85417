"""Failures over time: every attempt in its span, and what happened at the broker beside it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from doorlog.readers.table import open_table
from doorlog.readers.timeline import Timeline, timeline_of
from support.web_log import Day, rotation


def over(day: Day, span: timedelta, most: int = 24) -> Timeline:
    with open_table(day.log.live) as table:
        return timeline_of(table, day.now - span, day.now + timedelta(seconds=1), most)


def test_every_attempt_is_in_a_span_with_its_code(tmp_path: Path) -> None:
    found = over(rotation(tmp_path), timedelta(hours=24))
    total = sum(found.slots, start=type(found.slots[0])())

    assert total == {"admitted": 9, "server_certificate_unknown_ca": 3}
    assert found.codes == ["server_certificate_unknown_ca"]
    assert [mark.text for mark in found.marks] == [
        "the broker started",
        "tls serves generation 1, issued by CN=CA 1",
        "tls serves generation 2, issued by CN=CA 2",
    ]
    assert found.marks[0].time < found.marks[-1].time


@pytest.mark.parametrize("hours", [0.02, 1, 24, 24 * 7, 24 * 30, 24 * 3_650])
def test_spans_are_round_and_not_too_many(tmp_path: Path, hours: float) -> None:
    found = over(rotation(tmp_path), timedelta(hours=hours), 60)

    assert len(found.slots) <= 62 or hours > 24 * 400
    assert found.since.timestamp() % found.step.total_seconds() == 0


def test_a_log_without_attempts(tmp_path: Path) -> None:
    day = Day(tmp_path)
    day.started(1)
    found = over(day, timedelta(hours=2))

    assert found.codes == []
    assert not any(found.slots)
