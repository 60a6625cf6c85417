"""The log: events go in on the event loop, lines come out on a thread of its own, in order and without a gap."""

from __future__ import annotations

import atexit
from queue import Empty, SimpleQueue
from threading import RLock, Thread
from time import sleep
from typing import TYPE_CHECKING, Final, Self

from doorlog.errors import DoorlogError
from doorlog.log.faults import Faults
from doorlog.log.pipeline import Pipeline
from doorlog.log.sink import deliver, release

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from structlog.typing import Processor

    from doorlog.events.parts import ServicePart
    from doorlog.events.records import Event
    from doorlog.log.faults import Fault
    from doorlog.log.sink import Sink

MAX_BATCH: Final = 32
"""Events between two writes. A write lets the event loop have the interpreter, so this bounds how long it waits."""

GATHER_SECONDS: Final = 0.025
"""How long the first event of a batch waits for others: waking the thread for each costs more than writing it."""


class Log:
    """Records events. Also a context manager that starts and closes.

    Args:
        processors: turn an event into a line, see ``processors.record_processors``.
        sinks: each is given every line, in order, a batch at a time; closed with the log.
        service: which broker, for every record.
        faults: where faults of processors and sinks are counted.
    """

    def __init__(
        self,
        processors: Sequence[Processor],
        sinks: Sequence[Sink],
        *,
        service: ServicePart,
        faults: Faults | None = None,
    ) -> None:
        self._faults = faults or Faults()
        self._pipeline = Pipeline(processors, service, self._faults)
        self._sinks = tuple(sinks)
        self._queue: SimpleQueue[Event | None] = SimpleQueue()
        self._lock = RLock()  # re-entrant: a finalizer or a signal handler may record in the middle of record()
        # A daemon, so that a program which dies without close() ends; what it recorded is written all the same.
        self._thread = Thread(target=self._run, name="doorlog-log", daemon=True)
        self._closed = False

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What went wrong so far, one for each sink that failed, for ``processors`` and for ``log``."""
        return self._faults.all()

    @property
    def backlog(self) -> int:
        """How many events wait for the writer thread."""
        return self._queue.qsize()

    def start(self) -> None:
        """Start the writer thread; events recorded before wait for it. Once more does nothing."""
        with self._lock:
            if self._thread.ident is None:
                self._thread.start()
                atexit.register(self.close)

    def record(self, event: Event) -> None:
        """Take an event: from any thread, in constant time, never waits for a sink, never raises.

        An event after ``close`` is counted as lost under ``log``.
        """
        with self._lock:
            if not self._closed:
                self._queue.put(event)
                return
        self._faults.add("log", DoorlogError("an event came after the log was closed"), lost=1)

    def close(self) -> None:
        """Write everything recorded so far, close the sinks, and end the thread. Once more only waits."""
        self.start()
        with self._lock:
            if not self._closed:
                self._closed = True
                self._queue.put(None)  # behind every event that was accepted
        self._thread.join()
        atexit.unregister(self.close)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        more = True
        while more:
            events, more = self._next_batch()
            lines = [self._pipeline.line(event) for event in events]
            for sink in self._sinks if lines else ():
                deliver(sink, lines, self._faults)
        for sink in self._sinks:
            release(sink, self._faults)
        self._faults.say_sums()

    def _next_batch(self) -> tuple[list[Event], bool]:
        """Wait for events; return some of them in order, and whether more can follow."""
        events: list[Event] = []
        event = self._queue.get()
        if event is not None and self._queue.empty():
            sleep(GATHER_SECONDS)
        while event is not None:
            events.append(event)
            if len(events) == MAX_BATCH:
                return events, True
            try:
                event = self._queue.get_nowait()
            except Empty:
                return events, True
        return events, False
