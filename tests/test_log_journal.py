"""The log file on a disk that fails: nothing torn, nothing doubled, and what is missing is known exactly."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from doorlog.events.audit_parts import FloodPart
from doorlog.events.codes import Action
from doorlog.events.records import FloodEvent
from doorlog.log.chain import line_hash
from doorlog.log.journal import Journal, Outage
from doorlog.log.live_file import open_live
from doorlog.log.segments import sequence_of
from support.events import WHEN, failed_connect, served_certificate
from support.log_lines import check_chain, lines_of

LINES = lines_of(count=6)
LENGTH = len(LINES[0])
FULL = OSError(28, "No space left on device")
BROKEN = OSError(5, "Input/output error")


class Disk:
    """A disk that takes so many bytes, and fails to sync on demand.

    Attributes:
        room: Bytes that it takes before it is full; None for any number.
        calls: The names of what was asked of it.
        sync_error: What fdatasync fails with, None for nothing.
        chunk: The most that one write takes.
    """

    def __init__(self) -> None:
        self.room: int | None = None
        self.chunk: int | None = None
        self.calls: list[str] = []
        self.sync_error: OSError | None = None
        self._write, self._sync = os.write, os.fdatasync

    def write(self, fd: int, data: memoryview) -> int:
        self.calls.append("write")
        sizes = [size for size in (self.room, self.chunk) if size is not None]
        if self.room == 0:
            raise FULL
        done = self._write(fd, data[: min(sizes, default=len(data))])
        if self.room is not None:
            self.room -= done
        return done

    def fdatasync(self, fd: int) -> None:
        self.calls.append("fdatasync")
        if self.sync_error is not None:
            raise self.sync_error
        self._sync(fd)


@pytest.fixture
def disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    assert not path.exists(), "its folder is made before the disk is replaced"
    disk = Disk()
    monkeypatch.setattr(os, "write", disk.write)
    monkeypatch.setattr(os, "fdatasync", disk.fdatasync)
    return disk


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "doorlog.jsonl"


@pytest.fixture
def opened(path: Path) -> Iterator[Callable[..., Journal]]:
    fds: list[int] = []

    def open_journal(*, syncs: bool = True, **options: int) -> Journal:
        fds.append(open_live(path))
        return Journal(fds[-1], syncs=syncs, **options)

    yield open_journal
    for fd in fds:
        os.close(fd)


def recovered(journal: Journal) -> Outage:
    outage = journal.retry(at_once=True)
    assert outage is not None
    return outage


# while all is well


def test_lines_are_appended_and_put_on_disk_when_asked(disk: Disk, path: Path, opened: Callable[..., Journal]) -> None:
    journal = opened()
    journal.write(LINES[:2])
    assert (path.read_bytes(), journal.size) == (b"".join(LINES[:2]), 2 * LENGTH)
    assert journal.dirty_since is not None
    journal.sync()
    journal.sync()  # nothing is left to do
    assert disk.calls == ["write", "fdatasync"]
    assert [journal.dirty_since, journal.fault, journal.waiting, journal.missing] == [None, None, 0, 0]
    assert journal.retry(at_once=True) is None


def test_best_effort_never_waits_for_the_disk(disk: Disk, opened: Callable[..., Journal]) -> None:
    journal = opened(syncs=False)
    journal.write(LINES)
    journal.sync()
    assert (disk.calls, journal.dirty_since) == (["write"], None)


def test_a_write_of_nothing_is_nothing(disk: Disk, opened: Callable[..., Journal]) -> None:
    journal = opened()
    journal.write([])
    assert (disk.calls, journal.dirty_since) == ([], None)


# a disk that is full


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(room=st.integers(0, 6 * LENGTH - 1), chunk=st.sampled_from([None, 1000, 7]))
def test_whatever_the_disk_took_the_file_is_whole_in_the_end(room: int, chunk: int | None, tmp_path: Path) -> None:
    disk = Disk()
    path = tmp_path / "log"
    path.unlink(missing_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", disk.write)
        fd = open_live(path)
        journal = Journal(fd, syncs=True)
        disk.room, disk.chunk = room, chunk
        journal.write(LINES[:4])
        journal.write(LINES[4:])
        assert journal.fault is not None
        assert path.read_bytes() == b"".join(LINES)[:room]
        assert (journal.size, journal.waiting) == (room, 6 - room // LENGTH)
        assert journal.retry(at_once=True) is None, "it is as full as before"
        disk.room = None
        outage = recovered(journal)
        os.close(fd)
    assert (outage.records, outage.first_sequence, outage.after_sha256) == (0, None, None)
    assert outage.began <= outage.ended
    check_chain(path.read_bytes().splitlines())
    assert path.read_bytes() == b"".join(LINES)


def test_it_is_tried_again_twice_a_second(
    disk: Disk, opened: Callable[..., Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    journal = opened()
    disk.room = 0
    journal.write(LINES[:1])
    disk.room = None
    assert journal.retry() is None
    now += 0.4
    assert journal.retry() is None
    now += 0.2
    assert journal.retry() is not None
    assert disk.calls == ["write", "write", "fdatasync"]


def test_what_does_not_fit_into_memory_is_missing_and_told_exactly(
    disk: Disk, path: Path, opened: Callable[..., Journal]
) -> None:
    flood = FloodEvent(
        **{name: getattr(failed_connect(), name) for name in ("timestamp", "source", "destination")},
        event=failed_connect().event.model_copy(update={"action": Action.FLOOD}),
        doorlog=failed_connect().doorlog.model_copy(
            update={"flood": FloodPart(action="connect", count=70, first=WHEN, last=WHEN, ports=7)}
        ),
    )
    lines = lines_of(*[failed_connect()] * 3, served_certificate(), flood, *[failed_connect()] * 2)
    journal = opened(held_bytes=2 * LENGTH)
    journal.write(lines[:1])
    disk.room = 10
    journal.write(lines[1:3])
    journal.write(lines[3:])
    assert (journal.waiting, journal.missing) == (2, 4)
    disk.room = None

    outage = recovered(journal)

    assert (outage.first_sequence, outage.last_sequence, outage.records) == (4, 7, 4)
    assert (outage.connects, outage.folded) == (2, 70)
    assert outage.after_sha256 == line_hash(lines[2]).decode()
    assert path.read_bytes() == b"".join(lines[:3])
    assert (journal.waiting, journal.missing) == (0, 0)


def test_a_small_line_does_not_slip_past_a_big_one_that_did_not_fit(disk: Disk, opened: Callable[..., Journal]) -> None:
    big = lines_of(size=2000, count=1)
    journal = opened(held_bytes=LENGTH + 10)
    disk.room = 0
    journal.fault = FULL
    journal.write(big)
    journal.write(LINES[1:2])
    disk.room = None
    outage = recovered(journal)
    assert (outage.records, outage.first_sequence, outage.last_sequence) == (2, 1, 2)
    assert outage.after_sha256 is None, "nothing was written before"


def test_a_batch_beyond_what_memory_may_hold_is_written_while_all_is_well(
    path: Path, opened: Callable[..., Journal]
) -> None:
    journal = opened(held_bytes=LENGTH)
    journal.write(LINES)
    assert path.read_bytes() == b"".join(LINES)
    assert journal.missing == 0


def test_each_outage_counts_anew(disk: Disk, opened: Callable[..., Journal]) -> None:
    journal = opened(held_bytes=0)
    for line in LINES[:2]:
        disk.room = 0
        journal.fault = FULL
        journal.write([line])
        disk.room = None
        outage = recovered(journal)
        assert (outage.records, outage.first_sequence) == (1, sequence_of(line))


def test_a_disk_that_fails_again_while_it_catches_up(disk: Disk, path: Path, opened: Callable[..., Journal]) -> None:
    journal = opened()
    disk.room = 0
    journal.write(LINES)
    for _ in range(6):
        disk.room = LENGTH - 1
        assert journal.retry(at_once=True) is None
    disk.room = None
    recovered(journal)
    assert path.read_bytes() == b"".join(LINES)


# a disk that breaks


def test_what_a_failed_sync_may_have_lost_is_written_again_to_its_place(
    disk: Disk, path: Path, opened: Callable[..., Journal]
) -> None:
    journal = opened()
    journal.write(LINES[:1])
    journal.sync()
    journal.write(LINES[1:3])
    disk.sync_error = BROKEN
    journal.sync()
    assert journal.fault is BROKEN
    journal.write(LINES[3:4])
    with path.open("r+b") as file:  # what the kernel may do: the pages are clean, and gone when they are read again
        file.seek(LENGTH)
        file.write(b"\0" * (2 * LENGTH))
    assert journal.retry(at_once=True) is None, "it is as broken as before"
    disk.sync_error = None

    assert recovered(journal).records == 0

    assert path.read_bytes() == b"".join(LINES[:4])
    assert journal.dirty_since is None


def test_the_beginning_of_a_line_is_written_again_too(disk: Disk, path: Path, opened: Callable[..., Journal]) -> None:
    journal = opened()
    disk.room = LENGTH + 50
    journal.write(LINES[:2])
    disk.room, disk.sync_error = 0, BROKEN
    assert journal.retry(at_once=True) is None
    disk.room = 0
    journal.fault = None
    journal.dirty_since = 1.0
    journal.sync()
    with path.open("r+b") as file:
        file.write(b"\0" * (LENGTH + 50))
    disk.room = disk.sync_error = None
    recovered(journal)
    assert path.read_bytes() == b"".join(LINES[:2])


def test_a_file_that_somebody_else_has_changed_is_not_written_into(
    disk: Disk, path: Path, opened: Callable[..., Journal]
) -> None:
    journal = opened()
    journal.write(LINES[:1])
    disk.sync_error = BROKEN
    journal.sync()
    with path.open("ab") as file:
        file.write(b"mine\n")
    disk.sync_error = None
    recovered(journal)
    assert path.read_bytes() == LINES[0] + b"mine\n"


# another file


def test_a_line_that_was_cut_is_whole_in_the_next_file_and_gone_from_the_last(
    disk: Disk, path: Path, opened: Callable[..., Journal]
) -> None:
    journal = opened()
    disk.room = LENGTH + 100
    journal.write(LINES[:3])
    path.rename(path.with_name("renamed"))
    second = open_live(path)
    journal.use(second)
    disk.room = None
    recovered(journal)
    os.close(second)
    assert path.with_name("renamed").read_bytes() == LINES[0]
    assert path.read_bytes() == b"".join(LINES[1:3])


def test_what_a_failed_sync_may_have_lost_is_written_again_before_the_next_file(
    disk: Disk, path: Path, opened: Callable[..., Journal]
) -> None:
    journal = opened()
    journal.write(LINES[:2])
    disk.sync_error = BROKEN
    journal.sync()
    path.write_bytes(b"\0" * (2 * LENGTH))
    path.rename(path.with_name("renamed"))
    disk.sync_error = None
    second = open_live(path)
    journal.use(second)
    os.close(second)
    assert path.with_name("renamed").read_bytes() == b"".join(LINES[:2])


def test_a_disk_that_is_still_broken_does_not_keep_it_from_the_next_file(
    disk: Disk, path: Path, opened: Callable[..., Journal]
) -> None:
    journal = opened()
    journal.write(LINES[:1])
    disk.sync_error = BROKEN
    journal.sync()
    path.unlink()
    second = open_live(path)
    journal.use(second)
    journal.write(LINES[1:2])
    disk.sync_error = None
    recovered(journal)
    assert path.read_bytes() == LINES[1]
    os.close(second)


# a real one


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, check=False, capture_output=True)
        refused = done.returncode != 0
    except FileNotFoundError:
        refused = True
    if refused:
        if os.environ.get("DOORLOG_REQUIRE_CLIENTS") == "1" and os.geteuid() == 0:
            pytest.fail("a small disk is required here, but can not be mounted", pytrace=False)
        pytest.skip("no right to mount")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_real_disk_that_is_full_and_has_room_again(small_disk: Path) -> None:
    lines = lines_of(count=200)
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 49_152)
    path = small_disk / "doorlog.jsonl"
    fd = open_live(path)
    journal = Journal(fd, syncs=True, held_bytes=10 * LENGTH)
    for line in lines[:100]:
        journal.write([line])
    assert journal.fault is not None
    assert journal.fault.errno == 28
    assert journal.size == 16_384
    assert path.read_bytes() == b"".join(lines)[:16_384]
    missing = journal.missing
    assert missing > 0
    assert 16_384 // len(lines[0]) + journal.waiting + missing == 100
    ballast.unlink()

    outage = recovered(journal)

    os.close(fd)
    whole = path.read_bytes().splitlines()
    check_chain(whole)
    assert path.read_bytes().endswith(b"\n")
    assert (outage.records, outage.last_sequence) == (missing, 100)
    assert outage.first_sequence == len(whole) + 1
    assert outage.after_sha256 == line_hash(whole[-1]).decode()
