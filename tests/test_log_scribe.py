"""What the log's thread does, step by step: each line is accounted for, and each failure is said."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from doorlog.errors import SinkError
from doorlog.events.records import FloodEvent
from doorlog.log import journal as journal_module
from doorlog.log import scribe as scribe_module
from doorlog.log.backlog import Overflow
from doorlog.log.chain import NOTHING_BEFORE, is_signed_by
from doorlog.log.faults import Faults
from doorlog.log.log_file import LogFile
from doorlog.log.pipeline import Pipeline
from doorlog.log.processors import record_processors
from doorlog.log.scribe import Scribe
from doorlog.log.segments import closed_segments, whole_lines
from doorlog.log.signing import Checkpoints
from doorlog.log.sink import release
from doorlog.settings.log_models import CheckpointSettings, FileLogSettings
from support.events import SERVICE, WHEN, failed_connect, served_certificate, stopped_audit
from support.log_lines import check_chain
from support.records import Record, parse_records, read_records, sequences
from support.sinks import Kept
from test_log_audit import flood
from test_log_signing import write_key

BROKEN = OSError(5, "Input/output error")
Floods = Callable[[float], Iterable[FloodEvent]]


class Clock:
    """Monotonic time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Desk:
    """A scribe with a file, a sink, and everything it says.

    Attributes:
        path: The file.
        said: What the operator was told.
    """

    def __init__(
        self, path: Path | None, *, syncs: bool = True, floods: Floods = lambda _now: (), rotate_bytes: int = 65_536,
        **checkpoint: Any,
    ) -> None:  # fmt: skip
        self.said: list[str] = []
        self.kept = Kept()
        self.faults = Faults(self.said.append)
        self.file = None
        if path is not None:
            settings = FileLogSettings(path=path, compress=False, rotate_bytes=rotate_bytes, rotate_hours=0)
            self.file = LogFile(settings, syncs=syncs, faults=self.faults)
        tail = self.file.tail if self.file else None
        pipeline = Pipeline(
            record_processors(lambda _: "it happened"),
            SERVICE,
            self.faults,
            sequence=tail.sequence if tail else 0,
            previous=tail.sha256 if tail else NOTHING_BEFORE,
        )
        self.scribe = Scribe(
            pipeline,
            [self.kept],
            self.faults,
            checkpoints=Checkpoints(CheckpointSettings(**checkpoint)),
            file=self.file,
            floods=floods,
        )

    @property
    def log_file(self) -> LogFile:
        assert self.file is not None
        return self.file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "doorlog.jsonl"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


@pytest.fixture
def broken(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bool], None]]:
    """Break the disk under the journal, and mend it."""
    assert path.parent.is_dir()
    write, sync = os.write, os.fdatasync
    state = {"broken": False}

    def refusing(work: Any) -> Any:
        def call(*arguments: Any) -> Any:
            if state["broken"]:
                raise BROKEN
            return work(*arguments)

        return call

    monkeypatch.setattr(os, "write", refusing(write))
    monkeypatch.setattr(os, "fdatasync", refusing(sync))

    def set_broken(value: bool) -> None:
        state["broken"] = value

    yield set_broken
    state["broken"] = False


def actions(records: list[Record]) -> list[str]:
    return [record["event"]["action"] for record in records]


# beginning


def test_a_new_log_begins_with_nothing(path: Path) -> None:
    desk = Desk(path)
    desk.scribe.begin()
    desk.scribe.end()
    assert path.read_bytes() == b""
    assert (desk.said, desk.kept.closed, desk.scribe.sequence) == ([], 1, 0)


def test_a_log_that_was_not_closed_begins_with_the_gap_and_goes_on(path: Path) -> None:
    first = Desk(path)
    first.scribe.begin()
    first.scribe.write([failed_connect()])
    release(first.log_file, first.faults)  # killed
    second = Desk(path)
    second.scribe.begin()
    second.scribe.write([stopped_audit()])
    second.scribe.end()
    third = Desk(path)
    third.scribe.begin()
    third.scribe.end()

    records = read_records(path)
    assert actions(records) == ["connect", "audit_gap", "audit_stopped", "audit_checkpoint"]
    assert records[1]["event"]["code"] == "interrupted"
    assert records[1]["doorlog"]["gap"] == {"began": records[0]["@timestamp"]}
    check_chain(path.read_bytes().splitlines())
    assert third.scribe.sequence == 4


def test_a_log_without_a_file_only_has_sinks(clock: Clock) -> None:
    desk = Desk(None)
    desk.scribe.begin()
    desk.scribe.write([failed_connect()])
    desk.scribe.reload_wanted = True
    desk.scribe.tick()
    assert desk.scribe.sync()
    assert (desk.scribe.failure, desk.scribe.unwritten, desk.scribe.patience()) == (None, 0, 1.0)
    desk.scribe.end()
    assert actions(desk.kept.records) == ["connect", "audit_checkpoint"], "one at the reload"


# what is missing


def test_events_that_did_not_fit_are_a_gap_in_their_place(path: Path) -> None:
    desk = Desk(path)
    desk.scribe.numbers.accepted = lambda: 5
    desk.scribe.write([failed_connect(), Overflow(WHEN, records=6, connects=4), served_certificate(), stopped_audit()])
    desk.scribe.end()
    records = read_records(path)
    assert sequences(records) == [1, 8, 9, 10, 11]
    assert records[1]["event"]["code"] == "overflow"
    gap = records[1]["doorlog"]["gap"]
    assert (gap["first_sequence"], gap["last_sequence"], gap["records"], gap["connects"]) == (2, 7, 6, 4)
    assert records[3]["doorlog"]["audit"] == {"accepted": 20_000, "connects": 1, "lost": 4}
    assert records[4]["doorlog"]["audit"] == {"accepted": 5, "connects": 1, "lost": 4}


def test_an_outage_is_said_once_survived_and_recorded(path: Path, clock: Clock, broken: Callable[[bool], None]) -> None:
    desk = Desk(path)
    desk.scribe.write([failed_connect()])
    assert desk.scribe.sync()
    broken(True)
    desk.scribe.write([failed_connect()])
    assert not desk.scribe.sync()
    assert (desk.scribe.failure, desk.scribe.unwritten) == ("Input/output error", 1)
    desk.scribe.tick()
    clock.now += 1
    desk.scribe.tick()
    broken(False)
    clock.now += 1
    desk.scribe.tick()
    assert desk.scribe.failure is None
    desk.scribe.write([stopped_audit()])
    desk.scribe.end()

    records = read_records(path)
    assert actions(records) == ["connect", "connect", "audit_gap", "audit_stopped", "audit_checkpoint"]
    assert records[2]["event"]["code"] == "write_failed"
    assert records[2]["doorlog"]["gap"]["records"] == 0
    check_chain(path.read_bytes().splitlines())
    assert desk.said == [
        f"file {path} can not be written: Input/output error",
        f"file {path} is written again",
    ]
    assert sequences(desk.kept.records) == [1, 2, 3, 4, 5], "the sinks got them all the same"


def test_what_memory_could_not_hold_is_counted_as_lost(
    path: Path, clock: Clock, broken: Callable[[bool], None]
) -> None:
    desk = Desk(path)
    desk.log_file.journal._held_bytes = 3000
    desk.scribe.numbers.accepted = lambda: 73
    broken(True)
    desk.scribe.write([failed_connect()])
    desk.scribe.write([failed_connect(), served_certificate(), flood("connect", 70), failed_connect(), stopped_audit()])
    assert desk.scribe.unwritten == 6
    broken(False)
    desk.scribe.end()
    records = read_records(path)
    assert actions(records) == ["connect", "audit_gap", "audit_checkpoint"]
    gap = records[1]["doorlog"]["gap"]
    assert (gap["first_sequence"], gap["last_sequence"], gap["records"], gap["connects"]) == (2, 6, 5, 72)
    assert records[2]["doorlog"]["audit"] == {"accepted": 73, "connects": 1, "lost": 72}


def test_while_the_disk_is_broken_the_thread_rests(path: Path, clock: Clock, broken: Callable[[bool], None]) -> None:
    desk = Desk(path)
    assert desk.scribe.patience() == 1.0
    desk.scribe.write([failed_connect()])
    assert desk.scribe.patience() == scribe_module.SYNC_SECONDS
    clock.now += 0.2
    assert 0 < desk.scribe.patience() < 0.06
    clock.now += 0.2
    assert desk.scribe.patience() == 0.0
    broken(True)
    desk.scribe.tick()
    assert desk.scribe.failure is not None
    assert desk.scribe.patience() == journal_module.RETRY_SECONDS, "and does not take the whole processor"
    broken(False)
    desk.scribe.end()


def test_a_disk_that_is_broken_at_the_end_is_told_with_the_loss(path: Path, broken: Callable[[bool], None]) -> None:
    desk = Desk(path)
    broken(True)
    desk.scribe.write([failed_connect(), stopped_audit()])
    desk.scribe.end()
    (fault,) = desk.faults.all()
    assert (fault.where, fault.lost) == (f"file {path}", 3)
    assert fault.first == "Input/output error; its last records are missing"


def test_a_file_that_was_cut_by_another_program_is_said_and_recorded(path: Path, clock: Clock) -> None:
    desk = Desk(path)
    desk.scribe.write([failed_connect(), failed_connect()])
    os.truncate(path, 0)
    clock.now += 2
    desk.scribe.tick()
    desk.scribe.end()
    (record,) = read_records(path)
    assert record["event"]["code"] == "truncated"
    assert record["doorlog"]["gap"] == {"first_sequence": 1, "last_sequence": 2}
    (said,) = desk.said
    assert "was truncated by another program" in said


# what is due


def test_lines_are_on_disk_within_half_a_second(path: Path, clock: Clock) -> None:
    desk = Desk(path)
    desk.scribe.write([failed_connect()])
    desk.scribe.tick()
    assert desk.log_file.journal.dirty_since is not None
    clock.now += scribe_module.SYNC_SECONDS
    desk.scribe.tick()
    assert desk.log_file.journal.dirty_since is None
    desk.scribe.end()


def test_a_checkpoint_comes_after_so_many_records_or_seconds(path: Path, clock: Clock) -> None:
    desk = Desk(path, records=10, seconds=60)
    desk.scribe.write([failed_connect()] * 10)
    desk.scribe.tick()
    desk.scribe.tick()
    desk.scribe.write([failed_connect()])
    clock.now += 61
    desk.scribe.tick()
    desk.scribe.end()
    told = [r["doorlog"]["checkpoint"]["records"] for r in read_records(path) if "checkpoint" in r["doorlog"]]
    assert told == [10, 1]


def test_each_segment_ends_with_a_checkpoint(path: Path, clock: Clock) -> None:
    desk = Desk(path)
    desk.scribe.write([failed_connect()] * 30)
    desk.scribe.tick()
    desk.scribe.write([failed_connect()])
    desk.scribe.end()
    (segment,) = closed_segments(path)
    assert actions(parse_records(whole_lines(segment)))[-2:] == ["connect", "audit_checkpoint"]
    check_chain([*whole_lines(segment), *whole_lines(path)])


def test_floods_are_written_when_their_window_ends_and_all_before_the_last_word(path: Path, clock: Clock) -> None:
    open_floods = {1010.0: flood("connect", 3), 2000.0: flood("connect", 4)}

    def floods(now: float) -> list[FloodEvent]:
        return [open_floods.pop(end) for end in sorted(open_floods) if end <= now]

    desk = Desk(path, floods=floods)
    desk.scribe.tick()
    clock.now = 1011.0
    desk.scribe.tick()
    desk.scribe.write([stopped_audit()])
    desk.scribe.end()
    records = read_records(path)
    assert actions(records) == ["flood", "flood", "audit_stopped", "audit_checkpoint"]
    assert records[2]["doorlog"]["audit"]["folded"] == 7


# reloading


def test_a_reload_ends_the_old_key_with_its_word_and_goes_on_in_the_new_file(tmp_path: Path, path: Path) -> None:
    first = write_key(tmp_path / "key.pem")
    desk = Desk(path, keyfile=tmp_path / "key.pem")
    desk.scribe.write([failed_connect()])
    second = write_key(tmp_path / "key.pem")
    path.rename(tmp_path / "doorlog.jsonl.1")
    desk.scribe.reload_wanted = True
    desk.scribe.tick()
    desk.scribe.write([stopped_audit()])
    desk.scribe.end()

    assert _last_signed_by(tmp_path / "doorlog.jsonl.1", first)
    assert _last_signed_by(path, second)
    parts = [tmp_path / "doorlog.jsonl.1", path]
    check_chain([line for part in parts for line in whole_lines(part)])


def test_a_key_that_is_broken_at_a_reload_is_said_and_the_one_before_signs_on(tmp_path: Path, path: Path) -> None:
    key = write_key(tmp_path / "key.pem")
    desk = Desk(path, keyfile=tmp_path / "key.pem")
    (tmp_path / "key.pem").write_text("rubbish")
    desk.scribe.reload_wanted = True
    desk.scribe.tick()
    desk.scribe.write([stopped_audit()])
    desk.scribe.end()
    assert any("is no unencrypted private key" in sentence for sentence in desk.said)
    assert _last_signed_by(path, key)


def _last_signed_by(path: Path, key: Ed25519PrivateKey) -> bool:
    return is_signed_by(list(whole_lines(path))[-1], key.public_key())


# the end


def test_an_end_that_fails_is_counted() -> None:
    class Stuck:
        name = "file stuck"

        def close(self) -> None:
            raise self.error

        error: Exception = SinkError("gone", lost=2)

    faults, stuck = Faults(lambda _: None), Stuck()
    file: Any = stuck
    release(file, faults)
    stuck.error = RuntimeError("worse")
    release(file, faults)
    assert [(fault.count, fault.lost) for fault in faults.all()] == [(2, 2)]
