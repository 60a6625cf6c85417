"""The fast way over lines that are as expected: the next number, the hash of the line before, nothing else to look at.

What makes it fast: no line is copied, no line is parsed, and what is looked for is looked for where it stood in other
lines. What is found elsewhere, or not at all, is left to the slow way: wrong guesses cost time, not truth.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from doorlog.readers.record import Line

_SEQUENCE: Final = b'"sequence":'
_ACTION: Final = b'"action":"'
_CHAIN: Final = b',"previous_sha256":"'
_END: Final = b'"}}'
_NOWHERE: Final = 1_000_000
"""Behind the end of a line: the first line of a block shows where ``event.sequence`` stands."""
_FARTHEST_ACTION: Final = 512


class Usual:
    """Passes lines that follow the one before in the usual way.

    Attributes:
        sequence: ``event.sequence`` of the last line.
        hash: Its hash, 64 hexadecimal digits.
        lines: How many lines were passed.
        connects: How many of them were ``connect`` records.
    """

    def __init__(self) -> None:
        self.sequence = 0
        self.hash = b""
        self.lines = 0
        self.connects = 0
        self._number: bytes | None = None
        self._action_lead = 128

    def follow(self, line: Line) -> None:
        """Go on behind a line that was looked at in the slow way."""
        self.sequence = line.sequence or 0
        self.hash = line.hash
        self._number = b'%%d,"id":"%b-' % line.run if line.run else None

    def passed(self, data: bytes, start: int, stop: int) -> int:
        r"""Pass lines; return where the first one begins that is to be looked at, or ``stop``.

        Args:
            data: Bytes of a file.
            start: Where a line begins.
            stop: Behind the ``\n`` of a line.
        """
        number, lead, action_lead = self._number, _NOWHERE, self._action_lead
        if number is None:
            return start
        find, starts, ends, view = data.find, data.startswith, data.endswith, memoryview(data)
        sequence, begun, connects, tail = self.sequence, self.sequence, 0, _CHAIN + self.hash + _END
        while start < stop:
            end = find(b"\n", start, stop)
            at = find(_SEQUENCE, start + lead, end)
            if at < 0:
                at = find(_SEQUENCE, start, end)
                if at < 0:
                    break
                lead = max(0, at - start - 16)
            if not starts(number % (sequence + 1), at + 11) or not ends(tail, start, end):
                break
            action = find(_ACTION, at - action_lead, at)
            if action < start:
                action = find(_ACTION, start, at)
                action_lead = max(action_lead, min(_FARTHEST_ACTION, at - action))
            if starts(b'connect"', action + 10):
                connects += 1
            elif action < 0 or starts((b"audit_", b"flood"), action + 10):
                break
            tail = _CHAIN + sha256(view[start:end]).hexdigest().encode() + _END
            sequence += 1
            start = end + 1
        self._action_lead = action_lead
        self.sequence, self.hash = sequence, tail[len(_CHAIN) : -len(_END)]
        self.lines += sequence - begun
        self.connects += connects
        return start
