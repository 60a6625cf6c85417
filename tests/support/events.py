"""One sample event of every kind, full-size, for tests of what stands behind the door."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from doorlog.events.audit_parts import AuditPart, CheckpointPart, FloodPart, GapPart
from doorlog.events.codes import Action, Code, DisconnectCause, GapCause, Outcome, Stage
from doorlog.events.parts import (
    AlertPart,
    AuthPart,
    CandidatePart,
    ConnackPart,
    DestinationPart,
    DeviceEvidencePart,
    DevicePart,
    DoorlogPart,
    EventPart,
    FindingPart,
    HashPart,
    InstancePart,
    MqttPart,
    NamePart,
    ServicePart,
    SourcePart,
    TlsClientPart,
    TlsPart,
    TlsServerPart,
    UserPart,
    VerdictPart,
    X509Part,
)
from doorlog.events.records import (
    AuditEvent,
    AuthorizeEvent,
    CertificateEvent,
    ConnectEvent,
    DisconnectEvent,
    Event,
    FloodEvent,
)

EventT = TypeVar("EventT", bound=Event)

SERVICE: Final = ServicePart(name="doorlog", version="0.0.0", instance=InstancePart(id="test"))
WHEN: Final = datetime(2026, 3, 1, 15, 2, 11, 250_000, tzinfo=UTC)


def _event_part(action: Action, outcome: Outcome, code: str | None = None, **fields: Any) -> EventPart:
    return EventPart(category=("network",), type=("connection",), action=action, outcome=outcome, code=code, **fields)


def failed_connect(**changes: Any) -> ConnectEvent:
    """Return a full-size failure: a device refused our certificate with unknown_ca. `changes` replace top fields."""
    return _with(
        changes,
        ConnectEvent(
            timestamp=WHEN,
            event=_event_part(
                Action.CONNECT,
                Outcome.FAILURE,
                Code.SERVER_CERTIFICATE_UNKNOWN_CA,
                reason="the device does not trust the issuer of our certificate",
                duration=12_345_678,
            ),
            source=SourcePart(ip="10.0.0.9", port=51234, bytes=524),
            destination=DestinationPart(port=8883, bytes=3072),
            tls=_refused_tls(),
            device=DevicePart(id="pump-17"),
            doorlog=DoorlogPart(
                stage=Stage.HANDSHAKE,
                listener="tls",
                connection_id="0123456789abcdef",
                device=DeviceEvidencePart(
                    method="address",
                    confidence="likely",
                    evidence=("same address", "same JA4"),
                    candidates=(CandidatePart(id="pump-17", score=0.9), CandidatePart(id="pump-18", score=0.1)),
                ),
            ),
        ),
    )


def admitted_connect(**changes: Any) -> ConnectEvent:
    """Return an admitted device, with its CONNECT and the verdict on its password."""
    return _with(
        changes,
        ConnectEvent(
            timestamp=WHEN,
            event=_event_part(Action.CONNECT, Outcome.SUCCESS, Code.ADMITTED, duration=3_000_000),
            source=SourcePart(ip="10.0.0.9", port=51235, bytes=900),
            destination=DestinationPart(port=8883, bytes=3100),
            tls=TlsPart(established=True, version="1.3", version_protocol="tls", cipher="TLS_AES_256_GCM_SHA384"),
            mqtt=MqttPart(
                client_id="pump-17",
                protocol_version="3.1.1",
                keep_alive=60,
                clean_session=True,
                connack=ConnackPart(code=0, name="accepted"),
            ),
            user=UserPart(name="pump-17"),
            device=DevicePart(id="pump-17"),
            doorlog=DoorlogPart(
                stage=Stage.SESSION,
                listener="tls",
                auth=AuthPart(
                    method="password",
                    verdicts=(VerdictPart(plugin="FileAuthPlugin", verdict="allow", duration=900_000),),
                ),
                device=DeviceEvidencePart(method="client_id", confidence="certain"),
            ),
        ),
    )


def refused_password(**changes: Any) -> ConnectEvent:
    """Return a device with a wrong password."""
    event = admitted_connect(event=_event_part(Action.CONNECT, Outcome.FAILURE, Code.BAD_PASSWORD))
    return _with(changes, event)


def ended_session(**changes: Any) -> DisconnectEvent:
    """Return the end of a session by silence."""
    return _with(
        changes,
        DisconnectEvent(
            timestamp=WHEN,
            event=_event_part(Action.DISCONNECT, Outcome.FAILURE, DisconnectCause.KEEP_ALIVE_TIMEOUT),
            source=SourcePart(ip="10.0.0.9", port=51235, bytes=9000),
            destination=DestinationPart(port=8883, bytes=3500),
            mqtt=MqttPart(client_id="pump-17"),
            doorlog=DoorlogPart(listener="tls"),
        ),
    )


def refused_publish(**changes: Any) -> AuthorizeEvent:
    """Return a publish that the access list refused."""
    return _with(
        changes,
        AuthorizeEvent(
            timestamp=WHEN,
            event=_event_part(Action.AUTHORIZE, Outcome.FAILURE),
            source=SourcePart(ip="10.0.0.9", port=51235),
            destination=DestinationPart(port=8883),
            mqtt=MqttPart(client_id="pump-17", topic="secret/1"),
            doorlog=DoorlogPart(listener="tls", authorize="publish"),
        ),
    )


def served_certificate(**changes: Any) -> CertificateEvent:
    """Return a chain that is served from now on, with a finding."""
    finding = FindingPart(severity="warning", code="expires_soon", sentence="it expires in 5 days")
    return _with(
        changes,
        CertificateEvent(
            timestamp=WHEN,
            event=_event_part(Action.CERTIFICATE_SERVED, Outcome.SUCCESS),
            tls=TlsPart(established=False, server=_served()),
            doorlog=DoorlogPart(listener="tls", findings=(finding,)),
        ),
    )


def stopped_audit(**changes: Any) -> AuditEvent:
    """Return the log's last word: the promise in numbers."""
    return _with(
        changes,
        AuditEvent(
            timestamp=WHEN,
            event=_event_part(Action.AUDIT_STOPPED, Outcome.SUCCESS),
            doorlog=DoorlogPart(audit=AuditPart(accepted=20_000, connects=20_000)),
        ),
    )


def lost_records(**changes: Any) -> AuditEvent:
    """Return a gap: the log could not be written for a while."""
    gap = GapPart(
        first_sequence=101,
        last_sequence=142,
        records=42,
        connects=40,
        began=WHEN - timedelta(seconds=90),
        ended=WHEN,
    )
    return _with(
        changes,
        AuditEvent(
            timestamp=WHEN,
            event=_event_part(Action.AUDIT_GAP, Outcome.FAILURE, GapCause.WRITE_FAILED),
            doorlog=DoorlogPart(audit=AuditPart(accepted=150, connects=110, lost=40), gap=gap),
        ),
    )


def checkpoint(**changes: Any) -> AuditEvent:
    """Return a record that vouches for those before it."""
    return _with(
        changes,
        AuditEvent(
            timestamp=WHEN,
            event=_event_part(Action.AUDIT_CHECKPOINT, Outcome.SUCCESS),
            doorlog=DoorlogPart(
                audit=AuditPart(accepted=10_000, connects=9_000, folded=1_000),
                checkpoint=CheckpointPart(records=9_000, key_id="0123456789abcdef"),
            ),
        ),
    )


def folded_passwords(**changes: Any) -> FloodEvent:
    """Return the rest of a storm of wrong passwords."""
    flood = FloodPart(
        action="connect", count=4_711, first=WHEN - timedelta(seconds=55), last=WHEN - timedelta(seconds=1), ports=4_000
    )
    return _with(
        changes,
        FloodEvent(
            timestamp=WHEN,
            event=_event_part(Action.FLOOD, Outcome.FAILURE, Code.BAD_PASSWORD),
            source=SourcePart(ip="10.0.0.9"),
            destination=DestinationPart(port=8883),
            mqtt=MqttPart(client_id="pump-17"),
            doorlog=DoorlogPart(listener="tls", flood=flood),
        ),
    )


def one_of_each() -> tuple[Event, ...]:
    """Return an event of every kind."""
    return (
        failed_connect(),
        admitted_connect(),
        refused_password(),
        ended_session(),
        refused_publish(),
        served_certificate(),
        stopped_audit(),
        lost_records(),
        checkpoint(),
        folded_passwords(),
    )


def _with(changes: dict[str, Any], event: EventT) -> EventT:
    return event.model_copy(update=changes)


def _refused_tls() -> TlsPart:
    return TlsPart(
        established=False,
        version="1.3",
        version_protocol="tls",
        cipher="TLS_AES_256_GCM_SHA384",
        resumed=False,
        alert=AlertPart(code=48, description="unknown_ca", direction="received"),
        client=TlsClientPart(
            server_name="mqtt.example.org",
            supported_ciphers=tuple(f"TLS_ECDHE_RSA_WITH_CIPHER_{number:02}" for number in range(31)),
            supported_versions=("1.3", "1.2"),
            ja4="t13d311000_e8f1e7e78f70_1f22a2ca17c4",
        ),
        server=_served(),
    )


def _served() -> TlsServerPart:
    x509 = X509Part(
        subject=NamePart(distinguished_name="CN=mqtt.example.org", common_name=("mqtt.example.org",)),
        issuer=NamePart(distinguished_name="CN=Example CA 2", common_name=("Example CA 2",)),
        serial_number="3FA2B4C5D6E7F809",
        alternative_names=("mqtt.example.org", "10.0.0.1"),
        not_before=datetime(2026, 1, 1, tzinfo=UTC),
        not_after=datetime(2027, 1, 1, tzinfo=UTC),
    )
    return TlsServerPart(x509=x509, hash=HashPart(sha256="AB" * 32), generation=3)
