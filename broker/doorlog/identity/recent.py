"""Answers that are still fresh, given again: a storm of attempts that look the same costs one resolution a second."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from doorlog.events.parts import DeviceEvidencePart
    from doorlog.identity.evidence import Evidence

MOST: Final = 1_024
"""Answers that are kept; each holds at most 256 candidates."""

_Shown = tuple[object, ...]


class Recent:
    """Remembers what was answered to which evidence.

    Args:
        seconds: How long an answer stays good.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._answers: OrderedDict[_Shown, tuple[float, DeviceEvidencePart]] = OrderedDict()

    def answer(self, evidence: Evidence) -> DeviceEvidencePart | None:
        """Return what was answered to the same evidence not long ago; None if nothing was."""
        known = self._answers.get(_shown(evidence))
        if known is None or abs(evidence.moment - known[0]) >= self._seconds:
            return None
        return known[1]

    def remember(self, evidence: Evidence, answer: DeviceEvidencePart) -> None:
        """Remember an answer."""
        shown = _shown(evidence)
        self._answers[shown] = (evidence.moment, answer)
        self._answers.move_to_end(shown)
        if len(self._answers) > MOST:
            self._answers.popitem(last=False)


def _shown(evidence: Evidence) -> _Shown:
    return evidence.place, evidence.look, evidence.served, evidence.acceptance
