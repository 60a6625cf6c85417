"""How many strangers may stand at the door at once: for each listener, and for each source address."""

from __future__ import annotations

from collections import Counter


class AttemptLimits:
    """Counts the attempts without a verdict of one listener.

    Args:
        per_listener: How many there may be.
        per_source: How many there may be from one source.
    """

    __slots__ = ("_by_source", "_per_listener", "_per_source", "total")

    def __init__(self, per_listener: int, per_source: int) -> None:
        self._per_listener = per_listener
        self._per_source = per_source
        self._by_source: Counter[str] = Counter()
        self.total = 0

    def enter(self) -> bool:
        """Count one more attempt of the listener; False if there are too many (it is counted all the same)."""
        self.total += 1
        return self.total <= self._per_listener

    def leave(self) -> None:
        """Undo one ``enter``."""
        self.total -= 1

    def enter_source(self, key: str) -> bool:
        """Count one more attempt of a source; False if there are too many (it is counted all the same)."""
        self._by_source[key] += 1
        return self._by_source[key] <= self._per_source

    def leave_source(self, key: str) -> None:
        """Undo one ``enter_source``."""
        self._by_source[key] -= 1
        if self._by_source[key] <= 0:
            del self._by_source[key]
