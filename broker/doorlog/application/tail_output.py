"""``doorlog tail`` on standard output: readable lines or the records, for as long as somebody reads."""

from __future__ import annotations

import os
import select
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from doorlog.log.console import Readable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO

    from doorlog.readers.tail import Found

_POLL_MS: Final = 40


@dataclass(slots=True)
class TailOutput:
    """Where records are shown.

    Attributes:
        stream: Standard output.
        as_json: Whether lines are written as they stand in the log.
    """

    stream: TextIO
    as_json: bool
    _readable: Readable = field(init=False)

    def __post_init__(self) -> None:
        self._readable = Readable.for_stream(self.stream, dated=True)

    def show(self, found: Iterable[Found]) -> None:
        """Show records at once.

        Raises:
            BrokenPipeError: Nobody reads them any more.
        """
        data = b"".join(map(self._line, found))
        if data:
            self.stream.buffer.write(data)
            self.stream.buffer.flush()

    def pause(self) -> bool:
        """Wait for a moment; return whether somebody still reads."""
        poll = select.poll()
        poll.register(self.stream.fileno(), 0)  # a pipe or a terminal that was closed is told unasked
        return not poll.poll(_POLL_MS)

    def _line(self, found: Found) -> bytes:
        if self.as_json:
            return found.line + b"\n"
        return self._readable.line(found.record).encode(self.stream.encoding, "backslashreplace")


def let_go_of_stdout() -> None:
    """Have Python not complain at its end that nobody reads what may still be in its buffer."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
