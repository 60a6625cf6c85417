"""The files of a log, opened in order, while a broker may go on writing, closing and deleting them."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from gzip import BadGzipFile
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

from zstandard import ZstdError

from doorlog.errors import LogError
from doorlog.log.segments import closed_segments, live_file, open_segment, sequence_in, sequence_of
from doorlog.readers.lines import LONGEST_LINE, DamagedFile, LogFile

_CHUNK: Final = 262_144
"""Bytes: large enough to be read fast, small enough to stay in the processor's cache."""
_PACKED: Final = (".zst", ".gz")
_DAMAGES: Final = (ZstdError, EOFError, zlib.error, BadGzipFile)
_NAME_IT: Final = "name the log with --log, or its configuration with -c"

Opened = TypeVar("Opened")
Advance = Callable[[int], object]
"""Is told how many bytes on disk were read since the last call."""


@dataclass(frozen=True, slots=True)
class OpenLog:
    """A log as it was at one moment."""

    files: list[LogFile]
    size: int
    """Bytes on disk."""
    path: Path
    """The live file, which may not be there while it is rotated."""
    live: BinaryIO | None = None
    """The live file, open, to be read from its end as well; None where it is not there, or compressed."""


@contextmanager
def open_log(log: Path, advance: Advance = lambda _: None) -> Iterator[OpenLog]:
    """Open a log as it is now; what is written after that may or may not be read.

    Args:
        log: The live file, or a folder that holds one log.
        advance: Is told of the progress.

    Raises:
        LogError: There is no log, or it can not be read; also while its files are read.
    """
    with telling(log):
        live = live_file(log) if log.is_dir() else log
    if not live.is_file() and (live.exists() or not live.parent.exists()):
        what = "is neither a file nor a folder" if live.exists() else "is not there"
        raise LogError(f"{log}: {what}: {_NAME_IT}")
    with _opened(live) as file:
        # The live file first: when it is closed and another one begun in the meantime, it is the last one all the same.
        closed = _closed_before(live, file)
        if file is None and not closed:
            raise LogError(f"{log}: is not there: {_NAME_IT}")
        files = [LogFile(path.name, _closed_chunks(path, advance)) for path in closed]
        packed = live.suffix in _PACKED
        if file is not None:
            files.append(LogFile(live.name, _chunks(live, file, advance), live=not packed))
        yield OpenLog(files, sum(map(_size, [*closed, live])), live, None if packed else file)


@contextmanager
def reopening(open_it: Callable[[], AbstractContextManager[Opened]]) -> Iterator[Callable[[], Opened]]:
    """Yield what opens a log for those that read it more than once: each time, what it opened before is closed.

    Args:
        open_it: Opens it, as ``open_log`` does.
    """
    with ExitStack() as stack:

        def opened() -> Opened:
            stack.close()
            return stack.enter_context(open_it())

        yield opened


@contextmanager
def _opened(live: Path) -> Iterator[BinaryIO | None]:
    with telling(live):
        file = open_segment(live) if live.is_file() else None
    try:
        yield file
    finally:
        if file is not None:
            file.close()


def _closed_before(live: Path, file: BinaryIO | None) -> list[Path]:
    """Return the closed segments without what has just become one, which is open as the live file."""
    with telling(live.parent):
        try:
            closed = closed_segments(live)
        except _DAMAGES as error:
            remedy = "find it with gzip -t and zstd -t, and restore it"
            raise LogError(f"{live.parent}: a compressed segment of {live.name} is damaged: {remedy}") from error
    if file is None or live.suffix in _PACKED:
        return closed
    this, first = os.fstat(file.fileno()), sequence_of(os.pread(file.fileno(), LONGEST_LINE, 0).partition(b"\n")[0])
    for number, path in enumerate(closed):
        named = sequence_in(path.name)
        if (named is not None and named == first) or _is_same(path, this):
            return closed[:number]
    return closed


def _is_same(path: Path, file: os.stat_result) -> bool:
    return path.exists() and os.path.samestat(path.stat(), file)


def _closed_chunks(path: Path, advance: Advance) -> Iterator[bytes]:
    with telling(path):
        file = open_segment(_as_it_is_now(path))
    with file:
        yield from _chunks(path, file, advance)


def _as_it_is_now(path: Path) -> Path:
    """Return where a segment is, if it was compressed since its name was read."""
    packed = (path.with_name(path.name + suffix) for suffix in _PACKED)
    return path if path.exists() else next((other for other in packed if other.exists()), path)


def _chunks(path: Path, file: BinaryIO, advance: Advance) -> Iterator[bytes]:
    packed = path.suffix in _PACKED
    try:
        with telling(path):
            while chunk := file.read(_CHUNK):
                if not packed:
                    advance(len(chunk))
                yield chunk
    except _DAMAGES as error:
        raise DamagedFile from error
    if packed:
        advance(_size(path))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


@contextmanager
def telling(path: Path) -> Iterator[None]:
    """Tell an error of the system for an operator."""
    try:
        yield
    except BadGzipFile:
        raise
    except PermissionError as error:
        place = error.filename or path
        remedy = "run this as the user of the broker, or give this one the right to read it"
        raise LogError(f"{place}: {error.strerror}: {remedy}") from error
    except FileNotFoundError as error:
        where, what = error.filename or path, error.strerror
        raise LogError(f"{where}: {what}: {_NAME_IT}; if it was deleted just now, try again") from error
    except OSError as error:
        raise LogError(f"{error.filename or path}: can not be read: {error.strerror or error}") from error
