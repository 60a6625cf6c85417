"""Whether the resolver's scores are true: every admitted device is an exam, since it says afterwards who it is.

Before a device is learned from, the resolver is asked whom it would have named. How often the first candidate was
right, by its score, corrects the scores to come (reliability by bins: Murphy and Winkler, 1977).
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

BINS: Final = (0.05, 0.2, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
"""Where one bin of scores ends and the next begins."""
_PRIOR_WEIGHT: Final = 200.0
"""How many exams it takes until what was seen weighs as much as what was computed."""
_MEMORY: Final = 20_000.0
"""Exams of one bin; then its sums are halved, so that what changes is noticed."""


class Calibration:
    """Exams and their results.

    Args:
        sums: For each bin: how many exams, how many were right, and the sum of the scores.
    """

    def __init__(self, sums: list[list[float]] | None = None) -> None:
        self.sums = sums or [[0.0, 0.0, 0.0] for _ in range(len(BINS) + 1)]
        self.is_dirty = False

    def take(self, score: float, is_right: bool) -> None:  # noqa: FBT001 - the result of an exam
        """Note an exam.

        Args:
            score: Of the first candidate, 0 to 1.
            is_right: Whether it was that device.
        """
        exams = self.sums[bisect_right(BINS, score)]
        if exams[0] >= _MEMORY:
            exams[:] = [value / 2 for value in exams]
        exams[0] += 1
        exams[1] += is_right
        exams[2] += score
        self.is_dirty = True

    def corrected(self, score: float) -> float:
        """Return a score as true as the exams can make it, 0 to 1.

        With no exams, it is what was computed; with many, it is shifted by as much as scores like it were off.
        """
        asked, right, stated = self.sums[bisect_right(BINS, score)]
        if not asked:
            return score
        off = (right - stated) / (asked + _PRIOR_WEIGHT)
        return min(1.0, max(0.0, score + off))

    def table(self) -> list[tuple[float, float, int, float]]:
        """Return, for each bin with exams: the mean score, the share that was right, how many, and its upper end."""
        ends = (*BINS, 1.0)
        return [
            (stated / asked, right / asked, round(asked), end)
            for (asked, right, stated), end in zip(self.sums, ends, strict=True)
            if asked
        ]
