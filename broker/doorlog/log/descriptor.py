"""Whole lines to a file descriptor: partial writes are finished, and no two records ever merge."""

from __future__ import annotations

import errno
import os
import select
import stat
from typing import TYPE_CHECKING

from doorlog.errors import SinkError

if TYPE_CHECKING:
    from collections.abc import Sequence


class DescriptorWriter:
    """Writes lines, unbuffered. Owns the descriptor.

    When a write fails in the middle of a line, the rest of that line is kept and goes first as soon as writing works
    again: the reader of a disk that was full finds records missing, never a broken one.

    Args:
        fd: an open descriptor, blocking or not.
        first: bytes that go before the first line.
    """

    def __init__(self, fd: int, first: bytes = b"") -> None:
        self._fd = fd
        self._unfinished = first

    def write(self, lines: Sequence[bytes]) -> None:
        """Write whole lines in order; blocks until the descriptor took them.

        Raises:
            SinkError: the descriptor failed; ``lost`` counts the lines of which nothing was written, ``retry`` is
                false where whoever read them has gone.
        """
        data = memoryview(self._unfinished + b"".join(lines))
        done = 0
        try:
            while done < len(data):
                done += self._write_some(data[done:])
        except OSError as error:
            raise self._interrupted(error, lines, done) from error
        self._unfinished = b""

    def close(self) -> None:
        """Finish a cut line if it can be, and close the descriptor.

        Raises:
            SinkError: the last line stays cut.
        """
        try:
            if self._unfinished:
                self.write(())
        except SinkError as error:
            raise SinkError(f"{error}; its last record is cut", lost=1) from error
        finally:
            os.close(self._fd)

    def _write_some(self, data: memoryview) -> int:
        try:
            return os.write(self._fd, data)
        except BlockingIOError:  # a program that shares our terminal or pipe has made it non-blocking
            poll = select.poll()
            poll.register(self._fd, select.POLLOUT)
            poll.poll()
            return 0

    def _interrupted(self, error: OSError, lines: Sequence[bytes], done: int) -> SinkError:
        """Remember the rest of the line that was cut, and count those of which nothing was written."""
        pieces = (self._unfinished, *lines)
        index = 0
        while done >= len(pieces[index]):
            done -= len(pieces[index])
            index += 1
        is_cut = done > 0 or index == 0
        self._unfinished = pieces[index][done:] if is_cut else b""
        lost = len(lines) - index + (not is_cut)
        return SinkError(str(error.strerror), lost=lost, retry=not self._is_gone(error))

    def _is_gone(self, error: OSError) -> bool:
        """Whether nobody is left to read: a pipe without its reader, or a terminal that was hung up (EIO)."""
        if error.errno == errno.EIO:
            return stat.S_ISCHR(os.fstat(self._fd).st_mode)
        return error.errno in (errno.EPIPE, errno.EBADF)
