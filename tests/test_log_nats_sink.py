"""The sink ``nats`` as its courier sees it: blocking, bounded, quiet."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from doorlog.errors import SinkError
from doorlog.log import nats_sink
from doorlog.log.nats_connection import Connection
from doorlog.log.nats_sink import NatsSink
from doorlog.log.registry import sink_class
from doorlog.log.sink import SinkContext
from support.log_files import record_lines
from support.nats import single

CONTEXT = SinkContext("central", "doorlog", "edge-1", "1.0")


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("doorlog-log-nats")}


def test_it_is_registered_and_reads_from_the_file() -> None:
    assert sink_class("log.sinks.central", "nats").__name__ == NatsSink.__name__
    assert NatsSink.buffer == "file"


async def test_records_are_stored_in_order_in_many_windows_and_the_thread_ends(tmp_path: Path) -> None:
    lines = record_lines(1, 1000)
    async with single(tmp_path) as server:
        sink = server.sink(in_flight=64)
        assert threads() == set()
        await asyncio.to_thread(sink.write, lines)
        await asyncio.to_thread(sink.write, [])
        assert threads() == {"doorlog-log-nats DOORLOG-loop"}
        await asyncio.to_thread(sink.close)
        assert threads() == set()
        assert sink.name == "nats DOORLOG"
        records = await server.records()
    assert [record["event"]["sequence"] for record in records] == list(range(1, 1001))


async def test_it_can_be_closed_twice_and_used_again(tmp_path: Path) -> None:
    async with single(tmp_path) as server:
        sink = server.sink()
        sink.close()
        for first in (1, 4):
            await asyncio.to_thread(sink.write, record_lines(first, first + 2))
            await asyncio.to_thread(sink.close)
        await asyncio.to_thread(sink.close)
        assert len(await server.records()) == 6


async def test_what_was_stored_before_a_failure_is_not_counted_as_lost(tmp_path: Path) -> None:
    lines = [*record_lines(1, 150), *record_lines(151, 151, message="x" * 5000), *record_lines(152, 200)]
    async with single(tmp_path, "max_payload: 4096") as server:
        sink = server.sink(in_flight=64)
        with pytest.raises(SinkError, match="max_payload") as failed:
            await asyncio.to_thread(sink.write, lines)
        await asyncio.to_thread(sink.close)
        assert len(await server.records()) == 150
    assert failed.value.lost == 50


async def test_a_server_that_comes_back_is_used_again(tmp_path: Path) -> None:
    async with single(tmp_path) as server:
        sink = server.sink()
        await asyncio.to_thread(sink.write, record_lines(1, 2))
        port = int(server.server.ready[1])
    with pytest.raises(SinkError) as failed:
        await asyncio.to_thread(sink.write, record_lines(3, 5))
    assert failed.value.lost == 3
    async with single(tmp_path, port=port) as server:
        await asyncio.to_thread(sink.write, record_lines(3, 5))
        await asyncio.to_thread(sink.close)
        assert len(await server.records()) == 5


async def test_a_server_that_is_not_there_costs_the_whole_batch_and_says_so(tmp_path: Path) -> None:
    async with single(tmp_path) as server:
        sink = server.sink()
    with pytest.raises(SinkError, match="Connect call failed") as failed:
        await asyncio.to_thread(sink.write, record_lines(1, 300))
    assert failed.value.lost == 300
    await asyncio.to_thread(sink.close)


async def test_even_a_stuck_library_is_waited_for_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    async def stuck(_self: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(nats_sink, "_SPARE_SECONDS", 0.01)
    monkeypatch.setattr(Connection, "open", stuck)
    sink = NatsSink(NatsSink.Settings(servers=("nats://127.0.0.1:1",), timeout=0.1), CONTEXT)
    with pytest.raises(SinkError, match=r"^NATS: no answer within 0\.31 s$") as failed:
        await asyncio.to_thread(sink.write, record_lines(1, 3))
    assert failed.value.lost == 3
    await asyncio.to_thread(sink.close)


@pytest.mark.parametrize("key", ["nkey_file", "credentials_file", "cafile"])
def test_a_file_that_is_missing_is_told_at_the_start(tmp_path: Path, key: str) -> None:
    settings = NatsSink.Settings(servers=("nats://a",), **{key: tmp_path / "nothing"})
    with pytest.raises(SinkError, match=rf"^{key}: .*nothing can not be read \(No such file or directory\)$"):
        NatsSink(settings, CONTEXT)
