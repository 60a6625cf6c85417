"""The file of a log from open to close, rotated, renamed, removed and cut under its hands."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from doorlog.errors import SinkError
from doorlog.log import log_file as log_file_module
from doorlog.log.chain import line_hash
from doorlog.log.faults import Faults
from doorlog.log.log_file import LogFile
from doorlog.log.segments import closed_segments, segment_name, whole_lines
from doorlog.settings.log_models import FileLogSettings
from support.events import WHEN, failed_connect
from support.log_lines import after, check_chain, lines_of, quiet

LINES = lines_of(count=6)
FULL = OSError(28, "No space left on device")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log" / "doorlog.jsonl"


@pytest.fixture
def opened(path: Path) -> Iterator[Callable[..., LogFile]]:
    files: list[LogFile] = []

    def open_log_file(*, faults: Faults | None = None, syncs: bool = True, **settings: Any) -> LogFile:
        given = FileLogSettings(path=path, **{"compress": False, **settings})
        files.append(LogFile(given, syncs=syncs, faults=faults or quiet()))
        return files[-1]

    yield open_log_file
    for file in files:
        try:
            file.close()
        except (OSError, SinkError):  # the test has closed it, or it failed on purpose
            continue


def look(file: LogFile) -> tuple[int | None, str] | None:
    """Look now, however short ago the last look was."""
    file._look_at = 0.0
    return file.look()


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


# opening


def test_what_is_refused_leaves_nothing_open(path: Path, opened: Callable[..., LogFile]) -> None:
    before = descriptors()
    path.parent.mkdir()
    path.write_bytes(b"precious")
    with pytest.raises(SinkError, match="is no log of doorlog"):
        opened()
    path.unlink()
    path.mkdir()
    with pytest.raises(SinkError, match="Is a directory"):
        opened()
    assert descriptors() == before


def test_a_second_broker_is_refused(path: Path, opened: Callable[..., LogFile]) -> None:
    first = opened()
    with pytest.raises(SinkError, match="another broker writes to the log"):
        opened()
    first.write(LINES[:1])
    assert path.read_bytes() == LINES[0]


def test_the_end_of_an_earlier_run_is_found_and_mended(path: Path, opened: Callable[..., LogFile]) -> None:
    path.parent.mkdir()
    path.write_bytes(LINES[0] + b'{"@time')
    file = opened()
    assert (file.name, file.tail.sequence, file.tail.torn_bytes) == (f"file {path}", 1, 7)
    assert file.torn_file is not None
    file.write(LINES[1:2])
    assert path.read_bytes() == LINES[0] + LINES[1]


# rotating


def test_a_big_file_becomes_a_segment_named_after_its_first_record(path: Path, opened: Callable[..., LogFile]) -> None:
    file = opened(rotate_bytes=65_536)
    assert not file.wants_rotation
    lines = lines_of(count=40)
    for line in lines:
        file.write([line])
        if file.wants_rotation:
            file.rotate()
    assert file.journal.size < 65_536
    segments = closed_segments(path)
    assert len(segments) == 1
    first = next(whole_lines(segments[0]))
    assert (first, segments[0].name) == (lines[0], segment_name(path, WHEN, 1))
    check_chain([line for part in [*segments, path] for line in whole_lines(part)])


def test_an_old_file_becomes_a_segment(path: Path, opened: Callable[..., LogFile]) -> None:
    path.parent.mkdir()
    path.write_bytes(b"".join(LINES))  # of long ago
    file = opened(rotate_hours=1.0)
    assert file.wants_rotation
    file.rotate()
    assert not file.wants_rotation
    assert [part.name for part in closed_segments(path)] == [segment_name(path, WHEN, 1)]
    file.write(after(LINES))
    assert not file.wants_rotation, "it has begun just now"


def test_a_file_without_bounds_is_never_rotated(path: Path, opened: Callable[..., LogFile]) -> None:
    path.parent.mkdir()
    path.write_bytes(b"".join(LINES))
    assert not opened(rotate_bytes=0, rotate_hours=0).wants_rotation


def test_a_rotation_that_fails_is_counted_and_tried_again_later(
    path: Path, opened: Callable[..., LogFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    faults = quiet()
    path.parent.mkdir()
    path.write_bytes(LINES[0])
    file = opened(faults=faults)

    def refuse(_source: object, _target: object) -> None:
        raise OSError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", refuse)
        file.rotate()
    assert [(fault.where, fault.count, fault.lost) for fault in faults.all()] == [("rotation", 1, 0)]
    assert not file.wants_rotation
    file.write(LINES[1:2])
    assert path.read_bytes() == LINES[0] + LINES[1]
    now += 61
    assert file.wants_rotation
    file.rotate()
    assert len(closed_segments(path)) == 1


def test_a_new_file_that_can_not_be_made_leaves_the_old_one_in_its_place(
    path: Path, opened: Callable[..., LogFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = quiet()
    file = opened(faults=faults)
    file.write(LINES[:1])

    def refuse(_path: Path) -> int:
        raise SinkError("can not open the log file: Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(log_file_module, "open_live", refuse)
        file.rotate()
    file.write(LINES[1:2])
    assert closed_segments(path) == []
    assert path.read_bytes() == LINES[0] + LINES[1]
    assert [fault.where for fault in faults.all()] == ["rotation"]


def test_a_file_that_can_not_be_written_is_not_rotated(
    path: Path, opened: Callable[..., LogFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = opened(rotate_hours=0.001)
    file.write(LINES[:1])

    def broken(_fd: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", broken)
        file.rotate()
    assert (closed_segments(path), file.journal.fault is not None) == ([], True)
    assert not file.wants_rotation


def test_a_segment_is_named_after_what_really_stands_first_in_it(path: Path, opened: Callable[..., LogFile]) -> None:
    file = opened()
    file.journal.fault = FULL
    file.write(LINES[:2])
    path.unlink()
    path.touch()
    look(file)
    file.journal.retry(at_once=True)
    file.write(LINES[2:3])
    file.rotate()
    assert [part.name for part in closed_segments(path)] == [segment_name(path, WHEN, 1)]


@pytest.mark.parametrize(
    "line", [b'{"event":{"sequence":4}}\n', b'{"@timestamp":"yesterday","event":{"sequence":4}}\n']
)
def test_a_first_record_without_a_time_is_as_old_as_its_opening(
    path: Path, opened: Callable[..., LogFile], line: bytes
) -> None:
    path.parent.mkdir()
    path.write_bytes(line)
    file = opened(rotate_hours=1.0)
    assert file._first_sequence == 4
    assert datetime.now(UTC) - file._begun < timedelta(minutes=5)


def test_segments_are_looked_after_from_the_start_on(path: Path, opened: Callable[..., LogFile]) -> None:
    file = opened(compress=True)
    file.start()
    file.write(LINES)
    file.rotate()
    file._archive._wanted.put(False)
    file._archive._thread.join(10)
    (part,) = closed_segments(path)
    assert part.suffix == ".zst"
    assert list(whole_lines(part)) == LINES


# what others do to it


def test_a_file_that_nobody_touched_is_looked_at_once_a_second(
    opened: Callable[..., LogFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = opened()
    assert look(file) is None
    with monkeypatch.context() as patch:
        patch.setattr(os, "fstat", None)  # would fail, if it looked
        assert file.look() is None


def test_a_file_that_was_renamed_goes_on_in_a_new_one(path: Path, opened: Callable[..., LogFile]) -> None:
    file = opened()
    file.write(LINES[:2])
    path.rename(path.with_name("doorlog.jsonl.1"))
    file.write(LINES[2:3])
    assert look(file) is None
    file.write(LINES[3:4])
    assert path.with_name("doorlog.jsonl.1").read_bytes() == b"".join(LINES[:3])
    assert path.read_bytes() == LINES[3]
    check_chain([line for part in [*closed_segments(path), path] for line in whole_lines(part)])


def test_going_on_in_the_same_file_is_nothing_to_do(path: Path, opened: Callable[..., LogFile]) -> None:
    file = opened()
    file.write(LINES[:1])
    file.journal._cut, file.journal.fault = 5, FULL
    file.reopen()
    assert file.journal._cut == 5


def test_a_file_that_was_removed_tells_what_is_gone(path: Path, opened: Callable[..., LogFile]) -> None:
    file = opened()
    file.write(LINES[:2])
    path.unlink()
    assert look(file) == (1, f"the log file {path} was removed while it was written: what stood in it is gone")
    assert look(file) is None
    file.write(LINES[2:3])
    assert path.read_bytes() == LINES[2]


def test_a_folder_that_was_removed_is_told_once_it_is_back(path: Path, opened: Callable[..., LogFile]) -> None:
    faults = quiet()
    file = opened(faults=faults)
    file.write(LINES[:2])
    for left in path.parent.iterdir():
        left.unlink()
    path.parent.rmdir()
    assert look(file) is None
    assert look(file) is None
    assert [(fault.where, fault.count) for fault in faults.all()] == [(f"file {path}", 2)]
    path.parent.mkdir()
    gone = look(file)
    assert gone is not None
    assert gone[0] == 1


@pytest.mark.parametrize("left", [0, len(LINES[0]), len(LINES[0]) + 10])
def test_a_file_that_was_cut_tells_the_remedy_and_goes_on_with_whole_lines(
    path: Path, opened: Callable[..., LogFile], left: int
) -> None:
    file = opened()
    file.write(LINES[:3])
    os.truncate(path, left)
    cut = look(file)
    assert cut is not None
    assert cut[0] == 1
    assert "copytruncate" in cut[1]
    assert "let it rename the file and send SIGHUP instead" in cut[1]
    assert look(file) is None
    file.write(LINES[3:4])
    assert path.read_bytes() == b"".join(LINES[:1] if left else []) + LINES[3]


def test_what_somebody_else_appended_is_not_taken_for_ours(path: Path, opened: Callable[..., LogFile]) -> None:
    file = opened()
    file.write(LINES[:1])
    with path.open("ab") as other:
        other.write(b"mine\n")
    assert look(file) is None
    assert file.journal.size == len(LINES[0]) + 5


# closing


def test_lines_that_could_not_be_written_are_counted_at_the_end(path: Path, opened: Callable[..., LogFile]) -> None:
    file = opened()
    file.write(LINES[:1])
    file.journal.fault = FULL
    file.write(LINES[1:4])
    with pytest.raises(SinkError, match=r"No space left on device; its last records are missing") as caught:
        file.close()
    assert caught.value.lost == 3
    again = opened()
    assert (again.tail.sequence, again.tail.sha256) == (1, line_hash(LINES[0]))


def test_closing_leaves_nothing_open(path: Path, opened: Callable[..., LogFile]) -> None:
    before = descriptors()
    file = opened()
    file.start()
    file.write(lines_of(failed_connect()))
    file.close()
    assert descriptors() == before
    assert path.exists()
