"""One file of a log, open for reading: its whole lines from an offset on, while it grows, and compressed ones too."""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING, Final

import zstandard

from doorlog.log.cursor import position_of
from doorlog.log.segments import open_segment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LONGEST_LINE: Final = 1_048_576
"""Bytes. What is longer is no line of ours, and is passed over without being held in memory."""

_CHUNK_LINES: Final = 1024
_CHUNK_BYTES: Final = 1_048_576
_DAMAGE: Final = (OSError, EOFError, zlib.error, zstandard.ZstdError)


class SegmentReader:
    """Reads a file of a log. Nothing behind ``offset`` is remembered but in a compressed file, which never changes.

    That is why a torn end that is cut off, and written anew, is never mixed with what had been there before.

    Args:
        path: The file.

    Raises:
        OSError: It can not be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0
        """Behind the last line that was taken, in bytes of the lines (not of the compressed file)."""
        self._file = open_segment(path)
        self._is_packed = path.suffix in {".gz", ".zst"}
        self._held = b""
        """Of a compressed file: what is behind the offset and was decompressed already."""
        self._is_in_garbage = False

    @property
    def identity(self) -> tuple[int, int] | None:
        """Device and inode, which a file keeps when it is renamed; None for a compressed file."""
        if self._is_packed:
            return None
        status = os.fstat(self._file.fileno())
        return status.st_dev, status.st_ino

    @property
    def is_cut(self) -> bool:
        """Whether somebody has cut off what was read already, such as logrotate's ``copytruncate``."""
        return not self._is_packed and os.fstat(self._file.fileno()).st_size < self.offset

    def is_at(self, path: Path) -> bool:
        """Whether the file is the one that a path leads to at this moment."""
        try:
            status = path.stat()
        except FileNotFoundError:
            return False
        return self.identity == (status.st_dev, status.st_ino)

    def take(self, max_lines: int, max_bytes: int) -> list[bytes]:
        r"""Return the next whole lines, each with its ``\n``; none where there are none at this moment.

        A compressed file that is damaged ends where the damage begins.

        Args:
            max_lines: No more than so many.
            max_bytes: And no more bytes, unless the first line alone has more.
        """
        while True:
            data, count = self._peek(max_bytes), max_lines
            if len(data) == max_bytes and b"\n" not in data:
                data, count = self._peek(max(max_bytes, LONGEST_LINE)), 1
            if b"\n" in data:
                if lines := self._taken(data, count):
                    return lines
            elif len(data) >= LONGEST_LINE:
                self._advance(len(data))
                self._is_in_garbage = True
            else:
                return []

    @property
    def has_more(self) -> bool:
        """Whether there is a whole line to take."""
        return b"\n" in self._peek(LONGEST_LINE)

    def first_sequence(self) -> int | None:
        """Return ``event.sequence`` of the first record; None where there is none. Leaves the offset at 0."""
        self.seek(0)
        places = (position_of(line) for line, _end in self.each())
        first = next((place.sequence for place in places if place is not None), None)
        self.seek(0)
        return first

    def each(self) -> Iterator[tuple[bytes, int]]:
        """Yield the lines from the offset on, each with the offset behind it; ``seek`` to where it is to go on."""
        end = self.offset
        while lines := self.take(_CHUNK_LINES, _CHUNK_BYTES):
            end = self.offset - sum(map(len, lines))
            for line in lines:
                end += len(line)
                yield line, end

    def seek(self, offset: int) -> None:
        """Go to an offset: the start, or the end of a line."""
        self._is_in_garbage = False
        if not self._is_packed:
            self.offset = offset
            return
        if offset < self.offset:
            self._file.close()
            self._file = open_segment(self.path)
            self.offset, self._held = 0, b""
        while self.offset < offset and (data := self._peek(min(offset - self.offset, _CHUNK_BYTES))):
            self._advance(len(data))

    def seek_near_end(self, size: int) -> bool:
        """Go to a line that begins so many bytes before the end, or a little later.

        Returns:
            False, and goes nowhere, where the file is not that long, or compressed.
        """
        length = 0 if self._is_packed else os.fstat(self._file.fileno()).st_size
        if length <= size:
            return False
        self.offset = length - size
        self._is_in_garbage = True  # the line that began before
        return True

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _taken(self, data: bytes, max_lines: int) -> list[bytes]:
        lines = [line + b"\n" for line in data[: data.rfind(b"\n")].split(b"\n", max_lines)[:max_lines]]
        self._advance(sum(map(len, lines)))
        if self._is_in_garbage:
            self._is_in_garbage = False
            return lines[1:]
        return lines

    def _peek(self, size: int) -> bytes:
        if not self._is_packed:
            return os.pread(self._file.fileno(), size, self.offset)
        try:
            while len(self._held) < size and (more := self._file.read1(size - len(self._held))):
                self._held += more  # bit by bit: of a longer read, what comes before the damage would be lost with it
        except _DAMAGE:
            return self._held
        return self._held[:size]

    def _advance(self, size: int) -> None:
        self.offset += size
        self._held = self._held[size:]
