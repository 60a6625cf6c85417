"""A log as a table, for a command: with what is kept of its closed segments, and a sign of life on a terminal."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

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
    """Open a log as a table.

    Args:
        log: The live file, or a folder that holds one log.
        since: Records before that are of no interest.
        until: Records after that are of no interest.

    Raises:
        LogError: It can not be read, or DuckDB is not installed.
    """
    with open_table(log, since=since, until=until, index=LogIndex(log).of) as table:
        yield table


@contextmanager
def ended_by_ctrl_c() -> Iterator[None]:
    """Let Ctrl-C end the process at once: DuckDB may be deep in work, and Python takes its time to tidy up."""
    try:
        yield
    except KeyboardInterrupt:
        os._exit(128 + signal.SIGINT)


@contextmanager
def working(table: Table, what: str) -> Iterator[None]:
    """Show on a terminal that something is being done, as in ``asking``."""
    console = Console(stderr=True)
    if console.is_terminal:
        with console.status(f"{what} {table.size / 1e6:,.0f} MB"):
            yield
    else:
        yield
