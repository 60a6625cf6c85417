"""How much time passes, and when the chain is rotated."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from doorlog.simulation.models import DAY, HOUR

BEGIN: Final = datetime(2026, 3, 2, tzinfo=UTC)
"""When everything begins unless somebody says otherwise: so a seed gives the same times, too."""
_ROLLBACK: Final = 3 * HOUR


@dataclass(frozen=True, slots=True)
class Plan:
    """The time that passes.

    Attributes:
        before: Days until the rotation.
        after: Days from then on.
        begin: The simulated time of the start, UTC.
    """

    before: float = 14.0
    after: float = 1.0
    begin: datetime = BEGIN

    @property
    def rotation(self) -> float:
        """Seconds from the start."""
        return self.before * DAY

    @property
    def rollback(self) -> float | None:
        """When the old chain is served again: three hours before the end, so that devices come back."""
        return self.end - _ROLLBACK if self.after * DAY > 2 * _ROLLBACK else None

    @property
    def end(self) -> float:
        """Seconds from the start."""
        return (self.before + self.after) * DAY

    def moment(self, seconds: float) -> datetime:
        """Return the simulated time, UTC, so many seconds after the start."""
        return self.begin + timedelta(seconds=seconds)
