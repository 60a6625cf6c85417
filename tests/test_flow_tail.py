"""Devices come while the log is rotated: ``doorlog tail -f`` shows all of it, ``doorlog show`` tells one attempt."""

from __future__ import annotations

import asyncio
import signal
from functools import partial
from pathlib import Path

import orjson

from doorlog.application.service import Service
from doorlog.embedded.authority import EmbeddedAuthority
from doorlog.settings.models import Settings
from support import packets
from support.broker import ANYBODY, FREE
from support.commands import DOORLOG, run_doorlog
from support.processes import clean_environment
from support.records import Record


async def visit(service: Service, device: str) -> None:
    """A device logs in and goes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", service.door.listeners["plain"].port)
    writer.write(packets.connect(device))
    assert (await reader.readexactly(4))[3] == 0
    writer.close()
    await writer.wait_closed()


class Tail:
    """``doorlog tail -f --json``, reading."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.records: list[Record] = []

    async def until(self, action: str, device: str) -> Record:
        """Wait for a record of a device."""
        assert self.process.stdout is not None
        async with asyncio.timeout(30):
            while line := await self.process.stdout.readline():
                record = orjson.loads(line)
                self.records.append(record)
                if record["event"]["action"] == action and record.get("device", {}).get("id") == device:
                    return dict(record)
        raise AssertionError(f"no {action} of {device}: {self.records}")


async def test_all_is_shown_over_a_rotation_and_each_attempt_can_be_told(tmp_path: Path) -> None:
    log = tmp_path / "log" / "doorlog.jsonl"
    settings = Settings.model_validate(
        {
            "listeners": {"plain": {"bind": FREE}},
            "auth": {"plugins": ANYBODY},
            "log": {"file": {"path": log}, "console": "never", "flood": {"enabled": False}},
        }
    )
    async with Service(settings, partial(EmbeddedAuthority, settings)) as service:
        command = [*DOORLOG, "tail", "-f", "--json", "--log", str(log)]
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, env=clean_environment()
        )
        tail = Tail(process)
        await visit(service, "pump-17")
        first = await tail.until("disconnect", "pump-17")
        await asyncio.to_thread(log.rename, log.with_name("doorlog.jsonl.1"))
        service.log.reload()
        await visit(service, "pump-18")
        await tail.until("disconnect", "pump-18")
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(30):
            assert await process.wait() == 0
        told = await run_doorlog("show", first["event"]["id"], "--log", log.parent, cwd=tmp_path)

    sequences = [record["event"]["sequence"] for record in tail.records]
    assert sequences == list(range(1, len(sequences) + 1)), "each record once, in order"
    assert log.with_name("doorlog.jsonl.1").exists()
    assert "client id pump-17" in told.output
    assert "CONNACK 0" in told.output
