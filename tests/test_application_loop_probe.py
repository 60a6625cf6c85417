"""The probe of the event loop: a loop that is held up is seen, and forgotten after a minute."""

from __future__ import annotations

import asyncio
import time

from doorlog.application.loop_probe import DELAY_BOUNDS, EVERY, LoopProbe
from support.doors import until


def test_delays_are_counted_by_how_long_they_were() -> None:
    probe = LoopProbe()
    for delay in (0.0004, 0.004, 3.0):
        probe.note(delay, 100.0)

    delays = probe.delays()
    assert delays.buckets == (1, 1, *[2] * (len(DELAY_BOUNDS) - 2), 3)
    assert round(delays.total, 4) == 3.0044


def test_the_longest_is_that_of_the_last_minute() -> None:
    probe = LoopProbe()
    probe.note(0.5, 29.0)
    probe.note(0.1, 31.0)
    assert probe.longest == 0.5
    probe.note(0.2, 61.0)
    assert probe.longest == 0.2
    probe.note(0.0, 1000.0)
    assert probe.longest == 0.0


async def test_a_loop_that_somebody_holds_up() -> None:
    probe = LoopProbe()
    watching = asyncio.create_task(probe.watch())
    await asyncio.sleep(0)
    time.sleep(2 * EVERY)  # noqa: ASYNC251 - that is what it looks for
    await until(lambda: probe.delays().buckets[-1] > 0)
    watching.cancel()
    assert probe.longest >= EVERY / 2
