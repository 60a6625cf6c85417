"""The files of a log as they stand at one moment, while another thread or program renames, compresses and deletes them.

The live file is opened before the closed segments are listed: if it is a new one already, the one before it is in the
list. A folder that changed while it was listed is listed again, since a file that is renamed meanwhile can be missed.
"""

from __future__ import annotations

from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from doorlog.log.segment_reader import SegmentReader
from doorlog.log.segments import closed_segments, first_line, sequence_in, sequence_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_TRIES: Final = 5


@dataclass(slots=True)
class LogFile:
    """A file of a log that has a record.

    Attributes:
        first: ``event.sequence`` of its first record.
        path: Where it stands.
        reader: The live file, which is open already; None for a closed segment.
    """

    first: int
    path: Path
    reader: SegmentReader | None = None

    @property
    def is_still_live(self) -> bool:
        """Whether the live file was not renamed since it was opened."""
        return self.reader is not None and self.reader.is_at(self.path)

    def open(self) -> SegmentReader:
        """Open the file, for the caller to close.

        Raises:
            OSError: It can not be opened, for example because it was compressed or deleted meanwhile.
        """
        reader, self.reader = self.reader, None
        return reader or SegmentReader(self.path)

    @contextmanager
    def lent(self) -> Iterator[SegmentReader]:
        """Open the file, or lend the one that is open, for a while.

        Raises:
            OSError: As in ``open``.
        """
        if self.reader is not None:
            yield self.reader
            return
        with closing(SegmentReader(self.path)) as reader:
            yield reader


@contextmanager
def listed(log: Path) -> Iterator[list[LogFile] | None]:
    """Give the files of a log that have a record, in order, the live one last; None if they do not stand still.

    Args:
        log: The live file; neither it nor its folder need exist.

    Raises:
        OSError: The folder, or a file in it, can not be read.
        zstandard.ZstdError, EOFError: A file that logrotate compressed is damaged at its very beginning.
    """
    files: list[LogFile] | None = None
    live: LogFile | None = None
    try:
        for _ in range(_TRIES):
            live = _live(log)
            files = _closed(log)
            if files is not None and (live is None or live.is_still_live):
                break
            _let_go(live)
            files = None
        if files is not None and live is not None:
            files.append(live)
        yield files
    finally:
        _let_go(live)


def _let_go(live: LogFile | None) -> None:
    if live is not None and live.reader is not None:
        live.reader.close()


def _live(log: Path) -> LogFile | None:
    try:
        reader = SegmentReader(log)
    except FileNotFoundError:
        return None
    first = reader.first_sequence()
    if first is None:
        reader.close()
        return None
    return LogFile(first, log, reader)


def _closed(log: Path) -> list[LogFile] | None:
    """Return the closed segments; None if the folder changed meanwhile."""
    try:
        before = _names(log.parent)
        found = [LogFile(_first_of(path), path) for path in closed_segments(log)]
        return found if before == _names(log.parent) else None
    except FileNotFoundError:  # renamed or deleted at this moment
        return None if log.parent.is_dir() else []


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def _first_of(path: Path) -> int:
    named = sequence_in(path.name)
    return named if named is not None else sequence_of(first_line(path)) or 0
