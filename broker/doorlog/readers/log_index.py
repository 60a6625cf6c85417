"""What is kept of each closed segment, so that it need not be read again: the columns of ``records``, as Parquet.

It has about a hundredth of a segment's size, and answers in a hundredth of the time. It is made of the log and can be
deleted at any time. A segment that is no longer what it was (compressed, restored, changed) is not the one that the
index knows: its size and its time of change stand in the name.
"""

from __future__ import annotations

import os
import secrets
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from doorlog.errors import LogError
from doorlog.log.segments import closed_segments, is_closed_segment, live_file
from doorlog.readers.columns import INDEX_VERSION, select_records
from doorlog.readers.files import telling
from doorlog.readers.held import Links, segment_suffix
from doorlog.readers.table import connect
from doorlog.readers.views import lock, read_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER: Final = "index"
"""Beside the segments."""
_MEMORY: Final = "512MB"
_SUFFIX: Final = f".v{INDEX_VERSION}.parquet"


class LogIndex:
    """The index of one log.

    Args:
        log: The live file, or a folder that holds one log.
        folder: Where it is kept; None for ``index`` beside the segments.

    Raises:
        LogError: There is no log.
    """

    def __init__(self, log: Path, folder: Path | None = None) -> None:
        with telling(log):
            self._live = live_file(log) if log.is_dir() else log
        self.folder = folder or self._live.parent / FOLDER

    def of(self, segment: Path) -> Path | None:
        """Return what is kept of a closed segment; None if nothing is, or it is not what it was."""
        table = self._name(segment)
        return table if table is not None and table.is_file() else None

    def missing(self) -> list[Path]:
        """Return the closed segments of which nothing is kept yet, the latest first.

        Raises:
            LogError: The folder of the log can not be read.
        """
        with telling(self._live.parent):
            closed = closed_segments(self._live)
        return [path for path in reversed(closed) if is_closed_segment(self._live, path) and self.of(path) is None]

    def add(self, segment: Path) -> None:
        """Keep a closed segment.

        Raises:
            LogError: It can not be read, the index can not be written, or DuckDB is not installed.
        """
        table = self._name(segment)
        if table is None:  # deleted just now
            return
        with telling(self.folder):
            self.folder.mkdir(mode=0o750, exist_ok=True)
            with TemporaryDirectory(prefix=".making-", dir=self.folder) as making:
                made = Path(making) / secrets.token_hex(4)
                with suppress(FileNotFoundError):  # compressed or deleted just now
                    _write(segment, made)
                    _sync(made)  # else it can be there but empty after a power cut
                    made.chmod(0o640)
                    made.replace(table)

    def forget(self) -> None:
        """Delete what is kept of segments that are there no longer, or are no longer what they were."""
        with suppress(OSError):
            wanted = {self._name(path) for path in closed_segments(self._live)}
            for path in self._kept():
                if path not in wanted:
                    path.unlink(missing_ok=True)

    def _kept(self) -> Iterator[Path]:
        return (path for path in self.folder.iterdir() if path.name.endswith(".parquet"))

    def _name(self, segment: Path) -> Path | None:
        try:
            found = segment.stat()
        except OSError:
            return None
        return self.folder / f"{segment.name}.{found.st_size:x}-{found.st_mtime_ns:x}{_SUFFIX}"


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(segment: Path, target: Path) -> None:
    import duckdb  # noqa: PLC0415 - an optional extra

    with Links() as links, closing(connect(_MEMORY)) as connection:
        link, _ = links.add(segment, segment_suffix(segment))
        name = str(target).replace("'", "''")
        query = select_records(read_lines([link]))
        try:
            connection.execute("SET threads = 1")  # a broker may need the others
            lock(connection, links.names(), folders=[str(target.parent)])
            connection.execute(f"COPY ({query}) TO '{name}' (FORMAT parquet, COMPRESSION zstd)")
        except duckdb.Error as error:
            raise LogError(f"{segment}: can not be indexed: {str(error).partition(os.linesep)[0]}") from error
