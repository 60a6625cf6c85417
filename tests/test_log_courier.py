"""A courier: what its sink does not take waits, comes again, or is counted; and nobody else is kept waiting."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Event as Signal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorlog.errors import SinkError
from doorlog.log.backoff import Backoff
from doorlog.log.courier import BATCH_BYTES, BATCH_LINES, Courier
from doorlog.log.faults import Fault, Faults
from doorlog.log.sink import Sink, SinkStatus
from doorlog.log.stdout_sink import StdoutSink
from support.sinks import Ailing, Failing, Kept, Stalled

AT_ONCE = Backoff(chance=lambda: 0.0)
IN_A_MINUTE = Backoff(first=60.0, longest=60.0, chance=lambda: 1.0)
PATIENCE = 10.0


def quiet() -> Faults:
    return Faults(lambda _: None)


def numbered(count: int) -> list[bytes]:
    return [b"%d\n" % number for number in range(count)]


@contextmanager
def carrying(sink: Sink, faults: Faults | None = None, **options: Any) -> Iterator[Courier]:
    courier = Courier(sink, faults or quiet(), **{"backoff": AT_ONCE, **options})
    yield courier
    courier.close()


# what works


def test_lines_arrive_in_order_and_the_sink_is_closed_behind_them() -> None:
    sink = Kept()
    with carrying(sink) as courier:
        for line in numbered(1000):
            courier.write([line])
    assert (sink.lines, sink.closed) == (numbered(1000), 1)
    assert courier.status() == SinkStatus("kept", sent=1000)


def test_what_waited_is_joined_into_batches_of_bounded_size() -> None:
    sink = Stalled()
    with carrying(sink) as courier:
        courier.write([b"first\n"])
        sink.reached.wait()
        for line in numbered(2 * BATCH_LINES):
            courier.write([line])
        sink.go.set()
    assert [len(batch) for batch in sink.batches] == [1, BATCH_LINES, BATCH_LINES]


def test_a_batch_is_bounded_in_bytes_but_a_line_is_never_cut() -> None:
    sink, half = Stalled(), b"h" * (BATCH_BYTES // 2 - 1) + b"\n"
    huge = b"x" * (2 * BATCH_BYTES) + b"\n"
    with carrying(sink) as courier:
        courier.write([b"first\n"])
        sink.reached.wait()
        courier.write([half, half, half, huge, b"last\n"])
        sink.go.set()
    assert sink.batches == [[b"first\n"], [half, half], [half], [huge], [b"last\n"]]


def test_it_carries_the_name_of_its_sink() -> None:
    with carrying(Kept()) as courier:
        assert courier.name == "kept"


# what fails


def test_a_batch_that_was_not_taken_comes_again_before_any_other() -> None:
    sink = Ailing(OSError("unreachable"), TimeoutError("slow"))
    with carrying(sink) as courier:
        courier.write([b"a\n", b"b\n"])
        courier.write([b"c\n"])
    assert sink.lines == [b"a\n", b"b\n", b"c\n"]
    heard = [sink.heard.get_nowait() for _ in range(3)]
    assert all(lines[0] == b"a\n" for lines in heard)
    assert courier.status() == SinkStatus("ailing", sent=3, retried=2)


def test_what_was_taken_of_a_batch_does_not_come_again() -> None:
    sink = Ailing(SinkError("cut short", lost=2), SinkError("again", lost=1))
    with carrying(sink) as courier:
        courier.write(numbered(5))
    assert sink.lines == numbered(5)
    assert (courier.status().sent, courier.status().retried) == (5, 2)


@pytest.mark.parametrize(("claim", "again"), [(99, 3), (-99, 0), (0, 0)])
def test_a_sink_that_counts_what_can_not_be_is_taken_within_reason(claim: int, again: int) -> None:
    sink = Ailing(SinkError("odd", lost=claim))
    with carrying(sink) as courier:
        courier.write(numbered(3))
    brought = sum(sink.heard.get_nowait() != [] for _ in range(sink.heard.qsize()))
    assert brought == 1 + (again > 0)
    assert (courier.status().sent, courier.status().retried) == (3, again > 0)


def test_whatever_a_sink_raises_its_thread_goes_on() -> None:
    sink = Ailing(SystemExit("bye"), KeyboardInterrupt(), RecursionError())
    with carrying(sink) as courier:
        courier.write([b"a\n"])
    assert sink.lines == [b"a\n"]


def test_lines_that_nobody_will_ever_take_are_dropped_and_the_next_ones_tried() -> None:
    sink, faults = Ailing(SinkError("refused for good", lost=1, retry=False)), quiet()
    with carrying(sink, faults, backoff=IN_A_MINUTE) as courier:
        courier.write([b"good\n", b"bad\n"])
        sink.heard.get(timeout=PATIENCE)
        courier.write([b"next\n"])
    assert sink.lines == [b"good\n", b"next\n"]
    assert courier.status() == SinkStatus("ailing", sent=2, dropped=1)
    assert faults.all() == (Fault("ailing", count=1, lost=1, first="refused for good"),)


def test_a_pipe_whose_reader_has_gone_costs_what_comes_and_holds_nothing() -> None:
    read_fd, write_fd = os.pipe()
    faults = quiet()
    with carrying(StdoutSink(write_fd), faults, backoff=IN_A_MINUTE) as courier:
        os.close(read_fd)
        for _ in range(100):
            courier.write(numbered(10))
    os.close(write_fd)
    assert courier.status() == SinkStatus("stdout", dropped=1000, fault="Broken pipe")
    assert [(fault.lost, fault.first) for fault in faults.all()] == [(1000, "Broken pipe")]


def test_an_outage_and_its_end_are_each_said_once() -> None:
    said: SimpleQueue[str] = SimpleQueue()
    sink = Ailing(*[OSError("unreachable")] * 20)
    with carrying(sink, Faults(said.put)) as courier:
        courier.write([b"a\n"])
        assert "unreachable (said once" in said.get(timeout=PATIENCE)
        assert said.get(timeout=PATIENCE) == "ailing: works again"
        courier.write([b"b\n"])
    assert said.empty()
    assert courier.status() == SinkStatus("ailing", sent=2, retried=20)


def test_a_fault_is_seen_while_it_lasts() -> None:
    said: SimpleQueue[str] = SimpleQueue()
    with carrying(Ailing(SinkError("unreachable")), Faults(said.put), backoff=IN_A_MINUTE) as courier:
        courier.write([b"a\n", b"b\n"])
        said.get(timeout=PATIENCE)
        assert courier.status() == SinkStatus("ailing", retried=1, waiting=2, fault="unreachable")
    assert courier.status() == SinkStatus("ailing", sent=2, retried=1)


# what is too much


def test_a_pipe_that_nobody_reads_blocks_neither_writing_nor_the_end() -> None:
    read_fd, write_fd = os.pipe()
    said: SimpleQueue[str] = SimpleQueue()
    with carrying(StdoutSink(write_fd), Faults(said.put), queue_bytes=300_000, grace_seconds=0.05) as courier:
        os.close(write_fd)
        for _ in range(4):
            courier.write([b"x" * 999 + b"\n"] * 100)
        assert "what waits for it fills its 300000 bytes: records are dropped (said once" in said.get_nowait()
        assert courier.status().dropped == 100
        assert courier.status().waiting == 300
    assert said.empty()
    assert courier.status() == SinkStatus("stdout", dropped=400, fault="did not take the last records within 0.05 s")
    os.close(read_fd)  # lets the thread go


def test_as_many_lines_as_fit_are_kept_and_the_rest_is_counted() -> None:
    sink, faults = Stalled(), quiet()
    with carrying(sink, faults, queue_bytes=10) as courier:
        courier.write([b"123\n", b"456\n", b"789\n", b"0\n"])
        courier.write([b"\n"])
        sink.go.set()
    assert sink.lines == [b"123\n", b"456\n", b"\n"]
    assert faults.all() == (
        Fault("stalled", count=1, lost=2, first="what waits for it fills its 10 bytes: records are dropped"),
    )


def test_there_is_room_again_when_the_sink_has_caught_up() -> None:
    said: SimpleQueue[str] = SimpleQueue()
    sink = Stalled()
    with carrying(sink, Faults(said.put), queue_bytes=10) as courier:
        courier.write([b"12345678\n"])
        courier.write([b"too much\n"])
        said.get(timeout=PATIENCE)
        sink.go.set()
        assert said.get(timeout=PATIENCE) == "stalled: works again; 1 records did not get there"
        courier.write([b"again\n"])
    assert sink.lines == [b"12345678\n", b"again\n"]
    assert courier.status() == SinkStatus("stalled", sent=2, dropped=1)


def test_one_sink_that_stalls_delays_no_other() -> None:
    stalled, kept = Stalled(), Kept()
    with carrying(stalled, grace_seconds=0.0) as slow, carrying(kept) as quick:
        for line in numbered(100):
            slow.write([line])
            quick.write([line])
        quick.close()
        assert kept.lines == numbered(100)
        assert slow.status().waiting == 100
        stalled.go.set()


@given(st.lists(st.lists(st.sampled_from([b"a\n", b"bcd\n", b"efghijkl\n"]), max_size=5), max_size=20))
def test_every_line_is_sent_or_counted(writes: list[list[bytes]]) -> None:
    errors = [SinkError("x", lost=1), OSError("y"), SinkError("z", lost=2, retry=False)]
    sink = Ailing(*errors)
    with carrying(sink, queue_bytes=20) as courier:
        for lines in writes:
            courier.write(lines)
    status = courier.status()
    assert status.sent + status.dropped == sum(map(len, writes))
    assert (status.sent, status.waiting, courier._queued_bytes) == (len(sink.lines), 0, 0)


# the end


def test_a_stalled_sink_gets_the_rest_in_order_when_it_moves_again() -> None:
    sink = Stalled()
    with carrying(sink) as courier:
        courier.write(numbered(1000))
        sink.reached.wait()
        sink.go.set()
    assert (sink.lines, sink.closed) == (numbered(1000), 1)


def test_the_end_cuts_a_long_wait_short_and_tries_once_more() -> None:
    sink = Ailing(OSError("unreachable"))
    started = time.monotonic()
    with carrying(sink, backoff=IN_A_MINUTE, grace_seconds=20.0) as courier:
        courier.write([b"a\n"])
        sink.heard.get(timeout=PATIENCE)
    assert sink.lines == [b"a\n"]
    assert time.monotonic() - started < 10


def test_the_end_is_waited_for_no_longer_than_the_grace_and_what_is_left_is_counted() -> None:
    faults = quiet()
    sink = Failing(SinkError("unreachable"))
    with carrying(sink, faults, backoff=IN_A_MINUTE, grace_seconds=0.05) as courier:
        courier.write(numbered(7))
    assert courier.status() == SinkStatus(
        "failing", dropped=7, retried=courier.status().retried, fault="did not take the last records within 0.05 s"
    )
    assert sink.closed == 1
    assert [fault.lost for fault in faults.all()] == [7]


def test_what_a_stalled_sink_takes_after_the_end_was_counted_already() -> None:
    sink = Stalled()
    with carrying(sink, grace_seconds=0.0) as courier:
        courier.write([b"a\n"])
        sink.reached.wait()
    sink.go.set()
    courier._thread.join()
    assert courier.status().dropped == 1
    assert courier.status().sent == 0


def test_a_sink_that_takes_its_time_to_close_is_waited_for_once_more() -> None:
    class Slow(Kept):
        name = "slow"
        go = Signal()

        def close(self) -> None:
            self.go.wait()
            super().close()

    sink, faults = Slow(), quiet()
    with carrying(sink, faults, grace_seconds=0.01) as courier:
        courier.write([b"a\n"])
    assert courier.status().sent == 1
    assert faults.all() == (Fault("slow", count=1, lost=0, first="did not close within 0.01 s"),)
    sink.go.set()
    courier._thread.join()


def test_a_sink_that_fails_at_its_end_is_counted() -> None:
    faults = quiet()
    with carrying(Failing(SinkError("last words")), faults):
        pass
    assert faults.all() == (Fault("failing", count=1, lost=0, first="last words"),)


def test_closing_again_does_nothing_and_lines_after_the_end_are_counted() -> None:
    sink, faults = Kept(), quiet()
    with carrying(sink, faults) as courier:
        courier.close()
        courier.write([b"late\n"])
    assert (sink.lines, sink.closed) == ([], 1)
    assert faults.all() == (Fault("kept", count=1, lost=1, first="it is closed"),)


# the waits


def test_waits_grow_to_their_longest_and_are_spread_over_all_of_it() -> None:
    backoff = Backoff(first=0.1, longest=30.0, chance=lambda: 1.0)
    waits = [backoff.seconds(failures) for failures in (1, 2, 3, 9, 10, 100_000)]
    assert waits == pytest.approx([0.1, 0.2, 0.4, 25.6, 30.0, 30.0])
    assert Backoff(chance=lambda: 0.5).seconds(2) == pytest.approx(0.1)
    assert 0 <= Backoff().seconds(4) <= 0.8
