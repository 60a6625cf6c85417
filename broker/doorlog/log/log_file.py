"""A log on the disk from open to close: recovered at start, rotated by us or by others, and told when it was cut."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import orjson

from doorlog.errors import SinkError
from doorlog.log.archive import Archive
from doorlog.log.journal import Journal
from doorlog.log.live_file import lock, mend, open_live, sync_folder
from doorlog.log.segments import first_line, segment_name, sequence_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from doorlog.log.faults import Faults
    from doorlog.settings.log_models import FileLogSettings

LOOK_SECONDS: Final = 1.0
"""Between two looks whether the file is still the one at its path."""
_LATER: Final = 60.0  # seconds until a rotation that failed is tried again


class LogFile:
    """The file of a log and its closed segments. For one thread.

    Args:
        settings: ``log.file``.
        syncs: Whether lines count as written only when they are on disk.
        faults: Where what goes wrong is counted and said.

    Attributes:
        journal: Writes lines.
        tail: Where the log stopped when it was opened.
        torn_file: The name of the file that what stood behind that was moved to; None for nothing.

    Raises:
        SinkError: It can not be opened; says why.
    """

    def __init__(self, settings: FileLogSettings, *, syncs: bool, faults: Faults) -> None:
        self.name = f"file {settings.path}"
        self._path = settings.path
        self._settings = settings
        self._faults = faults
        self._lock = lock(settings.path)
        try:
            self._fd = open_live(settings.path)
        except SinkError:
            os.close(self._lock)
            raise
        try:
            self.tail, self.torn_file = mend(settings.path, self._fd)
        except SinkError:
            os.close(self._fd)
            os.close(self._lock)
            raise
        self.journal = Journal(self._fd, syncs=syncs)
        self._first_sequence, self._begun = self._first_record()
        self._rotate_at = 0.0
        self._look_at = 0.0
        self._archive = Archive(
            settings.path,
            compress=settings.compress,
            keep_bytes=settings.keep_bytes,
            keep_days=settings.keep_days,
            faults=faults,
        )

    def start(self) -> None:
        """Begin to look after the closed segments."""
        self._archive.start()

    def write(self, lines: Sequence[bytes]) -> None:
        """Append whole lines; never raises."""
        if self._first_sequence is None and lines:
            self._first_sequence, self._begun = sequence_of(lines[0]), datetime.now(UTC)
        self.journal.write(lines)

    @property
    def wants_rotation(self) -> bool:
        """Whether the live file is to become a closed segment."""
        if self._first_sequence is None or self.journal.fault is not None or time.monotonic() < self._rotate_at:
            return False
        limit, hours = self._settings.rotate_bytes, self._settings.rotate_hours
        if limit and self.journal.size >= limit:
            return True
        return bool(hours) and datetime.now(UTC) - self._begun >= timedelta(hours=hours)

    def rotate(self) -> None:
        """Make the live file a closed segment and begin another; if that fails, all goes on in the one there is."""
        self.journal.sync()
        if self.journal.fault is not None:
            return
        try:
            self._first_sequence, self._begun = self._first_record()  # what waited may have come before what we saw
            closed = self._path.with_name(segment_name(self._path, self._begun, self._first_sequence or 0))
            self._begin_another(closed)
        except (OSError, SinkError) as error:
            self._rotate_at = time.monotonic() + _LATER
            self._faults.add("rotation", error, lost=0)
            return
        self._archive.look()

    def reopen(self) -> None:
        """Go on in the file that is at the path now: another program has renamed ours."""
        if self._is_there():
            return
        self.journal.sync()
        try:
            self._use(open_live(self._path))
        except SinkError as error:
            self._faults.add(self.name, error, lost=0)

    def look(self) -> tuple[int | None, str] | None:
        """See whether another program renamed, removed or cut the file, once a second.

        Returns:
            Only if lines are gone: the sequence of the first of them (None if not known), and what to say of it.
        """
        now = time.monotonic()
        if now < self._look_at:
            return None
        self._look_at = now + LOOK_SECONDS
        ours = os.fstat(self._fd)
        if not self._is_there():
            return self._renamed(ours)
        if ours.st_size < self.journal.size:
            return self._cut(ours.st_size)
        self.journal.size = ours.st_size  # somebody may have appended; "doorlog verify" names the line
        return None

    def _is_there(self) -> bool:
        """Whether our file is the one at its path."""
        ours = os.fstat(self._fd)
        with suppress(OSError):
            there = self._path.lstat()
            return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)
        return False

    def close(self) -> None:
        """Put everything on disk and let go.

        Raises:
            SinkError: What waits could not be written; ``lost`` counts the lines.
        """
        lost = self.journal.waiting + self.journal.missing
        fault = self.journal.fault
        self._archive.close()
        os.close(self._fd)
        os.close(self._lock)
        if fault is not None:
            raise SinkError(f"{fault.strerror}; its last records are missing", lost=lost)

    def _begin_another(self, closed: os.PathLike[str]) -> None:
        os.rename(self._path, closed)  # noqa: PTH104 - a path may stand for any file
        try:
            fd = open_live(self._path)
        except SinkError:
            os.rename(closed, self._path)  # noqa: PTH104 - as above
            raise
        self._use(fd)
        sync_folder(self._path)

    def _use(self, fd: int) -> None:
        before, self._fd = self._fd, fd
        self.journal.use(fd)
        os.close(before)
        self._first_sequence, self._begun = self._first_record()

    def _renamed(self, ours: os.stat_result) -> tuple[int | None, str] | None:
        first = self._first_sequence
        self.reopen()
        if ours.st_nlink or not self._is_there():  # a file that is gone is told once there is another to tell it in
            return None
        return first, f"the log file {self._path} was removed while it was written: what stood in it is gone"

    def _cut(self, size: int) -> tuple[int | None, str]:
        first = self._first_sequence
        if size == 0:
            self._first_sequence = None
        else:
            with suppress(SinkError):
                mend(self._path, self._fd)  # the next record must not merge with what is left of one
        self.journal.use(self._fd)
        return first, (
            f"the log file {self._path} was truncated by another program (logrotate with copytruncate?), which "
            "loses records: let it rename the file and send SIGHUP instead, or let doorlog rotate"
        )

    def _first_record(self) -> tuple[int | None, datetime]:
        now = datetime.now(UTC)
        line = first_line(self._path) if self.journal.size else b""
        sequence = sequence_of(line)
        if sequence is None:
            return None, now
        try:
            return sequence, datetime.fromisoformat(orjson.loads(line)["@timestamp"])
        except (ValueError, KeyError, TypeError):
            return sequence, now
