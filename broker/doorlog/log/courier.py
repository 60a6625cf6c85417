"""A thread that carries lines to one sink: what waits in memory, is brought again, is dropped, and is counted."""

from __future__ import annotations

import time
from collections import deque
from threading import Condition, Thread
from typing import TYPE_CHECKING, Final

from doorlog.errors import SinkError
from doorlog.log.backoff import Backoff
from doorlog.log.faults import describe
from doorlog.log.sink import SinkStatus, release

if TYPE_CHECKING:
    from collections.abc import Sequence

    from doorlog.log.faults import Faults
    from doorlog.log.sink import Sink

QUEUE_BYTES: Final = 4 * 1024 * 1024
GRACE_SECONDS: Final = 2.0

BATCH_LINES: Final = 256
BATCH_BYTES: Final = 256 * 1024
"""A batch holds at most so many lines, and no more bytes than this unless a single line does."""


BACKOFF: Final = Backoff()


class Courier:
    """Hands lines to a sink from another thread, in order; whatever the sink does, nobody else waits for it.

    A batch that the sink does not take is brought again, before any other, until the sink takes it or says that it
    never will (``SinkError.retry``).

    Args:
        sink: Where the lines go; owned by its thread from now on.
        faults: Where the sink's failures, and what they cost, are counted and said.
        queue_bytes: How much may wait for the sink, what it is just being given included; what comes on top is dropped.
        grace_seconds: How long ``close`` lets the sink take the rest.
        backoff: How long to wait before lines are brought again.
    """

    def __init__(
        self,
        sink: Sink,
        faults: Faults,
        *,
        queue_bytes: int = QUEUE_BYTES,
        grace_seconds: float = GRACE_SECONDS,
        backoff: Backoff = BACKOFF,
    ) -> None:
        self.name = sink.name
        self._sink = sink
        self._faults = faults
        self._limit = queue_bytes
        self._grace_seconds = grace_seconds
        self._backoff = backoff
        self._changed = Condition()
        self._queue: deque[bytes] = deque()
        """What the sink has not taken. The batch that it is being given stands in front until it has."""
        self._queued_bytes = 0
        self._sent = self._retried = self._dropped = 0
        self._fault: str | None = None
        self._failures = 0
        """In a row; for the sink's thread alone."""
        self._writing = False
        """Whether the sink's thread is in a write; set by it alone."""
        self._deadline: float | None = None
        """When the grace ends, on the monotonic clock; set by ``close``."""
        self._thread = Thread(target=self._run, name=f"doorlog-log-{sink.name}", daemon=True)
        self._thread.start()

    def write(self, lines: Sequence[bytes]) -> None:
        """Leave lines for the sink; never waits for it. What does not fit, or comes after ``close``, is dropped."""
        with self._changed:
            fitting = self._fitting(lines)
            self._queue.extend(lines[:fitting])
            self._queued_bytes += sum(map(len, lines[:fitting]))
            self._changed.notify()
            closed = self._deadline is not None
        if fitting < len(lines):
            why = "it is closed" if closed else f"what waits for it fills its {self._limit} bytes: records are dropped"
            self._drop(SinkError(why), len(lines) - fitting)

    def close(self) -> None:
        """Let the sink take the rest within the grace, and close it; what is left then is dropped. Never raises.

        Waits twice the grace at most: for the sink to take the rest, and to close. Once more only waits.
        """
        with self._changed:
            if self._deadline is None:
                self._deadline = time.monotonic() + self._grace_seconds
            self._changed.notify()
        self._thread.join(self._grace_seconds)
        self._give_up()
        if self._thread.is_alive() and not self._writing:  # a thread that is stalled in a write ends with the program
            self._thread.join(self._grace_seconds)
            if self._thread.is_alive():
                self._faults.add(self.name, SinkError(f"did not close within {self._grace_seconds:g} s"), lost=0)

    def status(self) -> SinkStatus:
        """Return how the sink does."""
        with self._changed:
            waiting = len(self._queue)
            return SinkStatus(self.name, self._sent, self._retried, self._dropped, waiting, self._fault)

    # on the writer's thread

    def _fitting(self, lines: Sequence[bytes]) -> int:
        """Return how many of the lines there is room for."""
        if self._deadline is not None:
            return 0
        room = self._limit - self._queued_bytes
        for index, line in enumerate(lines):
            room -= len(line)
            if room < 0:
                return index
        return len(lines)

    def _give_up(self) -> None:
        """Drop all that still waits when the grace is over."""
        with self._changed:
            left = len(self._queue)
            self._queue.clear()
            self._queued_bytes = 0
        if left:
            self._drop(SinkError(f"did not take the last records within {self._grace_seconds:g} s"), left)

    def _drop(self, why: BaseException, lines: int) -> None:
        with self._changed:
            self._dropped += lines
            self._fault = describe(why)
        self._faults.add(self.name, why, lost=lines)

    # on the sink's thread

    def _run(self) -> None:
        while lines := self._next_batch():
            if (error := self._attempt(lines)) is not None:
                self._failed(lines, error)
            else:
                self._took(len(lines))
                self._recover()
        self._give_up()
        release(self._sink, self._faults)

    def _attempt(self, lines: Sequence[bytes]) -> BaseException | None:
        self._writing = True
        try:
            self._sink.write(lines)
        except BaseException as error:  # noqa: BLE001 - a sink is a plug-in: nothing it raises may end its thread
            return error
        finally:
            self._writing = False
        return None

    def _next_batch(self) -> list[bytes]:
        """Wait for lines; return those that go next, none when the log is closed and there are no more, or no time."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._deadline is not None)
            batch: list[bytes] = []
            if self._deadline is not None and self._failures and time.monotonic() >= self._deadline:
                return batch
            size = 0
            for line in self._queue:
                size += len(line)
                if batch and (size > BATCH_BYTES or len(batch) == BATCH_LINES):
                    break
                batch.append(line)
            return batch

    def _took(self, lines: int) -> None:
        """Count lines as sent; those that ``close`` has given up meanwhile are counted as dropped already."""
        with self._changed:
            self._sent += self._remove(lines)

    def _remove(self, lines: int) -> int:
        count = min(lines, len(self._queue))
        for _ in range(count):
            self._queued_bytes -= len(self._queue.popleft())
        return count

    def _failed(self, lines: Sequence[bytes], error: BaseException) -> None:
        """Count a failure, and wait before the same lines are brought again, or drop them if that is of no use."""
        left, retry = _verdict(error, len(lines))
        self._took(len(lines) - left)
        self._failures = 1 if left < len(lines) else self._failures + 1
        if not retry:
            with self._changed:
                dropped = self._remove(left)
            self._drop(error, dropped)
            return
        with self._changed:
            self._retried += left > 0
            self._fault = describe(error)
        self._faults.add(self.name, error, lost=0)
        self._wait()

    def _wait(self) -> None:
        """Wait as the backoff says; the end of the log cuts it short, and leaves time for a few more tries."""
        with self._changed:
            seconds = self._backoff.seconds(self._failures)
            if self._deadline is not None:
                self._changed.wait(max(0.0, min(seconds, self._deadline - time.monotonic())))
            elif self._changed.wait_for(lambda: self._deadline is not None, seconds):
                self._failures = 1  # so that the grace sees more than one try

    def _recover(self) -> None:
        """Say that the sink works again, as soon as nothing waits any more."""
        self._failures = 0
        with self._changed:
            recovered = self._fault is not None and not self._queue
            if recovered:
                self._fault = None
        if recovered:
            self._faults.recovered(self.name)


def _verdict(error: BaseException, lines: int) -> tuple[int, bool]:
    """Return how many of the lines, from the end, the sink did not take, and whether to bring them again."""
    if not isinstance(error, SinkError):
        return lines, True
    lost = lines if error.lost is None else error.lost
    return max(0, min(lost, lines)), error.retry  # a plug-in may count as it likes
