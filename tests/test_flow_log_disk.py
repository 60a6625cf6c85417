"""A disk that is full or broken: who is let in meanwhile, what is kept, and what the log says afterwards."""

from __future__ import annotations

import asyncio
import errno
import signal
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import support.packets as mqtt
from doorlog.identity.store import open_to_read
from support.broker import ANYBODY, FREE
from support.clients.base import Target
from support.clients.raw import open_wire
from support.commands import doorlog, ports_of, serving_doorlog, stopped, write_yaml
from support.disks import Ballast, FailingDisk, make_read_only, small_disk
from support.processes import Serving
from support.records import action_is, following
from support.whole_log import check_numbers, of_action, read_log

ADMITTED, UNAVAILABLE = b"\x20\x02\x00\x00", b"\x20\x02\x00\x03"


def configuration(folder: Path, log_file: Path, device: dict[str, str] | None = None, **log: Any) -> Path:
    return write_yaml(
        folder / "doorlog.yaml",
        listeners={"plain": {"bind": FREE}},
        auth={"plugins": {name: {} for name in ANYBODY}},
        device=device or {},
        log={"file": {"path": str(log_file)}, "console": "never", **log},
    )


async def knock(server: Serving, client_id: str) -> bytes:
    """Come with a CONNECT and return the answer: empty if there is none."""
    async with open_wire(Target("127.0.0.1", ports_of(server)["plain"])) as device:
        await device.send(mqtt.connect(client_id))
        answer = await device.receive()
        if answer == ADMITTED:
            await device.send(mqtt.DISCONNECT)
            await device.drain()
        return answer


async def test_a_full_disk_keeps_nobody_out_and_loses_nothing_that_fits_into_memory(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        log, ballast = disk / "doorlog.jsonl", Ballast(disk)
        config = configuration(tmp_path, log)
        async with serving_doorlog("run", "-c", config, cwd=tmp_path) as server:
            ballast.load()
            answers = [await knock(server, f"pump-{number}") for number in range(30)]
            await server.line(r"file .*doorlog.jsonl can not be written: No space left on device")
            answers.append(await knock(server, "late"))
            ballast.drop()
            with following(log) as records:
                gap = await records.first(action_is("audit_gap"))
            assert await stopped(server, signal.SIGTERM) == 0
        whole = read_log(log)

    assert answers == [ADMITTED] * 31
    assert gap["event"]["code"] == "write_failed"
    assert gap["doorlog"]["gap"]["records"] == 0
    assert gap["message"].startswith("the log file could not be written for a while: nothing is missing")
    assert len(of_action(whole, "connect", "admitted")) == 31
    check_numbers(whole)
    said = [line for line in server.lines if "doorlog: log:" in line]
    assert [line.rpartition(" ")[0].split("doorlog.jsonl ")[1] for line in said] == [
        "can not be written: No space left on",
        "is written",
    ], "once each, not a flood"


async def test_a_broker_that_is_to_refuse_admits_nobody_until_the_disk_is_free_again(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        log, ballast = disk / "doorlog.jsonl", Ballast(disk)
        config = configuration(tmp_path, log, on_error="refuse")
        async with serving_doorlog("run", "-c", config, cwd=tmp_path) as server:
            assert await knock(server, "before") == ADMITTED
            ballast.load()
            while await knock(server, "meanwhile") == ADMITTED:  # until the log has noticed
                pass
            assert await knock(server, "refused") == UNAVAILABLE
            ballast.drop()
            await server.line("is written again")
            async with asyncio.timeout(10):
                while await knock(server, "after") != ADMITTED:  # the door hears of it a moment later
                    pass
            assert await stopped(server, signal.SIGTERM) == 0
        whole = read_log(log)

    refused = {one["mqtt"]["client_id"]: one for one in of_action(whole, "connect", "log_unavailable")}
    assert "the log can not be written" in refused["refused"]["message"]
    check_numbers(whole)


async def test_a_broker_that_is_to_stop_stops_and_says_why(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        config = configuration(tmp_path, disk / "doorlog.jsonl", on_error="stop")
        async with serving_doorlog("run", "-c", config, cwd=tmp_path) as server:
            Ballast(disk).load()
            answers = {await knock(server, "anybody")}
            await server.line("stopped, since the log can not be written: No space left on device")
            assert await server.process.wait() == 1
    assert answers <= {ADMITTED, UNAVAILABLE, b""}


@pytest.mark.parametrize(
    ("call", "number"),
    [("write", errno.EIO), ("write", errno.EROFS), ("write", errno.ENOSPC), ("fdatasync", errno.EIO)],
)
async def test_strict_lets_no_verdict_out_without_its_record(tmp_path: Path, call: str, number: int) -> None:
    log = tmp_path / "doorlog.jsonl"
    disk = FailingDisk(tmp_path, log)
    config = configuration(tmp_path, log, mode="strict")
    async with serving_doorlog("run", "-c", config, cwd=tmp_path, env=disk.environment) as server:
        assert await knock(server, "before") == ADMITTED
        disk.fail(call, number)
        assert await knock(server, "first") == UNAVAILABLE, "its record was on the way"
        assert await knock(server, "second") in (UNAVAILABLE, b""), "nobody is judged any more"
        await server.line(r"can not be written")
        disk.mend()
        await server.line("is written again")
        assert await knock(server, "after") == ADMITTED
        assert await stopped(server, signal.SIGTERM) == 0

    whole = read_log(log)
    admitted = {r["mqtt"]["client_id"] for r in of_action(whole, "connect", "admitted")}
    turned_away = {r["mqtt"]["client_id"] for r in of_action(whole, "disconnect", "log_unavailable")}
    assert admitted - turned_away == {"before", "after"}
    assert turned_away <= {"first"}, "it may have been about to be admitted, and never was a session"
    check_numbers(whole)


async def test_a_disk_that_is_read_only_is_told_at_the_start(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        make_read_only(disk)
        with pytest.raises(RuntimeError, match="is mounted read-only"):
            async with serving_doorlog("run", "-c", configuration(tmp_path, disk / "d.jsonl"), cwd=tmp_path):
                pass


async def test_a_full_disk_of_the_device_directory_costs_names_and_nothing_else(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        log, ballast, path = tmp_path / "log" / "doorlog.jsonl", Ballast(disk), disk / "devices.db"
        config = configuration(tmp_path, log, device={"directory": str(path)})
        async with serving_doorlog("run", "-c", config, cwd=tmp_path) as server:
            assert await knock(server, "before") == ADMITTED
            ballast.load()
            assert [await knock(server, f"pump-{number}") for number in range(200)] == [ADMITTED] * 200
            await server.line("device directory can not be written: .*; devices are learned no more")
            ballast.drop()
            assert await knock(server, "after") == ADMITTED
            await server.line("device directory is written again; doorlog devices rebuild gives what is missing")
            assert await stopped(server, signal.SIGTERM) == 0
        check_numbers(read_log(log))
        assert doorlog("devices", "rebuild", "-c", config).code == 0
        with closing(open_to_read(path)) as connection:
            names = {name for (name,) in connection.execute("SELECT id FROM device")}

    assert names == {"before", "after", *(f"pump-{number}" for number in range(200))}


async def test_a_directory_on_a_disk_that_is_read_only_is_told_before_the_start(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        make_read_only(disk)
        config = configuration(tmp_path, tmp_path / "doorlog.jsonl", device={"directory": str(disk / "devices.db")})
        said = doorlog("check", "-c", config)

    assert said.code == 3
    assert "device.directory" in "\n".join((*said.out, *said.err)), "a start would tell the same"
