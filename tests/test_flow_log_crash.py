"""kill -9 at any moment: no torn line, the sequence goes on, a record says so, and whoever was admitted is recorded."""

from __future__ import annotations

import asyncio
import random
import signal
from pathlib import Path
from typing import Any

import pytest

import support.packets as mqtt
from support.broker import ANYBODY, FREE
from support.clients.base import Target
from support.clients.raw import open_wire
from support.commands import ports_of, serving_doorlog, stopped, write_yaml
from support.records import action_is, following
from support.whole_log import check_chain, check_numbers, of_action, read_log, whole_lines

ADMITTED = b"\x20\x02\x00\x00"
LIVES = 4


def configuration(folder: Path, *, rotate_bytes: int = 65_536, **log: Any) -> Path:
    return write_yaml(
        folder / "doorlog.yaml",
        listeners={"plain": {"bind": FREE}},
        auth={"plugins": {name: {} for name in ANYBODY}},
        log={"file": {"path": "log/doorlog.jsonl", "rotate_bytes": rotate_bytes}, "console": "never", **log},
    )


async def come_and_go(target: Target, name: str, seen: set[str]) -> None:
    """Connect again and again until the broker is gone; remember under which client ids it said yes."""
    number = 0
    while True:
        number += 1
        try:
            async with open_wire(target) as device:
                await device.send(mqtt.connect(f"{name}-{number}"))
                if await device.receive() != ADMITTED:
                    return
                seen.add(f"{name}-{number}")
        except OSError:
            return


@pytest.mark.parametrize("mode", ["strict", "durable"])
async def test_a_broker_that_is_killed_under_load_leaves_a_whole_log(tmp_path: Path, mode: str) -> None:
    config, log = configuration(tmp_path, mode=mode), tmp_path / "log" / "doorlog.jsonl"
    seen: set[str] = set()
    moments = random.Random(mode)
    for life in range(LIVES):
        async with serving_doorlog("run", "-c", config, cwd=tmp_path) as server:
            target = Target("127.0.0.1", ports_of(server)["plain"])
            devices = [asyncio.create_task(come_and_go(target, f"{life}-{n}", seen)) for n in range(4)]
            with following(log) as records:
                await records.nth(len(records.records) + moments.randrange(1, 40))
            server.process.kill()
            await server.process.wait()
            await asyncio.gather(*devices)
    async with serving_doorlog("run", "-c", config, cwd=tmp_path) as server:
        assert await stopped(server, signal.SIGTERM) == 0

    whole = read_log(log)
    interruptions = of_action(whole, "audit_gap", "interrupted")
    assert len(interruptions) == LIVES, "one for each life that was cut off"
    assert "ended without closing the log" in interruptions[0]["message"]
    check_numbers(whole)
    if mode == "strict":
        assert seen <= {record["mqtt"]["client_id"] for record in of_action(whole, "connect", "admitted")}
    assert seen, "there was a load"


async def test_what_stands_torn_at_the_end_is_moved_away_and_said(tmp_path: Path) -> None:
    config, log = configuration(tmp_path), tmp_path / "log" / "doorlog.jsonl"
    async with serving_doorlog("run", "-c", config, cwd=tmp_path) as server:
        assert await stopped(server, signal.SIGTERM) == 0
    torn = b'{"@timestamp":"2026-03-01T15:02:11.250000Z","message":"half a rec'
    with log.open("ab") as file:
        file.write(torn)
    async with serving_doorlog("run", "-c", config, cwd=tmp_path) as server:
        with following(log) as records:
            gap = await records.first(action_is("audit_gap"))
        assert await stopped(server, signal.SIGTERM) == 0

    assert gap["doorlog"]["gap"]["torn_bytes"] == len(torn)
    assert (log.parent / gap["doorlog"]["gap"]["torn_file"]).read_bytes() == torn
    check_numbers(read_log(log))


async def test_two_brokers_can_not_write_to_one_log(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    async with serving_doorlog("run", "-c", config, cwd=tmp_path):
        with pytest.raises(RuntimeError, match="another broker writes to the log"):
            async with serving_doorlog("run", "-c", config, cwd=tmp_path):
                pass


async def test_logrotate_may_rename_the_file_and_send_sighup(tmp_path: Path) -> None:
    config, log = configuration(tmp_path, rotate_bytes=0), tmp_path / "log" / "doorlog.jsonl"
    async with serving_doorlog("run", "-c", config, cwd=tmp_path) as server:
        with following(log) as records:
            await records.first(action_is("audit_started"))
        before = log.rename(log.with_name("doorlog.jsonl.1"))
        server.process.send_signal(signal.SIGHUP)
        with following(log) as records:
            target = Target("127.0.0.1", ports_of(server)["plain"])
            seen: set[str] = set()
            device = asyncio.create_task(come_and_go(target, "pump", seen))
            await records.first(action_is("connect"))
        assert await stopped(server, signal.SIGTERM) == 0
        await device
    check_numbers(check_chain([*whole_lines(before), *whole_lines(log)]))


async def test_a_file_that_is_truncated_is_said_with_the_remedy(tmp_path: Path) -> None:
    config, log = configuration(tmp_path), tmp_path / "log" / "doorlog.jsonl"
    async with serving_doorlog("run", "-c", config, cwd=tmp_path) as server:
        with following(log) as records:
            await records.first(action_is("audit_started"))
        log.write_bytes(b"")  # as copytruncate does
        await server.line("truncated by another program .logrotate with copytruncate.*send SIGHUP instead")
        with following(log) as records:
            gap = await records.first(action_is("audit_gap", code="truncated"))
    assert gap["doorlog"]["gap"]["first_sequence"] == 1
