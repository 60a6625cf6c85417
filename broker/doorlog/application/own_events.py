"""What the broker itself has to record at its start and its end: the log's numbers, and what it serves."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from doorlog.certificates.chain import inspect_chain
from doorlog.events.audit_parts import AuditPart
from doorlog.events.codes import Action, Outcome
from doorlog.events.parts import DestinationPart, DoorlogPart, EventPart, FindingPart, TlsPart
from doorlog.events.records import AuditEvent, CertificateEvent

if TYPE_CHECKING:
    from doorlog.certificates.chain import ChainReport
    from doorlog.door.door import Door
    from doorlog.door.tls_context import ServedChain
    from doorlog.settings.models import DoorSettings, ListenerSettings


def audit_event(action: Action, door: Door) -> AuditEvent:
    """The log's word about itself: sockets accepted and attempts recorded so far."""
    return AuditEvent(
        timestamp=datetime.now(UTC),
        event=EventPart(
            category=("process",),
            type=("start",) if action is Action.AUDIT_STARTED else ("end",),
            action=action,
            outcome=Outcome.SUCCESS,
        ),
        doorlog=DoorlogPart(audit=AuditPart(accepted=door.accepted, connects=door.connects)),
    )


def certificate_events(settings: DoorSettings, chains: dict[str, ServedChain], door: Door) -> list[CertificateEvent]:
    """What each TLS listener serves from now on, with what a self-check finds wrong with it."""
    return [
        _certificate_event(name, settings.listeners[name], chain, door.listeners[name].port)
        for name, chain in chains.items()
    ]


def _certificate_event(name: str, listener: ListenerSettings, chain: ServedChain, port: int) -> CertificateEvent:
    assert listener.tls is not None  # noqa: S101 - it has a chain
    now = datetime.now(UTC)
    report = inspect_chain(listener.tls.certfile, listener.tls.keyfile, now=now)
    findings = _findings(report)
    return CertificateEvent(
        timestamp=now,
        event=EventPart(
            category=("configuration",),
            type=("info",),
            action=Action.CERTIFICATE_SERVED,
            outcome=Outcome.FAILURE if any(f.severity != "info" for f in findings) else Outcome.SUCCESS,
        ),
        destination=DestinationPart(port=port),
        tls=TlsPart(established=False, server=chain.part),
        doorlog=DoorlogPart(listener=name, findings=findings or None),
    )


def _findings(report: ChainReport) -> tuple[FindingPart, ...]:
    return tuple(
        FindingPart(severity=finding.severity, code=finding.code, sentence=finding.sentence)
        for finding in report.findings
    )
