"""A log as a table: all of its files as they are, and nothing but them."""

from __future__ import annotations

import builtins
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from doorlog.errors import LogError, QueryError
from doorlog.log.archive import Archive
from doorlog.log.log_file import LogFile
from doorlog.log.segments import closed_segments
from doorlog.readers.table import Row, open_table
from doorlog.settings.log_models import FileLogSettings
from support.log_files import BEGUN, WrittenLog, record_line
from support.log_lines import lines_of, quiet

ODD_LINES = [
    b"not json\n",
    b"[1]\n",
    b"\n",
    b'{"event":7,"@timestamp":"2026-01-01T00:00:00Z"}\n',
    b'{"@timestamp":"garbage","event":{"sequence":"x","action":5}}\n',
    b'{"@timestamp":"2026-01-01T00:00:00Z","event":{"action":"connect"}}\n',
    b'{"a":' * 2_000 + b"1" + b"}" * 2_000 + b"\n",
    b'{"@timestamp":"2026-01-01T00:00:00Z","message":"\xff\xfe","event":{"sequence":1}}\n',
]


def asked(log: Path, sql: str) -> list[Row]:
    with open_table(log) as table:
        return list(table.ask(sql).rows)


def sequences(log: Path) -> list[int]:
    return [number for (number,) in asked(log, "SELECT sequence FROM records ORDER BY sequence")]


@pytest.fixture
def log(tmp_path: Path) -> WrittenLog:
    """Two compressed segments, one that logrotate left, and a live file whose last line is being written."""
    log = WrittenLog(tmp_path)
    log.append(3)
    log.logrotate(compress=True)
    for _ in range(2):
        log.append(3)
        log.rotate()
    log.compress()
    log.append(3, device="pump-17")
    log.append_raw(record_line(99)[:-30])
    return log


def test_all_files_are_read_and_a_torn_line_is_no_row(log: WrittenLog) -> None:
    assert sequences(log.live) == sequences(log.live.parent) == list(range(1, 13))
    assert asked(log.live, "SELECT DISTINCT device_id, confidence FROM records ORDER BY 1 NULLS LAST") == [
        ("pump-17", "certain"),
        (None, None),
    ]


def test_each_whole_record_can_be_asked_for(log: WrittenLog) -> None:
    found = asked(log.live, "SELECT line->>'$.message' FROM lines WHERE (line->>'$.event.sequence')::INT = 12")

    assert found == [("record 12",)]


@pytest.mark.parametrize("odd", ODD_LINES, ids=range(len(ODD_LINES)))
def test_what_is_no_record_is_no_row_and_hides_none(tmp_path: Path, odd: bytes) -> None:
    log = WrittenLog(tmp_path)
    log.append(1)
    log.append_raw(odd)
    log.append(1)

    assert {1, 2} <= set(sequences(log.live)) <= {1, 2}


@pytest.mark.parametrize("name", ["it's", "a [b] * ?", "gr\u00fcn", 'quo"te', "back\\slash", "{a,b}", "-- x", "a;b"])
def test_whatever_the_folder_is_called(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    log = WrittenLog(folder)
    log.append(2)
    log.rotate()
    log.compress()
    log.append(1)

    assert sequences(log.live) == [1, 2, 3]
    assert sequences(folder) == [1, 2, 3]


def test_a_log_without_a_record_has_no_row(tmp_path: Path) -> None:
    log = tmp_path / "doorlog.jsonl"
    log.write_bytes(b"")

    assert asked(log, "SELECT count(*), sum(attempts) FROM records") == [(0, None)]


def test_files_outside_of_a_span_are_not_opened(log: WrittenLog) -> None:
    with open_table(log.live, since=datetime(2027, 1, 1, tzinfo=UTC)) as table:
        later = table.rows("SELECT count(*) FROM records WHERE sequence < 10")
    with open_table(log.live) as table:
        assert table.rows("SELECT count(*) FROM records WHERE sequence < $below", {"below": 10}) > later


def test_there_must_be_a_log(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="name the log with --log"), open_table(tmp_path):
        pass


WRITES_OR_READS = [
    "SELECT * FROM read_text('{other}')",
    "SELECT * FROM read_blob('/proc/self/environ')",
    "SELECT * FROM read_csv('{other}')",
    "SELECT * FROM '{other}'",
    "FROM '{folder}/*.jsonl'",
    "SELECT * FROM glob('{folder}/*')",
    "SELECT * FROM sniff_csv('{other}')",
    "SELECT * FROM read_parquet('{other}')",
    "SELECT * FROM read_duckdb('{other}')",
    "SELECT * FROM sqlite_scan('{other}', 'x')",
    "SELECT * FROM read_json('https://127.0.0.1/x.json')",
    "SELECT getenv('HOME')",
    "SELECT * FROM secret_of_the_caller",
    "SELECT * FROM query('COPY (SELECT 1) TO ''{other}''')",
    "COPY (SELECT 1) TO '{other}'",
    "COPY (SELECT 1) TO '{log}'",
    "COPY records TO '{folder}/new.parquet' (FORMAT parquet)",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{other}'",
    "EXPORT DATABASE '{folder}/export'",
    "ATTACH '{folder}/x.db'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "SET allowed_directories = ['/']",
    "PRAGMA database_list",
    "CREATE TABLE x AS SELECT 1",
    "CREATE OR REPLACE VIEW records AS SELECT 1",
    "DROP VIEW records",
    "CALL pragma_version()",
    "SELECT 1; SELECT 2",
    "SELECT 1; COPY (SELECT 1) TO '{other}'",
    "",
    "-- nothing",
    "selec 1",
]


@pytest.mark.parametrize("sql", WRITES_OR_READS)
def test_a_query_reads_nothing_but_the_log_and_writes_nothing(log: WrittenLog, tmp_path: Path, sql: str) -> None:
    secret_of_the_caller = duckdb.sql("SELECT 'a secret of the process'")
    other = tmp_path / "other.txt"
    other.write_text("a secret of somebody else\n")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    with pytest.raises(QueryError):
        asked(log.live, sql.format(other=other, folder=tmp_path, log=log.live))

    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert secret_of_the_caller


def test_a_query_may_describe_summarize_and_sort(log: WrittenLog) -> None:
    assert ("time", "TIMESTAMP") in [row[:2] for row in asked(log.live, "DESCRIBE records")]
    assert asked(log.live, "FROM records SELECT count(*)") == [(12,)]
    assert asked(log.live, "SUMMARIZE SELECT sequence FROM records")[0][0] == "sequence"


def test_what_goes_wrong_while_rows_are_read_is_told(log: WrittenLog) -> None:
    with pytest.raises(QueryError, match="rror"):
        asked(log.live, "SELECT error('no') FROM records")


def test_a_damaged_segment_is_told(tmp_path: Path) -> None:
    log = WrittenLog(tmp_path)
    log.append(2_000)
    log.rotate()
    log.compress()
    (packed,) = log.closed
    data = bytearray(packed.read_bytes())
    data[len(data) // 2] ^= 0xFF
    packed.write_bytes(data)

    with open_table(log.live) as table, pytest.raises(LogError, match="can not be read"):
        table.rows("SELECT sum(sequence) FROM records")


def after(change: Callable[[WrittenLog], object], log: WrittenLog) -> list[Row]:
    """Return what is found in a log whose files get other names, once it is open."""
    with open_table(log.live) as table:
        before = table.rows("SELECT count(*), count(DISTINCT sequence), sum(sequence) FROM records")
        change(log)
        if not log.live.exists():
            log.append(5)
        assert table.rows("SELECT count(*) FROM lines") == [before[0][:1]]
        assert table.rows("SELECT count(*), count(DISTINCT sequence), sum(sequence) FROM records") == before
    return before


def closed(log: WrittenLog) -> None:
    log.rotate()
    log.compress()


def all_deleted(log: WrittenLog) -> None:
    shutil.rmtree(log.live.parent)
    log.live.parent.mkdir()


CHANGES: dict[str, Callable[[WrittenLog], object]] = {
    "rotated": WrittenLog.rotate,
    "rotated and compressed": closed,
    "renamed by logrotate": WrittenLog.logrotate,
    "compressed by logrotate": lambda log: log.logrotate(compress=True),
    "the oldest deleted": lambda log: log.closed[0].unlink(),
    "all deleted": all_deleted,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("rotated_by", [WrittenLog.rotate, WrittenLog.logrotate])
def test_what_becomes_of_the_files_while_a_query_runs_changes_no_answer(
    tmp_path: Path, change: Callable[[WrittenLog], object], rotated_by: Callable[[WrittenLog], object]
) -> None:
    log = WrittenLog(tmp_path)
    for _ in range(3):
        log.append(3, **{"@timestamp": BEGUN.isoformat()})
        rotated_by(log)
    log.append(3, **{"@timestamp": BEGUN.isoformat()})

    assert after(change, log) == [(12, 12, 78)]


def test_a_broker_closes_compresses_and_deletes_while_a_query_runs(tmp_path: Path) -> None:
    live = tmp_path / "doorlog.jsonl"
    file = LogFile(FileLogSettings(path=live), syncs=True, faults=quiet())
    file.write(lines_of(count=6))
    with open_table(live) as table:
        file.rotate()
        (segment,) = closed_segments(live)
        os.utime(segment, (0, 0))
        assert table.rows("SELECT count(*) FROM records") == [(6,)]
        Archive(live, compress=True, keep_bytes=None, keep_days=1, faults=quiet()).tidy()
        assert closed_segments(live) == []
        assert table.rows("SELECT count(*) FROM records") == [(6,)]
    file.close()


def test_a_file_that_gets_a_name_nobody_could_expect_is_told(log: WrittenLog, tmp_path: Path) -> None:
    with open_table(log.live) as table:
        log.live.rename(tmp_path / "elsewhere")
        with pytest.raises(LogError, match="was renamed while it was read: try again"):
            table.rows("SELECT count(*) FROM records")
        with pytest.raises(LogError, match="was renamed while it was read: try again"):
            table.ask("SELECT count(*) FROM records")


def test_a_segment_that_is_damaged_at_its_beginning_is_told(log: WrittenLog) -> None:
    (log.live.parent / "doorlog-20260301T150211Z-0000000000000000004.jsonl.gz").write_bytes(b"\x1f\x8b nonsense")
    (log.live.parent / "doorlog-20260301T150211Z-0000000000000000004.jsonl.zst").unlink()

    with pytest.raises(LogError, match="doorlog verify names what is damaged"):
        asked(log.live, "SELECT count(sequence) FROM records")


def test_a_segment_that_is_no_longer_compressed_as_its_name_says_is_told_with_its_name(log: WrittenLog) -> None:
    (log.live.parent / "doorlog-20260301T150211Z-0000000000000000004.jsonl.zst").write_bytes(
        b"no zstd, and long enough"
    )

    with pytest.raises(LogError, match=r"the log can not be read: .*: doorlog verify names what is damaged"):
        asked(log.live, "SELECT count(sequence) FROM records")


@pytest.mark.parametrize("sql", ["SELECT list(range) FROM range(100000000)", "FROM records SELECT repeat(message, 10)"])
def test_a_query_that_needs_too_much_memory_is_told_how_to_go_on(log: WrittenLog, sql: str) -> None:
    log.append(2_000, message="x" * 2_000)
    with open_table(log.live, memory="10MB") as table:
        with pytest.raises(QueryError, match=r"too little memory.*: take a shorter time, or fewer columns"):
            list(table.ask(f"SELECT * FROM ({sql}) ORDER BY ALL").rows)
        with pytest.raises(LogError, match=r"too little memory.*: take a shorter time, or fewer columns"):
            table.rows(f"SELECT * FROM ({sql}) ORDER BY ALL")


def test_a_query_uses_no_more_than_a_quarter_of_the_memory(log: WrittenLog) -> None:
    with open_table(log.live) as table:
        (([quarter]),) = table.rows("SELECT parse_formatted_bytes(current_setting('memory_limit'))")
    everything = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

    assert quarter < everything * 0.26


def test_what_to_install_is_said_where_duckdb_is_missing(log: WrittenLog, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_duckdb(name: str, *rest: Any, **more: Any) -> Any:
        if name == "duckdb":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without_duckdb)
    with pytest.raises(LogError, match=r"pip install \"doorlog\[query\]\""), open_table(log.live):
        pass
