"""From an attempt to the event that records it."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import TYPE_CHECKING

from doorlog.door.attempt import Attempt
from doorlog.door.authority import Judgement
from doorlog.door.connect_packet import CONNACK_NAMES
from doorlog.door.tls_report import tls_part
from doorlog.events.codes import STAGE_OF, Action, Code, DisconnectCause, Outcome
from doorlog.events.parts import (
    UNKNOWN_DEVICE,
    AuthPart,
    ConnackPart,
    DestinationPart,
    DoorlogPart,
    EventPart,
    MqttPart,
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

_log = logging.getLogger(__name__)
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
            proxy=attempt.proxy,
            auth=AuthPart(method=judgement.method, verdicts=judgement.verdicts) if judgement else None,
            device=UNKNOWN_DEVICE,
        ),
    )


def safe_connect_event(
    attempt: Attempt,
    connection_id: str,
    listener: Listener,
    duration: int,
    now: datetime,
    judgement: Judgement | None = None,
) -> ConnectEvent:
    """Build the event like ``connect_event``, or a bare one if that fails: a record without its evidence beats none."""
    try:
        return connect_event(attempt, connection_id, listener, duration, now, judgement)
    except Exception:  # noqa: BLE001 - as above
        _log.exception("connection %s could not be recorded whole", connection_id)
        return bare_connect_event(attempt, connection_id, listener, duration, now)


def bare_connect_event(
    attempt: Attempt, connection_id: str, listener: Listener, duration: int, now: datetime
) -> ConnectEvent:
    """Build the event of an attempt whose evidence can not be shown: what happened, without the rest."""
    code = attempt.code or Code.INTERNAL_ERROR
    return ConnectEvent(
        timestamp=now,
        event=EventPart(
            category=("network",),
            type=("connection", "allowed" if code is Code.ADMITTED else "denied"),
            action=Action.CONNECT,
            outcome=Outcome.SUCCESS if code is Code.ADMITTED else Outcome.FAILURE,
            code=code,
            duration=duration,
        ),
        source=SourcePart(ip=attempt.source[0], port=attempt.source[1]),
        destination=DestinationPart(port=listener.port),
        doorlog=DoorlogPart(
            stage=STAGE_OF.get(code, attempt.phase),
            listener=listener.rules.name,
            connection_id=connection_id,
            device=UNKNOWN_DEVICE,
        ),
    )


class SessionReport:
    """What the ``disconnect`` event of an admitted connection needs; small, since it is kept for the session's life.

    Args:
        connect: The ``connect`` event of the connection.
        began: The monotonic time of the verdict in nanoseconds.
    """

    __slots__ = ("_began", "_destination_port", "_doorlog", "_mqtt", "_source", "_tls", "_user")

    def __init__(self, connect: ConnectEvent, began: int) -> None:
        self._began = began
        self._source = connect.source
        self._destination_port = connect.destination.port
        self._doorlog = connect.doorlog
        self._mqtt = connect.mqtt
        self._user = connect.user
        self._tls = connect.tls

    def disconnect_event(self, connection: DoorConnection, now: datetime, ended: int) -> DisconnectEvent:
        """Build the event.

        Args:
            connection: The connection, which has ended.
            now: The time of the end, UTC.
            ended: The monotonic time of the end in nanoseconds.
        """
        cause = connection.cause or DisconnectCause.CLOSED_BY_BROKER
        mqtt, doorlog = self._mqtt, self._doorlog
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
            source=SourcePart(ip=self._source.ip, port=self._source.port, bytes=connection.bytes_received),
            destination=DestinationPart(port=self._destination_port, bytes=connection.bytes_sent),
            tls=_tls_of_session(self._tls) if self._tls else None,
            mqtt=MqttPart(client_id=mqtt.client_id, keep_alive=mqtt.keep_alive) if mqtt else None,
            user=self._user,
            doorlog=DoorlogPart(
                stage=doorlog.stage,
                listener=doorlog.listener,
                connection_id=doorlog.connection_id,
                proxy=doorlog.proxy,
            ),
        )


def _tls_of_session(tls: TlsPart) -> TlsPart:
    # The device's certificate may be what names it; what its ClientHello offered stands in the connect record.
    shown = TlsClientPart(x509=tls.client.x509, hash=tls.client.hash) if tls.client and tls.client.x509 else None
    return TlsPart(
        established=tls.established,
        version=tls.version,
        version_protocol=tls.version_protocol,
        cipher=tls.cipher,
        client=shown,
    )


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
        tls=_tls_of_session(tls_part(connection.tls)) if connection.tls else None,
        mqtt=MqttPart(
            client_id=safe_text(connect.client_id, _CLIENT_ID_MAX) or None, topic=safe_text(topic, _TOPIC_MAX)
        ),
        user=UserPart(name=safe_text(connect.user_name, _USER_NAME_MAX)) if connect.user_name else None,
        doorlog=DoorlogPart(
            stage=STAGE_OF[Code.ADMITTED],
            listener=connection.listener,
            connection_id=connection.connection_id,
            proxy=connection.proxy,
            authorize=what,
        ),
    )


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
