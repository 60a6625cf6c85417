"""A sink that stalls holds up nobody else."""

from __future__ import annotations

import os

import pytest

from doorlog.errors import SinkError
from doorlog.log.detached import Detached
from doorlog.log.faults import Fault, Faults
from doorlog.log.stdout_sink import StdoutSink
from support.sinks import Failing, Kept, Stalled


def test_a_pipe_that_nobody_reads_blocks_neither_writing_nor_the_end() -> None:
    read_fd, write_fd = os.pipe()
    sink = Detached(StdoutSink(write_fd), Faults(lambda _: None), held_bytes=300_000, grace_seconds=0.05)
    os.close(write_fd)
    lines = [b"x" * 999 + b"\n"] * 100
    sink.write(lines)
    sink.write(lines)
    sink.write(lines)
    with pytest.raises(SinkError, match=r"^its reader is more than 300000 bytes behind$") as full:
        sink.write(lines)
    with pytest.raises(SinkError, match=r"^its reader did not take the last records$") as left:
        sink.close()
    assert (full.value.lost, left.value.lost) == (100, 300)
    os.close(read_fd)  # lets the thread go


def test_a_stalled_sink_gets_the_rest_in_order_when_it_moves_again() -> None:
    stalled = Stalled()
    sink = Detached(stalled, Faults())
    for number in range(1000):
        sink.write([b"%d\n" % number])
    stalled.reached.wait()
    stalled.go.set()
    sink.close()
    assert stalled.lines == [b"%d\n" % number for number in range(1000)]
    assert stalled.closed == 1


def test_there_is_room_again_when_the_sink_has_caught_up() -> None:
    stalled = Stalled()
    sink = Detached(stalled, Faults(), held_bytes=10)
    sink.write([b"12345678\n"])
    with pytest.raises(SinkError):
        sink.write([b"too much\n"])
    stalled.go.set()
    with sink._changed:
        sink._changed.wait_for(lambda: not sink._held_bytes)
    sink.write([b"again\n"])
    sink.close()
    assert stalled.lines == [b"12345678\n", b"again\n"]


def test_a_sink_that_fails_on_its_own_thread_is_counted() -> None:
    faults = Faults(lambda _: None)
    sink = Detached(Failing(SinkError("gone", lost=2)), faults)
    sink.write([b"a\n", b"b\n"])
    sink.close()
    assert faults.all() == (Fault("failing", count=2, lost=4, first="gone"),)


def test_it_carries_the_name_of_its_sink() -> None:
    sink = Detached(Kept(), Faults())
    assert sink.name == "kept"
    sink.close()
