"""Records as lines of a file that only ever grows."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final

from doorlog.errors import SinkError
from doorlog.log.descriptor import DescriptorWriter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FILE_MODE: Final = 0o640
FOLDER_MODE: Final = 0o750

# O_NOFOLLOW: who can write to the log's folder must not be able to point the broker at a file of its own choice.
# O_NONBLOCK: opening a pipe that nobody reads must fail, not hang; it means nothing to a file.
_FLAGS: Final = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY


class FileSink:
    """Appends to a file; creates it (mode 0640) and its folders (0750), both within the process's umask.

    The path may lead through symbolic links, but its last part must not be one. What is no regular file is refused,
    character devices such as /dev/null aside. A last line without its end, left by a run that was cut off, is ended
    before the first record, so that the two do not merge.

    Raises:
        SinkError: the file can not be opened; says which and why.
    """

    def __init__(self, path: Path) -> None:
        self.name = f"file {path}"
        try:
            path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            fd = os.open(path, _FLAGS, FILE_MODE)
        except OSError as error:
            raise SinkError(f"can not open the log file {path}: {_why(error, path)}") from error
        try:
            first = _end_of_torn_line(fd)
        except OSError as error:
            os.close(fd)
            raise SinkError(f"can not open the log file {path}: {error.strerror}") from error
        self._writer = DescriptorWriter(fd, first)

    def write(self, lines: Sequence[bytes]) -> None:
        """Append whole lines.

        Raises:
            SinkError: the disk failed.
        """
        self._writer.write(lines)

    def close(self) -> None:
        """Close the file.

        Raises:
            SinkError: the last record could be written only in part.
        """
        self._writer.close()


def _end_of_torn_line(fd: int) -> bytes:
    status = os.fstat(fd)
    if stat.S_ISCHR(status.st_mode):
        return b""
    if not stat.S_ISREG(status.st_mode):
        raise OSError(0, "it is no regular file")
    is_torn = status.st_size > 0 and os.pread(fd, 1, status.st_size - 1) != b"\n"
    return b"\n" if is_torn else b""


def _why(error: OSError, path: Path) -> str:
    if path.is_symlink():
        return "it is a symbolic link; name the file itself (or log to stdout instead of /dev/stdout)"
    return str(error.strerror)
