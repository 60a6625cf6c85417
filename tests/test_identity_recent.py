"""Who fails again and again within a second is answered again what was answered before."""

from __future__ import annotations

import pytest

from doorlog.events.parts import UNKNOWN_DEVICE
from doorlog.identity import recent as module
from doorlog.identity.recent import Recent
from support.fleet import evidence

SECOND = 1 / 3600


def test_the_same_is_answered_for_a_second() -> None:
    recent = Recent(1.0)
    recent.remember(evidence(1), UNKNOWN_DEVICE)
    assert recent.answer(evidence(1 + SECOND / 2)) is UNKNOWN_DEVICE
    assert recent.answer(evidence(1 - SECOND / 2)) is UNKNOWN_DEVICE, "a clock may go back"
    assert recent.answer(evidence(1 + SECOND * 2)) is None


@pytest.mark.parametrize("other", [{"ip": "192.0.2.2"}, {"look": "node"}, {"served": "old"}, {"acceptance": 0.5}])
def test_anything_else_is_asked_anew(other: dict[str, object]) -> None:
    recent = Recent(1.0)
    recent.remember(evidence(1), UNKNOWN_DEVICE)
    assert recent.answer(evidence(1, **other)) is None  # type: ignore[arg-type]  # of the right kinds


def test_it_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 3)
    recent = Recent(1.0)
    for number in range(10):
        recent.remember(evidence(1, f"192.0.2.{number}"), UNKNOWN_DEVICE)
    kept = [number for number in range(10) if recent.answer(evidence(1, f"192.0.2.{number}")) is not None]
    assert kept == [7, 8, 9]
