"""``doorlog tail`` as it is typed: the latest records, those that pass, and whatever hostile lines there are."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from doorlog.application.cli import ExitCode
from support.commands import DOORLOG, doorlog
from support.log_files import WrittenLog
from support.processes import clean_environment


@pytest.fixture
def log(tmp_path: Path) -> WrittenLog:
    """Thirty records in a compressed segment, three in the live file."""
    log = WrittenLog(tmp_path)
    log.append(30)
    log.rotate()
    log.compress()
    log.append(2, source={"ip": "192.0.2.7"}, device="pump-17")
    log.append(1, event={"action": "connect", "code": "throttled", "outcome": "failure", "sequence": 33, "id": "x-33"})
    return log


def messages(*options: str, log: WrittenLog) -> list[str]:
    return [line.rpartition("  ")[2] for line in doorlog("tail", "--log", log.live, *options).out]


def test_the_folder_around_that_of_the_log_is_good_enough(tmp_path: Path) -> None:
    folder = tmp_path / ".doorlog" / "log"
    folder.mkdir(parents=True)
    WrittenLog(folder).append(3)

    said = doorlog("tail", "--log", folder.parent)

    assert len(said.out) == 3
    assert said == doorlog("tail", "--log", folder)


def test_the_latest_twenty_are_shown_in_order(log: WrittenLog) -> None:
    said = doorlog("tail", "--log", log.live.parent)

    assert (said.code, said.err) == (0, [])
    assert [line.rpartition("  ")[2] for line in said.out] == [f"record {number}" for number in range(14, 34)]
    assert "x throttled" in said.out[-1].replace("✗", "x")
    assert "\x1b" not in "".join(said.out), "plain in a pipe"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("-n", "1"), [33]),
        (("-n", "0"), []),
        (("--device", "pump-17"), [31, 32]),
        (("--source", "192.0.2.0/24", "-n", "1"), [32]),
        (("--code", "throttled", "--code", "bad_password"), [33]),
        (("--outcome", "failure"), [33]),
        (("--since", "2026-03-01T15:02:17Z", "--until", "2026-03-01T15:02:18Z", "-n", "2"), [32, 33]),
        (("--since", "2026-03-01T15:02:18Z"), []),
        (("--text", "Record 31"), [31]),
        (("--stage", "connect"), []),
        (("--listener", "tls"), []),
    ],
)
def test_filters(log: WrittenLog, options: tuple[str, ...], expected: list[int]) -> None:
    assert messages(*options, log=log) == [f"record {number}" for number in expected]


def test_json_is_the_lines_as_they_are(log: WrittenLog) -> None:
    said = doorlog("tail", "--log", log.live, "--json", "-n", "5")

    assert said.out == [line.decode().rstrip("\n") for line in log.written[-5:]]


def test_that_nothing_passes_is_told(log: WrittenLog) -> None:
    said = doorlog("tail", "--log", log.live, "--device", "nobody")

    assert (said.code, said.out, said.err) == (0, [], [f"doorlog: no record in {log.live} passes"])


def test_checkpoints_are_for_machines(log: WrittenLog) -> None:
    log.append(1, event={"action": "audit_checkpoint", "sequence": 34, "id": "x-34"})

    assert messages("-n", "1", log=log) == ["record 33"]
    assert '"sequence":34' in doorlog("tail", "--log", log.live, "--json", "-n", "1").out[0]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--since", "5x"), "expected a time such as"),
        (("--until", "2026-03-41"), "a span back such as 90s, 15m, 24h or 7d"),
        (("--source", "pump-17"), "expected an address or a network"),
        (("--stage", "door"), "--stage"),
        (("--outcome", "bad"), "--outcome"),
        (("-n", "-1"), "-n"),
        (("-c", "doorlog.yaml"), "has no effect with --log"),
    ],
)
def test_what_can_not_be_understood_is_told(log: WrittenLog, options: tuple[str, ...], expected: str) -> None:
    said = doorlog("tail", "--log", log.live, *options)

    assert (said.code, said.out) == (ExitCode.USAGE, [])
    assert expected in said.err[-1]


def test_a_log_that_is_not_there(tmp_path: Path) -> None:
    said = doorlog("tail", "-f", "--log", tmp_path / "nowhere" / "x")

    assert (said.code, said.out) == (ExitCode.SETTINGS, [])
    assert "is not there: name the log with --log" in said.err[0]


def test_hostile_lines_are_left_out_or_escaped(log: WrittenLog) -> None:
    log.append_raw(b"\x00\xff\x1b[2J\n{}\n[1]\n" + b"y" * 3_000_000 + b"\n")
    log.append(1, message="\x1b[2J\x9b\u202e[red]" + "y" * 1_000_000)
    log.append(1, **{"@timestamp": "0001-01-01T00:00:00+14:00"})
    log.append_raw(b'{"event":{"id":"torn')

    said = doorlog("tail", "--log", log.live, "-n", "3")

    assert (said.code, len(said.out)) == (0, 3)
    assert all(line.isprintable() and len(line) < 1_000 for line in said.out)


# as a process


async def following(log: WrittenLog, *options: str) -> asyncio.subprocess.Process:
    command = [*DOORLOG, "tail", "-f", "--log", str(log.live), *options]
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe, env=clean_environment())


async def next_line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(30):
        return (await process.stdout.readline()).decode().rstrip("\n")


async def test_what_comes_is_shown_over_rotation_and_compression_until_ctrl_c(log: WrittenLog) -> None:
    process = await following(log, "-n", "1")
    assert (await next_line(process)).endswith("  record 33")

    log.append(2)
    assert [(await next_line(process))[-9:] for _ in range(2)] == ["record 34", "record 35"]
    log.append(1)
    log.rotate()
    log.append(1)
    log.compress()
    assert [(await next_line(process))[-9:] for _ in range(2)] == ["record 36", "record 37"]

    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(30):
        assert await process.communicate() == (b"", b"")
    assert process.returncode == 0


async def test_filters_hold_for_what_comes(log: WrittenLog) -> None:
    process = await following(log, "-n", "1", "--device", "pump-17", "--json")
    assert '"sequence":32' in await next_line(process)
    log.append(1, device="pump-18")
    (wanted,) = log.append(1, device="pump-17")
    assert await next_line(process) == wanted.decode().rstrip("\n")

    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(30):
        await process.communicate()


@pytest.mark.parametrize("then", ["nothing comes", "a record comes"])
async def test_it_ends_when_nobody_reads_any_more(log: WrittenLog, then: str) -> None:
    command = " ".join(["exec", *DOORLOG, "tail", "-f", "-n", "1", "--log", str(log.live)])
    pipeline = f"{command} | head -n 1"
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", f"set -o pipefail; {pipeline}", stdout=pipe, stderr=pipe, env=clean_environment()
    )
    assert (await next_line(process)).endswith("  record 33")
    if then == "a record comes":
        log.append(1)

    async with asyncio.timeout(30):
        assert await process.communicate() == (b"", b"")
    assert process.returncode == 0
