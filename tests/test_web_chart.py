"""Bars over time: nothing outside of the picture, and as high as the counts are."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorlog.readers.timeline import Mark, Timeline
from doorlog.web.chart import HEIGHT, OTHERS, WIDTH, chart_of

BEGAN = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def timeline(*slots: dict[str, int], marks: tuple[float, ...] = ()) -> Timeline:
    happened = [Mark(BEGAN + hours * HOUR, "the broker started") for hours in marks]
    return Timeline(BEGAN, HOUR, [Counter(slot) for slot in slots], happened)


def test_failures_are_stacked_and_admissions_left_out() -> None:
    chart = chart_of(timeline({"admitted": 50, "a": 2, "b": 4}, {}, {"b": 1}, marks=(1.5,)))

    assert [(bar.colour, round(bar.height)) for bar in chart.bars] == [(0, 135), (1, 67), (0, 34)]
    assert chart.legend == [(0, "b", 5, "b"), (1, "a", 2, "a")]
    assert chart.rows == [(BEGAN, [4, 2]), (BEGAN + 2 * HOUR, [1, 0])]
    assert chart.bars[0].title == "2026-03-01 00:00 UTC: 4 b"
    assert [tick.text for tick in chart.counts] == ["0", "3", "6"]
    assert pytest.approx(chart.marks[0].x) == 52 + (WIDTH - 52) / 2


def test_rare_codes_share_a_colour() -> None:
    chart = chart_of(timeline({f"code-{number}": 20 - number for number in range(12)}))

    assert len(chart.legend) == 8
    assert chart.legend[-1] == (
        7, OTHERS, sum(20 - number for number in range(7, 12)), "code-7 code-8 code-9 code-10 code-11",
    )  # fmt: skip
    assert chart.rows == [(BEGAN, [20, 19, 18, 17, 16, 15, 14, 55])]


def test_nothing_happened() -> None:
    chart = chart_of(timeline({}, {}))

    assert (chart.bars, chart.legend) == ([], [])


@pytest.mark.hypothesis
@given(st.lists(st.dictionaries(st.sampled_from("abcdefghijk"), st.integers(1, 10**9)), min_size=1, max_size=80))
def test_every_bar_is_within_the_picture(slots: list[dict[str, int]]) -> None:
    for bar in chart_of(timeline(*slots)).bars:
        assert bar.x >= 0
        assert bar.x + bar.width <= WIDTH + 0.01
        assert bar.y >= 0
        assert bar.y + bar.height <= HEIGHT
        assert bar.height >= 0
