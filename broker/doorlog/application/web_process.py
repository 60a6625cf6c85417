"""The page beside a running broker: a process of its own, so that nothing of it can touch the door.

Neither its work nor its memory nor a crash of it is the broker's. It ends with the broker, however that ends: it
reads the other end of a pipe, which the kernel closes.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NEEDED: Final = ("starlette", "uvicorn", "jinja2", "duckdb")
"""What is not installed with doorlog alone."""
_PATIENCE: Final = 5.0
"""Seconds that it has to end by itself."""


class WebProcess:
    """The process; ``beside`` makes one.

    Args:
        log: The live file of the log.
        directory: What is known of the devices; None if nothing is.
        bind: ``address:port`` of this machine.
    """

    def __init__(self, log: Path, directory: Path | None, bind: str) -> None:
        self._argv = [sys.executable, "-m", "doorlog", "web", "--with-parent", "--log", str(log), "--bind", bind]
        if directory is not None:
            self._argv += ["--directory", str(directory)]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; what it has to say goes to standard error, and nobody waits for it."""
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            self._argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
        )

    def stop(self) -> None:
        """Let it end."""
        if self._process is None:
            return
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        self._process.stdin.close()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def beside(log: Path | None, directory: Path | None, bind: str | None) -> Iterator[WebProcess | None]:
    """Return the page of a broker, to be started once there is a log; None where there is to be none.

    Args:
        log: The live file; without one there is no page.
        directory: What is known of the devices.
        bind: Where it listens; None for no page.
    """
    if log is None or bind is None or not all(map(find_spec, NEEDED)):
        yield None
        return
    process = WebProcess(log, directory, bind)
    try:
        yield process
    finally:
        process.stop()
