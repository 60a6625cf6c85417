"""Events that wait: in order, bounded, and what does not fit is one gap that is known exactly."""

from __future__ import annotations

from threading import Event as Signal
from threading import Thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorlog.log.backlog import Backlog, Overflow
from support.events import failed_connect, stopped_audit


def drained(backlog: Backlog, most: int = 1000) -> list[Any]:
    return backlog.take(most, 0.0)


def test_events_come_out_in_order_and_are_counted() -> None:
    backlog = Backlog(10)
    events = [failed_connect(), stopped_audit(), failed_connect()]
    assert all(backlog.put(event) for event in events)
    assert (len(backlog), backlog.recorded, backlog.taken) == (3, 3, 0)
    assert backlog.take(2) == events[:2]
    assert backlog.take(2) == events[2:]
    assert (len(backlog), backlog.recorded, backlog.taken) == (0, 3, 3)


def test_what_does_not_fit_is_one_gap_in_its_place() -> None:
    backlog = Backlog(2)
    junk: Any = object()
    for event in (failed_connect(), stopped_audit(), failed_connect(), stopped_audit(), junk, failed_connect()):
        backlog.put(event)

    first, second, gap = drained(backlog)

    assert (first, second) == (failed_connect(), stopped_audit())
    assert isinstance(gap, Overflow)
    assert (gap.records, gap.connects) == (4, 2)
    assert (len(backlog), backlog.taken) == (0, 6)
    backlog.put(failed_connect())
    assert drained(backlog) == [failed_connect()], "there is room again"


def test_a_gap_goes_on_until_the_log_has_come_to_it() -> None:
    backlog = Backlog(2)
    for _ in range(3):
        backlog.put(failed_connect())
    backlog.take(1)
    backlog.put(stopped_audit())  # there is room, but order is worth more
    _, gap = drained(backlog)
    assert (gap.records, gap.connects) == (2, 1)


@given(st.lists(st.sampled_from(["put", "take", "wake"]), max_size=60), st.integers(1, 5), st.integers(1, 4))
def test_nothing_is_lost_without_being_counted(steps: list[str], capacity: int, most: int) -> None:
    backlog = Backlog(capacity)
    seen: list[Any] = []
    for step in steps:
        match step:
            case "put":
                backlog.put(failed_connect())
            case "take":
                seen += backlog.take(most, 0.0)
            case _:
                backlog.wake()
    backlog.close()
    while not backlog.is_over:
        seen += backlog.take(most, 0.0)
    assert sum(item.records if isinstance(item, Overflow) else 1 for item in seen) == steps.count("put")
    assert sum(item.connects if isinstance(item, Overflow) else 1 for item in seen) == backlog.recorded
    assert len(backlog) == 0


def test_pressure_is_told_once_when_it_comes_and_once_when_it_goes() -> None:
    told: list[bool] = []
    backlog = Backlog(8, told.append)
    for _ in range(4):
        backlog.put(failed_connect())
    assert told == []
    for _ in range(10):
        backlog.put(failed_connect())
    assert told == [True]
    backlog.take(2)
    backlog.take(2)
    assert told == [True]
    drained(backlog)
    assert told == [True, False]
    for _ in range(5):
        backlog.put(failed_connect())
    drained(backlog)
    assert told == [True, False, True, False]


def test_the_end_of_pressure_does_not_overtake_its_beginning() -> None:
    """Else the door would stay shut for ever."""
    told: list[bool] = []
    telling, go_on = Signal(), Signal()

    def slowly(high: bool) -> None:
        if high:
            telling.set()
            go_on.wait(0.2)
        told.append(high)

    backlog = Backlog(2, slowly)
    backlog.put(failed_connect())
    recording = Thread(target=backlog.put, args=(failed_connect(),))
    recording.start()
    telling.wait()
    drained(backlog)
    go_on.set()
    recording.join()
    assert told == [True, False]


def test_a_closed_backlog_takes_nothing_and_gives_what_it_has() -> None:
    backlog = Backlog(10)
    backlog.put(failed_connect())
    backlog.close()
    assert not backlog.put(failed_connect())
    assert not backlog.is_over
    assert drained(backlog) == [failed_connect()]
    assert drained(backlog) == []
    assert backlog.is_over


@pytest.mark.parametrize("timeout", [None, 10.0])
def test_whoever_waits_is_woken(timeout: float | None) -> None:
    backlog = Backlog(10)
    backlog.wake()
    assert backlog.take(10, timeout) == []
    backlog.put(failed_connect())
    backlog.wake()
    assert backlog.take(10, timeout) == [failed_connect()]


def test_the_first_event_waits_for_others_only_if_it_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    backlog = Backlog(10)

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        backlog.put(stopped_audit())

    monkeypatch.setattr("doorlog.log.backlog.sleep", sleep)
    backlog.put(failed_connect())
    assert backlog.take(10, gather=0.5) == [failed_connect(), stopped_audit()]
    backlog.put(failed_connect())
    backlog.put(failed_connect())
    assert len(backlog.take(10, gather=0.5)) == 2
    assert slept == [0.5]


def test_the_lag_is_that_of_the_oldest_event_that_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("doorlog.log.backlog.monotonic", lambda: now)
    backlog = Backlog(10)
    assert backlog.lag() == 0
    for moment in (100.0, 100.5, 101.0):
        now = moment
        backlog.put(failed_connect())
    now = 103.0
    assert backlog.lag() == 3.0
    backlog.take(1)
    assert backlog.lag() == 2.5
    backlog.take(2)
    assert backlog.lag() == 0
