"""Events that wait to be written: bounded, and what does not fit is counted, so that the log can say so."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from threading import RLock
from time import monotonic, sleep
from typing import TYPE_CHECKING, Final

from doorlog.events.codes import Action

if TYPE_CHECKING:
    from collections.abc import Callable

    from doorlog.events.records import Event

_HIGH: Final = 0.5
"""The part of its capacity from which on connections should be accepted more slowly."""
_LOW: Final = 0.25
_MARK_SECONDS: Final = 0.1  # how exactly it is known since when the oldest event waits
_MOST_MARKS: Final = 10_000


@dataclass(slots=True)
class Overflow:
    """Events in a row that did not fit, standing in the queue where they would have stood.

    Attributes:
        began: When the first of them came, UTC.
        records: How many there were.
        connects: How many of them were ``connect`` events.
    """

    began: datetime
    records: int = 0
    connects: int = 0

    def count(self, event: Event) -> None:
        """Count one more."""
        self.records += 1
        self.connects += getattr(getattr(event, "event", None), "action", None) is Action.CONNECT


class Backlog:
    """A queue from any thread to the log's.

    When it is full, what comes is counted by an ``Overflow`` that takes the last place, until the log's thread has
    come to that place: so a gap is one gap, with a first and a last event.

    Args:
        capacity: Events that may wait.
        on_pressure: Told True when more than half of it is used, False when less than a quarter is; from the thread
            that noticed; must not wait for anything.

    Attributes:
        recorded: Events that were put or counted so far; the number of the last one is its ticket.
        taken: How many of them the log's thread has taken.
    """

    def __init__(self, capacity: int, on_pressure: Callable[[bool], None] = lambda _high: None) -> None:
        self._capacity = capacity
        self._high, self._low = int(capacity * _HIGH), int(capacity * _LOW)
        self._queue: SimpleQueue[Event | Overflow | None] = SimpleQueue()
        self._lock = RLock()  # re-entrant: a finalizer or a signal handler may record in the middle of put()
        self._overflow: Overflow | None = None
        self._is_pressed = False
        self._closed = False
        self._marks: deque[tuple[int, float]] = deque()  # tickets, and when they were given
        self.on_pressure = on_pressure
        self.recorded = 0
        self.taken = 0

    def __len__(self) -> int:
        """How many events wait."""
        return self.recorded - self.taken

    def put(self, event: Event) -> bool:
        """Take an event in constant time; False if the queue was closed."""
        with self._lock:
            if self._closed:
                return False
            self.recorded += 1
            self._mark(monotonic())
            waiting = self._queue.qsize()
            if self._overflow is not None:
                self._overflow.count(event)
            elif waiting >= self._capacity:
                self._overflow = Overflow(datetime.now(UTC))
                self._overflow.count(event)
                self._queue.put(self._overflow)
            else:
                self._queue.put(event)
            is_new = waiting >= self._high and not self._is_pressed
            self._is_pressed = self._is_pressed or is_new
            if is_new:
                self.on_pressure(True)  # within the lock: the other thread's False must not overtake it
        return True

    def lag(self) -> float:
        """Return how many seconds the oldest event has waited, at most a tenth of a second too many; 0 for none."""
        with self._lock:
            return monotonic() - self._marks[0][1] if self._marks and len(self) else 0.0

    def wake(self) -> None:
        """Make ``take`` return."""
        self._queue.put(None)

    def close(self) -> None:
        """Refuse further events."""
        with self._lock:
            self._closed = True
        self.wake()

    @property
    def is_over(self) -> bool:
        """Whether it is closed and empty."""
        return self._closed and self._queue.empty()

    def take(self, most: int, timeout: float | None = None, *, gather: float = 0.0) -> list[Event | Overflow]:
        """Wait for events and take some, in order.

        Args:
            most: How many at most, at least 1.
            timeout: Seconds to wait for the first, None for no limit.
            gather: Seconds that the first event waits for others, if it is alone.

        Returns:
            The events, none if nothing came in time or ``wake`` was called.
        """
        found: list[Event | Overflow] = []
        try:
            item = self._queue.get(timeout=timeout)
            if gather and item is not None and self._queue.empty():
                sleep(gather)
            while item is not None:
                found.append(item)
                if len(found) == most:
                    break
                item = self._queue.get_nowait()
        except Empty:
            pass
        if found:
            self._count(found)
        return found

    def _count(self, found: list[Event | Overflow]) -> None:
        with self._lock:
            if found[-1] is self._overflow:  # nothing can stand behind it
                self._overflow = None
            self.taken += sum(item.records if isinstance(item, Overflow) else 1 for item in found)
            while self._marks and (self.taken >= self.recorded or self._next_mark() <= self.taken + 1):
                self._marks.popleft()
            is_over = self._is_pressed and self._queue.qsize() <= self._low
            self._is_pressed = self._is_pressed and not is_over
            if is_over:
                self.on_pressure(False)

    def _mark(self, now: float) -> None:
        if not self._marks or (now - self._marks[-1][1] >= _MARK_SECONDS and len(self._marks) < _MOST_MARKS):
            self._marks.append((self.recorded, now))

    def _next_mark(self) -> float:
        return self._marks[1][0] if len(self._marks) > 1 else float("inf")
