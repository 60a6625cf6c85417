"""Whoever watches hears of each record that is wanted; whoever is slow, of as many as there is room for."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import Any

import orjson
import pytest

from doorlog.readers.filters import Filters
from doorlog.web.live import MOST_WATCHERS, Live
from support.log_files import WrittenLog
from support.web import served


@pytest.fixture
def log(tmp_path: Path) -> WrittenLog:
    log = WrittenLog(tmp_path)
    log.append(3)
    return log


def rows(event: bytes) -> list[int]:
    data: dict[str, Any] = orjson.loads(event.partition(b"data: ")[2])
    return [row["sequence"] for row in data["rows"]]


async def test_what_comes_is_told_with_its_filters(log: WrittenLog) -> None:
    live = Live(log.live)
    async with asyncio.timeout(10), aclosing(live.watch(Filters(device="pump-17"))) as events:
        assert await anext(events) == b"retry: 2000\n\n"
        waiting = asyncio.ensure_future(anext(events))
        while not waiting.done():  # the follower begins at the end, once it runs
            log.append(1)
            log.append(1, device="pump-17")
            await asyncio.wait([waiting], timeout=0.05)
        told = rows(await waiting)
        assert told
        assert all(number % 2 == 1 for number in told)
        log.rotate()
        (line,) = log.append(1, device="pump-17")
        seen: list[int] = []
        while log.sequence not in seen:
            seen += rows(await anext(events))
        assert line
    live.close()


async def test_the_number_of_watchers_is_bounded(log: WrittenLog) -> None:
    live = Live(log.live)
    streams = [live.watch(Filters()) for _ in range(MOST_WATCHERS)]
    for stream in streams:
        await anext(stream)
    assert live.is_full
    for stream in streams:
        await stream.aclose()
    assert not live.is_full


async def test_whoever_comes_too_much_is_told(log: WrittenLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("doorlog.web.live.MOST_WATCHERS", 0)
    async with served(log.live) as site:
        answer = await site.get("/log/events")

    assert (answer.status, answer.text) == (503, "too many watch already\n")


async def test_a_slow_watcher_is_told_how_many_were_left_out(log: WrittenLog) -> None:
    live = Live(log.live)
    async with asyncio.timeout(10), aclosing(live.watch(Filters())) as events:
        await anext(events)
        (watcher,) = live._watchers
        live._tell(log.append(700))
        told = orjson.loads((await anext(events)).partition(b"data: ")[2])

    assert (len(told["rows"]), told["left_out"]) == (200, 500)
    assert told["rows"][-1]["sequence"] == log.sequence
    assert watcher.rows == []
    live.close()


async def test_a_log_that_can_not_be_read_just_now_is_read_later(
    log: WrittenLog, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    live = Live(log.live)

    class Broken:
        def read(self) -> None:
            raise OSError("no")

    assert live._read(Broken()) == ()  # type: ignore[arg-type] # all that is used of a follower
    assert "can not be followed just now: no" in caplog.text
