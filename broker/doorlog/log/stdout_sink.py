"""Records as lines on standard output, for containers and pipes."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from doorlog.errors import SinkError
from doorlog.log.descriptor import DescriptorWriter

if TYPE_CHECKING:
    from collections.abc import Sequence


class StdoutSink:
    """Writes to a copy of file descriptor 1. A reader that stalls blocks ``write``: wrap it in a ``Courier``.

    A reader that has gone makes every ``write`` raise; nothing else happens, since Python ignores SIGPIPE.

    Args:
        fd: the descriptor to copy.

    Raises:
        SinkError: the program was started with standard output closed.
    """

    name = "stdout"

    def __init__(self, fd: int = 1) -> None:
        # Closed at start, the number 1 may since belong to a socket or a database: never write there.
        if fd == 1 and sys.__stdout__ is None:
            raise SinkError("can not log to standard output: it is closed")
        try:
            copy = os.dup(fd)
        except OSError as error:
            raise SinkError(f"can not log to standard output: {error.strerror}") from error
        self._writer = DescriptorWriter(copy)

    def write(self, lines: Sequence[bytes]) -> None:
        """Write whole lines.

        Raises:
            SinkError: the reader has gone, or the device behind it failed.
        """
        self._writer.write(lines)

    def close(self) -> None:
        """Close our copy of the descriptor.

        Raises:
            SinkError: the last record could be written only in part.
        """
        self._writer.close()
