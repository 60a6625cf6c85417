"""An event through the processors to a line of the chain; whatever they do, each event leaves exactly one line."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from doorlog.events.codes import Action, Outcome
from doorlog.events.parts import DoorlogPart, EventPart
from doorlog.events.records import AuditEvent, Event
from doorlog.log import chain
from doorlog.log.processors import render, unfold

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from structlog.typing import Processor

    from doorlog.events.parts import ServicePart
    from doorlog.log.faults import Faults


_DOORLOG: Final = b',"doorlog":{"'
"""How the last object of a record begins; no text can hold it, since its quotes would be escaped."""


class Pipeline:
    """Numbers events, makes them lines and chains these. For one thread.

    Args:
        processors: from the typed event to bytes, see ``processors``.
        service: which broker, for every record.
        faults: where failing processors are counted, under ``processors``.
        sequence: of the last line of a log that goes on here; 0 for none.
        previous: the hash of that line.
    """

    def __init__(
        self,
        processors: Sequence[Processor],
        service: ServicePart,
        faults: Faults,
        *,
        sequence: int = 0,
        previous: bytes = chain.NOTHING_BEFORE,
    ) -> None:
        self._service = service.model_dump()
        self._processors = tuple(processors)
        self._faults = faults
        self._run = secrets.token_hex(6)
        self.sequence = sequence
        """Of the last line, from 1; 0 before the first."""
        self.previous = previous
        """The hash of the last line."""

    def line(self, event: Event) -> bytes:
        r"""Return the event as one line that ends in ``\n`` and holds the hash of the line before; never raises.

        When a processor fails, ``structlog.DropEvent`` included (a filter has no say in what is recorded), the
        line holds all that the event says, and what failed in ``doorlog.fault``.
        """
        line = self._chained(event)
        self.previous = chain.line_hash(line)
        return line

    def checkpoint_line(self, event: Event, key: Ed25519PrivateKey | None) -> bytes:
        """Return the event as ``line`` does, signed if there is a key; the next line holds the hash of all of it."""
        line = self._chained(event)
        if key is not None:
            line = chain.signed(line, key)
        self.previous = chain.line_hash(line)
        return line

    def _chained(self, event: Event) -> bytes:
        self.sequence += 1
        number = {"sequence": self.sequence, "id": f"{self._run}-{self.sequence}"}
        try:
            line = self._through_processors(event, number)
        except BaseException as error:  # noqa: BLE001 - DropEvent is one; nothing a plug-in raises may end the thread
            self._faults.add("processors", error, lost=0)
            line = self._without_processors(event, number, self._faults.describe(error))
        return chain.chained(line, self.previous)

    def _through_processors(self, event: Event, number: dict[str, Any]) -> bytes:
        facts: Any = {"event": event, "service": self._service, **number}
        for processor in self._processors:
            facts = processor(None, "info", facts)
        if not isinstance(facts, bytes) or facts.find(b"\n") != len(facts) - 1:
            raise ValueError("the last processor gave something else than one line of bytes")
        if not facts.endswith(b"}}\n") or facts.rfind(_DOORLOG) < 0:
            raise ValueError("the last processor gave a record that does not end with its doorlog object")
        return facts

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
