"""The log from end to end: nothing lost, nothing doubled, nothing out of order, nobody kept waiting."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

import pytest

from doorlog.events.audit_parts import AuditPart
from doorlog.events.parts import MqttPart, SourcePart
from doorlog.events.records import Event
from doorlog.log.courier import Courier
from doorlog.log.faults import Fault, Faults
from doorlog.log.log_file import LogFile
from doorlog.log.processors import record_processors
from doorlog.log.sink import SinkStatus
from doorlog.log.status import LogStatus
from doorlog.log.stdout_sink import StdoutSink
from doorlog.log.writer import MAX_BATCH, MAX_GROUP, Log
from doorlog.settings.log_models import LogSettings
from support.events import SERVICE, failed_connect, one_of_each, served_certificate, stopped_audit
from support.records import following, parse_records, read_records, sequences
from support.sinks import Failing, Kept, Stalled


def log_to(
    *sinks: Any,
    file: Path | None = None,
    message_of: Any = lambda _: "it happened",
    faults: Faults | None = None,
    **settings: Any,
) -> Log:
    """A log to sinks, and to a file if its path is given; ``settings`` are keys of ``log``."""
    faults = faults or Faults(lambda _: None)
    settings = {"flood": {"enabled": False}, **settings}
    asked = LogSettings(file=None if file is None else {"path": file}, **settings)
    opened = LogFile(asked.file, syncs=asked.mode != "best_effort", faults=faults) if asked.file else None
    return Log(record_processors(message_of), sinks, service=SERVICE, faults=faults, settings=asked, file=opened)


def numbered(port: int) -> Event:
    return served_certificate(doorlog=served_certificate().doorlog.model_copy(update={"listener": str(port)}))


def test_a_full_disk_is_said_once_and_the_other_sinks_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    kept = Kept()
    stdout = StdoutSink(os.open("/dev/full", os.O_WRONLY | os.O_CLOEXEC))
    with log_to(stdout, kept, faults=Faults()) as log:
        for _ in range(3 * MAX_BATCH):
            log.record(failed_connect())
    assert sequences(kept.records) == list(range(1, 3 * MAX_BATCH + 1))
    (fault,) = log.faults
    assert (fault.where, fault.lost, fault.first) == ("stdout", 3 * MAX_BATCH, "No space left on device")
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "doorlog: log: stdout: No space left on device (said once; further faults here are only counted)",
        "doorlog: log: stdout: 96 records did not get there; it began with: No space left on device",
    ]


def test_a_reader_of_standard_output_that_has_gone_does_not_harm_the_file(tmp_path: Path) -> None:
    read_fd, write_fd = os.pipe()
    os.close(read_fd)
    faults = Faults(lambda _: None)
    stdout = Courier(StdoutSink(write_fd), faults)
    with log_to(stdout, file=tmp_path / "log", faults=faults) as log:
        for event in one_of_each():
            log.record(event)
    number = len(read_records(tmp_path / "log"))
    assert number >= len(one_of_each())
    assert [(fault.where, fault.lost, fault.first) for fault in log.faults] == [("stdout", number, "Broken pipe")]
    os.close(write_fd)


def test_a_pipe_that_nobody_reads_does_not_hold_up_the_file(tmp_path: Path) -> None:
    read_fd, write_fd = os.pipe()
    faults = Faults(lambda _: None)
    stdout = Courier(StdoutSink(write_fd), faults, queue_bytes=200_000, grace_seconds=0.05)
    with log_to(stdout, file=tmp_path / "log", faults=faults) as log:
        for _ in range(300):
            log.record(failed_connect())
    assert sequences(read_records(tmp_path / "log")) == list(range(1, 301))
    (fault,) = log.faults
    assert fault.where == "stdout"
    assert 200 < fault.lost <= 300
    os.close(read_fd)
    os.close(write_fd)


def test_a_sink_that_raises_what_it_likes_stops_neither_the_log_nor_its_end() -> None:
    failing, exiting, kept = Failing(RuntimeError("\x1b[31m")), Failing(SystemExit("bye")), Kept()
    exiting.name = "exiting"
    with log_to(failing, exiting, kept) as log:
        log.record(failed_connect())
    assert sequences(kept.records) == [1]
    assert (failing.closed, kept.closed) == (1, 1)
    assert log.faults == (
        Fault("failing", count=2, lost=1, first=r"RuntimeError: \u001B[31m"),
        Fault("exiting", count=2, lost=1, first="SystemExit: bye"),
    )


def test_a_sentence_that_can_not_be_said_leaves_a_record_that_says_so() -> None:
    kept = Kept()

    def message_of(event: Event) -> str:
        raise LookupError(event.event.action)

    with log_to(kept, message_of=message_of) as log:
        for event in one_of_each():
            log.record(event)
    assert sequences(kept.records) == list(range(1, len(one_of_each()) + 1))
    assert {record["doorlog"]["fault"].split(":")[0] for record in kept.records} == {"LookupError"}
    assert [(fault.where, fault.count) for fault in log.faults] == [("processors", len(one_of_each()))]


def test_what_a_hostile_device_says_is_recorded_all_the_same(tmp_path: Path) -> None:
    hostile = ["\n{}\n", "\x1b[2J", "\ud800\udfff\ud800", "\x00", "\u2028", "A" * 2048, "\ud800" * 2048, '"}]\\']
    with log_to(file=tmp_path / "log", message_of=lambda event: event.mqtt.client_id * 3) as log:
        for text in hostile:
            log.record(failed_connect(mqtt=MqttPart.model_construct(client_id=text)))
    assert log.faults == ()
    assert sequences(read_records(tmp_path / "log")) == list(range(1, len(hostile) + 1))


def test_what_is_no_event_never_raises_into_the_broker() -> None:
    kept = Kept()
    junk: list[Any] = [object(), {}, "text", failed_connect()]
    with log_to(kept) as log:
        for thing in junk:
            log.record(thing)
    assert [record["event"]["action"] for record in kept.records] == ["audit_gap"] * 3 + ["connect"]


async def test_20_000_events_of_a_loop_arrive_in_order_without_a_gap(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with log_to(file=path, checkpoint={"records": 100_000}) as log:
        for number in range(20_000):
            log.record(numbered(number))
            if number % 100 == 0:
                await asyncio.sleep(0)
    lines = path.read_bytes().splitlines()
    records = parse_records(lines[::200]), [line.split(b'"sequence":')[1].split(b",")[0] for line in lines]
    assert records[1] == [b"%d" % number for number in range(1, 20_001)]
    assert [record["doorlog"]["listener"] for record in records[0]] == [str(number) for number in range(0, 20_000, 200)]


def test_20_000_events_of_two_threads_all_arrive_in_the_order_of_each(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with log_to(file=path, checkpoint={"records": 100_000}) as log:

        def record_all(start: int) -> None:
            for number in range(start, start + 10_000):
                log.record(numbered(number))

        threads = [Thread(target=record_all, args=(start,)) for start in (10_000, 20_000)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    lines = path.read_bytes().splitlines()
    assert [line.split(b'"sequence":')[1].split(b",")[0] for line in lines] == [b"%d" % n for n in range(1, 20_001)]
    ports = [int(line.split(b'"listener":"')[1].split(b'"')[0]) for line in lines]
    assert [port for port in ports if port < 20_000] == list(range(10_000, 20_000))
    assert [port for port in ports if port >= 20_000] == list(range(20_000, 30_000))
    parse_records(lines[::500])


def test_every_event_is_either_written_or_counted_when_the_log_closes_under_fire() -> None:
    kept = Kept()
    log = log_to(kept, queue_records=10_000_000, checkpoint={"records": 10_000_000})
    log.start()
    recorded = [0, 0]

    def fire(slot: int) -> None:
        while not log.faults:  # ends with the first event that came too late
            log.record(served_certificate())
            recorded[slot] += 1

    threads = [Thread(target=fire, args=(slot,)) for slot in range(2)]
    for thread in threads:
        thread.start()
    log.close()
    for thread in threads:
        thread.join()
    (fault,) = log.faults
    assert fault.where == "log"
    assert len(kept.lines) + fault.lost == sum(recorded)


def test_recording_does_not_wait_for_a_sink_that_stalls() -> None:
    stalled = Stalled()
    log = log_to(stalled)
    log.start()
    log.record(served_certificate())
    stalled.reached.wait()
    for _ in range(500):
        log.record(served_certificate())
    assert log.backlog == 500, "the first is with the sink"
    stalled.go.set()
    log.close()
    assert sequences(stalled.records) == list(range(1, 502))
    assert log.backlog == 0


def test_a_finalizer_may_record_in_the_middle_of_recording() -> None:
    kept = Kept()
    log = log_to(kept)

    class Session:
        def __init__(self) -> None:
            self.myself = self

        def __del__(self) -> None:
            log.record(served_certificate())

    log.start()
    with log._backlog._lock:  # as record() holds it
        Session()
        gc.collect()
    log.close()
    assert len(kept.lines) == 1


def test_lines_are_written_in_batches_that_let_the_event_loop_breathe() -> None:
    kept = Kept()
    log = log_to(kept)
    for _ in range(3 * MAX_BATCH):
        log.record(failed_connect())
    log.close()
    assert [len(batch) for batch in kept.batches] == [MAX_BATCH] * 3


def test_events_before_the_start_are_written_and_a_log_that_never_started_can_be_closed() -> None:
    kept = Kept()
    log = log_to(kept)
    log.record(failed_connect())
    log.close()
    assert (len(kept.lines), kept.closed) == (1, 1)


def test_starting_and_closing_again_does_nothing() -> None:
    kept = Kept()
    log = log_to(kept)
    log.start()
    log.start()
    log.close()
    log.close()
    assert (kept.lines, kept.closed, log.faults) == ([], 1, ())


def test_an_event_after_the_end_is_counted() -> None:
    log = log_to(Kept())
    log.close()
    log.record(failed_connect())
    log.record(failed_connect())
    assert [(fault.where, fault.lost) for fault in log.faults] == [("log", 2)]


def test_a_program_that_ends_without_closing_has_its_records_written(tmp_path: Path) -> None:
    program = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from doorlog.log.opening import open_log
from doorlog.settings.log_models import LogSettings
from support.events import SERVICE, one_of_each
log = open_log(LogSettings(file={{"path": sys.argv[1]}}), service=SERVICE, message_of=str)
for event in one_of_each() * 100:
    log.record(event)
raise SystemExit(3)
"""
    done = subprocess.run([sys.executable, "-c", program, tmp_path / "log"], check=False, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (3, b"", b"")
    written = sequences(read_records(tmp_path / "log"))
    assert written == list(range(1, len(written) + 1))
    assert len(written) >= 100 * len(one_of_each())


async def test_a_reader_can_wait_for_a_record(tmp_path: Path) -> None:
    path = tmp_path / "not" / "yet" / "log"
    with following(path) as records:
        waiting = asyncio.create_task(records.nth(2))
        by_port = asyncio.create_task(records.first(lambda record: record.get("source", {}).get("port") == 7))
        await asyncio.sleep(0)
        with log_to(file=path) as log:
            log.record(failed_connect())
            log.record(stopped_audit())
            assert (await waiting)["event"]["action"] == "audit_stopped"
            log.record(failed_connect(source=SourcePart(port=7)))
            assert (await by_port)["event"]["sequence"] == 3
        with pytest.raises(AssertionError, match="record 4 did not come"):
            await records.nth(4, timeout_s=0.01)


# what is promised


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Disk]:
    assert tmp_path.is_dir(), "made before the disk is replaced"
    disk = Disk()
    monkeypatch.setattr(os, "fdatasync", disk.fdatasync)
    yield disk
    disk.error = None


class Disk:
    """A disk whose fdatasync fails on demand.

    Attributes:
        synced: The sizes of files that were put on disk.
        error: What it fails with, None for nothing.
    """

    def __init__(self) -> None:
        self.synced: list[int] = []
        self.error: OSError | None = None
        self._fdatasync = os.fdatasync

    def fdatasync(self, fd: int) -> None:
        if self.error is not None:
            raise self.error
        self._fdatasync(fd)
        self.synced.append(os.fstat(fd).st_size)


async def test_a_strict_log_answers_once_the_record_is_on_disk(tmp_path: Path, disk: Disk) -> None:
    with log_to(file=tmp_path / "log", mode="strict") as log:
        assert (log.waits, log.admits) == (True, True)
        for number in range(1, 4):
            log.record(failed_connect())
            assert await log.on_disk()
            written = (tmp_path / "log").read_bytes()
            assert len(written.splitlines()) == number
            assert disk.synced[-1] == len(written)


async def test_those_who_wait_for_a_strict_log_share_one_sync(tmp_path: Path, disk: Disk) -> None:
    log = log_to(file=tmp_path / "log", mode="strict")
    for _ in range(MAX_GROUP):
        log.record(failed_connect())
    waiting = [asyncio.create_task(log.on_disk()) for _ in range(MAX_GROUP)]
    await asyncio.sleep(0)
    with log:
        assert all(await asyncio.gather(*waiting))
        assert len(disk.synced) == 1


async def test_a_strict_log_on_a_broken_disk_says_no_and_recovers(tmp_path: Path, disk: Disk) -> None:
    disk.error = OSError(5, "Input/output error")
    with log_to(file=tmp_path / "log", mode="strict") as log:
        log.record(failed_connect())
        assert not await log.on_disk()
        assert (log.admits, log.status().failure) == (False, "Input/output error")
        log.record(failed_connect())
        assert not await log.on_disk()
        disk.error = None
        async with asyncio.timeout(10):
            while not await log.on_disk():
                log.record(served_certificate())
                await asyncio.to_thread(log.reload)
        assert log.admits
    actions = [record["event"]["action"] for record in read_records(tmp_path / "log")]
    assert actions.count("connect") == 2
    assert "audit_gap" in actions


@pytest.mark.parametrize("mode", ["best_effort", "durable"])
async def test_other_modes_never_wait_and_go_on(tmp_path: Path, disk: Disk, mode: str) -> None:
    disk.error = OSError(5, "Input/output error")
    with log_to(file=tmp_path / "log", mode=mode) as log:
        log.record(failed_connect())
        assert await log.on_disk()
        assert (log.waits, log.admits) == (False, True)
        disk.error = None
    assert disk.synced == ([] if mode == "best_effort" else disk.synced)
    assert sequences(read_records(tmp_path / "log"))[0] == 1


def test_a_log_that_is_to_stop_the_broker_tells_why(tmp_path: Path, disk: Disk) -> None:
    disk.error = OSError(5, "Input/output error")
    told = SimpleQueue[str]()
    with log_to(file=tmp_path / "log", on_error="stop") as log:
        log.attach(accepted=lambda: 0, on_pressure=lambda _: None, on_failure=told.put)
        log.record(failed_connect())
        assert told.get(timeout=10) == "Input/output error"
        assert not log.admits
        disk.error = None


@pytest.mark.parametrize("mode", ["best_effort", "durable"])
def test_a_log_that_has_too_much_to_write_slows_the_door_down_or_loses_and_says_so(mode: str) -> None:
    stalled, told = Stalled(), list[bool]()
    log = log_to(stalled, mode=mode, queue_records=100)
    log.attach(accepted=lambda: 151, on_pressure=told.append, on_failure=lambda _: None)
    log.start()
    log.record(failed_connect())
    stalled.reached.wait()
    for _ in range(150):
        log.record(failed_connect())
    assert log.status().waiting == 150
    stalled.go.set()
    log.record(stopped_audit())
    log.close()

    assert told == ([] if mode == "best_effort" else [True, False])
    gap = next(record for record in stalled.records if record["event"]["action"] == "audit_gap")
    part = gap["doorlog"]["gap"]
    assert (part["first_sequence"], part["last_sequence"]) == (102, 101 + part["records"])
    assert part["connects"] == 50
    numbers = [record["doorlog"].get("audit") for record in stalled.records]
    assert [told for told in numbers if told] == [], "the stop came while there was no room"


def test_the_numbers_add_up_when_there_was_no_room(tmp_path: Path) -> None:
    stalled = Stalled()
    log = log_to(stalled, file=tmp_path / "log", mode="best_effort", queue_records=100)
    log.start()
    log.record(failed_connect())
    stalled.reached.wait()
    for _ in range(150):
        log.record(failed_connect())
    stalled.go.set()
    while log.backlog:
        pass  # until there is room again for the stop
    numbers = AuditPart(accepted=151, connects=0)
    log.record(stopped_audit(doorlog=stopped_audit().doorlog.model_copy(update={"audit": numbers})))
    log.close()
    (stopped,) = (r for r in read_records(tmp_path / "log") if r["event"]["action"] == "audit_stopped")
    assert stopped["doorlog"]["audit"] == {"accepted": 151, "connects": 101, "lost": 50}


def test_the_status_names_what_was_promised_and_every_sink(tmp_path: Path) -> None:
    class Telling(Kept):
        def status(self) -> SinkStatus:
            return SinkStatus("telling", sent=len(self.lines))

    with log_to(Kept(), Telling(), file=tmp_path / "log", mode="best_effort") as log:
        assert log.status() == LogStatus("best_effort", None, 0, 0, 0, (SinkStatus("telling"),))


def test_a_fault_of_our_own_does_not_end_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept()
    log = log_to(kept)
    tick, calls = log._scribe.tick, iter(range(100))

    def moody() -> None:
        if next(calls) == 0:
            raise RuntimeError("a bug")
        tick()

    monkeypatch.setattr(log._scribe, "tick", moody)
    log.record(failed_connect())
    log.start()
    log.record(failed_connect())
    log.close()
    assert len(kept.lines) == 2
    assert [(fault.where, fault.first) for fault in log.faults] == [("log", "RuntimeError: a bug")]


def test_whoever_records_hears_whether_there_will_be_a_record_of_its_own() -> None:
    with log_to(Kept(), flood={"enabled": True, "after": 2}) as log:
        assert [log.record(failed_connect()) for _ in range(4)] == [True, True, False, False]
    with log_to(Kept()) as log:
        assert all(log.record(failed_connect()) for _ in range(4))
