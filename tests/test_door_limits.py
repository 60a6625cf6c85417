"""How many strangers may stand at the door."""

from __future__ import annotations

from doorlog.door.limits import AttemptLimits


def test_a_listener_is_full_and_has_room_again() -> None:
    limits = AttemptLimits(2, 10)
    assert [limits.enter() for _ in range(3)] == [True, True, False]
    for _ in range(2):
        limits.leave()
    assert limits.total == 1
    assert limits.enter()


def test_a_source_is_full_and_has_room_again_and_leaves_nothing_behind() -> None:
    limits = AttemptLimits(10, 1)
    assert limits.enter_source("192.0.2.7")
    assert not limits.enter_source("192.0.2.7")
    assert limits.enter_source("192.0.2.8")
    for source in ("192.0.2.7", "192.0.2.7", "192.0.2.8"):
        limits.leave_source(source)
    assert not limits._by_source
    assert limits.enter_source("192.0.2.7")
