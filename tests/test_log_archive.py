"""Closed segments: compressed so that a crash costs nothing, and deleted no sooner than asked."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event as Signal

import pytest
import zstandard

from doorlog.log.archive import Archive
from doorlog.log.faults import Faults
from doorlog.log.segments import closed_segments, segment_name, whole_lines
from support.events import WHEN
from support.log_lines import lines_of, quiet

DAY = 86_400


@pytest.fixture
def live(tmp_path: Path) -> Path:
    path = tmp_path / "doorlog.jsonl"
    path.write_bytes(b"live\n")
    return path


def archive(
    live: Path,
    *,
    compress: bool = False,
    keep_bytes: int | None = None,
    keep_days: float | None = None,
    faults: Faults | None = None,
) -> Archive:
    return Archive(live, compress=compress, keep_bytes=keep_bytes, keep_days=keep_days, faults=faults or quiet())


def segment(live: Path, number: int, data: bytes = b"", *, days_old: float = 0) -> Path:
    path = live.with_name(segment_name(live, WHEN + timedelta(seconds=number), number))
    path.write_bytes(data or b"x" * 100)
    when = time.time() - days_old * DAY
    os.utime(path, (when, when))
    return path


def names(live: Path) -> list[str]:
    return sorted(path.name for path in live.parent.iterdir() if path != live)


# compressing


def test_segments_are_compressed_and_keep_their_lines_their_age_and_their_mode(live: Path) -> None:
    lines = lines_of(count=100)
    plain = segment(live, 1, b"".join(lines), days_old=3)
    plain.chmod(0o600)
    before = plain.stat()

    archive(live, compress=True).tidy()

    (packed,) = closed_segments(live)
    assert packed.name == plain.name + ".zst"
    assert list(whole_lines(packed)) == lines
    after = packed.stat()
    assert (after.st_mtime_ns, after.st_mode) == (before.st_mtime_ns, before.st_mode)
    assert after.st_size < before.st_size / 10
    assert not plain.exists()
    assert live.read_bytes() == b"live\n"
    archive(live, compress=True).tidy()  # once more changes nothing
    assert closed_segments(live) == [packed]


def test_what_a_crash_left_half_compressed_is_made_again(live: Path) -> None:
    lines = lines_of()
    plain = segment(live, 1, b"".join(lines))
    plain.with_name(plain.name + ".zst.partial").write_bytes(b"half")
    archive(live, compress=True).tidy()
    assert names(live) == [plain.name + ".zst"]
    assert list(whole_lines(closed_segments(live)[0])) == lines


def test_a_crash_between_the_compressed_segment_and_the_end_of_the_plain_one(live: Path) -> None:
    lines = lines_of()
    plain = segment(live, 1, b"".join(lines))
    plain.with_name(plain.name + ".zst").write_bytes(zstandard.compress(b"".join(lines)))
    archive(live, compress=True).tidy()
    assert names(live) == [plain.name + ".zst"]


def test_files_of_others_stay_as_they_are(live: Path) -> None:
    for name in ("doorlog-notes.partial", "doorlog.jsonl.1", "other.jsonl.partial", "doorlog.jsonl.torn-1Z"):
        live.with_name(name).write_bytes(b"\x28\xb5\x2f\xfd")
    before = names(live)
    archive(live, compress=True, keep_bytes=65_536, keep_days=1).tidy()
    assert names(live) == before


def test_a_name_with_what_a_shell_would_expand(tmp_path: Path) -> None:
    live = tmp_path / "door[1]*.jsonl"
    left = live.with_name(segment_name(live, WHEN, 1) + ".zst.partial")
    left.touch()
    archive(live).tidy()
    assert not left.exists()


# deleting


def test_the_oldest_are_deleted_when_all_are_too_much(live: Path) -> None:
    paths = [segment(live, number, b"x" * 30_000) for number in (1, 2, 3)]
    archive(live, keep_bytes=65_536).tidy()
    assert closed_segments(live) == paths[1:]
    archive(live, keep_bytes=65_536).tidy()
    assert closed_segments(live) == paths[1:]


def test_those_that_are_too_old_are_deleted(live: Path) -> None:
    paths = [segment(live, number, days_old=age) for number, age in ((1, 9), (2, 8), (3, 6), (4, 9))]
    archive(live, keep_days=7).tidy()
    assert closed_segments(live) == paths[2:], "none behind one that is kept: a log has no holes"


def test_without_bounds_nothing_is_ever_deleted(live: Path) -> None:
    path = segment(live, 1, days_old=10_000)
    archive(live).tidy()
    assert closed_segments(live) == [path]


def test_a_segment_that_somebody_else_deletes_meanwhile(live: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = segment(live, 1, days_old=9)
    unlink = Path.unlink

    def twice(self: Path) -> None:
        unlink(self)
        unlink(self)

    monkeypatch.setattr(Path, "unlink", twice)
    archive(live, keep_days=1).tidy()
    assert not path.exists()


# its thread


class Told(Faults):
    """Tells when there was a fault."""

    def __init__(self) -> None:
        super().__init__(lambda _: None)
        self.came = Signal()

    def add(self, where: str, error: BaseException, *, lost: int) -> None:
        super().add(where, error, lost=lost)
        self.came.set()


def test_what_an_earlier_run_left_over_is_looked_after_at_the_start(live: Path) -> None:
    segment(live, 1, b"".join(lines_of()))
    kept = archive(live, compress=True)
    kept.start()
    kept.close()
    assert [path.suffix for path in closed_segments(live)] in ([".zst"], [".jsonl"]), (
        "whole, or left for the next start"
    )


def test_a_fault_is_counted_and_the_next_look_is_not_lost(live: Path) -> None:
    faults = Told()
    damaged = live.with_name("doorlog.jsonl.1.gz")
    damaged.write_bytes(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xff\xff\xff\xff")
    kept = archive(live, keep_days=1, faults=faults)
    old = segment(live, 1, days_old=9)
    kept.start()
    assert faults.came.wait(10)
    (fault,) = faults.all()
    assert (fault.where, fault.lost) == ("archive", 0)
    damaged.unlink()
    kept.look()
    kept._wanted.put(False)
    kept._thread.join(10)
    assert not old.exists()
    kept.close()


def test_closing_lets_the_rest_for_the_next_start(live: Path) -> None:
    path = segment(live, 1)
    kept = archive(live, compress=True)
    kept.close()  # it had not even begun
    kept.tidy()
    assert closed_segments(live) == [path]


def test_the_age_is_that_of_the_last_record(live: Path) -> None:
    assert datetime.now(UTC) - WHEN > timedelta(days=1)
    path = segment(live, 1)  # named after its first record, and written to a moment ago
    archive(live, keep_days=1).tidy()
    assert closed_segments(live) == [path]
