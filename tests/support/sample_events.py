"""Events as the door builds them, with the facts of one fictitious broker and one fictitious pump."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

from doorlog.events.codes import STAGE_OF, Action, Code, DisconnectCause, Outcome
from doorlog.events.parts import (
    AlertPart,
    AuthPart,
    DestinationPart,
    DeviceEvidencePart,
    DevicePart,
    DoorlogPart,
    EventPart,
    MqttPart,
    NamePart,
    SourcePart,
    TlsClientPart,
    TlsPart,
    TlsServerPart,
    UserPart,
    VerdictPart,
    X509Part,
)
from doorlog.events.records import AuthorizeEvent, ConnectEvent, DisconnectEvent

NOW = datetime(2026, 5, 10, 3, 14, 15, tzinfo=UTC)
EXPIRED = datetime(2026, 5, 1, tzinfo=UTC)
VALID = datetime(2027, 1, 31, tzinfo=UTC)
BEGUN = datetime(2025, 5, 1, tzinfo=UTC)


def certificate(subject: str | None, issuer: str, **changes: Any) -> X509Part:
    """A certificate, valid at ``NOW`` unless changed."""
    facts: dict[str, Any] = {
        "subject": NamePart(common_name=(subject,) if subject else None),
        "issuer": NamePart(common_name=(issuer,)),
        "serial_number": "A12",
        "not_before": BEGUN,
        "not_after": VALID,
        "public_key_algorithm": "ECDSA",
    }
    return X509Part(**{**facts, **changes})


OURS = certificate("mqtt.example.com", "Example CA 2", alternative_names=("mqtt.example.com", "*.iot.example.com"))


def _alert(code: int, description: str, direction: str) -> AlertPart:
    return AlertPart.model_validate({"code": code, "description": description, "direction": direction})


def tls(
    version: str | None = "1.3",
    alert: tuple[int, str, str] | None = None,
    *,
    established: bool = False,
    ours: X509Part | None = OURS,
    theirs: X509Part | None = None,
    server: dict[str, Any] | None = None,
    **offered: Any,
) -> TlsPart:
    """The TLS side of an event."""
    return TlsPart(
        established=established,
        version=version,
        alert=_alert(*alert) if alert else None,
        client=TlsClientPart(x509=theirs, **offered),
        server=TlsServerPart(x509=ours, generation=3, **(server or {})),
    )


def device(confidence: str, name: str = "pump-17") -> dict[str, Any]:
    """What identity adds: pass it on as ``**device("likely")``."""
    return {"device": DevicePart(id=name), "evidence": DeviceEvidencePart.model_validate({"confidence": confidence})}


def _fields(
    action: Action,
    code: str | None,
    *,
    reason: str | None = None,
    duration: int | None = None,
    ip: str | None = "10.0.0.9",
    received: int | None = None,
    port: int | None = 8883,
    client_id: str | None = None,
    user: str | None = None,
    evidence: DeviceEvidencePart | None = None,
    verdicts: tuple[VerdictPart, ...] = (),
    listener: str | None = "tls",
    mqtt: dict[str, Any] | None = None,
    doorlog: dict[str, Any] | None = None,
    **others: Any,
) -> dict[str, Any]:
    return {
        "timestamp": NOW,
        "event": EventPart(
            category=("network",),
            type=("connection",),
            action=action,
            outcome=Outcome.FAILURE,
            code=code,
            reason=reason,
            duration=duration,
        ),
        "source": SourcePart(ip=ip, port=50000, bytes=received),
        "destination": DestinationPart(port=port),
        "mqtt": MqttPart(client_id=client_id, **(mqtt or {})) if client_id is not None or mqtt else None,
        "user": UserPart(name=user) if user is not None else None,
        "doorlog": DoorlogPart(
            stage=STAGE_OF.get(Code(code)) if action is Action.CONNECT and code in list(Code) else None,
            listener=listener,
            device=evidence,
            auth=AuthPart(verdicts=verdicts) if verdicts else None,
            **(doorlog or {}),
        ),
        **others,
    }


def attempt(code: str | None, **facts: Any) -> ConnectEvent:
    """A ``connect`` event."""
    return ConnectEvent(**_fields(Action.CONNECT, code, **facts))


def session_end(cause: DisconnectCause, **facts: Any) -> DisconnectEvent:
    """A ``disconnect`` event."""
    return DisconnectEvent(**_fields(Action.DISCONNECT, cause, **facts))


def refused_topic(what: Literal["subscribe", "publish", "will"], topic: str, **facts: Any) -> AuthorizeEvent:
    """An ``authorize`` event."""
    facts = {"doorlog": {"authorize": what}, "mqtt": {"topic": topic}, **facts}
    return AuthorizeEvent(**_fields(Action.AUTHORIZE, None, **facts))
