"""A thread of its own for a sink that may block, so that a stalled reader delays neither the file nor the door."""

from __future__ import annotations

from collections import deque
from threading import Condition, Thread
from typing import TYPE_CHECKING, Final

from doorlog.errors import SinkError
from doorlog.log.sink import deliver, release

if TYPE_CHECKING:
    from collections.abc import Sequence

    from doorlog.log.faults import Faults
    from doorlog.log.sink import Sink

HELD_BYTES: Final = 4 * 1024 * 1024
GRACE_SECONDS: Final = 2.0


class Detached:
    """Hands lines to a sink from another thread, in order.

    Args:
        sink: where the lines go; owned by its thread from now on.
        faults: where the sink's failures are counted.
        held_bytes: how much may wait for the sink; what comes on top is lost and counted.
        grace_seconds: how long ``close`` waits for the sink to take the rest.
    """

    def __init__(
        self, sink: Sink, faults: Faults, *, held_bytes: int = HELD_BYTES, grace_seconds: float = GRACE_SECONDS
    ) -> None:
        self.name = sink.name
        self._sink = sink
        self._faults = faults
        self._limit = held_bytes
        self._grace_seconds = grace_seconds
        self._changed = Condition()
        self._batches: deque[Sequence[bytes]] = deque()
        self._held_bytes = self._held_lines = 0
        self._closing = False
        self._thread = Thread(target=self._run, name=f"doorlog-log-{sink.name}", daemon=True)
        self._thread.start()

    def write(self, lines: Sequence[bytes]) -> None:
        """Leave lines for the sink; never waits for it.

        Raises:
            SinkError: the sink is so far behind that these lines are lost.
        """
        size = sum(map(len, lines))
        with self._changed:
            if self._held_bytes + size > self._limit:
                raise SinkError(f"its reader is more than {self._held_bytes} bytes behind", lost=len(lines))
            self._batches.append(lines)
            self._count(size, len(lines))
            self._changed.notify()

    def close(self) -> None:
        """Let the sink take the rest, within the grace.

        Raises:
            SinkError: it did not; ``lost`` counts what it still had to take.
        """
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(self._grace_seconds)
        if self._thread.is_alive():  # a daemon: it ends with the program
            raise SinkError("its reader did not take the last records", lost=self._held_lines)

    def _run(self) -> None:
        while (lines := self._next()) is not None:
            deliver(self._sink, lines, self._faults)
            with self._changed:
                self._count(-sum(map(len, lines)), -len(lines))
                self._changed.notify_all()
        release(self._sink, self._faults)

    def _next(self) -> Sequence[bytes] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._batches or self._closing)
            return self._batches.popleft() if self._batches else None

    def _count(self, size: int, lines: int) -> None:
        self._held_bytes += size
        self._held_lines += lines
