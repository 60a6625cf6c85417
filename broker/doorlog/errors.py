"""The errors of doorlog, one tree.

DoorlogError
├── SettingsError            a setting is wrong: where it stands, what would be right
├── CertificateError         a certificate, key or CRL file can not be used
└── PeerError                what a peer sent breaks a protocol; recorded, never fatal
    ├── MalformedHello       not a TLS ClientHello (RFC 8446 4.1.2)
    ├── ProxyHeaderError     PROXY protocol v1/v2
    │   ├── ProxyHeaderMissing
    │   └── ProxyHeaderInvalid
    └── ConnectError         the first MQTT packet (MQTT 3.1.1, 3.1)
        ├── NotMqtt
        ├── MalformedConnect
        ├── ConnectTooLarge
        ├── UnsupportedProtocolVersion
        └── ClientIdRejected
"""

from __future__ import annotations


class DoorlogError(Exception):
    """The root of every error that doorlog raises on purpose."""


class SettingsError(DoorlogError):
    """A setting is wrong. ``str()`` is ready for an operator: the place, the fault, the remedy."""


class CertificateError(DoorlogError):
    """A certificate, key or revocation list can not be used."""


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


class ConnectError(PeerError):
    """The first MQTT packet can not be served."""


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
