"""From an attempt to the event that records it."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from doorlog.certificates.facts import CertificateFacts, certificate_facts
from doorlog.door.attempt import Attempt
from doorlog.door.authority import Judgement
from doorlog.door.client_hello import GREASE
from doorlog.door.connect_packet import CONNACK_NAMES
from doorlog.door.tls_context import x509_part
from doorlog.door.tls_engine import TlsEngine
from doorlog.door.tls_names import alert_name, cipher_suite_name, version_name
from doorlog.errors import CertificateError
from doorlog.events.codes import STAGE_OF, Action, Code, DisconnectCause, Outcome
from doorlog.events.parts import (
    AlertPart,
    AuthPart,
    ConnackPart,
    DestinationPart,
    DoorlogPart,
    EventPart,
    HashPart,
    MqttPart,
    ProxyPart,
    SourcePart,
    TlsClientPart,
    TlsPart,
    UserPart,
)
from doorlog.events.records import AuthorizeEvent, ConnectEvent, DisconnectEvent
from doorlog.text import safe_text

if TYPE_CHECKING:
    from doorlog.door.connection import DoorConnection
    from doorlog.door.listener import Listener

_ALERTS_OF_VERIFICATION = {9: 42, 10: 45, 23: 44, 26: 43} | dict.fromkeys((2, 18, 19, 20, 21, 22, 24), 48)
_CERTIFICATE_UNKNOWN = 46
_MISSING_CERTIFICATE = {0x0304: 116}  # certificate_required (RFC 8446, 6.2); handshake_failure before
_CLIENT_ID_MAX, _USER_NAME_MAX, _TOPIC_MAX = 256, 256, 1024


def connect_event(
    attempt: Attempt,
    connection_id: str,
    listener: Listener,
    duration: int,
    now: datetime,
    judgement: Judgement | None = None,
) -> ConnectEvent:
    """Build the one ``connect`` event of an attempt that is decided.

    Args:
        attempt: The attempt; its code is set.
        connection_id: The id of the connection.
        listener: Where it came in.
        duration: Nanoseconds from accept to verdict.
        now: The time of the verdict, UTC.
        judgement: What the authority said, if it was asked.
    """
    code = attempt.code or Code.INTERNAL_ERROR
    admitted = code is Code.ADMITTED
    return ConnectEvent(
        timestamp=now,
        event=EventPart(
            category=("network", "authentication") if judgement else ("network",),
            type=("connection", "allowed" if admitted else "denied"),
            action=Action.CONNECT,
            outcome=Outcome.SUCCESS if admitted else Outcome.FAILURE,
            code=code,
            reason=attempt.reason,
            duration=duration,
        ),
        source=SourcePart(ip=attempt.source[0], port=attempt.source[1], bytes=attempt.bytes_received),
        destination=DestinationPart(port=listener.port, bytes=attempt.bytes_sent + len(attempt.output)),
        tls=tls_part(attempt.tls) if attempt.tls is not None else None,
        mqtt=_mqtt_part(attempt, admitted=admitted),
        user=_user_part(attempt),
        doorlog=DoorlogPart(
            stage=STAGE_OF.get(code, attempt.phase),
            listener=listener.rules.name,
            connection_id=connection_id,
            proxy=ProxyPart(ip=attempt.proxy[0], port=attempt.proxy[1]) if attempt.proxy else None,
            auth=AuthPart(method=judgement.method, verdicts=judgement.verdicts) if judgement else None,
        ),
    )


class SessionReport:
    """What the ``disconnect`` event of an admitted connection needs; small, since it is kept for the session's life.

    Args:
        attempt: The attempt that was admitted.
        connection_id: The id of the connection.
        listener: Where it came in.
        began: The monotonic time of the verdict in nanoseconds.
    """

    __slots__ = ("_began", "_connection_id", "_listener", "_proxy", "_tls", "_user")

    def __init__(self, attempt: Attempt, connection_id: str, listener: Listener, began: int) -> None:
        self._connection_id = connection_id
        self._listener = listener
        self._began = began
        self._proxy = ProxyPart(ip=attempt.proxy[0], port=attempt.proxy[1]) if attempt.proxy else None
        self._user = _user_part(attempt)
        tls = attempt.tls
        self._tls = (tls.established, version_name(tls.version), tls.cipher) if tls and tls.version else None

    def disconnect_event(self, connection: DoorConnection, now: datetime, ended: int) -> DisconnectEvent:
        """Build the event.

        Args:
            connection: The connection, which has ended.
            now: The time of the end, UTC.
            ended: The monotonic time of the end in nanoseconds.
        """
        cause = connection.cause or DisconnectCause.CLOSED_BY_BROKER
        return DisconnectEvent(
            timestamp=now,
            event=EventPart(
                category=("network", "session"),
                type=("connection", "end"),
                action=Action.DISCONNECT,
                outcome=Outcome.SUCCESS if cause is DisconnectCause.NORMAL else Outcome.UNKNOWN,
                code=cause,
                duration=ended - self._began,
            ),
            source=SourcePart(ip=connection.source[0], port=connection.source[1], bytes=connection.bytes_received),
            destination=DestinationPart(port=self._listener.port, bytes=connection.bytes_sent),
            tls=self._tls_part(),
            mqtt=MqttPart(
                client_id=safe_text(connection.connect.client_id, _CLIENT_ID_MAX) or None,
                keep_alive=connection.connect.keep_alive,
            ),
            user=self._user,
            doorlog=DoorlogPart(
                stage=STAGE_OF[Code.ADMITTED],
                listener=self._listener.rules.name,
                connection_id=self._connection_id,
                proxy=self._proxy,
            ),
        )

    def _tls_part(self) -> TlsPart | None:
        if self._tls is None:
            return None
        established, version, cipher = self._tls
        return TlsPart(established=established, version=version, version_protocol="tls", cipher=cipher)


def authorize_event(connection: DoorConnection, topic: str, what: str, now: datetime) -> AuthorizeEvent:
    """Build the event of a topic that a device was refused.

    Args:
        connection: The device's connection.
        topic: The topic name or filter.
        what: ``subscribe``, ``publish`` or ``will``.
        now: UTC.
    """
    connect = connection.connect
    return AuthorizeEvent(
        timestamp=now,
        event=EventPart(
            category=("authentication", "iam"),
            type=("access", "denied"),
            action=Action.AUTHORIZE,
            outcome=Outcome.FAILURE,
            code=f"{what}_refused",
        ),
        source=SourcePart(ip=connection.source[0], port=connection.source[1]),
        destination=DestinationPart(port=connection.destination_port),
        mqtt=MqttPart(
            client_id=safe_text(connect.client_id, _CLIENT_ID_MAX) or None, topic=safe_text(topic, _TOPIC_MAX)
        ),
        user=UserPart(name=safe_text(connect.user_name, _USER_NAME_MAX)) if connect.user_name else None,
        doorlog=DoorlogPart(
            stage=STAGE_OF[Code.ADMITTED],
            listener=connection.listener,
            connection_id=connection.connection_id,
            authorize=what,
        ),
    )


def tls_part(tls: TlsEngine) -> TlsPart:
    """Shape the evidence of a TLS connection as ECS ``tls``."""
    version = tls.version
    return TlsPart(
        established=tls.established,
        version=version_name(version) if version else None,
        version_protocol="tls" if version else None,
        cipher=tls.cipher,
        resumed=tls.resumed if version else None,
        next_protocol=tls.ssl_object.selected_alpn_protocol() if tls.ssl_object and tls.established else None,
        alert=_alert_part(tls),
        client=_client_part(tls),
        server=tls.chain.part if tls.chain else None,
    )


def _alert_part(tls: TlsEngine) -> AlertPart | None:
    received = tls.received_alert
    if received is not None:
        return AlertPart(code=received, description=alert_name(received), direction="received")
    sent = tls.sent_alert if tls.sent_alert is not None else _alert_we_must_have_sent(tls)
    return AlertPart(code=sent, description=alert_name(sent), direction="sent") if sent is not None else None


def _alert_we_must_have_sent(tls: TlsEngine) -> int | None:
    # TLS 1.3 encrypts our alert; OpenSSL derives it from the verification result, and so do we.
    error = tls.error
    if error is None:
        return None
    verify_code = getattr(error, "verify_code", 0)
    if verify_code:
        return _ALERTS_OF_VERIFICATION.get(verify_code, _CERTIFICATE_UNKNOWN)
    if error.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return _MISSING_CERTIFICATE.get(tls.version or 0, 40)
    return None


def _client_part(tls: TlsEngine) -> TlsClientPart | None:
    hello, certificate = tls.hello, _presented(tls)
    if hello is None and certificate is None:
        return None
    offered = _offered(hello.server_name, hello.cipher_suites, hello.versions, hello.alpn, tls.ja4) if hello else None
    if certificate is None:
        return offered
    shown = {"x509": x509_part(certificate), "hash": HashPart(sha256=certificate.sha256)}
    return (offered or TlsClientPart()).model_copy(update=shown)


@lru_cache(maxsize=1024)
def _offered(
    server_name: str | None,
    cipher_suites: tuple[int, ...],
    versions: tuple[int, ...],
    alpn: tuple[bytes, ...],
    ja4: str | None,
) -> TlsClientPart:
    """Shape what a ClientHello offers; devices of one build all offer the same."""
    return TlsClientPart(
        server_name=server_name,
        supported_ciphers=tuple(cipher_suite_name(suite) for suite in cipher_suites if suite not in GREASE),
        supported_versions=tuple(version_name(version) for version in versions if version not in GREASE),
        alpn=tuple(safe_text(name.decode("latin-1"), 255) for name in alpn) or None,
        ja4=ja4,
    )


def _presented(tls: TlsEngine) -> CertificateFacts | None:
    if tls.chain is None or not tls.chain.asks_for_certificate:
        return None
    presented = tls.presented_certificates
    try:
        return certificate_facts(presented[0]) if presented else None
    except CertificateError:
        return None  # so broken that it names nobody


def _mqtt_part(attempt: Attempt, *, admitted: bool) -> MqttPart | None:
    facts = attempt.connect or attempt.connect_facts
    if facts is None:
        return None
    code = 0 if admitted else attempt.connack
    return MqttPart(
        client_id=safe_text(facts.client_id, _CLIENT_ID_MAX) if facts.client_id else None,
        protocol_version=_protocol_version(facts.protocol_level),
        keep_alive=facts.keep_alive,
        clean_session=facts.clean_session,
        connack=ConnackPart(code=code, name=CONNACK_NAMES[code]) if code is not None else None,
        topic=_refused_topic(attempt),
    )


def _refused_topic(attempt: Attempt) -> str | None:
    if attempt.code is not Code.WILL_NOT_AUTHORIZED or attempt.connect is None or attempt.connect.will is None:
        return None
    return safe_text(attempt.connect.will.topic, _TOPIC_MAX)


def _user_part(attempt: Attempt) -> UserPart | None:
    facts = attempt.connect or attempt.connect_facts
    return UserPart(name=safe_text(facts.user_name, _USER_NAME_MAX)) if facts and facts.user_name else None


def _protocol_version(level: int | None) -> str | None:
    if level is None:
        return None
    return {3: "3.1", 4: "3.1.1", 5: "5.0"}.get(level, str(level))
