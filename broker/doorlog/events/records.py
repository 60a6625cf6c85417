"""One frozen model for each kind of event; a record is such an event as JSON with the log's fields set."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Discriminator, Field, Tag, TypeAdapter

from doorlog.events.base import Part
from doorlog.events.codes import Action
from doorlog.events.parts import (
    DestinationPart,
    DevicePart,
    DoorlogPart,
    EventPart,
    MqttPart,
    ServicePart,
    SourcePart,
    TlsPart,
    UserPart,
)

ECS_VERSION = "8.17.0"


class EcsPart(Part):
    """ECS ``ecs.*``."""

    version: str = ECS_VERSION


class Event(Part):
    """What every record has."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        populate_by_name=True,
        serialize_by_alias=True,
        use_attribute_docstrings=True,
    )
    actions: ClassVar[frozenset[Action]] = frozenset()

    timestamp: Annotated[datetime, Field(alias="@timestamp")]
    """UTC, in microseconds."""
    message: str | None = None
    """The line that a person reads; set by the log."""
    ecs: EcsPart = EcsPart()
    event: EventPart
    service: ServicePart | None = None
    """Which broker; set by the log."""
    doorlog: DoorlogPart


class Connection(Event):
    """What every record about one connection has."""

    source: SourcePart
    destination: DestinationPart
    tls: TlsPart | None = None
    mqtt: MqttPart | None = None
    user: UserPart | None = None
    device: DevicePart | None = None


class ConnectEvent(Connection):
    """One attempt, from accept to its verdict: exactly one for every accepted socket."""

    actions = frozenset({Action.CONNECT})


class DisconnectEvent(Connection):
    """The end of an admitted session's connection, with its cause."""

    actions = frozenset({Action.DISCONNECT})


class AuthorizeEvent(Connection):
    """A device was refused to subscribe, to publish or to leave a will."""

    actions = frozenset({Action.AUTHORIZE})


class FloodEvent(Connection):
    """Repeats of one failure by one device or source, counted instead of recorded one by one."""

    actions = frozenset({Action.FLOOD})


class DeviceConfirmedEvent(Connection):
    """An admitted device explains earlier attempts: it is the one that they were, or were taken for another one."""

    actions = frozenset({Action.DEVICE_CONFIRMED})


class CertificateEvent(Event):
    """A chain is served from now on, or is about to expire."""

    actions = frozenset({Action.CERTIFICATE_SERVED, Action.CERTIFICATE_EXPIRING})
    destination: DestinationPart | None = None
    tls: TlsPart


class AuditEvent(Event):
    """The log about itself."""

    actions = frozenset({Action.AUDIT_STARTED, Action.AUDIT_STOPPED, Action.AUDIT_GAP, Action.AUDIT_CHECKPOINT})


EVENT_MODELS: tuple[type[Event], ...] = (
    ConnectEvent,
    DisconnectEvent,
    AuthorizeEvent,
    FloodEvent,
    DeviceConfirmedEvent,
    CertificateEvent,
    AuditEvent,
)


def _tag(value: Any) -> str | None:
    if isinstance(value, Event):
        return type(value).__name__
    event = value.get("event", {}) if isinstance(value, dict) else {}
    action = event.get("action") if isinstance(event, dict) else None
    if not isinstance(action, str):  # a line that somebody changed may hold anything, a list too
        return None
    return next((model.__name__ for model in EVENT_MODELS if action in model.actions), None)


AnyEvent = Annotated[
    Annotated[ConnectEvent, Tag("ConnectEvent")]
    | Annotated[DisconnectEvent, Tag("DisconnectEvent")]
    | Annotated[AuthorizeEvent, Tag("AuthorizeEvent")]
    | Annotated[FloodEvent, Tag("FloodEvent")]
    | Annotated[DeviceConfirmedEvent, Tag("DeviceConfirmedEvent")]
    | Annotated[CertificateEvent, Tag("CertificateEvent")]
    | Annotated[AuditEvent, Tag("AuditEvent")],
    Discriminator(_tag),
]
ANY_EVENT: TypeAdapter[AnyEvent] = TypeAdapter(AnyEvent)
"""Reads any record back: ``ANY_EVENT.validate_json(line)``."""
