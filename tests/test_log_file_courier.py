"""A courier that brings a sink what stands in the log file: across failures of the sink, and starts of the broker."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Condition
from threading import Event as Signal
from typing import Any

import pytest

from doorlog.errors import SinkError
from doorlog.log import file_courier
from doorlog.log.backoff import Backoff
from doorlog.log.cursor import CursorFile, Position, cursor_path
from doorlog.log.faults import Fault, Faults
from doorlog.log.file_courier import FileCourier
from doorlog.log.sink import Sink, SinkStatus
from support.log_files import RUN, WrittenLog, record_line
from support.sinks import Failing, Kept, Stalled

AT_ONCE = Backoff(chance=lambda: 0.0)
PATIENCE = 10.0


class Central(Kept):
    """Takes what it is told to, fails as told, and lets a test wait for what it was brought."""

    name = "central"

    def __init__(self, *failures: BaseException) -> None:
        super().__init__()
        self._failures = list(failures)
        self._heard = Condition()
        self.attempts = 0

    def write(self, lines: Sequence[bytes]) -> None:
        with self._heard:
            self.attempts += 1
            failure = self._failures.pop(0) if self._failures else None
            lost = len(lines) if failure is None else getattr(failure, "lost", None)
            taken = lines if failure is None else lines[: max(0, len(lines) - (len(lines) if lost is None else lost))]
            super().write(taken)
            self._heard.notify_all()
        if failure is not None:
            raise failure

    def until(self, reached: Callable[[], bool]) -> None:
        with self._heard:
            assert self._heard.wait_for(reached, PATIENCE)

    def has(self, count: int) -> None:
        self.until(lambda: len(self.lines) >= count)


@pytest.fixture
def log(tmp_path: Path) -> WrittenLog:
    return WrittenLog(tmp_path)


@contextmanager
def carrying(log: WrittenLog, sink: Sink, faults: Faults | None = None, **options: Any) -> Iterator[FileCourier]:
    """A courier while it works; what it says at its end is not asked for here."""
    courier = courier_of(log, sink, faults, **options)
    try:
        yield courier
    finally:
        courier.close()


def courier_of(log: WrittenLog, sink: Sink, faults: Faults | None = None, **options: Any) -> FileCourier:
    given = {"backoff": AT_ONCE, "grace_seconds": PATIENCE, **options}
    return FileCourier(sink, log.live, cursor_path(log.live, "central"), faults or quiet(), **given)


def quiet() -> Faults:
    return Faults(lambda _: None)


def cursor(log: WrittenLog) -> Position | None:
    return CursorFile(cursor_path(log.live, "central")).load()


# what works


def test_all_that_stands_in_the_log_is_brought_and_what_comes(log: WrittenLog) -> None:
    log.append(3)
    log.rotate()
    log.append(2)
    sink = Central()
    with carrying(log, sink) as courier:
        sink.has(5)
        courier.write(log.append(2))
        sink.has(7)
        assert courier.name == "central"
    assert (sink.lines, sink.closed) == (log.written, 1)
    assert courier.status() == SinkStatus("central", sent=7)
    assert cursor(log) == Position(7, f"{RUN}-7")


def test_the_rest_is_brought_at_the_end(log: WrittenLog) -> None:
    sink = Central()
    with carrying(log, sink) as courier:
        courier.write(log.append(2000))
    assert sink.lines == log.written


def test_what_is_written_between_the_last_look_and_the_end_is_brought(log: WrittenLog) -> None:
    sink = Central()
    courier = courier_of(log, sink)
    looked = courier._rest

    def rest() -> bool:
        """Nothing was there a moment ago; now there is, and the end, before the thread has noticed either."""
        courier._rest = looked  # type: ignore[method-assign]  # only this once
        courier.write(log.append(3))
        with courier._changed:
            courier._deadline = time.monotonic() + PATIENCE
        return looked()

    courier._rest = rest  # type: ignore[method-assign]  # the moment that the test is about
    courier.write([])
    courier._thread.join(PATIENCE)
    courier.close()
    assert sink.lines == log.written


def test_a_nudge_says_what_waits_and_never_waits(log: WrittenLog) -> None:
    sink = Stalled()
    with carrying(log, sink) as courier:
        courier.write(log.append(3))
        sink.reached.wait(PATIENCE)
        courier.write(log.append(4))
        courier.write([])
        courier.write([b"no record\n"])
        assert courier.status() == SinkStatus("stalled", waiting=7)
        sink.go.set()
    assert sink.lines == log.written
    assert courier.status().waiting == 0


def test_the_next_start_goes_on_where_this_one_ended(log: WrittenLog) -> None:
    log.append(3)
    with carrying(log, Central()):
        pass
    log.append(2)
    log.rotate()
    log.compress()
    log.append(2)
    second = Central()
    with carrying(log, second):
        pass
    assert second.lines == log.written[3:]


def test_a_first_start_can_begin_at_the_end(log: WrittenLog) -> None:
    log.append(3)
    sink = Central()
    with carrying(log, sink, start="end"):
        pass
    assert (sink.lines, cursor(log)) == ([], None)
    sink = Central()
    with carrying(log, sink):
        sink.has(3)
    third = Central()
    log.append(1)
    with carrying(log, third, start="end"):
        pass
    assert third.lines == log.written[3:]


def test_records_of_another_run_are_found_without_a_nudge(log: WrittenLog) -> None:
    sink = Central()
    with carrying(log, sink):
        log.append(1)
        sink.has(1)


# a sink that fails


def test_what_was_not_taken_comes_again_and_nothing_else_before(log: WrittenLog) -> None:
    said: list[str] = []
    faults = Faults(said.append)
    sink = Central(OSError("unreachable"), TimeoutError("slow"), SystemExit("bye"))
    log.append(4)
    with carrying(log, sink, faults) as courier:
        sink.has(4)
    assert sink.lines == log.written
    assert courier.status() == SinkStatus("central", sent=4, retried=3)
    assert faults.all() == (Fault("central", count=3, lost=0, first="OSError: unreachable"),)
    assert [sentence.partition(":")[0] for sentence in said] == ["central"] * 2, "when it began and when it ended"


def test_what_was_taken_of_a_batch_does_not_come_again(log: WrittenLog) -> None:
    log.append(5)
    sink = Central(SinkError("cut short", lost=2), SinkError("again", lost=1), SinkError("all there", lost=0))
    with carrying(log, sink) as courier:
        sink.has(5)
    assert sink.lines == log.written
    assert (courier.status().sent, courier.status().retried) == (5, 2)


def test_what_a_sink_will_never_take_is_dropped_and_counted(log: WrittenLog) -> None:
    faults = quiet()
    log.append(3)
    sink = Central(SinkError("too large", lost=1, retry=False))
    with carrying(log, sink, faults) as courier:
        sink.has(2)
        courier.write(log.append(1))
        sink.has(3)
    assert sink.lines == [*log.written[:2], log.written[3]]
    assert courier.status() == SinkStatus("central", sent=3, dropped=1)
    assert faults.all() == (Fault("central", count=1, lost=1, first="too large"),)


def test_what_waits_when_the_sink_is_gone_is_brought_after_the_next_start(log: WrittenLog) -> None:
    log.append(3)
    failing = Failing(SinkError("gone"))
    courier = courier_of(log, failing, grace_seconds=0.05)
    courier.write(log.append(2))
    with pytest.raises(SinkError, match=r"^5 records wait in the log file until the next start$") as left:
        courier.close()
    assert left.value.lost == 0
    assert courier.status().fault == "gone"
    sink = Central()
    with carrying(log, sink):
        pass
    assert sink.lines == log.written


def test_the_end_does_not_wait_for_a_long_backoff(log: WrittenLog) -> None:
    log.append(1)
    sink = Central(OSError("unreachable"))
    began = time.monotonic()
    with carrying(log, sink, backoff=Backoff(first=60, longest=60, chance=lambda: 1.0)):
        sink.until(lambda: sink.attempts > 0)
    assert sink.lines == log.written
    assert time.monotonic() - began < PATIENCE


def test_the_end_does_not_wait_for_all_of_a_long_backlog(log: WrittenLog) -> None:
    stalled = Stalled()
    courier = courier_of(log, stalled, grace_seconds=0.05)
    courier.write(log.append(600))
    stalled.reached.wait(PATIENCE)
    with pytest.raises(SinkError, match=r"^600 records wait"):
        courier.close()
    stalled.go.set()  # too late for more than this batch
    courier._thread.join(PATIENCE)
    assert stalled.lines == log.written[:512]
    assert cursor(log) == Position(512, f"{RUN}-512")
    with pytest.raises(SinkError, match=r"^88 records wait"):
        courier.close()


# the cursor


@pytest.mark.parametrize("damage", [b"", b"garbage"])
def test_a_damaged_cursor_is_said_and_all_comes_again(log: WrittenLog, damage: bytes) -> None:
    faults = quiet()
    log.append(3)
    cursor_path(log.live, "central").write_bytes(damage)
    sink = Central()
    with carrying(log, sink, faults):
        sink.has(3)
    (fault,) = faults.all()
    assert (fault.where, fault.lost) == ("central cursor", 0)
    assert fault.first.endswith(".cursor is damaged: beginning with the oldest record")
    assert cursor(log) == Position(3, f"{RUN}-3")


def test_a_cursor_of_another_log_is_said_and_all_comes(log: WrittenLog) -> None:
    faults = quiet()
    log.append(3)
    CursorFile(cursor_path(log.live, "central")).store(Position(2, "another-2"))
    sink = Central()
    with carrying(log, sink, faults):
        sink.has(3)
    assert sink.lines == log.written
    assert "does not hold the record that" in faults.all()[0].first


def test_a_cursor_that_can_not_be_stored_stops_nothing(log: WrittenLog, monkeypatch: pytest.MonkeyPatch) -> None:
    faults = quiet()
    monkeypatch.setattr(file_courier, "STORE_SECONDS", 0.0)
    cursor_path(log.live, "central").with_name("doorlog.jsonl.central.cursor.new").mkdir()
    log.append(3)
    sink = Central()
    with carrying(log, sink, faults):
        sink.has(3)
    assert sink.lines == log.written
    (fault,) = faults.all()
    assert fault.where == "central cursor"
    assert fault.count > 1


def test_the_cursor_is_stored_while_the_broker_runs(log: WrittenLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once here, once a second otherwise: a broker that is killed brings little again."""
    monkeypatch.setattr(file_courier, "STORE_SECONDS", 0.0)
    log.append(3)
    failed = Signal()
    sink = Central(SinkError("cut short", lost=1))
    courier = courier_of(log, sink, Faults(lambda _: failed.set()), backoff=Backoff(60, 60, lambda: 1.0))
    assert failed.wait(PATIENCE)
    assert cursor(log) == Position(2, f"{RUN}-2")
    courier.close()
    assert sink.lines == log.written


def test_nothing_is_lost_when_the_broker_is_killed(log: WrittenLog) -> None:
    """A process that dies in the middle of a batch: what was not acknowledged comes again, and nothing is left out."""
    log.append(2000)
    program = f"""
import os
from pathlib import Path
from doorlog.log.faults import Faults
from doorlog.log.file_courier import FileCourier
from doorlog.log import file_courier
file_courier.STORE_SECONDS = 0.0
class Dying:
    name = "dying"
    def write(self, lines):
        with open("taken", "ab") as file:
            file.writelines(lines)
        if b'"record 1000"' in b"".join(lines):
            os.kill(os.getpid(), 9)
    def close(self): pass
log = Path("{log.live.name}")
FileCourier(Dying(), log, log.with_name(log.name + ".central.cursor"), Faults())._thread.join()
"""
    died = subprocess.run([sys.executable, "-c", program], cwd=log.live.parent, check=False)
    assert died.returncode == -9
    taken = (log.live.parent / "taken").read_bytes().splitlines(keepends=True)
    sink = Central()
    with carrying(log, sink):
        pass
    assert taken == log.written[:1024]
    assert sink.lines == log.written[512:]  # of which the sink knows the first 512


# the log


def test_records_that_were_deleted_before_they_could_be_sent_are_counted(log: WrittenLog) -> None:
    faults = quiet()
    log.append(3)
    with carrying(log, Central()):
        pass
    log.append(4)
    log.rotate()
    log.append(2)
    log.closed[0].unlink()
    sink = Central()
    with carrying(log, sink, faults) as courier:
        sink.has(2)
    assert sink.lines == log.written[7:]
    assert courier.status() == SinkStatus("central", sent=2, dropped=4)
    said = "4 records were deleted from the log, or damaged, before they could be sent"
    assert faults.all() == (Fault("central retention", count=1, lost=4, first=said),)


def test_a_log_that_can_not_be_read_is_told_and_read_later(log: WrittenLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_courier, "LOOK_SECONDS", 0.01)
    faults = quiet()
    log.append(2)
    damaged = log.live.with_name("doorlog.jsonl.1.gz")
    damaged.write_bytes(b"no such format")
    sink = Central()
    with carrying(log, sink, faults):
        deadline = time.monotonic() + PATIENCE
        while not faults.all() and time.monotonic() < deadline:
            os.sched_yield()
        damaged.unlink()
        sink.has(2)
    (fault,) = faults.all()
    assert fault.where == "central log file"
    assert "Not a gzipped file" in fault.first


def test_a_record_without_a_courier_is_left_where_it_is(log: WrittenLog) -> None:
    log.append_raw(record_line(1))
    courier = courier_of(log, Central())
    courier.close()
    courier.close()
    courier.write([record_line(2)])
    assert courier.status().waiting == 1
