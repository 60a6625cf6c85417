"""``doorlog query`` as it is typed: rows for a pipe, for a terminal and as JSON, and what is refused."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from pathlib import Path

import pytest

from doorlog.application.cli import ExitCode
from doorlog.application.query_output import print_answer
from doorlog.readers.table import open_table
from support.commands import DOORLOG, Said, doorlog
from support.log_files import WrittenLog


@pytest.fixture
def log(tmp_path: Path) -> WrittenLog:
    log = WrittenLog(tmp_path)
    log.append(2, device="pump-17")
    log.rotate()
    log.compress()
    log.append(1, message="a\tb\x1b[2J\u202e")
    return log


def query(log: WrittenLog, sql: str, *options: str) -> Said:
    return doorlog("query", sql, "--log", log.live, *options)


def test_in_a_pipe_columns_are_parted_by_tabs(log: WrittenLog) -> None:
    said = query(log, "SELECT time, sequence, device_id, attempts FROM records ORDER BY sequence")

    assert (said.code, said.err) == (0, [])
    assert said.out == [
        "time\tsequence\tdevice_id\tattempts",
        "2026-03-01T15:02:17.250Z\t1\tpump-17\t1",
        "2026-03-01T15:02:17.250Z\t2\tpump-17\t1",
        "2026-03-01T15:02:17.250Z\t3\t\t1",
    ]


def test_a_value_forges_neither_a_column_nor_a_word(log: WrittenLog) -> None:
    sql = "SELECT message FROM records WHERE sequence = 3"

    assert query(log, sql).out == ["message", "a\\u0009b\\u001B[2J\\u202E"]
    assert [json.loads(line) for line in query(log, sql, "--json").out] == [{"message": "a\tb\x1b[2J\u202e"}]


@pytest.mark.parametrize(
    ("sql", "shown", "plain"),
    [
        ("NULL", "", None),
        ("true", "true", True),
        ("1.5::DOUBLE", "1.5", 1.5),
        ("1.50::DECIMAL(4,2)", "1.50", "1.50"),
        ("1234567890123456789012345678.1234567890::DECIMAL(38,10)", "1234567890123456789012345678.1234567890", ...),
        ("0.0000000000001::DECIMAL(20,13)", "0.0000000000001", ...),
        ("'nan'::DOUBLE", "NaN", "NaN"),
        ("'-inf'::DOUBLE", "-Infinity", "-Infinity"),
        ("9223372036854775807::BIGINT", "9223372036854775807", 9223372036854775807),
        ("170141183460469231731687303715884105727::HUGEINT", "170141183460469231731687303715884105727", ...),
        ("INTERVAL 90 SECONDS", "90.0", 90.0),
        ("INTERVAL 1500 MICROSECONDS", "0.0015", 0.0015),
        ("DATE '2026-03-01'", "2026-03-01", ...),
        ("TIME '10:00:00'", "10:00:00", ...),
        ("TIMESTAMPTZ '2026-03-01 10:00:00+02'", "2026-03-01T08:00:00.000Z", ...),
        ("TIMESTAMP '2026-03-01 10:00:00.123456'", "2026-03-01T10:00:00.123456Z", ...),
        ("{'a': [1, NULL]}", '{"a":[1,null]}', {"a": [1, None]}),
        ("[[1.50], ['nan'::DOUBLE]]", '[[1.5],["NaN"]]', [[1.5], ["NaN"]]),
        (
            "[TIMESTAMP '2026-03-01 10:00:00.123456']",
            '["2026-03-01T10:00:00.123456Z"]',
            ["2026-03-01T10:00:00.123456Z"],
        ),
        ("MAP {1: 'x'}", '{"1":"x"}', {"1": "x"}),
        ("MAP {DATE '2026-03-01': 1.5}", '{"2026-03-01":"1.5"}', {"2026-03-01": "1.5"}),
        ("'ab\\x00\\xff'::BLOB", "ab\\x00\\xFF", ...),
        ("'5a2e1f00-0000-4000-8000-000000000001'::UUID", "5a2e1f00-0000-4000-8000-000000000001", ...),
        ("chr(155) || chr(8238)", "\\u009B\\u202E", "\x9b\u202e"),
    ],
)
def test_every_type_is_shown_without_loss(log: WrittenLog, sql: str, shown: str, plain: object) -> None:
    assert query(log, f"SELECT {sql} AS x").out[1:] == [shown]
    (line,) = query(log, f"SELECT {sql} AS x", "--json").out
    assert json.loads(line)["x"] == (shown if plain is ... else plain)
    assert line.isprintable(), "what could hide words is escaped"


@pytest.mark.parametrize("name", ["x", "xxx"])
def test_rows_too_wide_for_the_terminal_come_one_by_one(
    log: WrittenLog, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    with open_table(log.live) as table:
        sql = f"SELECT sequence, repeat('y', 30) AS {name}, NULL AS none FROM records ORDER BY 1 LIMIT 2"
        print_answer(table.ask(sql), as_json=False)

    pad = " " * (len("sequence") - len(name))
    assert capsys.readouterr().out.splitlines() == [
        "--- row 1 ------------------------------",
        "sequence  1",
        f"{name}{pad}  {'y' * 30}",
        "none      -",
        "--- row 2 ------------------------------",
        "sequence  2",
        f"{name}{pad}  {'y' * 30}",
        "none      -",
    ]


def test_on_a_terminal_columns_are_aligned(log: WrittenLog) -> None:
    read, write = pty.openpty()
    argv = [*DOORLOG, "query", "SELECT sequence, device_id FROM records ORDER BY 1", "--log", str(log.live)]
    done = subprocess.run(argv, stdout=write, stderr=subprocess.PIPE, text=True, check=True)
    lines = os.read(read, 10_000).decode().splitlines()

    assert lines == ["sequence  device_id", "1         pump-17", "2         pump-17", "3         -"]
    assert done.stderr.splitlines() == ["3 rows"]


def test_on_a_terminal_a_long_answer_is_cut_and_said(
    log: WrittenLog, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    with open_table(log.live) as table:
        print_answer(table.ask("SELECT range FROM range(5000)"), as_json=False)
    said = capsys.readouterr()

    assert len(said.out.splitlines()) == 1_001
    assert "the first 1,000 rows; in a pipe all are printed" in said.err


def test_a_query_is_read_from_standard_input(log: WrittenLog) -> None:
    argv = [*DOORLOG, "query", "-", "--log", str(log.live), "--json"]
    done = subprocess.run(argv, input="SELECT count(*) AS n\nFROM records", capture_output=True, text=True, check=True)

    assert json.loads(done.stdout) == {"n": 3}


def test_a_reader_may_go(log: WrittenLog) -> None:
    sql = "SELECT range, repeat('x', 100) FROM range(100000)"
    with subprocess.Popen([*DOORLOG, "query", sql, "--log", str(log.live)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait() == 0


SLOW = {
    "counts": "SELECT count(*) FROM range(100000000) a, range(100000000) b WHERE a.range + b.range = 7",
    "sorts": "SELECT hash(range) FROM range(300000000) ORDER BY 1",
    "yields rows": "SELECT range, repeat('x', 100) FROM range(10000000000)",
    "can not be interrupted": "SELECT list_sum(list_transform(range(100000000), lambda x: x + 1))",
}


@pytest.mark.parametrize("sql", SLOW.values(), ids=SLOW)
def test_ctrl_c_ends_it_without_a_word(log: WrittenLog, tmp_path: Path, sql: str) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    argv = [*DOORLOG, "query", sql, "--log", str(log.live)]
    environment = os.environ | {"TMPDIR": str(temporary)}
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment) as process:
        try:
            assert process.stderr is not None
            while not any(temporary.iterdir()):
                assert process.poll() is None
            begun = cpu_seconds(process)
            while cpu_seconds(process) < begun + 0.3:
                assert process.poll() is None
            process.send_signal(signal.SIGINT)

            assert process.wait(timeout=30) == 130
            assert process.stderr.read().strip() == b""
        finally:
            process.kill()  # one that goes on would be waited for
    assert list(temporary.iterdir()) == []


def cpu_seconds(process: subprocess.Popen[bytes]) -> float:
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize(
    ("sql", "hint"),
    [
        ("COPY records TO 'x'", "expected one SELECT: the log is only read"),
        ("SELECT nothing FROM records", 'Referenced column "nothing" not found'),
        ("selec 1", "syntax error"),
        ("", "expected one SELECT"),
    ],
)
def test_what_is_no_query_is_told(log: WrittenLog, sql: str, hint: str) -> None:
    said = query(log, sql)

    assert said.code == ExitCode.USAGE
    assert hint in "\n".join(said.err)


@pytest.mark.parametrize(
    "command", [("query", "SELECT sum(sequence) FROM records"), ("summary",)], ids=["query", "summary"]
)
def test_a_damaged_segment_is_told_with_what_to_do(log: WrittenLog, command: tuple[str, ...]) -> None:
    log.append(2_000)
    log.rotate()
    log.compress()
    packed = log.closed[-1]
    data = bytearray(packed.read_bytes())
    data[len(data) // 2] ^= 0xFF
    packed.write_bytes(data)
    said = doorlog(*command, "--log", log.live, *(["--since", "10000d"] if command == ("summary",) else []))

    assert said.code == ExitCode.SETTINGS
    assert "the log can not be read" in said.err[0]
    assert "doorlog verify names what is damaged" in said.err[0]


def test_two_columns_of_one_name_are_no_object(log: WrittenLog) -> None:
    said = query(log, "SELECT 1 AS a, 2 AS a", "--json")

    assert said.code == ExitCode.USAGE
    assert "several columns are named 'a': name each its own with AS" in said.err[0]


def test_there_must_be_a_log(tmp_path: Path) -> None:
    assert doorlog("query", "SELECT 1", "--log", tmp_path / "no").code == ExitCode.SETTINGS
