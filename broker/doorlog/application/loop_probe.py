"""How late the event loop comes: it is asked to wake up a few times a second, and how late it did is noted."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from itertools import accumulate
from typing import Final

from doorlog.watch.tally import Durations

EVERY: Final = 0.1
"""Seconds between two looks: about 10 us of work each."""
DELAY_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper bounds of the histogram in seconds."""
_SLOT: Final = 30.0


class LoopProbe:
    """Notes delays on the event loop; asked from any thread."""

    def __init__(self) -> None:
        self._buckets = [0] * (len(DELAY_BOUNDS) + 1)
        self._total = 0.0
        self._slot = 0
        self._longest = self._longest_before = 0.0

    async def watch(self) -> None:
        """Look until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + EVERY
            await asyncio.sleep(EVERY)
            self.note(max(0.0, loop.time() - due), loop.time())

    def note(self, delay: float, now: float) -> None:
        """Note one delay.

        Args:
            delay: Seconds.
            now: Seconds that only ever grow.
        """
        self._turn(now)
        self._buckets[bisect_left(DELAY_BOUNDS, delay)] += 1
        self._total += delay
        self._longest = max(self._longest, delay)

    @property
    def longest(self) -> float:
        """The longest delay of the last 30 to 60 seconds, whoever asks and however often."""
        return max(self._longest, self._longest_before)

    def delays(self) -> Durations:
        """Return all delays since the start."""
        return Durations(tuple(accumulate(self._buckets)), self._total)

    def _turn(self, now: float) -> None:
        slot = int(now // _SLOT)
        if slot != self._slot:
            self._longest_before = self._longest if slot == self._slot + 1 else 0.0
            self._slot, self._longest = slot, 0.0
