"""Failures that nobody could explain wait for somebody who can; not for ever, and not endlessly many."""

from __future__ import annotations

import pytest

from doorlog.identity import confirmations as module
from doorlog.identity.confirmations import Confirmations
from support.fleet import at, evidence


def test_whoever_comes_from_the_same_place_with_the_same_look_explains_them() -> None:
    waiting = Confirmations()
    waiting.remember(evidence(1), "c1", None)
    waiting.remember(evidence(2), "c2", "other")
    assert waiting.awaits(evidence(3))
    assert not waiting.awaits(evidence(3, look="node"))
    explained = waiting.explain(evidence(3), "pump-17")
    assert explained is not None
    assert explained.connection_ids == ("c1", "c2")
    assert (explained.attempts, explained.corrected) == (2, 1)
    assert (explained.first, explained.last) == (at(1), at(2))
    assert waiting.explain(evidence(3), "pump-17") is None, "once"


@pytest.mark.parametrize("other", [{"ip": "192.0.2.9"}, {"look": "node"}, {"look": None}])
def test_nobody_else_does(other: dict[str, str]) -> None:
    waiting = Confirmations()
    waiting.remember(evidence(1), "c1", None)
    assert waiting.explain(evidence(2, **other), "pump-17") is None
    assert len(waiting) == 1


def test_after_a_day_nobody_does() -> None:
    waiting = Confirmations()
    waiting.remember(evidence(1), "c1", None)
    assert waiting.explain(evidence(26), "pump-17") is None
    waiting.remember(evidence(1), "c1", None)
    waiting.remember(evidence(30), "c2", None)
    explained = waiting.explain(evidence(31), "pump-17")
    assert explained is not None
    assert explained.connection_ids == ("c2",), "what failed long before was somebody else, as far as is known"


def test_what_shows_nothing_is_not_remembered() -> None:
    waiting = Confirmations()
    waiting.remember(evidence(1, look=None), "c1", None)
    waiting.remember(evidence(1, ip=""), "c2", None)
    assert len(waiting) == 0


def test_a_storm_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_PLACES", 10)
    waiting = Confirmations()
    for number in range(200):
        waiting.remember(evidence(1, ip=f"203.0.113.{number}"), f"c{number}", None)
    assert len(waiting) == 10
    for number in range(5_000):
        waiting.remember(evidence(1), f"c{number}", f"name-{number}")
    explained = waiting.explain(evidence(2), "pump-17")
    assert explained is not None
    assert len(explained.connection_ids) == 32
    assert explained.attempts == 5_000
    assert explained.connection_ids[-1] == "c4999"
