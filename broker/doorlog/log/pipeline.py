"""An event through the processors to a line; whatever a processor does, each event leaves exactly one line."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from structlog import BoundLoggerBase

from doorlog.events.codes import Action, Outcome
from doorlog.events.parts import DoorlogPart, EventPart
from doorlog.events.records import AuditEvent, Event
from doorlog.log.chain import NOTHING_BEFORE, chained, line_hash, signed
from doorlog.log.processors import render, unfold

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from structlog.typing import Processor

    from doorlog.events.parts import ServicePart
    from doorlog.log.faults import Faults


class _LineLogger(BoundLoggerBase):
    """structlog's logger whose output is a line; the service is its bound context."""

    def line(self, event: Event, number: dict[str, Any]) -> bytes:
        (line,), _ = self._process_event("info", None, {"event": event, **number})
        if not isinstance(line, bytes) or not line or line.find(b"\n") != len(line) - 1:
            raise ValueError("the last processor gave something else than one line of bytes")
        if b'"doorlog":{' not in line:
            raise ValueError("a processor took doorlog out of the record")
        return line


class Pipeline:
    """Numbers events and makes them lines. For one thread.

    Args:
        processors: from the typed event to bytes, see ``processors``.
        service: which broker, for every record.
        faults: where failing processors are counted, under ``processors``.
    """

    def __init__(
        self,
        processors: Sequence[Processor],
        service: ServicePart,
        faults: Faults,
        *,
        sequence: int = 0,
        previous: bytes = NOTHING_BEFORE,
    ) -> None:
        self._service = service.model_dump()
        self._logger = _LineLogger(None, tuple(processors), {"service": self._service})
        self._faults = faults
        self._run = secrets.token_hex(6)
        self.sequence = sequence
        """Of the last line, from 1; 0 before the first."""
        self.previous = previous
        """The hash of the last line."""

    def line(self, event: Event) -> bytes:
        r"""Return the event as one line that ends in ``\n``; never raises.

        When a processor fails, ``structlog.DropEvent`` included (a filter has no say in what is recorded), the
        line holds all that the event says, and what failed in ``doorlog.fault``.
        """
        self.sequence += 1
        number = {"sequence": self.sequence, "id": f"{self._run}-{self.sequence}"}
        try:
            return self._chained(self._logger.line(event, number))
        except BaseException as error:  # noqa: BLE001 - DropEvent is one; nothing a plug-in raises may end the thread
            self._faults.add("processors", error, lost=0)
            return self._chained(self._without_processors(event, number, self._faults.describe(error)))

    def checkpoint_line(self, event: Event, key: Ed25519PrivateKey | None) -> bytes:
        """Return an event as a line that is signed, if there is a key; never raises."""
        line = self.line(event)
        if key is not None:
            line = signed(line, key)
            self.previous = line_hash(line)
        return line

    def _chained(self, line: bytes) -> bytes:
        line = chained(line, self.previous)
        self.previous = line_hash(line)
        return line

    def _without_processors(self, event: Event, number: dict[str, Any], fault: str) -> bytes:
        try:
            return self._bare_line(event, number, fault)
        except Exception as error:  # noqa: BLE001 - no event at all: the sequence still has its record
            return self._bare_line(_gap(), number, self._faults.describe(error))

    def _bare_line(self, event: Event, number: dict[str, Any], fault: str) -> bytes:
        what = f"{event.event.action} {event.event.code or event.event.outcome}"
        message = f"{what}; this record is incomplete, a processor of the log failed: {fault}"
        facts = {"event": event, "message": message, "service": self._service, **number}
        record = unfold(None, "info", facts)
        record["doorlog"]["fault"] = fault
        return render(None, "info", record)


def _gap() -> Event:
    return AuditEvent(
        timestamp=datetime.now(UTC),
        event=EventPart(
            category=("process",),
            type=("error",),
            action=Action.AUDIT_GAP,
            outcome=Outcome.FAILURE,
            reason="something that is no event was given to the log",
        ),
        doorlog=DoorlogPart(),
    )
