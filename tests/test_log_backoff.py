"""How long to wait before something is tried again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from doorlog.log.backoff import Backoff


def test_it_doubles_up_to_a_limit() -> None:
    backoff = Backoff(first=0.1, longest=1.0, chance=lambda: 1.0)
    assert [backoff.seconds(failures) for failures in (1, 2, 3, 4, 5, 6)] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


@given(st.integers(1, 10**9))
def test_chance_keeps_it_within_the_limit_after_any_number_of_failures(failures: int) -> None:
    assert 0 <= Backoff().seconds(failures) <= 30
