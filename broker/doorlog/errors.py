"""The errors of doorlog, one tree.

DoorlogError
├── SettingsError            a setting is wrong: where it stands, what would be right
├── CertificateError         a certificate, key or CRL file can not be used
├── AddressError             an address can not be bound
├── SinkError                a place that records go to can not be opened or written
├── LogFailed                the broker was stopped since its log could not be written
├── LogError                 a log can not be read
├── QueryError               a query of a log is not one, or can not be answered
├── DirectoryError           the directory of devices can not be used, or what is to be imported into it
├── WebhookFault             an alert can not be sent as it is configured
└── PeerError                what a peer sent breaks a protocol; recorded, never fatal
    ├── MalformedHello       not a TLS ClientHello (RFC 8446 4.1.2)
    ├── ProxyHeaderError     PROXY protocol v1/v2
    │   ├── ProxyHeaderMissing
    │   └── ProxyHeaderInvalid
    ├── WebSocketRejected    the opening handshake of RFC 6455
    ├── ConnectError         the first MQTT packet (MQTT 3.1.1, 3.1)
    │   ├── NotMqtt
    │   ├── MalformedConnect
    │   ├── ConnectTooLarge
    │   ├── UnsupportedProtocolVersion
    │   └── ClientIdRejected
    └── PacketError          a later MQTT packet of an admitted client
        ├── PacketTooLarge
        └── MalformedPacket
"""

from __future__ import annotations

from dataclasses import dataclass


class DoorlogError(Exception):
    """The root of every error that doorlog raises on purpose."""


class SettingsError(DoorlogError):
    """A setting is wrong. ``str()`` is ready for an operator: the place, the fault, the remedy.

    Attributes:
        faults: each place in a configuration file, and what is wrong there; empty where the error is about
            something else.
    """

    def __init__(self, sentence: str, faults: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(sentence)
        self.faults = faults


class CertificateError(DoorlogError):
    """A certificate, key or revocation list can not be used."""


class SinkError(DoorlogError):
    """A place that records go to can not be opened or written. ``str()`` is ready for an operator.

    Attributes:
        lost: how many records the failed write did not take; None when all of them.
        retry: false when bringing these records again is of no use: their reader has gone for good, or refuses them.
    """

    def __init__(self, sentence: str, *, lost: int | None = None, retry: bool = True) -> None:
        super().__init__(sentence)
        self.lost = lost
        self.retry = retry


class LogFailed(DoorlogError):
    """The broker was stopped since its log could not be written (``log.on_error: stop``)."""


class LogError(DoorlogError):
    """A log can not be read. ``str()`` is ready for an operator: the place, the fault, the remedy."""


class QueryError(DoorlogError):
    """A query of a log is not one, or can not be answered. ``str()`` is ready for an operator."""


class DirectoryError(DoorlogError):
    """The directory of devices can not be used, or what is to be imported. ``str()`` is ready for an operator."""


class WebhookFault(DoorlogError):
    """An alert can not be sent as it is configured. ``str()`` is ready for an operator, without the address."""


class AddressError(DoorlogError):
    """An address can not be bound."""


class PeerError(DoorlogError):
    """What a peer sent breaks a protocol. ``str()`` is one plain sentence without peer-chosen text."""


class MalformedHello(PeerError):
    """The first handshake message is not a well-formed ClientHello (RFC 8446, 4.1.2)."""


class ProxyHeaderError(PeerError):
    """The PROXY protocol header is absent or wrong."""


class ProxyHeaderMissing(ProxyHeaderError):
    """The connection does not begin with a PROXY protocol header."""


class ProxyHeaderInvalid(ProxyHeaderError):
    """The connection begins like a PROXY protocol header, but breaks its rules."""


class WebSocketRejected(PeerError):
    """The WebSocket opening handshake can not be accepted (RFC 6455, 4.2)."""


@dataclass(frozen=True, slots=True)
class ConnectFacts:
    r"""What a refused CONNECT had said by the place where it broke; None is what it did not get to say.

    Texts are as the peer wrote them, at most 65,535 bytes, control characters included: escape and cap them
    before they are shown. Bytes that are no UTF-8 read as ``\xff``. No field can hold a password.
    """

    protocol_name: str | None = None
    protocol_level: int | None = None
    clean_session: bool | None = None
    keep_alive: int | None = None
    """Seconds, 0 to 65,535; 0 is no keep-alive."""
    client_id: str | None = None
    user_name: str | None = None


class ConnectError(PeerError):
    """The first MQTT packet can not be served; ``connect`` holds what it had said so far, if anything."""

    connect: ConnectFacts | None = None


class NotMqtt(ConnectError):
    """The first packet is no CONNECT (MQTT 3.1.1, 3.1.0-1)."""


class MalformedConnect(ConnectError):
    """The first packet is a CONNECT that breaks MQTT 3.1.1 section 3.1."""


class ConnectTooLarge(ConnectError):
    """The CONNECT announces more bytes than the listener accepts."""


class UnsupportedProtocolVersion(ConnectError):
    """A CONNECT of a protocol version that the broker does not speak."""


class ClientIdRejected(ConnectError):
    """The client id is not acceptable (MQTT 3.1.1, 3.1.3-8)."""


class PacketError(PeerError):
    """A packet behind the CONNECT can not be served."""


class PacketTooLarge(PacketError):
    """A packet announces more bytes than the listener accepts."""


class MalformedPacket(PacketError):
    """A packet that breaks MQTT 3.1.1 in its fixed header, or that a client may not send."""
