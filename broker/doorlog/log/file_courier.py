"""A thread that carries lines to one sink from the log file: the file is the buffer, and a cursor the memory.

Each record is brought until the sink has taken it: at least once. After a crash of the broker the records of about the
last second come again, since the cursor is stored once a second; a sink that knows ``event.id`` can tell.
"""

from __future__ import annotations

import time
from threading import Condition, Thread
from typing import TYPE_CHECKING, Final, Literal

from doorlog.errors import SinkError
from doorlog.log.backoff import Backoff
from doorlog.log.cursor import CursorFile, position_of
from doorlog.log.faults import describe
from doorlog.log.follow import Follower
from doorlog.log.segments import sequence_of
from doorlog.log.sink import SinkStatus, release

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from doorlog.log.cursor import Position
    from doorlog.log.faults import Faults
    from doorlog.log.follow import Batch
    from doorlog.log.sink import Sink

GRACE_SECONDS: Final = 2.0
STORE_SECONDS: Final = 1.0
"""How far the cursor may be behind what the sink has taken."""
LOOK_SECONDS: Final = 1.0
"""How long nobody looks into the file without a nudge: records may be left there by another run."""


class FileCourier:
    """Brings the records of a log to a sink, from another thread, in order; the sink may block and fail for days.

    Args:
        sink: Where the lines go; owned by its thread from now on.
        log: The live file of the log, which another sink writes.
        cursor: The file that remembers how far the sink has come, see ``cursor.cursor_path``.
        faults: Where the sink's failures, and what they cost, are counted and said.
        start: Where to begin when there is no cursor yet: with the oldest record that there is, or at the ``end``.
        grace_seconds: How long ``close`` lets the sink take the rest.
        backoff: How long to wait before lines are brought again.
    """

    def __init__(
        self,
        sink: Sink,
        log: Path,
        cursor: Path,
        faults: Faults,
        *,
        start: Literal["oldest", "end"] = "oldest",
        grace_seconds: float = GRACE_SECONDS,
        backoff: Backoff = Backoff(),  # noqa: B008 - frozen
    ) -> None:
        self.name = sink.name
        self._sink = sink
        self._log = log
        self._cursor = CursorFile(cursor)
        self._faults = faults
        self._start = start
        self._grace_seconds = grace_seconds
        self._backoff = backoff
        self._changed = Condition()
        self._written = 0
        """The last sequence that was written to the file."""
        self._done: Position | None = None
        """The last record that the sink has taken, or never will."""
        self._sent = self._retried = self._dropped = 0
        self._fault: str | None = None
        self._is_nudged = False
        self._deadline: float | None = None
        """When the grace ends, on the monotonic clock; set by ``close``."""
        self._stored_at = 0.0
        self._thread = Thread(target=self._run, name=f"doorlog-log-{sink.name}", daemon=True)
        self._thread.start()

    def write(self, lines: Sequence[bytes]) -> None:
        """Say that lines are in the file, the last one of these is looked at; never waits for the sink."""
        sequence = sequence_of(lines[-1]) if lines else None
        with self._changed:
            self._written = max(self._written, sequence or 0)
            self._is_nudged = True
            self._changed.notify_all()

    def close(self) -> None:
        """Let the sink take the rest within the grace, and close it. Waits twice the grace at most; once more too.

        Raises:
            SinkError: Some records wait in the file; they are brought when the log is opened again.
        """
        with self._changed:
            if self._deadline is None:
                self._deadline = time.monotonic() + self._grace_seconds
            self._changed.notify_all()
        self._thread.join(2 * self._grace_seconds)
        if waiting := self.status().waiting:
            raise SinkError(f"{waiting} records wait in the log file until the next start", lost=0)

    def status(self) -> SinkStatus:
        """Return how the sink does; what waits is what the log has written behind the last record that was taken."""
        with self._changed:
            waiting = max(0, self._written - (self._done.sequence if self._done is not None else 0))
            return SinkStatus(self.name, self._sent, self._retried, self._dropped, waiting, self._fault)

    # on the sink's thread

    def _run(self) -> None:
        follower = self._follower()
        try:
            while self._carry(follower):
                self._store()
        finally:
            self._store(now=True)
            follower.close()
            release(self._sink, self._faults)

    def _follower(self) -> Follower:
        """Begin where the cursor stands. A damaged one costs no record: all of them are brought again."""
        try:
            self._done = self._cursor.load()
        except SinkError as error:
            self._failed("cursor", SinkError(f"{error}: beginning with the oldest record", lost=0))
            return Follower(self._log)
        if self._done is None and self._start == "end":
            return Follower(self._log, after="end")
        return Follower(self._log, after=self._done)

    def _carry(self, follower: Follower) -> bool:
        """Bring what is next; return whether to go on."""
        with self._changed:
            if self._deadline is not None and time.monotonic() >= self._deadline:
                return False
            self._is_nudged = False  # before reading, so that what is written after is noticed
        try:
            batch = follower.read()
        except Exception as error:  # noqa: BLE001 - a damaged or unreadable file is to end this thread no more than a sink
            self._failed("log file", error)
            return self._rest()
        self._say_what_is_missing(batch)
        return self._deliver(batch.lines) if batch.lines else self._rest()

    def _say_what_is_missing(self, batch: Batch) -> None:
        if batch.missing:
            gone = f"{batch.missing} records were deleted from the log, or damaged, before they could be sent"
            self._drop("retention", SinkError(gone), batch.missing)
        if batch.is_astray:
            astray = f"the log does not hold the record that {self._cursor.path} names: beginning with the oldest"
            self._failed("cursor", SinkError(astray, lost=0))

    def _rest(self) -> bool:
        """Wait for the next record; return whether to go on."""
        with self._changed:
            if self._deadline is not None:
                return self._is_nudged  # what was written after the last look, and before the end, is brought
            self._changed.wait_for(lambda: self._is_nudged or self._deadline is not None, LOOK_SECONDS)
            return True

    def _deliver(self, lines: Sequence[bytes]) -> bool:
        """Bring lines until the sink has taken them; return whether to go on."""
        failures = 0
        while (error := self._attempt(lines)) is not None:
            left = _left(error, len(lines))
            self._took(lines[: len(lines) - left])
            failures = 1 if left < len(lines) else failures + 1
            lines = lines[len(lines) - left :]
            if not lines:
                return True
            if not getattr(error, "retry", True):
                self._took(lines, sent=False)
                self._drop("", error, len(lines))
                return True
            self._failed("", error)
            if not self._pause(failures):
                return False
            self._retried += 1
        self._took(lines)
        with self._changed:
            was_out, self._fault = self._fault is not None, None
        if was_out:
            self._faults.recovered(self.name)
        return True

    def _attempt(self, lines: Sequence[bytes]) -> BaseException | None:
        try:
            self._sink.write(lines)
        except BaseException as error:  # noqa: BLE001 - a sink is a plug-in: nothing it raises may end its thread
            return error
        return None

    def _pause(self, failures: int) -> bool:
        """Wait as the backoff says; ``close`` cuts it short. Return whether there is time for one more try."""
        with self._changed:
            if self._deadline is None:
                self._changed.wait_for(lambda: self._deadline is not None, self._backoff.seconds(failures))
                return True
            left = self._deadline - time.monotonic()
            if left > 0:  # and a tenth of the grace at most, so that it sees more than one try
                self._changed.wait(min(self._backoff.seconds(failures), self._grace_seconds / 10, left))
            return left > 0

    def _took(self, lines: Sequence[bytes], *, sent: bool = True) -> None:
        if lines:
            with self._changed:
                self._done = position_of(lines[-1])
                self._sent += len(lines) if sent else 0
            self._store()

    def _drop(self, where: str, why: BaseException, records: int) -> None:
        with self._changed:
            self._dropped += records
        self._failed(where, why, lost=records)

    def _failed(self, where: str, error: BaseException, lost: int = 0) -> None:
        """Count a fault, and say it if it is the first of its kind: of the sink, its cursor, the log file."""
        with self._changed:
            self._fault = describe(error)
        self._faults.add(f"{self.name} {where}".rstrip(), error, lost=lost)

    def _store(self, *, now: bool = False) -> None:
        """Store the cursor, once a second at most."""
        moment = time.monotonic()
        if self._done is None or (not now and moment - self._stored_at < STORE_SECONDS):
            return
        self._stored_at = moment
        try:
            self._cursor.store(self._done)
        except SinkError as error:
            self._failed("cursor", error)


def _left(error: BaseException, lines: int) -> int:
    """Return how many lines, from the end, were not taken."""
    lost = error.lost if isinstance(error, SinkError) else None
    return lines if lost is None else max(0, min(lost, lines))
