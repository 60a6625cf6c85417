"""What a record says that may tell devices apart, and what an admitted one teaches: values taken from events."""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from doorlog.events.codes import Action, Code
from doorlog.identity.places import Place, place_of

if TYPE_CHECKING:
    from doorlog.events.parts import TlsClientPart
    from doorlog.events.records import Connection

_NAME_LIMIT: Final = 128
"""Characters of a server name that count."""
SERVED_DIGITS: Final = 32
"""Hexadecimal digits of a certificate's SHA-256 that are kept."""
_REFUSALS: Final[dict[str, float]] = {
    Code.SERVER_CERTIFICATE_UNKNOWN_CA: 0.01,
    Code.SERVER_CERTIFICATE_BAD: 0.01,
    Code.SERVER_CERTIFICATE_UNKNOWN: 0.01,
    Code.SERVER_CERTIFICATE_UNSUPPORTED: 0.01,
    Code.SERVER_CERTIFICATE_REVOKED: 0.1,  # time alone can bring these two
    Code.SERVER_CERTIFICATE_EXPIRED: 0.1,
    Code.CLOSED_AFTER_SERVER_CERTIFICATE: 0.1,  # so can the network
    Code.RESET_AFTER_SERVER_CERTIFICATE: 0.3,
    Code.TIMEOUT_AFTER_SERVER_CERTIFICATE: 0.3,
}
"""How much less an attempt that refused a chain is by a device that accepted that very chain before."""


class Evidence(NamedTuple):
    """What an attempt shows of its device without saying who it is."""

    moment: float
    """Seconds since 1970, UTC."""
    place: Place
    look: str | None
    """JA4 and server name of its ClientHello; None without one."""
    served: str | None
    """Which certificate it was shown: the beginning of its SHA-256."""
    served_since: float | None = None
    """When that certificate was first shown to anybody."""
    acceptance: float = 1.0
    """How likely a device that accepted this certificate before does what this attempt did, 0 to 1."""
    tickets: tuple[str, ...] = ()
    resumed: bool = False
    """Whether one of the tickets was good: only who was given it, and the key with it, can use one."""


class Sighting(NamedTuple):
    """An admitted connection: what the directory learns from, and nothing else."""

    device: str
    connection_id: str
    evidence: Evidence
    listener: str | None = None
    user_name: str | None = None
    tls_version: str | None = None
    protocol_version: str | None = None
    keep_alive: int | None = None
    certificate: str | None = None
    """SHA-256 of the certificate that the device showed."""
    subject: str | None = None
    ticket: str | None = None
    overlapped: bool = False
    """Whether the device had a session that it left without a word."""
    exam: tuple[float, bool] | None = None
    """What the resolver would have said, had it not known who it is: the score of the first candidate, and whether
    that is the device."""


class Departure(NamedTuple):
    """The end of an admitted session: until then, the device was where it was admitted from."""

    device: str
    moment: float


class Whose(IntEnum):
    """Whose a failed attempt was; the number stands in the directory, in the column ``is_claim``."""

    OWN = 0
    """The device's, as far as can be told."""
    CLAIMED = 1
    """Somebody's who wrote the device's name; nothing else speaks for it."""
    ONE_OF_SEVERAL = 2
    """The device's, or another one's that fits as well."""


class Failure(NamedTuple):
    """A failed attempt of a device: what ``doorlog devices`` shows, and no resolution ever looks at."""

    device: str
    moment: float
    code: str
    confidence: str
    method: str
    connection_id: str
    whose: Whose


class Serving(NamedTuple):
    """A certificate of ours, and when it was first shown to anybody."""

    served: str
    moment: float


Lesson = Sighting | Departure | Failure | Serving


def evidence_of(event: Connection) -> Evidence:
    """Return what a ``connect`` event shows without its CONNECT packet."""
    tls = event.tls
    client, server = (tls.client, tls.server) if tls is not None else (None, None)
    return Evidence(
        moment=event.timestamp.timestamp(),
        place=place_of(event.source.ip or event.source.address),
        look=_look_of(client) if client is not None else None,
        served=server.hash.sha256[:SERVED_DIGITS] if server is not None and server.hash is not None else None,
        acceptance=_REFUSALS.get(event.event.code or "", 1.0),
        tickets=client.tickets or () if client is not None else (),
        resumed=tls is not None and tls.established and bool(tls.resumed),  # a replayed hello gets only half as far
    )


def sighting_of(event: Connection, device: str, evidence: Evidence) -> Sighting:
    """Return what an admitted ``connect`` event teaches of its device."""
    tls, mqtt = event.tls, event.mqtt
    client = tls.client if tls is not None else None
    return Sighting(
        device=device,
        connection_id=event.doorlog.connection_id or "",
        evidence=evidence,
        listener=event.doorlog.listener,
        user_name=event.user.name if event.user is not None else None,
        tls_version=tls.version if tls is not None else None,
        protocol_version=mqtt.protocol_version if mqtt is not None else None,
        keep_alive=mqtt.keep_alive if mqtt is not None else None,
        certificate=client.hash.sha256 if client is not None and client.hash is not None else None,
        subject=client.x509.subject.distinguished_name if client is not None and client.x509 is not None else None,
        ticket=tls.ticket if tls is not None else None,
    )


def is_admission(event: Connection) -> bool:
    """Whether an event is the admission of a device."""
    return event.event.action is Action.CONNECT and event.event.code == Code.ADMITTED


def is_failure(event: Connection) -> bool:
    """Whether an event is an attempt that failed."""
    return event.event.action is Action.CONNECT and event.event.code != Code.ADMITTED


def _look_of(client: TlsClientPart) -> str | None:
    return _look(client.ja4, client.server_name) if client.ja4 else None


@lru_cache(maxsize=1024)
def _look(ja4: str, server_name: str | None) -> str:
    return f"{ja4} {server_name[:_NAME_LIMIT].lower() if server_name else '-'}"
