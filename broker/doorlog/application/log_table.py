"""A log as a table, for a command: with what is kept of its closed segments, and a sign of life on a terminal."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from rich.console import Console

from doorlog.readers.log_index import LogIndex
from doorlog.readers.table import open_table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from doorlog.readers.table import Table


@contextmanager
def table_of(log: Path, *, since: datetime | None = None, until: datetime | None = None) -> Iterator[Table]:
    """Open a log as a table. Ctrl-C ends the process at once and without a word, with the exit code of a shell's.

    Args:
        log: The live file, or a folder that holds one log.
        since: Records before that are of no interest.
        until: Records after that are of no interest.

    Raises:
        LogError: It can not be read, or DuckDB is not installed.
    """
    try:
        with open_table(log, since=since, until=until, index=LogIndex(log).of) as table, _ended_by_ctrl_c(table):
            yield table
    except KeyboardInterrupt:  # while it was opened
        os._exit(_INTERRUPTED)


_INTERRUPTED: Final = 128 + signal.SIGINT
_TIDY_LINE: Final = "\r\x1b[2K\x1b[?25h"
"""Takes a sign of life away, and brings the cursor back (ECMA-48; DECTCEM)."""


@contextmanager
def _ended_by_ctrl_c(table: Table) -> Iterator[None]:
    """End the process from the signal's handler itself.

    A KeyboardInterrupt would be lost where Python happens to be in a finalizer or a weak reference's callback, which it
    often is between two batches of rows; and DuckDB may be deep in work that nothing interrupts.
    """

    def end(*_: object) -> None:
        table.abandon()
        if sys.stderr.isatty():
            os.write(sys.stderr.fileno(), _TIDY_LINE.encode())
        os._exit(_INTERRUPTED)

    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:  # as nohup wants it
        yield
        return
    signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def working(table: Table, what: str) -> Iterator[None]:
    """Show on a terminal that something is being done, as in ``asking``."""
    console = Console(stderr=True)
    if console.is_terminal:
        with console.status(f"{what} {table.size / 1e6:,.0f} MB"):
            yield
    else:
        yield
