"""Decodes and validates the first MQTT packet, CONNECT, before anybody acts on it, and builds its answer."""

from __future__ import annotations

from contextlib import suppress
from enum import IntEnum
from typing import Final, NoReturn

from doorlog.door.connect_fields import Connect, ConnectFields, Incomplete, Will
from doorlog.door.packet_stream import FIRST_BYTES, PacketType
from doorlog.errors import ConnectError, ConnectFacts, ConnectTooLarge, MalformedConnect, NotMqtt

__all__ = [
    "CONNACK_NAMES",
    "Connect",
    "ConnectDecoder",
    "ReturnCode",
    "Will",
    "connack",
    "connack_for",
    "connect_facts",
]

_FIRST_BYTE: Final = PacketType.CONNECT << 4
_SIGNATURES: Final = (
    (b"\x16\x03", "a TLS handshake"),
    (b"PROXY ", "a PROXY protocol header"),
    (b"\r\n\r\n\x00\r\nQUIT\n", "a PROXY protocol header"),
    (b"SSH-", "an SSH client's greeting"),
    (b"PRI * HTTP/2.0", "an HTTP request"),
    *((f"{method} ".encode(), "an HTTP request") for method in (
        "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
    )),
)  # fmt: skip


class ReturnCode(IntEnum):
    """The return codes of a CONNACK (MQTT 3.1.1, 3.2.2.3)."""

    ACCEPTED = 0
    UNACCEPTABLE_PROTOCOL_VERSION = 1
    IDENTIFIER_REJECTED = 2
    SERVER_UNAVAILABLE = 3
    BAD_USER_NAME_OR_PASSWORD = 4
    NOT_AUTHORIZED = 5


CONNACK_NAMES: Final[dict[int, str]] = {
    ReturnCode.ACCEPTED: "connection accepted",
    ReturnCode.UNACCEPTABLE_PROTOCOL_VERSION: "unacceptable protocol version",
    ReturnCode.IDENTIFIER_REJECTED: "identifier rejected",
    ReturnCode.SERVER_UNAVAILABLE: "server unavailable",
    ReturnCode.BAD_USER_NAME_OR_PASSWORD: "bad user name or password",
    ReturnCode.NOT_AUTHORIZED: "not authorized",
}
_REASON_CODES: Final = (0x00, 0x84, 0x85, 0x88, 0x86, 0x87)  # MQTT 5.0, 3.2.2.2, in the order of ReturnCode


def connack(code: int, *, session_present: bool = False) -> bytes:
    """Return a CONNACK of MQTT 3.1.1 (3.2).

    Args:
        code: a ``ReturnCode``, 0 to 5.
        session_present: whether the broker holds a session of this client; may be true with code 0 only.

    Raises:
        ValueError: the code does not exist, or a refusal claims a session (3.2.2-4).
    """
    if code not in CONNACK_NAMES or (code and session_present):
        raise ValueError(f"no such CONNACK: code {code}, session present {session_present}")
    return bytes((PacketType.CONNACK << 4, 2, session_present, code))


def connack_for(protocol_level: int | None, code: int) -> bytes:
    """Return a CONNACK without a session, in the form that a client of this protocol level can read.

    Args:
        protocol_level: as the client sent it; level 5 gets MQTT 5.0's form (3.2), any other that of 3.1.1.
        code: a ``ReturnCode``, 0 to 5; for level 5 translated to the reason code of the same meaning.

    Raises:
        ValueError: the code does not exist.
    """
    packet = connack(code)
    if protocol_level != 5:
        return packet
    return bytes((packet[0], 3, 0, _REASON_CODES[code], 0))


class ConnectDecoder:
    """Reads one CONNECT from bytes in any segmentation; the result does not depend on the segmentation.

    Holds at most ``max_bytes`` + 5 bytes. Feed it no more once it has returned a Connect or raised.

    Attributes:
        packet: after success, the CONNECT as it was sent, for replay.
        trailing: after success, what came behind it in the last bytes received.
    """

    __slots__ = ("_held", "_max_bytes", "_needed", "packet", "trailing")

    def __init__(self, max_bytes: int = 65536) -> None:
        """Wait for a packet.

        Args:
            max_bytes: the largest remaining length accepted, in bytes; at least 12, as no CONNECT is smaller.
        """
        self.packet = b""
        self.trailing = b""
        self._max_bytes = max_bytes
        self._held = bytearray()
        self._needed = 1

    @property
    def received(self) -> int:
        """How many bytes of an unfinished packet are held."""
        return len(self._held)

    def receive(self, data: bytes) -> Connect | None:
        """Take the next bytes of the connection.

        Args:
            data: bytes as they arrived, of any number.

        Returns:
            The valid CONNECT, or None while it is incomplete and still can become one.

        Raises:
            NotMqtt: the first bytes are no CONNECT's (MQTT 3.1.1, 3.1.0-1).
            ConnectTooLarge: it announces more than ``max_bytes``; raised before its body is there.
            MalformedConnect: it breaks section 3.1, or uses control characters in the user name (1.5.3).
            UnsupportedProtocolVersion: its protocol is another version of MQTT than 3.1.1.
            ClientIdRejected: the client id is empty without a clean session, or has control characters.
        """
        room = self._max_bytes + 5 - len(self._held)
        self._held += data[:room]
        if len(self._held) < self._needed:
            return None
        held = bytes(self._held)
        try:
            start, end = _frame(held, self._max_bytes)
            connect = ConnectFields(held, start, end).read()
        except Incomplete as incomplete:
            self._needed = incomplete.needed
            return None
        self.packet, self.trailing = held[:end], held[end:] + data[room:]
        self._held.clear()
        return connect


def connect_facts(opening: bytes, max_bytes: int) -> ConnectFacts | None:
    """Return what a CONNECT says of its client that is not to be served, wherever it came.

    Args:
        opening: the first bytes of the connection, as many as are there; the packet may be cut, or break the rules.
        max_bytes: as for ``ConnectDecoder``; a larger packet is not looked into.

    Returns:
        What could be read, without the password; None where that is no CONNECT, or too little of one.
    """
    if not opening:
        return None
    try:
        start, end = _frame(opening, max_bytes)
    except (ConnectError, Incomplete):
        return None
    fields = ConnectFields(opening, start, end)
    with suppress(ConnectError, Incomplete):
        fields.read()
    return fields.facts if fields.level is not None else None


def _frame(held: bytes, max_bytes: int) -> tuple[int, int]:
    """Return where the packet's body starts and ends (MQTT 3.1.1, 2.2)."""
    if held[0] != _FIRST_BYTE:
        _refuse_first_bytes(held)
    length = 0
    for index, byte in enumerate(held[1:5]):
        length |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            break
    else:
        if len(held) < 5:
            raise Incomplete(len(held) + 1)
        raise MalformedConnect("the remaining length takes more than four bytes (MQTT 3.1.1, 2.2.3)")
    if length > max_bytes:
        raise ConnectTooLarge(f"the CONNECT announces {length} bytes, more than the {max_bytes} that are accepted")
    return index + 2, index + 2 + length


def _refuse_first_bytes(held: bytes) -> NoReturn:
    """Say what the connection begins with instead, as soon as no further byte could tell more."""
    for signature, name in _SIGNATURES:
        if held.startswith(signature):
            raise NotMqtt(f"the first bytes are {name}, not an MQTT CONNECT")
        if signature.startswith(held):
            raise Incomplete(len(held) + 1)
    kind = FIRST_BYTES.get(held[0])
    if kind is not None:
        raise NotMqtt(f"the first packet is {kind.name}, not CONNECT (MQTT 3.1.1, 3.1.0-1)")
    if held[0] >> 4 == PacketType.CONNECT:
        raise MalformedConnect("the fixed header flags of the CONNECT are not zero (MQTT 3.1.1, 2.2.2-2)")
    raise NotMqtt(f"the first byte 0x{held[0]:02x} begins no MQTT packet")
