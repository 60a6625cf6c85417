"""A log that is read to its end, with a bar on a terminal for whoever waits."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from doorlog.readers.files import open_log

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from doorlog.readers.lines import LogFile


@contextmanager
def reading(log: Path, what: str) -> Iterator[list[LogFile]]:
    """Open a log, and show how far it is read.

    Args:
        log: The live file or a folder of segments.
        what: What is done, as in ``verifying``.

    Raises:
        LogError: It can not be read.
    """
    console = Console(stderr=True)
    columns = (TextColumn(what), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=None)

        def advance(count: int) -> None:
            progress.advance(task, count)

        with open_log(log, advance) as opened:
            progress.update(task, total=opened.size)
            yield opened.files
