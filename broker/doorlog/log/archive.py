"""Closed segments: compressed with zstd, and deleted when they are too old or too many; on a thread of its own."""

from __future__ import annotations

import os
import time
import zlib
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, BinaryIO, Final

import zstandard

from doorlog.log.segments import closed_segments, is_closed_segment

if TYPE_CHECKING:
    from pathlib import Path

    from doorlog.log.faults import Faults

_PARTIAL: Final = ".partial"
_LEVEL: Final = 3
_GRACE: Final = 5.0  # seconds for what is under way when the log closes; the rest is done at the next start
_DAY: Final = 86_400


class Archive:
    """Looks after the closed segments of a log.

    Args:
        live: The live file.
        compress: Whether closed segments are compressed.
        keep_bytes: How many bytes all closed segments may have together; None for any number.
        keep_days: How old the last record of a closed segment may be, in days; None for any age.
        faults: Where failures are counted, under ``archive``.
    """

    def __init__(
        self, live: Path, *, compress: bool, keep_bytes: int | None, keep_days: float | None, faults: Faults
    ) -> None:
        self._live = live
        self._compress = compress
        self._keep_bytes = keep_bytes
        self._keep_days = keep_days
        self._faults = faults
        self._wanted: SimpleQueue[bool] = SimpleQueue()
        self._ending = False
        self._thread = Thread(target=self._run, name="doorlog-log-archive", daemon=True)

    def start(self) -> None:
        """Start, with what an earlier run left over."""
        self._thread.start()
        self.look()

    def look(self) -> None:
        """Look again soon: a segment was closed."""
        self._wanted.put(True)

    def close(self) -> None:
        """Finish what is under way, within five seconds."""
        self._ending = True
        self._wanted.put(False)
        if self._thread.ident is not None:
            self._thread.join(_GRACE)

    def _run(self) -> None:
        while self._wanted.get():
            try:
                self.tidy()
            except (OSError, zstandard.ZstdError, zlib.error, EOFError) as error:  # one may be damaged
                self._faults.add("archive", error, lost=0)

    def tidy(self) -> None:
        """Compress what is plain, then delete what is too much.

        Raises:
            OSError: The folder can not be read or written.
        """
        for left in tuple(self._live.parent.iterdir()):
            if left.suffix == _PARTIAL and is_closed_segment(self._live, left.with_suffix("")):
                left.unlink()  # a crash came before it was whole; its segment is still there
        segments = [path for path in closed_segments(self._live) if is_closed_segment(self._live, path)]
        if self._compress:
            segments = [self._compressed(path) for path in segments if not self._ending]
        self._delete_old(segments)

    def _compressed(self, segment: Path) -> Path:
        if segment.suffix != ".jsonl":
            return segment
        whole = segment.with_name(segment.name + ".zst")
        partial = whole.with_name(whole.name + _PARTIAL)
        status = segment.stat()
        with segment.open("rb") as source, _created(partial, status.st_mode) as target:
            zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).copy_stream(source, target, size=status.st_size)
            target.flush()
            os.fsync(target.fileno())
        os.utime(partial, ns=(status.st_atime_ns, status.st_mtime_ns))  # its age counts
        partial.replace(whole)
        segment.unlink()
        return whole

    def _delete_old(self, segments: list[Path]) -> None:
        oldest = time.time() - self._keep_days * _DAY if self._keep_days is not None else None
        sizes = {path: path.stat() for path in segments}
        total = sum(status.st_size for status in sizes.values())
        for path, status in sizes.items():  # oldest first
            is_old = oldest is not None and status.st_mtime < oldest
            is_much = self._keep_bytes is not None and total > self._keep_bytes
            if not is_old and not is_much:
                return
            with suppress(FileNotFoundError):
                path.unlink()
            total -= status.st_size


def _created(path: Path, mode: int) -> BinaryIO:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    return os.fdopen(os.open(path, flags, mode & 0o777), "wb")
