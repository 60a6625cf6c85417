"""What the door asks of whoever records its events: may anybody be admitted, and is the record safe?

The log is one recorder; the door assumes nothing else about it.
"""

from __future__ import annotations

from typing import Protocol


class Assurance(Protocol):
    """Says what is promised of the events that were emitted so far."""

    @property
    def admits(self) -> bool:
        """Whether anybody may be admitted now."""
        ...

    @property
    def waits(self) -> bool:
        """Whether a verdict may leave only once its record is safe."""
        ...

    async def on_disk(self) -> bool:
        """Wait until all events so far are safe; False if they can not be made safe, True at once if not ``waits``."""
        ...


class NoAssurance:
    """Events are taken, and nothing is promised."""

    admits = True
    waits = False

    async def on_disk(self) -> bool:
        """Never wait."""
        return True


NO_ASSURANCE = NoAssurance()
