"""The nested objects of a record, named after the Elastic Common Schema wherever it has a name.

Our own fields are those under ``doorlog``, ``mqtt``, ``tls.alert``, ``tls.client.supported_versions``,
``tls.client.alpn``, ``tls.client.ja4`` and ``tls.server.generation``.
No field can hold a password or a token: there is none to put it in.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from doorlog.events.audit_parts import AuditPart, CheckpointPart, FloodPart, GapPart
from doorlog.events.base import Count, Part, Port, Text
from doorlog.events.codes import Action, Outcome, Stage
from doorlog.events.device_parts import UNKNOWN_DEVICE, CandidatePart, ConfirmedPart, DeviceEvidencePart, DevicePart

__all__ = [
    "UNKNOWN_DEVICE",
    "AlertPart",
    "AuditPart",
    "AuthPart",
    "CandidatePart",
    "CheckpointPart",
    "ConfirmedPart",
    "ConnackPart",
    "Count",
    "DestinationPart",
    "DeviceEvidencePart",
    "DevicePart",
    "DoorlogPart",
    "EventPart",
    "FindingPart",
    "FloodPart",
    "GapPart",
    "HashPart",
    "InstancePart",
    "MqttPart",
    "NamePart",
    "Part",
    "Port",
    "ProxyPart",
    "ServicePart",
    "SourcePart",
    "Text",
    "TlsClientPart",
    "TlsPart",
    "TlsServerPart",
    "UserPart",
    "VerdictPart",
    "X509Part",
]


class EventPart(Part):
    """ECS ``event.*``."""

    kind: Literal["event"] = "event"
    category: tuple[Literal["network", "authentication", "session", "iam", "configuration", "process"], ...]
    type: tuple[Literal["connection", "start", "end", "allowed", "denied", "error", "info", "access"], ...]
    action: Action
    outcome: Outcome
    code: str | None = None
    """Why, from the closed list for the action."""
    reason: str | None = None
    """The cause in one plain sentence."""
    sequence: Count | None = None
    """Counts the records of one instance without a gap, from 1; set by the log."""
    id: str | None = None
    """Unique for each record; set by the log."""
    duration: Count | None = None
    """Nanoseconds from accept to verdict (connect) or from verdict to the end (disconnect)."""


class SourcePart(Part):
    """ECS ``source.*``: the device's side."""

    ip: str | None = None
    address: str | None = None
    """What stands for the address where ``log.privacy`` hides it; or the network of several (``flood``)."""
    port: Port | None = None
    bytes: Count | None = None
    """Bytes received from the device, TLS and framing included."""


class DestinationPart(Part):
    """ECS ``destination.*``: our side."""

    port: Port | None = None
    bytes: Count | None = None
    """Bytes sent to the device, TLS and framing included."""


class InstancePart(Part):
    """ECS ``service.instance``: which broker process."""

    id: str


class ServicePart(Part):
    """ECS ``service.*``."""

    name: str
    version: str
    instance: InstancePart


class NamePart(Part):
    """ECS ``x509.subject`` and ``x509.issuer``."""

    distinguished_name: Text | None = None
    common_name: tuple[Text, ...] | None = None
    organization: tuple[Text, ...] | None = None


class X509Part(Part):
    """ECS ``x509.*``."""

    subject: NamePart
    issuer: NamePart
    serial_number: str
    """Upper-case hexadecimal without leading zeros."""
    alternative_names: tuple[Text, ...] | None = None
    not_before: datetime
    not_after: datetime
    public_key_algorithm: str | None = None
    signature_algorithm: str | None = None


class HashPart(Part):
    """ECS ``tls.*.hash``."""

    sha256: str
    """Of the certificate in DER, upper-case hexadecimal."""


class TlsClientPart(Part):
    """ECS ``tls.client.*``: what the device offered and showed."""

    server_name: Text | None = None
    supported_ciphers: tuple[str, ...] | None = None
    supported_versions: tuple[str, ...] | None = None
    alpn: tuple[Text, ...] | None = None
    ja4: str | None = None
    tickets: tuple[str, ...] | None = None
    """Which TLS sessions it offered to resume: digests, to be compared with ``tls.ticket`` of earlier records."""
    x509: X509Part | None = None
    hash: HashPart | None = None


class TlsServerPart(Part):
    """ECS ``tls.server.*``: the certificate that we served."""

    x509: X509Part | None = None
    hash: HashPart | None = None
    generation: Count | None = None
    """Which served chain, numbered from 1."""
    supported_versions: tuple[str, ...] | None = None
    """The protocol versions that the listener allows, beside those that the device offers."""


class AlertPart(Part):
    """The TLS alert that ended the handshake (RFC 8446, 6)."""

    code: Annotated[int, Field(ge=0, le=255)]
    description: str
    direction: Literal["received", "sent"]
    """``received``: the device refused us. ``sent``: we refused the device."""


class TlsPart(Part):
    """ECS ``tls.*``."""

    established: bool
    version: str | None = None
    version_protocol: Literal["tls", "ssl"] | None = None
    cipher: str | None = None
    resumed: bool | None = None
    next_protocol: str | None = None
    ticket: str | None = None
    """Digest of what the device was given to resume this session with: 16 hexadecimal digits."""
    handshake_duration: Annotated[int, Field(ge=0)] | None = None
    """Nanoseconds from the complete ClientHello to the end of a handshake that was completed."""
    alert: AlertPart | None = None
    client: TlsClientPart | None = None
    server: TlsServerPart | None = None


class ConnackPart(Part):
    """The CONNACK that was sent (MQTT 3.1.1, 3.2.2.3)."""

    code: Annotated[int, Field(ge=0, le=255)]
    name: str


class MqttPart(Part):
    """``mqtt.*``: what CONNECT said, and the answer."""

    client_id: Text | None = None
    protocol_version: str | None = None
    keep_alive: Annotated[int, Field(ge=0, le=65535)] | None = None
    """Seconds; 0 is no keep-alive."""
    clean_session: bool | None = None
    connack: ConnackPart | None = None
    topic: Text | None = None
    """The topic or filter that was refused (``authorize`` only)."""


class UserPart(Part):
    """ECS ``user.*``."""

    name: Text


class ProxyPart(Part):
    """The load balancer in front, when the PROXY protocol named the device's address."""

    ip: str
    port: Port
    server_name: Text | None = None
    """The host name that the device asked the load balancer for (PROXY 2.2.2, authority)."""
    tls_version: Text | None = None
    """The TLS version between the device and the load balancer."""
    client_name: Text | None = None
    """The common name of the certificate that the device showed to the load balancer."""
    client_verified: bool | None = None
    """Whether the load balancer verified that certificate."""


class VerdictPart(Part):
    """What one authentication plugin said."""

    plugin: str
    verdict: Literal["allow", "deny", "abstain", "error", "timeout"]
    duration: Count
    """Nanoseconds."""


class AuthPart(Part):
    """How credentials were judged."""

    method: str | None = None
    verdicts: tuple[VerdictPart, ...] = ()


class FindingPart(Part):
    """One thing that is wrong with what we serve, with its remedy."""

    severity: Literal["error", "warning", "info"]
    code: str
    sentence: str


class DoorlogPart(Part):
    """``doorlog.*``: what ECS has no name for."""

    schema_version: Literal[1] = 1
    stage: Stage | None = None
    listener: str | None = None
    connection_id: str | None = None
    proxy: ProxyPart | None = None
    auth: AuthPart | None = None
    device: DeviceEvidencePart | None = None
    authorize: Literal["subscribe", "publish", "will"] | None = None
    """What the device was refused to do (``authorize`` only)."""
    findings: tuple[FindingPart, ...] | None = None
    """What the self-check of a served chain found (``certificate_served`` only)."""
    audit: AuditPart | None = None
    gap: GapPart | None = None
    checkpoint: CheckpointPart | None = None
    flood: FloodPart | None = None
    confirmed: ConfirmedPart | None = None
    fault: Text | None = None
    """What kept the log from writing this record whole; set by the log."""
    previous_sha256: str | None = None
    """The SHA-256 of the whole line before, without its line feed, in lower-case hexadecimal: the chain. Zeros for
    the first record of all. Set by the log, always the last field of the line but for ``signature``."""
    signature: str | None = None
    """Ed25519 (RFC 8032) over the line without this field and its line feed, base64 (``audit_checkpoint`` only)."""
