"""What is kept of closed segments: the same answers, and never those of a segment that is no longer what it was."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from doorlog.errors import LogError, QueryError
from doorlog.readers.log_index import LogIndex
from doorlog.readers.table import open_table
from support.log_files import WrittenLog


@pytest.fixture
def log(tmp_path: Path) -> WrittenLog:
    log = WrittenLog(tmp_path)
    for _ in range(2):
        log.append(3, device="pump-17")
        log.rotate()
    log.append(3)
    return log


def keep(index: LogIndex) -> list[Path]:
    missing = index.missing()
    for segment in missing:
        index.add(segment)
    return missing


def sequences(log: WrittenLog, index: LogIndex) -> list[int]:
    with open_table(log.live, index=index.of) as table:
        return [number for (number,) in table.rows("SELECT sequence FROM records ORDER BY sequence")]


def test_closed_segments_are_kept_the_latest_first_and_the_live_file_is_not(log: WrittenLog) -> None:
    index = LogIndex(log.live.parent)

    assert keep(index) == list(reversed(log.closed))
    assert index.missing() == []
    assert sequences(log, index) == list(range(1, 10))
    assert len(list(index.folder.glob("*.parquet"))) == 2


def test_what_is_kept_is_what_is_read(log: WrittenLog) -> None:
    index = LogIndex(log.live)
    keep(index)
    first = log.closed[0]
    changed = first.read_bytes().replace(b"pump-17", b"pump-99")
    times = first.stat()
    first.write_bytes(changed)
    os.utime(first, ns=(times.st_atime_ns, times.st_mtime_ns))  # so that the index can not see it

    with open_table(log.live, index=index.of) as table:
        assert table.rows("SELECT DISTINCT device_id FROM records WHERE sequence <= 3") == [("pump-17",)]
        assert table.rows("SELECT count(*) FROM lines WHERE contains(line::VARCHAR, 'pump-99')") == [(3,)]


def test_a_segment_that_was_compressed_or_changed_is_read_again(log: WrittenLog) -> None:
    index = LogIndex(log.live)
    keep(index)
    log.compress()

    assert [index.of(path) for path in log.closed] == [None, None]
    assert sequences(log, index) == list(range(1, 10))
    assert keep(index) == list(reversed(log.closed))
    index.forget()
    assert len(list(index.folder.glob("*.parquet"))) == 2, "those of the segments as they were are gone"


def test_what_is_kept_of_a_deleted_segment_is_forgotten(log: WrittenLog) -> None:
    index = LogIndex(log.live)
    keep(index)
    log.closed[0].unlink()
    index.forget()

    assert len(list(index.folder.glob("*"))) == 1
    assert sequences(log, index) == list(range(4, 10))


def test_nobody_else_can_read_it_and_nothing_half_made_is_left(log: WrittenLog) -> None:
    index = LogIndex(log.live)
    keep(index)

    assert {path.stat().st_mode & 0o007 for path in [index.folder, *index.folder.iterdir()]} == {0}
    assert all(path.suffix == ".parquet" for path in index.folder.iterdir())


def test_a_segment_that_is_deleted_meanwhile_is_none(log: WrittenLog, tmp_path: Path) -> None:
    index = LogIndex(log.live)
    index.add(tmp_path / "doorlog-20260301T150211Z-0000000000000000077.jsonl")

    assert not index.folder.exists()
    index.forget()  # nothing is kept yet


def test_a_folder_that_can_not_be_written_is_told(log: WrittenLog, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    index = LogIndex(log.live, tmp_path / "taken")

    with pytest.raises(LogError, match="taken"):
        index.add(log.closed[0])


def test_a_damaged_segment_is_not_kept(log: WrittenLog) -> None:
    log.append(2_000)
    log.rotate()
    log.compress()
    packed = log.closed[-1]
    data = bytearray(packed.read_bytes())
    data[len(data) // 2] ^= 0xFF
    packed.write_bytes(data)
    index = LogIndex(log.live)

    with pytest.raises(LogError, match="can not be indexed"):
        index.add(packed)
    assert list(index.folder.iterdir()) == []


def truncated(data: bytes) -> bytes:
    return data[: len(data) // 2]


def overwritten(data: bytes) -> bytes:
    middle = len(data) // 3
    return data[:middle] + bytes(len(data) // 3) + data[2 * middle :]


DAMAGES = {
    "empty": lambda _: b"",
    "truncated": truncated,
    "zeros": lambda data: bytes(len(data)),
    "middle": overwritten,
}


@pytest.mark.parametrize("damaged", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("number", [0, 1])
def test_what_is_kept_but_damaged_is_not_used_and_made_anew(
    log: WrittenLog, damaged: Callable[[bytes], bytes], number: int
) -> None:
    index = LogIndex(log.live)
    keep(index)
    table = sorted(index.folder.iterdir())[number]
    table.write_bytes(damaged(table.read_bytes()))

    assert sequences(log, index) == list(range(1, 10))
    assert keep(index) == [log.closed[number]]
    with open_table(log.live, index=index.of) as table_again:
        assert len(list(table_again.ask("SELECT * FROM records").rows)) == 9


def test_a_query_of_somebody_else_does_without_what_is_damaged(log: WrittenLog) -> None:
    index = LogIndex(log.live)
    keep(index)
    table = min(index.folder.iterdir())
    table.write_bytes(overwritten(table.read_bytes()))

    with open_table(log.live, index=index.of) as opened:
        assert len(list(opened.ask("SELECT * FROM records").rows)) == 9
    assert not table.exists()


def test_a_query_that_fails_by_itself_leaves_what_is_kept(log: WrittenLog) -> None:
    index = LogIndex(log.live)
    keep(index)
    with open_table(log.live, index=index.of) as opened, pytest.raises(QueryError, match="no"):
        opened.ask("SELECT error('no') FROM records")

    assert index.missing() == []


def test_damage_that_is_met_after_the_first_rows_is_told(log: WrittenLog, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_table(log.live) as opened:
        rows = opened.ask("SELECT CASE WHEN range > 2000000 THEN error('damaged') END FROM range(3000000)").rows
        next(rows)
        monkeypatch.setattr(opened._views, "mend", lambda: True)

        with pytest.raises(LogError, match="is damaged, and deleted: ask again"):
            list(rows)


def test_what_is_kept_may_be_deleted_at_any_time(log: WrittenLog) -> None:
    index = LogIndex(log.live)
    keep(index)

    def gone(segment: Path) -> Path | None:
        found = index.of(segment)
        if found is not None:
            found.unlink()
        return found

    with open_table(log.live, index=gone) as table:
        assert table.rows("SELECT count(*) FROM records") == [(9,)]


def test_there_must_be_a_log(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="no log"):
        LogIndex(tmp_path)
