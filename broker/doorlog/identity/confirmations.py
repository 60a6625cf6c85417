"""Failures that wait for somebody to explain them: a device that is admitted from the same place, looking the same."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from doorlog.events.codes import Action, Outcome
from doorlog.events.parts import ConfirmedPart, DeviceEvidencePart, DevicePart, DoorlogPart, EventPart, TlsPart
from doorlog.events.records import DeviceConfirmedEvent

if TYPE_CHECKING:
    from doorlog.events.records import Connection
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

    def awaits(self, evidence: Evidence) -> bool:
        """Whether there are failures that whoever shows this could explain."""
        return (evidence.place.address, evidence.look) in self._failures

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


def confirmed_event(event: Connection, device: str, confirmed: ConfirmedPart) -> DeviceConfirmedEvent:
    """Return the event that links earlier attempts to the device that is admitted now."""
    tls = event.tls
    return DeviceConfirmedEvent(
        timestamp=event.timestamp,
        event=EventPart(
            category=("network", "authentication"), type=("info",), action=Action.DEVICE_CONFIRMED,
            outcome=Outcome.SUCCESS,
        ),
        source=event.source.model_copy(update={"bytes": None}),
        destination=event.destination.model_copy(update={"bytes": None}),
        tls=TlsPart(established=True, client=tls.client, server=tls.server) if tls is not None else None,
        device=DevicePart(id=device),
        doorlog=DoorlogPart(
            listener=event.doorlog.listener,
            connection_id=event.doorlog.connection_id,
            proxy=event.doorlog.proxy,
            device=_CONFIRMED,
            confirmed=confirmed,
        ),
    )  # fmt: skip


_CONFIRMED: Final = DeviceEvidencePart(
    method="address_and_client_hello",
    confidence="likely",
    evidence=("admitted from the same address with the same ClientHello, and nobody who looks like it is known there",),
)
