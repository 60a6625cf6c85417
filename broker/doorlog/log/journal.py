"""The log file: written in order, put on disk, tried again when the disk fails, and told what went missing meanwhile.

While the file can not be written, lines wait in memory, up to a bound; what comes on top is missing from the file, and
an ``Outage`` says exactly what. A line that was cut in the middle is finished first. After a failed fsync(2) the kernel
may have thrown away what it could not write, so those bytes are written again, to the same place.
"""

from __future__ import annotations

import os
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final

import orjson

from doorlog.log.chain import line_hash
from doorlog.log.segments import sequence_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HELD_BYTES: Final = 67_108_864
"""Lines that wait in memory for a file that can not be written."""
RETRY_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Outage:
    """A time in which the file could not be written, and what is missing from it.

    Attributes:
        began: When it could not be written any more.
        ended: When it could be written again.
        first_sequence: Of the first record that is missing, None if none is.
        last_sequence: Of the last one.
        records: How many are missing.
        connects: How many of them are ``connect`` records.
        folded: How many connections the ``flood`` records among them counted.
        after_sha256: The hash of the last record before them.
    """

    began: datetime
    ended: datetime
    first_sequence: int | None = None
    last_sequence: int | None = None
    records: int = 0
    connects: int = 0
    folded: int = 0
    after_sha256: str | None = None


class Journal:
    """Writes lines to an open file. For one thread.

    Args:
        fd: The live file, open for appending; owned by whoever gave it.
        syncs: Whether lines count as written only when they are on disk.
        held_bytes: How many bytes of lines may wait in memory while the file can not be written.

    Attributes:
        fault: Why the file can not be written; None while it can.
        size: Bytes in the file.
        dirty_since: Monotonic time of the first line that is not on disk yet; None if all are.
    """

    def __init__(self, fd: int, *, syncs: bool, held_bytes: int = HELD_BYTES) -> None:
        self._fd = fd
        self._syncs = syncs
        self._held_bytes = held_bytes
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._cut = 0  # bytes of the first waiting line that stand in the file already
        self._unsynced: list[bytes] = []
        self._must_rewrite = False
        self._missing: list[int] = [0, 0, 0, 0, 0]  # first, last sequence, records, connects, folded
        self._after: bytes | None = None
        self._is_out, self._began = False, datetime.now(UTC)
        self._next_try = 0.0
        self.fault: OSError | None = None
        self.size = os.fstat(fd).st_size
        self.dirty_since: float | None = None

    def use(self, fd: int) -> None:
        """Go on in another file; everything so far is in the one before, or waits."""
        with suppress(OSError):
            self._part_from_file()
        self._cut = 0  # the line that was cut is written there as a whole
        self._fd = fd
        self._unsynced.clear()
        self._must_rewrite = False
        self.dirty_since = None
        self.size = os.fstat(fd).st_size

    def _part_from_file(self) -> None:
        if self._must_rewrite:
            self._rewrite()
            os.fdatasync(self._fd)
        if self._cut and os.fstat(self._fd).st_size == self.size:
            os.ftruncate(self._fd, self.size - self._cut)

    def write(self, lines: Sequence[bytes]) -> None:
        """Append whole lines, or keep them while the file can not be written. Never raises."""
        is_out = self.fault is not None
        if not is_out and not self._waiting:
            if lines:
                self._attempt(partial(self._append, lines))
            return
        for line in lines:
            if is_out and (self._missing[2] or self._waiting_bytes + len(line) > self._held_bytes):
                self._lose(line)
            else:
                self._waiting.append(line)
                self._waiting_bytes += len(line)
        if self.fault is None:
            self._attempt(self._flush)

    def sync(self) -> None:
        """Put what was written on disk. Never raises."""
        if self.fault is None and self.dirty_since is not None:
            self._attempt(self._sync)

    def retry(self, *, at_once: bool = False) -> Outage | None:
        """Try again, at most twice a second.

        Args:
            at_once: Whether to try however short ago the last try was: there will be no other.

        Returns:
            What is missing, once all that could be kept is written; None before, and while all is well.
        """
        now = time.monotonic()
        if self.fault is None or (now < self._next_try and not at_once):
            return None
        self._next_try = now + RETRY_SECONDS
        self.fault = None
        self._attempt(self._catch_up)
        return self._outage() if self.fault is None else None

    @property
    def waiting(self) -> int:
        """Lines that are not written yet."""
        return len(self._waiting)

    @property
    def missing(self) -> int:
        """Lines that will be missing from the file."""
        return self._missing[2]

    def _attempt(self, work: Callable[[], None]) -> None:
        try:
            work()
        except OSError as error:
            if not self._is_out:
                self._is_out, self._began = True, datetime.now(UTC)
            self.fault = error
            self._next_try = time.monotonic() + RETRY_SECONDS

    def _append(self, lines: Sequence[bytes]) -> None:
        """Write lines in front of which nothing waits: nearly always, all of them are taken at once."""
        data = b"".join(lines)
        done = 0
        try:
            done = os.write(self._fd, data)
        finally:
            if done == len(data):
                self._took(lines, done)
            else:
                self._waiting.extend(lines)
                self._waiting_bytes += len(data)
                self._wrote(done)
        if done < len(data):
            self._flush()

    def _took(self, lines: Sequence[bytes], size: int) -> None:
        self._grew(size)
        self._after = lines[-1]
        if self._syncs:
            self._unsynced.extend(lines)

    def _grew(self, size: int) -> None:
        self.size += size
        if size and self._syncs and self.dirty_since is None:
            self.dirty_since = time.monotonic()

    def _flush(self) -> None:
        data = memoryview(b"".join(self._waiting))[self._cut :]
        done = 0
        try:
            while done < len(data):
                done += os.write(self._fd, data[done:])
        finally:
            self._wrote(done)

    def _wrote(self, done: int) -> None:
        """Take note of bytes that the file took: whole lines, and maybe the beginning of one."""
        self._grew(done)
        done += self._cut
        while self._waiting and done >= len(self._waiting[0]):
            line = self._waiting.popleft()
            done -= len(line)
            self._waiting_bytes -= len(line)
            self._after = line
            if self._syncs:
                self._unsynced.append(line)
        self._cut = done

    def _sync(self) -> None:
        try:
            os.fdatasync(self._fd)
        except OSError:
            self._must_rewrite = True
            raise
        self._unsynced.clear()
        self._must_rewrite = False
        self.dirty_since = None

    def _catch_up(self) -> None:
        if self._must_rewrite:
            self._rewrite()
        self._flush()
        if self._syncs:
            self._sync()

    def _rewrite(self) -> None:
        """Write what may not have reached the disk again, to its place; a second descriptor, since ours appends."""
        part = self._waiting[0][: self._cut] if self._cut else b""
        data = memoryview(b"".join([*self._unsynced, part]))
        place = self.size - len(data)
        if place < 0 or os.fstat(self._fd).st_size != self.size:
            return  # somebody else changed the file: there is no place to trust
        fd = os.open(f"/proc/self/fd/{self._fd}", os.O_WRONLY | os.O_CLOEXEC)
        try:
            while data:
                written = os.pwrite(fd, data, place)
                data, place = data[written:], place + written
        finally:
            os.close(fd)

    def _lose(self, line: bytes) -> None:
        sequence = sequence_of(line) or 0
        if not self._missing[2]:
            self._missing[0] = sequence
        self._missing[1] = sequence
        self._missing[2] += 1
        connects, folded = _connections(line)
        self._missing[3] += connects
        self._missing[4] += folded

    def _outage(self) -> Outage:
        first, last, records, connects, folded = self._missing
        self._missing = [0, 0, 0, 0, 0]
        self._is_out = False
        ended = datetime.now(UTC)
        if not records:
            return Outage(self._began, ended)
        after = line_hash(self._after).decode() if self._after else None
        return Outage(self._began, ended, first, last, records, connects, folded, after)


def _connections(line: bytes) -> tuple[int, int]:
    """Return how many connections a line stands for: one of its own, or those that a flood has counted."""
    if b'"action":"connect"' not in line:
        return 0, 0
    record = orjson.loads(line)
    flood = record.get("doorlog", {}).get("flood")
    return (1, 0) if flood is None else (0, int(flood["count"]))
