"""Texts rid of names: wherever a name occurs in a text, what stands for it takes its place."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

TEXT_LIMIT: Final = 2048
"""Characters, as ``events.parts.Text``: what stands for a name may be longer than it."""
_SHORT: Final = 3
"""Characters. A shorter name is hidden where it is a whole level of a topic, or all of the text."""
_CUT: Final = "…"


class Scrubber:
    """Replaces names in texts, whatever their case is, longer names first.

    Args:
        names: Each name and what stands for it; of equal names, the first counts.
    """

    def __init__(self, names: Sequence[tuple[str, str]]) -> None:
        self._names = names
        self._sought = [(name.removesuffix(_CUT) if len(name) > _SHORT else name) for name, _stand_in in names]
        self._lower = [name.lower() for name in self._sought]
        self._pattern: re.Pattern[str] | None = None
        self._stand_ins: list[str] = []

    def text(self, text: str | None) -> str | None:
        """Return the text without the names, at most 2,048 characters; None stays None."""
        if not text or not self._may_occur(text):
            return text
        if self._pattern is None:
            ordered = sorted(self._names, key=lambda pair: -len(pair[0]))
            self._stand_ins = [stand_in for _name, stand_in in ordered]
            self._pattern = re.compile("|".join(f"({_regex(name)})" for name, _stand_in in ordered), re.IGNORECASE)
        clean = self._pattern.sub(self._stand_in, text)
        return clean if len(clean) <= TEXT_LIMIT else clean[: TEXT_LIMIT - 1] + _CUT

    def texts(self, texts: tuple[str, ...] | None) -> tuple[str, ...] | None:
        """Do so with several."""
        return tuple(filter(None, map(self.text, texts))) if texts else texts

    def _may_occur(self, text: str) -> bool:
        lower = text.lower()  # a letter may become another one by what stands beside it, as the Greek sigma does
        return any(name in text for name in self._sought) or any(name in lower for name in self._lower)

    def _stand_in(self, match: re.Match[str]) -> str:
        return self._stand_ins[(match.lastindex or 1) - 1]


def _regex(name: str) -> str:
    if len(name) < _SHORT:
        return rf"(?<![^/]){re.escape(name)}(?![^/])"
    if name.endswith(_CUT) and len(name) > _SHORT:  # it was longer, and may stand uncut in the text
        return re.escape(name.removesuffix(_CUT)) + r"[^/\s]*"
    return re.escape(name)
