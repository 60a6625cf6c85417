"""What signals mean: SIGTERM and SIGINT end the broker, SIGHUP ends it or has it open its files again."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Came:
    """What signals have said.

    Attributes:
        stop: Set when one of them ends the broker.
        on_hangup: Called at SIGHUP where there is no terminal that it could be about.
    """

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.on_hangup: Callable[[], None] = lambda: None
        self._has_terminal = any(
            stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)
        )

    def hung_up(self) -> None:
        """The terminal is gone; or, as for any service, files and keys are to be opened again."""
        if self._has_terminal:
            self.stop.set()
        else:
            self.on_hangup()


@contextmanager
def signals() -> Iterator[Came]:
    """Listen to signals; one that is ignored when this is called stays ignored, as ``nohup`` wants it."""
    loop = asyncio.get_running_loop()
    came = Came()
    numbers = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    for number in numbers:
        loop.add_signal_handler(number, came.hung_up if number == signal.SIGHUP else came.stop.set)
    try:
        yield came
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
