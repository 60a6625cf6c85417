"""Failures that wait for somebody to explain them: a device that is admitted from the same place, looking the same."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from doorlog.events.parts import ConfirmedPart

if TYPE_CHECKING:
    from doorlog.identity.evidence import Evidence

MOST_PLACES: Final = 4_096
"""Places with failures that are remembered at the same time; the one that is silent the longest is forgotten."""
MOST_NAMED: Final = 32
"""Connections of one place that are named."""
PATIENCE_SECONDS: Final = 86_400.0
"""How long after the last failure of a place a device may still explain it."""


@dataclass(slots=True)
class _Failures:
    """Unexplained failures of one place and look."""

    first: float
    last: float
    attempts: int = 0
    names: dict[str | None, int] = field(default_factory=dict)
    """How often each device was named; None for nobody."""
    connections: deque[str] = field(default_factory=lambda: deque(maxlen=MOST_NAMED))


class Confirmations:
    """Remembers failures until a device explains them."""

    def __init__(self) -> None:
        self._failures: OrderedDict[tuple[str, str], _Failures] = OrderedDict()

    def __len__(self) -> int:
        """Return of how many places failures are remembered."""
        return len(self._failures)

    def remember(self, evidence: Evidence, connection_id: str, device: str | None) -> None:
        """Remember a failure without a CONNECT, and whom it was taken for."""
        if evidence.look is None or not evidence.place.address:
            return
        key = (evidence.place.address, evidence.look)
        failures = self._failures.get(key)
        if failures is None or evidence.moment - failures.last > PATIENCE_SECONDS:
            failures = self._failures[key] = _Failures(evidence.moment, evidence.moment)
        self._failures.move_to_end(key)
        failures.last = evidence.moment
        failures.attempts += 1
        if len(failures.names) < MOST_NAMED or device in failures.names:
            failures.names[device] = failures.names.get(device, 0) + 1
        failures.connections.append(connection_id)
        if len(self._failures) > MOST_PLACES:
            self._failures.popitem(last=False)

    def explain(self, evidence: Evidence, device: str) -> ConfirmedPart | None:
        """Return the failures that a device explains, which was admitted now; they are remembered no more.

        Args:
            evidence: Of its admission.
            device: Its id.
        """
        if evidence.look is None:
            return None
        failures = self._failures.pop((evidence.place.address, evidence.look), None)
        if failures is None or evidence.moment - failures.last > PATIENCE_SECONDS:
            return None
        others = sum(count for name, count in failures.names.items() if name not in (None, device))
        return ConfirmedPart(
            connection_ids=tuple(failures.connections),
            attempts=failures.attempts,
            corrected=others,
            first=datetime.fromtimestamp(failures.first, UTC),
            last=datetime.fromtimestamp(failures.last, UTC),
        )
