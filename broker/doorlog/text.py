"""Text that a peer chose, made safe to stand in a log line, a terminal or a page."""

from __future__ import annotations

import re
from typing import Final

_UNSAFE: Final = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # controls: new lines, terminal escapes, NEL
    "\u2028\u2029"  # line and paragraph separator
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # Unicode property Bidi_Control
    "\ud800-\udfff"  # surrogates, which no UTF-8 can carry
    "]"
)
_CUT: Final = "…"


def safe_text(text: str, limit: int = 256) -> str:
    r"""Return the text with what could forge a line or hide words escaped, and no longer than the limit.

    Control characters, line separators, bidirectional controls (Unicode TR 9, 2) and surrogates become
    ``\uXXXX``. A backslash stays as it is: the result is for reading, and two texts may read alike.

    Args:
        text: Anything, of any length; only its first ``limit`` characters are looked at.
        limit: The greatest length of the result in characters, at least 1. A longer text ends in ``…``.
    """
    if len(text) <= limit:
        if text.isprintable():  # true for no character of _UNSAFE; the common case, in 0.1 us
            return text
        escaped = _UNSAFE.sub(_escape, text)
        if len(escaped) <= limit:
            return escaped
    return _cut(text, limit)


def escaped(text: str) -> str:
    """Return a text of any length with the same escaped as in ``safe_text``; of a JSON text, one that says the same."""
    return text if text.isprintable() else _UNSAFE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04X}"


def _cut(text: str, limit: int) -> str:
    """Escape as many whole characters as leave room for the mark of the cut."""
    room = max(limit, 1) - 1
    pieces: list[str] = []
    for character in text[:room]:
        piece = _UNSAFE.sub(_escape, character)
        room -= len(piece)
        if room < 0:
            break
        pieces.append(piece)
    return "".join(pieces) + _CUT
