"""The log's own events, and the numbers of its promise: connects, folded and lost ones, in the order of the log."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from doorlog.events.audit_parts import AuditPart, CheckpointPart, GapPart
from doorlog.events.codes import Action, GapCause, Outcome
from doorlog.events.parts import DoorlogPart, EventPart
from doorlog.events.records import AuditEvent, ConnectEvent, Event, FloodEvent

if TYPE_CHECKING:
    from collections.abc import Callable

    from doorlog.log.backlog import Overflow
    from doorlog.log.journal import Outage
    from doorlog.log.recovery import Tail

_NUMBERED = frozenset({Action.AUDIT_STARTED, Action.AUDIT_STOPPED, Action.AUDIT_CHECKPOINT})


class Numbers:
    """Counts what goes into the log, in the order in which it stands there.

    Attributes:
        accepted: Tells how many sockets were accepted so far.
    """

    def __init__(self) -> None:
        self.accepted: Callable[[], int] = lambda: 0
        self._connects = self._folded = self._lost = 0

    def count(self, event: Event) -> Event:
        """Count an event that is about to be written; one that tells the numbers is given them."""
        if isinstance(event, ConnectEvent):
            self._connects += 1
        elif isinstance(event, FloodEvent) and event.doorlog.flood and event.doorlog.flood.action == "connect":
            self._folded += event.doorlog.flood.count
        elif isinstance(event, AuditEvent) and event.event.action in _NUMBERED:
            told = event.doorlog.audit
            accepted = told.accepted if told else self.accepted()
            return event.model_copy(
                update={"doorlog": event.doorlog.model_copy(update={"audit": self._part(accepted)})}
            )
        return event

    def lose(self, connects: int) -> None:
        """Count ``connect`` records that will never be written."""
        self._lost += connects

    def lose_written(self, connects: int, folded: int = 0) -> None:
        """Count connections whose records, or whose floods, were counted and then lost on their way into the file."""
        self._connects -= connects
        self._folded -= folded
        self._lost += connects + folded

    def _part(self, accepted: int) -> AuditPart:
        return AuditPart(
            accepted=accepted, connects=self._connects, folded=self._folded or None, lost=self._lost or None
        )


def checkpoint_event(records: int, key_id: str | None) -> AuditEvent:
    """Vouch for the records before.

    Args:
        records: Since the checkpoint before.
        key_id: Which key signs it, None for none.
    """
    return _event(
        Action.AUDIT_CHECKPOINT,
        Outcome.SUCCESS,
        doorlog=DoorlogPart(checkpoint=CheckpointPart(records=records, key_id=key_id)),
    )


def overflow_event(overflow: Overflow, first_sequence: int) -> AuditEvent:
    """Say which events did not fit into memory."""
    gap = GapPart(
        first_sequence=first_sequence,
        last_sequence=first_sequence + overflow.records - 1,
        records=overflow.records,
        connects=overflow.connects,
        began=overflow.began,
        ended=datetime.now(UTC),
    )
    return _gap_event(GapCause.OVERFLOW, gap)


def outage_event(outage: Outage) -> AuditEvent:
    """Say what is missing since the file could not be written."""
    gap = GapPart(
        first_sequence=outage.first_sequence,
        last_sequence=outage.last_sequence,
        records=outage.records,
        connects=outage.connects + outage.folded,
        began=outage.began,
        ended=outage.ended,
        after_sha256=outage.after_sha256,
    )
    return _gap_event(GapCause.WRITE_FAILED, gap)


def interrupted_event(tail: Tail, torn_file: str | None) -> AuditEvent:
    """Say that the broker before did not close this log."""
    gap = GapPart(began=tail.time, torn_bytes=tail.torn_bytes or None, torn_file=torn_file)
    return _gap_event(GapCause.INTERRUPTED, gap)


def truncated_event(first_sequence: int | None, last_sequence: int) -> AuditEvent:
    """Say that another program cut the file: these records stood in it."""
    return _gap_event(GapCause.TRUNCATED, GapPart(first_sequence=first_sequence, last_sequence=last_sequence))


def _gap_event(cause: GapCause, gap: GapPart) -> AuditEvent:
    return _event(Action.AUDIT_GAP, Outcome.FAILURE, code=cause, doorlog=DoorlogPart(gap=gap))


def _event(action: Action, outcome: Outcome, *, doorlog: DoorlogPart, code: str | None = None) -> AuditEvent:
    return AuditEvent(
        timestamp=datetime.now(UTC),
        event=EventPart(
            category=("process",),
            type=("info",) if outcome is Outcome.SUCCESS else ("error",),
            action=action,
            outcome=outcome,
            code=code,
        ),
        doorlog=doorlog,
    )
