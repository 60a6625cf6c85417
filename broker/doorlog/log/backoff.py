"""How long to wait before something that failed is tried again."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential with full jitter, so that many brokers whose receiver has come back do not all knock at once."""

    first: float = 0.1
    """Seconds, the most after the first failure."""
    longest: float = 30.0
    """Seconds, the most after any number of failures."""
    chance: Callable[[], float] = random.random
    """Gives numbers from 0 to 1."""

    def seconds(self, failures: int) -> float:
        """Return how long to wait after so many failures in a row, at least one."""
        return self.chance() * min(self.longest, self.first * 2.0 ** min(failures - 1, 64))
