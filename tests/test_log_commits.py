"""Waiting for the disk: released in order, told of failure, never for ever."""

from __future__ import annotations

import asyncio
from threading import Thread

import pytest

from doorlog.log import commits as commits_module
from doorlog.log.commits import Commits


def on_a_thread(work: object, *arguments: object) -> None:
    thread = Thread(target=work, args=arguments)  # type: ignore[arg-type] # any callable
    thread.start()
    thread.join()


async def test_what_is_on_disk_is_not_waited_for() -> None:
    commits = Commits()
    commits.reached(5)
    assert await commits.wait(5)
    assert await commits.wait(3)
    assert await Commits().wait(0)


async def test_those_who_wait_are_released_in_order_and_no_sooner() -> None:
    commits = Commits()
    done: list[int] = []

    async def wait(ticket: int) -> None:
        assert await commits.wait(ticket)
        done.append(ticket)

    waiting = [asyncio.create_task(wait(ticket)) for ticket in (1, 2, 3)]
    await asyncio.sleep(0)
    on_a_thread(commits.reached, 2)
    await asyncio.gather(*waiting[:2])
    assert done == [1, 2]
    assert not waiting[2].done()
    on_a_thread(commits.reached, 3)
    await waiting[2]


async def test_a_disk_that_fails_releases_everybody_and_nobody_waits_until_it_recovers() -> None:
    commits = Commits()
    waiting = [asyncio.create_task(commits.wait(ticket)) for ticket in (1, 2)]
    await asyncio.sleep(0)
    commits._reached = 1  # as far as it came
    on_a_thread(commits.failed)
    assert await asyncio.gather(*waiting) == [True, False]
    assert commits.is_failing
    assert not await commits.wait(9)
    assert await commits.wait(1)
    on_a_thread(commits.reached, 9)
    assert not commits.is_failing
    assert await commits.wait(9)


async def test_a_disk_that_says_nothing_counts_as_one_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits_module, "PATIENCE", 0.01)
    commits = Commits()
    assert not await commits.wait(1)
    on_a_thread(commits.reached, 1)  # and whoever has gone is no hindrance
    await asyncio.sleep(0)
    assert await commits.wait(1)


async def test_whoever_was_cancelled_is_passed_over() -> None:
    commits = Commits()
    gone, waits = asyncio.create_task(commits.wait(1)), asyncio.create_task(commits.wait(2))
    await asyncio.sleep(0)
    gone.cancel()
    on_a_thread(commits.reached, 2)
    assert await waits


async def test_the_log_may_get_there_while_somebody_begins_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    commits = Commits()
    running = asyncio.get_running_loop

    def meanwhile() -> asyncio.AbstractEventLoop:
        commits.reached(1)
        return running()

    monkeypatch.setattr(asyncio, "get_running_loop", meanwhile)
    assert await commits.wait(1)


def test_a_loop_that_is_closed_harms_nobody() -> None:
    commits = Commits()
    loop = asyncio.new_event_loop()
    task = loop.create_task(commits.wait(1))
    loop.call_soon(loop.stop)
    loop.run_forever()
    task.cancel()
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    commits.reached(1)
    commits.failed()
