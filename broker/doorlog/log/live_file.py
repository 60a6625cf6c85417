"""The live file of a log: opened so that nobody can point us elsewhere, locked, and mended after a crash."""

from __future__ import annotations

import fcntl
import os
import stat
import zlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from zstandard import ZstdError

from doorlog.errors import SinkError
from doorlog.log.recovery import Tail, tail_of

if TYPE_CHECKING:
    from pathlib import Path

FILE_MODE: Final = 0o640
FOLDER_MODE: Final = 0o750

# O_NOFOLLOW: who can write to the log's folder must not be able to point the broker at a file of its own choice.
# O_NONBLOCK: opening a pipe that nobody reads must fail, not hang; it means nothing to a file.
_FLAGS: Final = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY


def lock(path: Path) -> int:
    """Make sure that no other broker writes to a log: two would break each other's chain.

    Args:
        path: The live file; its folder is created.

    Returns:
        The descriptor that holds the lock until it is closed.

    Raises:
        SinkError: Another broker holds it, or the folder can not be written.
    """
    try:
        path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        fd = os.open(path.with_name(path.name + ".lock"), _FLAGS, FILE_MODE)
    except OSError as error:
        raise _can_not_open(path, error) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        raise SinkError(f"another broker writes to the log {path}: give each broker a file of its own") from error
    return fd


def open_live(path: Path) -> int:
    """Open the live file for appending and reading; creates it (mode 0640, within the process's umask).

    The path may lead through symbolic links, but its last part must not be one; only a regular file will do.

    Raises:
        SinkError: It can not be opened; says which and why.
    """
    try:
        fd = os.open(path, _FLAGS, FILE_MODE)
    except OSError as error:
        raise _can_not_open(path, error) from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise SinkError(f"can not open the log file {path}: it is no regular file")
    return fd


def mend(path: Path, fd: int) -> tuple[Tail, str | None]:
    """Find where the log stopped; move what a crash has left behind its last record to a file of its own.

    Returns:
        The end of the log, and the name of that file, None if there was nothing to move.

    Raises:
        SinkError: It is no log of ours, or can not be mended.
    """
    try:
        tail = tail_of(path, fd)
        return tail, _moved_away(path, fd, tail) if tail.torn_bytes else None
    except OSError as error:
        raise _can_not_open(path, error) from error
    except (ZstdError, zlib.error, EOFError) as error:
        raise SinkError(
            f"can not tell where the log {path} stopped: a closed segment beside it is damaged ({error}): "
            "move it to another folder"
        ) from error


def _moved_away(path: Path, fd: int, tail: Tail) -> str:
    torn = path.with_name(f"{path.name}.torn-{datetime.now(UTC):%Y%m%dT%H%M%S%f}Z")
    copy = os.open(torn, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
    try:
        data = memoryview(os.pread(fd, tail.torn_bytes, tail.good_bytes))
        while data:
            data = data[os.write(copy, data) :]
        os.fsync(copy)
    finally:
        os.close(copy)
    os.ftruncate(fd, tail.good_bytes)
    os.fsync(fd)
    return torn.name


def sync_folder(path: Path) -> None:
    """Put the names of a folder's files on disk (fsync(2): a new file needs both).

    Raises:
        OSError: The disk failed.
    """
    fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _can_not_open(path: Path, error: OSError) -> SinkError:
    why = str(error.strerror)
    if path.is_symlink():
        why = "it is a symbolic link; name the file itself (or log to stdout instead of /dev/stdout)"
    return SinkError(f"can not open the log file {path}: {why}")
