"""A log verified, with a bar on a terminal for whoever waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from doorlog.readers.files import open_log
from doorlog.readers.verify import verify

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from doorlog.readers.report import Report


def verified(
    log: Path, keys: Iterable[Ed25519PublicKey], kept: Mapping[int, frozenset[bytes]], *, from_start: bool
) -> Report:
    """Verify a log; see ``readers.verify``.

    Args:
        log: The live file or a folder of segments.
        keys: Whose signatures count.
        kept: Checkpoints that were kept elsewhere.
        from_start: Whether the first record of all must be there.

    Raises:
        LogError: It can not be read.
    """
    console = Console(stderr=True)
    columns = (TextColumn("verifying"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("verifying", total=None)

        def advance(count: int) -> None:
            progress.advance(task, count)

        with open_log(log, advance) as opened:
            progress.update(task, total=opened.size)
            return verify(opened.files, keys, kept, from_start=from_start)
