"""Follows one log from record to record: across rotation, compression, retention and restarts, each record once.

While the live file is read it may be renamed to a closed segment, and be compressed a moment later: it stays open, and
is read to its end before the next file is begun. It has ended when the next file has a first record and nothing has
come to it since: between logrotate's rename and the broker's answer to its signal, records still go to the old file.

A sequence may be left out (an ``audit_gap`` says so): the order of the files and of their lines is all that counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

import orjson

from doorlog.log.cursor import Position, position_of
from doorlog.log.listing import LogFile, listed
from doorlog.log.segments import sequence_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from doorlog.log.segment_reader import SegmentReader

MAX_LINES: Final = 512
MAX_BYTES: Final = 1_048_576


@dataclass(frozen=True, slots=True)
class Batch:
    r"""What was read at once.

    Attributes:
        lines: Whole records in order, each with its ``\n``; none when all was read.
        last: The last of them.
        missing: Sequences between the record before and the first of these that were gone before they could be read:
            deleted by retention as a rule, or damaged. What an ``audit_gap`` declares is not among them.
        is_astray: The record behind which the reading was to begin is not in this log, nor is any of its run: these
            are the oldest records that there are, and may have been read before.
    """

    lines: Sequence[bytes] = ()
    last: Position | None = None
    missing: int = 0
    is_astray: bool = False


NOTHING: Final = Batch()
_NEAR_END: Final = 4_194_304
"""Bytes."""


@dataclass(slots=True)
class Follower:
    """Reads a log in order. For one thread at a time.

    Args:
        log: The live file, which may not exist yet.
        after: Begin behind this record; None: with the oldest record that there is; ``end``: with what comes next.
        max_lines: The most records of a batch.
        max_bytes: The most bytes of a batch, unless its first record alone has more.
    """

    log: Path
    after: Position | Literal["end"] | None = None
    max_lines: int = MAX_LINES
    max_bytes: int = MAX_BYTES
    _file: SegmentReader | None = field(default=None, init=False)
    _first: int = field(default=0, init=False)
    """The sequence of the first record of the open file."""
    _before: Position | None = field(default=None, init=False)
    """The last record of the file before, until the first of the open one was read."""
    _is_astray: bool = field(default=False, init=False)

    def read(self) -> Batch:
        """Return the next records; none where there are none now: ask again later, which costs two system calls.

        Raises:
            OSError: A file, or the folder, can not be read. Nothing is skipped: ask again.
            zstandard.ZstdError, EOFError: A file that logrotate compressed is damaged at its very beginning.
        """
        if self._file is not None and self._file.is_cut:
            self.close()
        file = self._file or self._begin()
        while file is not None:
            if records := self._take(file):
                return self._batch(records)
            file = self._move_on(file)
        return NOTHING

    def close(self) -> None:
        """Let go of the open file. Another read would begin behind the last record."""
        if self._file is not None:
            self._file.close()
        self._file = None

    def _take(self, file: SegmentReader) -> list[bytes]:
        """Take lines from the open file, without what is no record: what a crash has cut off, and was then ended."""
        while lines := file.take(self.max_lines, self.max_bytes):
            if records := [line for line in lines if position_of(line) is not None]:
                return records
        return []

    def _batch(self, records: list[bytes]) -> Batch:
        last = position_of(records[-1])
        batch = Batch(records, last, _missing(self._before, records[0]), self._is_astray)
        self.after, self._before, self._is_astray = last, None, False
        return batch

    def _enter(self, file: LogFile, offset: int = 0) -> SegmentReader:
        reader = file.open()
        reader.seek(offset)
        self.close()
        self._file, self._first = reader, file.first
        return reader

    # from file to file

    def _move_on(self, file: SegmentReader) -> SegmentReader | None:
        """Return the file that has something to take, the next one if this one has ended; None where there is none."""
        if file.is_at(self.log):
            return None
        try:
            with listed(self.log) as files:
                following = self._following(file, files or [])
                if following is None:
                    return None
                if file.has_more:  # it came after the end was read, and before the next file was begun
                    return file
                self._before = self.after if isinstance(self.after, Position) else Position(self._first - 1, "")
                return self._enter(following)
        except FileNotFoundError:  # compressed or deleted at this moment
            return None

    def _following(self, open_one: SegmentReader, files: Sequence[LogFile]) -> LogFile | None:
        """Return the file behind the open one; the live file is behind every other, whatever its sequences are."""
        last = self.after.sequence if isinstance(self.after, Position) else 0
        for file in files:
            if file.reader is not None:
                return None if file.reader.identity == open_one.identity else file
            if file.first > max(self._first, last):
                return file
        return None

    # where to begin

    def _begin(self) -> SegmentReader | None:
        """Open the file that holds the record behind which to begin; return None where there is none yet."""
        try:
            with listed(self.log) as files:
                if files == [] and self.after == "end":
                    self.after = None  # whatever comes from now on is new
                return self._begin_in(files) if files else None
        except FileNotFoundError:  # as in _move_on
            return None

    def _begin_in(self, files: Sequence[LogFile]) -> SegmentReader:
        if self.after is None:
            return self._enter(files[0])
        if self.after != "end":
            return self._begin_behind(self.after, files)
        with files[-1].lent() as reader:
            offset, self.after = _search(reader, lambda _line: True) or (0, None)
        return self._enter(files[-1], offset)

    def _begin_behind(self, position: Position, files: Sequence[LogFile]) -> SegmentReader:
        """Open the file that holds the position, or what is next to it.

        A power failure may take the end of the log away when it was read already, and the next run then writes other
        records with the same sequences. So a record is known by its id, and if it is gone, the last of its run that
        is left tells how far the reading had come: all that stands behind it is new.
        """
        earlier = [file for file in files if file.first <= position.sequence]
        found = _find(
            earlier[-1:], lambda line: sequence_of(line) == position.sequence and position_of(line) == position
        )
        if found is None:
            found = _find(earlier, lambda line: _is_of_run(line, position))
        if found is not None:
            file, offset, self.after = found
            return self._enter(file, offset)
        self._before, self._is_astray = (None, True) if earlier else (position, False)
        return self._enter(files[0])


def _find(files: Sequence[LogFile], wanted: Callable[[bytes], bool]) -> tuple[LogFile, int, Position] | None:
    """Return the last record that is wanted: its file, the offset behind it, itself."""
    for file in reversed(files):
        with file.lent() as reader:
            found = _search(reader, wanted)
        if found is not None:
            return file, *found
    return None


def _search(reader: SegmentReader, wanted: Callable[[bytes], bool]) -> tuple[int, Position] | None:
    """Look where it is as a rule, near the end; and only if it is not there, everywhere."""
    if reader.seek_near_end(_NEAR_END) and (found := _last(reader, wanted)) is not None:
        return found
    reader.seek(0)
    return _last(reader, wanted)


def _last(reader: SegmentReader, wanted: Callable[[bytes], bool]) -> tuple[int, Position] | None:
    found: tuple[int, bytes] | None = None
    for line, end in reader.each():
        if wanted(line) and position_of(line) is not None:
            found = end, line
    position = position_of(found[1]) if found is not None else None
    return (found[0], position) if found is not None and position is not None else None


def _is_of_run(line: bytes, position: Position) -> bool:
    place = position_of(line)
    return place is not None and place.run == position.run and place.sequence <= position.sequence


def _missing(before: Position | None, line: bytes) -> int:
    """Count what was deleted between the last record of one file and the first of the next."""
    first = sequence_of(line)
    if before is None or first is None:
        return 0
    if b'"audit_gap"' in line:
        first = _gap_begin(orjson.loads(line), first)
    return max(0, first - before.sequence - 1)


def _gap_begin(record: dict[str, object], otherwise: int) -> int:
    """Return the first sequence that an ``audit_gap`` declares to be missing."""
    match record:
        case {"event": {"action": "audit_gap"}, "doorlog": {"gap": {"first_sequence": int(first)}}}:
            return min(first, otherwise)
    return otherwise
