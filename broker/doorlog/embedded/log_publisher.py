"""The log's way to the readers among the broker's clients: from any thread onto the event loop, one record a turn."""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from doorlog.errors import SinkError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_MAX_WAITING = 1_000
_STOP_SECONDS = 5.0


class _Waiting(NamedTuple):
    topic: str
    payload: bytes
    taken: Future[None]


class LogPublisher:
    """Takes records on any thread and delivers them on the broker's event loop, in order.

    Nobody waits on a lock: the event loop must not stand still because a log thread holds one.

    Args:
        deliver: Delivers a record to its readers.
        max_waiting: Records that may wait for the event loop.
    """

    def __init__(self, deliver: Callable[[str, bytes], Awaitable[None]], *, max_waiting: int = _MAX_WAITING) -> None:
        self._deliver = deliver
        self._max_waiting = max_waiting
        self._waiting: deque[_Waiting] = deque()  # whose append, popleft and len are atomic
        self._loop: asyncio.AbstractEventLoop | None = None
        self._delivering: asyncio.Task[None] | None = None

    def publish(self, topic: str, payload: bytes) -> Future[None]:
        """Publish a record; callable from any thread, never blocks.

        Returns:
            Done when the record has gone to everybody who reads there now; at once while the broker does not run, when
            nobody can. Cancelled before its turn, the record is not delivered. It fails with a ``SinkError`` where too
            many records wait, and with whatever stopped the delivery.
        """
        record = _Waiting(topic, payload, Future())
        loop = self._loop
        if loop is None:
            record.taken.set_result(None)
        elif len(self._waiting) >= self._max_waiting:
            record.taken.set_exception(SinkError(f"{self._max_waiting} records wait for our own broker already"))
        else:
            self._waiting.append(record)
            try:
                loop.call_soon_threadsafe(self._wake)
            except RuntimeError:  # the loop was closed since
                self._let_go()
        return record.taken

    def start(self) -> None:
        """Deliver from now on, on the running event loop."""
        self._loop = asyncio.get_running_loop()

    async def stop(self) -> None:
        """Stop delivering: what still waits has no readers any more."""
        self._loop = None
        if self._delivering is not None:
            self._delivering.cancel()
            await asyncio.wait((self._delivering,), timeout=_STOP_SECONDS)  # a plugin may be in no hurry
            self._delivering = None  # it may never have begun
        self._let_go()

    def _wake(self) -> None:
        if self._loop is None:
            self._let_go()
        elif self._delivering is None:
            self._delivering = asyncio.ensure_future(self._deliver_all())

    async def _deliver_all(self) -> None:
        try:
            while self._waiting and self._loop is not None:
                await self._deliver_one(self._waiting.popleft())
                await asyncio.sleep(0)  # a storm of records must not keep the devices waiting
        finally:
            self._delivering = None

    async def _deliver_one(self, record: _Waiting) -> None:
        if not record.taken.set_running_or_notify_cancel():
            return
        try:
            await self._deliver(record.topic, record.payload)
        except Exception as error:  # noqa: BLE001 - whoever published it is told
            record.taken.set_exception(error)
        except BaseException:
            record.taken.set_result(None)  # cancelled: the broker stops
            raise
        else:
            record.taken.set_result(None)

    def _let_go(self) -> None:
        with suppress(IndexError):  # that was the last; another thread may be doing the same
            while True:
                _take(self._waiting.popleft().taken)


def _take(taken: Future[None]) -> None:
    if taken.set_running_or_notify_cancel():
        taken.set_result(None)
