"""A sink that fails is counted and goes no further."""

from __future__ import annotations

from doorlog.errors import SinkError
from doorlog.log.faults import Fault, Faults
from doorlog.log.sink import deliver, release
from support.sinks import Failing, Kept

LINES = [b"{}\n", b"{}\n", b"{}\n"]


def test_a_sink_that_raises_anything_loses_the_whole_batch() -> None:
    faults = Faults(lambda _: None)
    deliver(Failing(ZeroDivisionError("oops")), LINES, faults)
    assert faults.all() == (Fault("failing", count=1, lost=3, first="ZeroDivisionError: oops"),)


def test_a_sink_that_says_how_many_are_lost_is_believed() -> None:
    faults = Faults(lambda _: None)
    deliver(Failing(SinkError("cut short", lost=2)), LINES, faults)
    assert faults.all() == (Fault("failing", count=1, lost=2, first="cut short"),)


def test_a_sink_that_fails_at_its_end_is_counted() -> None:
    faults = Faults(lambda _: None)
    release(Failing(ValueError("again")), faults)
    assert faults.all() == (Fault("failing", count=1, lost=0, first="ValueError: again"),)


def test_a_sink_that_works_gets_its_lines_and_its_end() -> None:
    faults, sink = Faults(), Kept()
    deliver(sink, LINES, faults)
    release(sink, faults)
    assert (sink.batches, sink.closed, faults.all()) == ([LINES], 1, ())
