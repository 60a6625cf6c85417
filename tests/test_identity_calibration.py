"""Scores are held against what came out, and corrected by it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from doorlog.identity.calibration import BINS, Calibration


def test_without_exams_a_score_is_what_was_computed() -> None:
    assert Calibration().corrected(0.97) == 0.97
    assert Calibration().table() == []


def test_scores_that_promise_too_much_are_brought_down() -> None:
    calibration = Calibration()
    for number in range(2_000):
        calibration.take(0.996, is_right=number % 10 > 0)
    assert 0.90 < calibration.corrected(0.996) < 0.92
    assert calibration.corrected(0.3) == 0.3, "others are not touched"


def test_scores_that_promise_too_little_are_raised() -> None:
    calibration = Calibration()
    for _ in range(2_000):
        calibration.take(0.96, is_right=True)
    assert calibration.corrected(0.96) > 0.99


def test_a_few_exams_change_little() -> None:
    calibration = Calibration()
    for _ in range(5):
        calibration.take(0.996, is_right=False)
    assert calibration.corrected(0.996) > 0.97


def test_the_table_says_what_was_stated_and_what_was_right() -> None:
    calibration = Calibration()
    calibration.take(0.85, is_right=True)
    calibration.take(0.83, is_right=False)
    ((stated, right, asked, end),) = calibration.table()
    assert (round(stated, 2), right, asked, end) == (0.84, 0.5, 2, 0.9)
    assert calibration.is_dirty
    assert Calibration(calibration.sums).table() == calibration.table()


def test_old_exams_are_forgotten() -> None:
    calibration = Calibration()
    for _ in range(100_000):
        calibration.take(0.96, is_right=True)
    assert calibration.sums[6][0] <= 20_000
    for _ in range(40_000):
        calibration.take(0.96, is_right=False)
    assert calibration.corrected(0.96) < 0.2


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=50), st.floats(0, 1))
def test_a_corrected_score_is_a_score(exams: list[tuple[float, bool]], score: float) -> None:
    calibration = Calibration()
    for stated, right in exams:
        calibration.take(stated, is_right=right)
    assert 0 <= calibration.corrected(score) <= 1
    assert len(calibration.sums) == len(BINS) + 1
