"""Whoever must not answer before a record is on disk waits here, on the event loop, for the log's thread."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future

PATIENCE: Final = 5.0
"""Seconds after which a disk that says nothing counts as one that failed."""


class Commits:
    """How far the log is on disk, by the numbers (tickets) of its events.

    Attributes:
        is_failing: Whether the disk has failed and did not recover yet: waiting is in vain.
    """

    def __init__(self) -> None:
        self._loop: AbstractEventLoop | None = None
        self._waiting: deque[tuple[int, Future[bool]]] = deque()
        self._reached = 0
        self.is_failing = False

    async def wait(self, ticket: int) -> bool:
        """Wait until an event is on disk; on one event loop only.

        Returns:
            Whether it is. False: the disk failed, or said nothing for 5 seconds.
        """
        if self._reached >= ticket or self.is_failing:
            return self._reached >= ticket
        self._loop = asyncio.get_running_loop()
        future: Future[bool] = self._loop.create_future()
        self._waiting.append((ticket, future))
        self._release()  # the log's thread may have got there meanwhile, and seen nobody waiting
        try:
            async with asyncio.timeout(PATIENCE):
                return await future
        except TimeoutError:
            return False

    def reached(self, ticket: int) -> None:
        """All events up to this one are on disk; called by the log's thread."""
        self._reached = ticket
        self.is_failing = False
        self._tell()

    def failed(self) -> None:
        """The disk failed: nobody who waits needs to wait any longer; called by the log's thread."""
        self.is_failing = True
        self._tell()

    def _tell(self) -> None:
        if self._loop is not None and self._waiting:
            with suppress(RuntimeError):  # the loop has been closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._release)

    def _release(self) -> None:
        while self._waiting and (self._waiting[0][0] <= self._reached or self.is_failing):
            ticket, future = self._waiting.popleft()
            if not future.done():
                future.set_result(ticket <= self._reached)
