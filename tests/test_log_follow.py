"""A log is followed from record to record, whatever is renamed, compressed, cut off or deleted meanwhile."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorlog.log import follow, listing
from doorlog.log.cursor import Position, position_of
from doorlog.log.follow import Batch, Follower
from support.log_files import RUN, WrittenLog, record_line, record_lines

_OPEN: list[Follower] = []


def begin(log: Path, **options: Any) -> Follower:
    """Return a follower that is closed when the test ends."""
    _OPEN.append(Follower(log, **options))
    return _OPEN[-1]


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    yield
    while _OPEN:
        _OPEN.pop().close()


@pytest.fixture
def log(tmp_path: Path) -> WrittenLog:
    return WrittenLog(tmp_path)


def rest(follower: Follower) -> list[bytes]:
    """Read until there is nothing more."""
    lines: list[bytes] = []
    while (batch := follower.read()).lines:
        assert batch.last == position_of(batch.lines[-1])
        lines += batch.lines
    return lines


def added(follower: Follower, lines: list[bytes]) -> bool:
    """Tell whether what was just appended is what there is to read."""
    return rest(follower) == lines


def at(sequence: int, run: str = RUN) -> Position:
    return Position(sequence, f"{run}-{sequence}")


# the live file


def test_nothing_comes_of_a_log_that_is_not_there_yet(tmp_path: Path) -> None:
    follower = begin(tmp_path / "later" / "doorlog.jsonl")
    assert follower.read() == Batch()
    (tmp_path / "later").mkdir()
    assert follower.read() == Batch()
    log = WrittenLog(tmp_path / "later")
    log.append_raw(b"")
    assert follower.read() == Batch()
    log.append(3)
    assert rest(follower) == log.written


def test_new_records_come_as_they_are_written_each_once(log: WrittenLog) -> None:
    follower = begin(log.live)
    for count in (1, 5, 2):
        assert added(follower, log.append(count))
        assert rest(follower) == []


def test_half_a_record_waits_for_its_other_half(log: WrittenLog) -> None:
    follower = begin(log.live)
    log.append(2)
    line = record_line(3)
    log.append_raw(line[:40])
    assert rest(follower) == log.written
    log.append_raw(line[40:-1])
    assert rest(follower) == []
    log.append_raw(line[-1:])
    assert rest(follower) == [line]


def test_half_a_record_that_a_crash_left_is_never_a_record(log: WrittenLog) -> None:
    follower = begin(log.live)
    log.append(2)
    log.append_raw(record_line(3)[:-3] + b"\n")  # which the next start has ended, before its first record
    log.append_raw(b"\x00\x00\x00\n\n{}\n[1]\n7\n" + b'{"event":{"sequence":true,"id":"a-1"}}\n')
    log.append(2)
    assert rest(follower) == log.written


def test_half_a_record_that_is_cut_off_is_not_mixed_with_what_stands_there_then(log: WrittenLog) -> None:
    follower = begin(log.live)
    log.append(2)
    whole = log.live.stat().st_size
    log.append_raw(record_line(99)[:70])
    assert rest(follower) == log.written
    os.truncate(log.live, whole)
    assert added(follower, log.append(1))


def test_what_is_no_line_at_all_is_passed_over(log: WrittenLog) -> None:
    log.append(1)
    log.append_raw(b"\x00" * 3_000_000 + b"\n")
    log.append(1)
    assert rest(begin(log.live)) == log.written


def test_a_batch_is_bounded_in_records_and_in_bytes(log: WrittenLog) -> None:
    log.append(10)
    size = len(log.written[0])
    by_lines, by_bytes = begin(log.live, max_lines=4), begin(log.live, max_bytes=3 * size + 1)
    assert [len(by_lines.read().lines) for _ in range(4)] == [4, 4, 2, 0]
    assert [len(by_bytes.read().lines) for _ in range(5)] == [3, 3, 3, 1, 0]


def test_a_record_that_is_larger_than_a_batch_comes_alone(log: WrittenLog) -> None:
    log.append(1)
    log.append(1, message="x" * 10_000)
    log.append(2)
    follower = begin(log.live, max_bytes=1_000)
    assert [len(follower.read().lines) for _ in range(4)] == [1, 1, 2, 0]


# rotation


@pytest.mark.parametrize("compressed", [False, True])
def test_the_old_file_is_read_to_its_end_when_it_is_rotated(log: WrittenLog, compressed: bool) -> None:
    follower = begin(log.live)
    log.append(3)
    assert rest(follower) == log.written
    expected = log.append(2)  # after the end was read, before the rename
    log.rotate()
    if compressed:
        log.compress()
    assert rest(follower) == expected
    assert added(follower, log.append(1))


def test_many_rotations_between_two_looks_lose_nothing(log: WrittenLog) -> None:
    follower = begin(log.live)
    log.append(3)
    first = follower.read().lines
    for count in (2, 1, 4):
        log.append(count)
        log.rotate()
        log.compress()
    log.append(2)
    assert [*first, *rest(follower)] == log.written


def test_a_record_that_logrotate_sends_to_the_old_file_is_not_passed_by(log: WrittenLog) -> None:
    follower = begin(log.live)
    log.append(2)
    rest(follower)
    log.logrotate()
    log.append_raw(b"")  # "create": the broker knows nothing of it yet
    old = log.live.with_name("doorlog.jsonl.1")
    assert rest(follower) == []
    with old.open("ab") as file:
        file.write(record_line(3))
    assert rest(follower) == [record_line(3)]
    with old.open("ab") as file:
        file.write(record_line(4))
    log.append_raw(record_line(5))
    assert rest(follower) == record_lines(4, 5)


def test_what_logrotate_has_renamed_and_compressed_is_read_in_order(log: WrittenLog) -> None:
    for compress in (True, True, False):
        log.append(3)
        log.logrotate(compress=compress)
    log.append(1)
    assert rest(begin(log.live)) == log.written


def test_sequences_that_begin_anew_in_a_new_file_are_read(log: WrittenLog) -> None:
    """As in logs of versions that counted from 1 at each start."""
    follower = begin(log.live)
    log.append(5)
    assert rest(follower) == log.written
    log.rotate()
    log.append_raw(record_line(1, "another"))
    assert rest(follower) == [record_line(1, "another")]


def test_a_copy_that_is_truncated_is_followed_behind_the_cut(log: WrittenLog) -> None:
    follower = begin(log.live)
    log.append(3)
    assert rest(follower) == log.written
    os.truncate(log.live, 0)
    assert rest(follower) == []
    assert added(follower, log.append(2))


# where to begin


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("done", range(1, 10))
def test_it_begins_behind_the_record_that_was_read_last(log: WrittenLog, done: int, compressed: bool) -> None:
    for count in (3, 3, 3):
        log.rotate()
        if compressed:
            log.compress()
        log.append(count)
    assert rest(begin(log.live, after=at(done))) == log.written[done:]


def test_it_can_begin_with_what_comes_next(log: WrittenLog) -> None:
    log.append(2)
    log.rotate()
    log.append(2)
    log.append_raw(b"half")
    follower = begin(log.live, after="end")
    assert rest(follower) == []
    os.truncate(log.live, log.live.stat().st_size - 4)
    assert added(follower, log.append(2))


def test_what_comes_next_in_an_empty_log_is_its_first_record(log: WrittenLog) -> None:
    follower = begin(log.live, after="end")
    assert rest(follower) == []
    log.append(1)
    assert rest(follower) == log.written


@pytest.mark.parametrize("after", ["end", "last"])
def test_what_comes_next_in_a_long_log_is_found_without_reading_all_of_it(
    log: WrittenLog, after: Literal["end", "last"], monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append(20_000)
    monkeypatch.setattr("doorlog.log.follow._NEAR_END", 50_000)
    read = 0
    pread = os.pread

    def counting(*asked: int) -> bytes:
        nonlocal read
        data = pread(*asked)
        read += len(data)
        return data

    monkeypatch.setattr("os.pread", counting)
    follower = begin(log.live, after="end" if after == "end" else at(20_000))
    assert rest(follower) == []
    assert read < log.live.stat().st_size / 2
    assert added(follower, log.append(1))


def test_it_can_be_closed_and_read_on(log: WrittenLog) -> None:
    follower = begin(log.live)
    log.append(3)
    rest(follower)
    follower.close()
    log.append(2)
    log.rotate()
    log.append(1)
    assert rest(follower) == log.written[3:]
    follower.close()
    follower.close()


# what is gone


def test_records_that_retention_deleted_before_they_were_read_are_counted(log: WrittenLog) -> None:
    follower = begin(log.live)
    log.append(3)
    rest(follower)
    for count in (5, 7, 2):
        log.append(count)
        log.rotate()
    log.append(1)
    for path in log.closed[:2]:
        path.unlink()
    batch = follower.read()
    assert (list(batch.lines), batch.missing) == (log.written[3:8], 0)  # of the file that was open
    batch = follower.read()
    assert (list(batch.lines), batch.missing) == (log.written[15:17], 7)
    assert (follower.read().missing, follower.read()) == (0, Batch())


def test_a_place_that_retention_deleted_is_left_for_the_oldest_record(log: WrittenLog) -> None:
    log.append(5)
    log.rotate()
    log.append(2)
    log.closed[0].unlink()
    follower = begin(log.live, after=at(2))
    assert follower.read() == Batch(log.written[5:], at(7), missing=3)


def test_a_declared_gap_is_not_missing(log: WrittenLog) -> None:
    follower = begin(log.live)
    log.append(2)
    rest(follower)
    log.rotate()
    log.sequence = 50
    gap = {"schema_version": 1, "gap": {"first_sequence": 3, "last_sequence": 50}}
    event = {"action": "audit_gap", "sequence": 51, "id": f"{RUN}-51"}
    lines = log.append(1, event=event, doorlog=gap)
    assert follower.read() == Batch(lines, at(51))


def test_more_than_what_a_gap_declares_is_missing(log: WrittenLog) -> None:
    gap = {"event": {"action": "audit_gap"}, "doorlog": {"gap": {"first_sequence": 8, "last_sequence": 50}}}
    assert follow._gap_begin(gap, 51) == 8
    assert follow._gap_begin({"event": {"action": "audit_gap"}, "doorlog": {}}, 51) == 51
    log.append_raw(record_line(9, message='"audit_gap"'))
    assert begin(log.live, after=at(4)).read().missing == 4


def test_a_jump_within_a_file_is_no_fault(log: WrittenLog) -> None:
    log.append(2)
    log.sequence = 1000
    log.append(2)
    assert begin(log.live).read() == Batch(log.written, at(1002))


def test_a_damaged_segment_is_read_up_to_the_damage_and_the_rest_is_missing(log: WrittenLog) -> None:
    for _ in range(20):
        log.append(1, message=os.urandom(15_000).hex())
    log.rotate()
    log.compress()
    log.append(1)
    (packed,) = log.closed
    os.truncate(packed, packed.stat().st_size // 2)
    follower = begin(log.live, max_lines=1)
    batches = list(iter(follower.read, Batch()))
    read = [line for batch in batches for line in batch.lines]
    assert 1 < len(read) < 21
    assert read == [*log.written[: len(read) - 1], log.written[-1]]
    assert [batch.missing for batch in batches] == [0] * (len(read) - 1) + [21 - len(read)]


def test_a_segment_of_which_nothing_is_left_is_missing(log: WrittenLog) -> None:
    log.append(5)
    log.rotate()
    log.compress()
    log.append(1)
    log.closed[0].write_bytes(b"damaged")
    assert begin(log.live).read() == Batch(log.written[5:], at(6), missing=5)


# a power failure takes back what was read


def test_records_that_another_run_wrote_in_the_place_of_lost_ones_are_read(log: WrittenLog) -> None:
    log.append(6)
    log.sequence = 6
    follower = begin(log.live, after=at(9))  # 7 to 9 were read and are lost
    assert rest(follower) == []
    assert added(follower, log.append(5, run="second"))
    assert rest(begin(log.live, after=at(9))) == log.written[6:]


def test_they_are_found_across_rotation_too(log: WrittenLog) -> None:
    log.append(6)
    for _ in range(3):
        log.append(1, run="second")
        log.rotate()
        log.compress()
    assert rest(begin(log.live, after=at(9))) == log.written[6:]


def test_a_log_that_knows_nothing_of_the_place_is_read_from_its_beginning(log: WrittenLog) -> None:
    log.append(9, run="second")
    batch = begin(log.live, after=at(5)).read()
    assert batch == Batch(log.written, at(9, "second"), is_astray=True)


# another program at the same moment


def test_a_segment_that_is_compressed_at_this_moment_is_found_a_moment_later(
    log: WrittenLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the listing of the folder and the opening of the file."""
    follower = begin(log.live)
    log.append(1)
    assert rest(follower) == log.written
    log.rotate()
    expected = log.append(2)
    log.rotate()
    expected += log.append(1)
    plain_open = listing.LogFile.open

    def too_late(self: Any) -> Any:
        log.compress()
        return plain_open(self)

    with monkeypatch.context() as patch:
        patch.setattr(listing.LogFile, "open", too_late)
        assert follower.read() == Batch()
        fresh = begin(log.live)
    assert rest(follower) == expected
    assert rest(fresh) == log.written


def test_a_first_segment_that_vanishes_at_this_moment_is_no_fault(
    log: WrittenLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append(2)
    log.rotate()
    log.append(1)
    follower = begin(log.live)

    def gone(_self: Any) -> Any:
        raise FileNotFoundError

    with monkeypatch.context() as patch:
        patch.setattr(listing.LogFile, "open", gone)
        assert follower.read() == Batch()
    assert rest(follower) == log.written


def test_a_record_between_the_last_look_and_the_rotation_is_not_passed_by(
    log: WrittenLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """logrotate has renamed the file; the broker writes one more record to it, and then one to a new file."""
    follower = begin(log.live)
    log.append(1)
    rest(follower)
    log.logrotate()
    listed = listing.listed

    def late(path: Path) -> Any:
        monkeypatch.undo()
        with log.live.with_name("doorlog.jsonl.1").open("ab") as file:
            file.write(record_line(2))
        log.append_raw(record_line(3))
        return listed(path)

    monkeypatch.setattr(follow, "listed", late)
    assert rest(follower) == record_lines(2, 3)


# the model: whatever happens in whatever order, what comes out is what was written


STEPS = st.lists(
    st.one_of(
        st.integers(1, 5),
        st.sampled_from(["rotate", "compress", "look", "restart", "reopen", "torn", "healed", "power failure"]),
    ),
    max_size=30,
)


class Model:
    """A log, and what reads it: a follower that dies and comes back, with a cursor that may be behind."""

    def __init__(self, folder: Path, max_lines: int) -> None:
        self.log = WrittenLog(folder)
        self.max_lines = max_lines
        self.read: list[bytes] = []
        self.torn = False
        self.follower = begin(self.log.live, max_lines=max_lines)

    def step(self, step: int | str) -> None:
        if isinstance(step, int):
            if self.torn:
                self.log.append_raw(b"\n")
                self.torn = False
            self.log.append(step)
        elif step == "torn":
            self.log.append_raw(record_line(self.log.sequence + 1)[:-5])
            self.torn = True
        elif step == "healed" and self.torn:
            data = self.log.live.read_bytes()
            os.truncate(self.log.live, data.rfind(b"\n") + 1)
            self.torn = False
        elif step == "rotate":
            self.torn = self.log.rotate() is None and self.torn  # what holds no record is not closed
        elif step == "compress":
            self.log.compress()
        elif step == "look":
            self.read += self.follower.read().lines
        elif step in {"restart", "reopen"}:
            self.follower.close()
            if step == "restart":
                done = position_of(self.read[-1]) if self.read else None
                self.follower = begin(self.log.live, after=done, max_lines=self.max_lines)


@given(STEPS, st.integers(1, 4), st.sampled_from([1, 100, 700, 4_194_304]))
def test_every_record_comes_once_and_in_order_whatever_happens(
    steps: list[int | str], max_lines: int, near_end: int
) -> None:
    with tempfile.TemporaryDirectory() as folder, patch("doorlog.log.follow._NEAR_END", near_end):
        model = Model(Path(folder), max_lines)
        for step in [*steps, 1]:
            model.step(step)
        model.read += rest(model.follower)
        model.follower.close()
    assert model.read == model.log.written
