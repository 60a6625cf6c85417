"""Watches an admitted client's packets go by: their boundaries, sizes and types (MQTT 3.1.1, 2.2)."""

from __future__ import annotations

from enum import IntEnum

from doorlog.errors import MalformedPacket, PacketTooLarge

_LENGTH_BITS = 28  # a remaining length has at most four bytes of seven bits (MQTT 3.1.1, 2.2.3)
_PUBLISH_DUP = 0x08


class PacketType(IntEnum):
    """The control packet types (MQTT 3.1.1, 2.2.1)."""

    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    PUBREC = 5
    PUBREL = 6
    PUBCOMP = 7
    SUBSCRIBE = 8
    SUBACK = 9
    UNSUBSCRIBE = 10
    UNSUBACK = 11
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14


_FLAGS_TWO = {PacketType.PUBREL, PacketType.SUBSCRIBE, PacketType.UNSUBSCRIBE}
_FROM_SERVER_ONLY = {PacketType.CONNACK, PacketType.SUBACK, PacketType.UNSUBACK, PacketType.PINGRESP}
_LENGTHS: dict[PacketType, tuple[int, int | None]] = {  # shortest and longest remaining length that can be right
    PacketType.PUBLISH: (3, None),  # a topic of one character
    PacketType.PUBACK: (2, 2),
    PacketType.PUBREC: (2, 2),
    PacketType.PUBREL: (2, 2),
    PacketType.PUBCOMP: (2, 2),
    PacketType.SUBSCRIBE: (6, None),  # a packet id and one filter of one character with its QoS
    PacketType.UNSUBSCRIBE: (5, None),
    PacketType.PINGREQ: (0, 0),
    PacketType.DISCONNECT: (0, 0),
}


def _valid_flags(kind: PacketType) -> tuple[int, ...]:
    """The values that the low half of a first byte may have (MQTT 3.1.1, 2.2.2 and 3.3.1)."""
    if kind is not PacketType.PUBLISH:
        return (2,) if kind in _FLAGS_TWO else (0,)
    return tuple(flags for flags in range(16) if flags & 6 != 6 and (flags & 6 or not flags & _PUBLISH_DUP))


FIRST_BYTES: dict[int, PacketType] = {kind << 4 | flags: kind for kind in PacketType for flags in _valid_flags(kind)}
"""Every first byte that MQTT 3.1.1 allows, with its packet type."""


def _fault(first: int) -> str:
    """Why a client that is connected may not send this first byte, as a sentence."""
    kind = first >> 4
    if kind in {0, 15}:
        return f"packet type {kind} is reserved (MQTT 3.1.1, 2.2.1)"
    name = PacketType(kind).name
    if kind == PacketType.CONNECT:
        return "a second CONNECT on one connection (MQTT 3.1.1, 3.1.0-2)"
    if kind in _FROM_SERVER_ONLY:
        return f"{name} is sent by servers only (MQTT 3.1.1, 2.2.1)"
    if kind == PacketType.PUBLISH and first & 6 == 6:
        return "a PUBLISH with QoS 3 (MQTT 3.1.1, 3.3.1-4)"
    if kind == PacketType.PUBLISH:
        return "a PUBLISH with QoS 0 that is marked as a duplicate (MQTT 3.1.1, 3.3.1-2)"
    return f"the fixed header flags of {name} are wrong (MQTT 3.1.1, 2.2.2-2)"


_FROM_CLIENT: dict[int, PacketType] = {
    first: kind
    for first, kind in FIRST_BYTES.items()
    if kind is not PacketType.CONNECT and kind not in _FROM_SERVER_ONLY
}


class PacketStream:
    """Counts the complete packets in a client's byte stream behind its CONNECT and refuses the impossible.

    Holds a few integers whatever the client sends. Nothing behind a DISCONNECT is looked at: the client may
    not send it (MQTT 3.1.1, 3.14.4-2) and nobody may read it. Do not feed it again after it has raised.

    Attributes:
        packets: how many packets have arrived in full.
        last_packet_type: the type of the last of them; None before the first.
        disconnect_seen: whether a DISCONNECT has arrived in full, so that the end that follows is orderly.
    """

    __slots__ = (
        "_body", "_kind", "_length", "_max_packet_bytes", "_shift",
        "disconnect_seen", "last_packet_type", "packets",
    )  # fmt: skip

    def __init__(self, max_packet_bytes: int) -> None:
        """Watch a new connection.

        Args:
            max_packet_bytes: the largest remaining length accepted, in bytes; it leaves out the fixed header.
        """
        self.packets = 0
        self.last_packet_type: PacketType | None = None
        self.disconnect_seen = False
        self._max_packet_bytes = max_packet_bytes
        self._kind: PacketType | None = None  # of the packet under way; None between packets
        self._length = 0
        self._shift = 0  # bits of the remaining length read so far
        self._body = 0  # bytes of the body still to come; 0 while the header is read

    @property
    def at_boundary(self) -> bool:
        """Whether no packet is under way: what has arrived ends with the end of a packet."""
        return self._kind is None

    def feed(self, data: bytes) -> None:
        """Look at the next bytes of the stream, in time proportional to the packets in them.

        Args:
            data: bytes as they arrived; bodies are neither read nor copied.

        Raises:
            PacketTooLarge: a packet announces more than ``max_packet_bytes``; its body need not be there.
            MalformedPacket: the header breaks MQTT 3.1.1 section 2.2, or a client may not send this packet.
        """
        position, size = 0, len(data)
        while position < size and not self.disconnect_seen:
            if self._body:
                step = min(self._body, size - position)
                self._body -= step
                position += step
                if not self._body:
                    self._complete()
                continue
            kind = self._kind
            if kind is None:
                self._begin(data[position])
            else:
                self._extend_length(kind, data[position])
            position += 1

    def _begin(self, first: int) -> None:
        kind = _FROM_CLIENT.get(first)
        if kind is None:
            raise MalformedPacket(_fault(first))
        self._kind = kind
        self._length = self._shift = 0

    def _extend_length(self, kind: PacketType, byte: int) -> None:
        self._length |= (byte & 0x7F) << self._shift
        self._shift += 7
        if byte < 0x80:
            self._check_length(kind)
            self._body = self._length
            if not self._body:
                self._complete()
        elif self._shift == _LENGTH_BITS:
            raise MalformedPacket("a remaining length of more than four bytes (MQTT 3.1.1, 2.2.3)")

    def _check_length(self, kind: PacketType) -> None:
        length, limit = self._length, self._max_packet_bytes
        if length > limit:
            raise PacketTooLarge(f"{kind.name} announces {length} bytes, more than the {limit} that are accepted")
        shortest, longest = _LENGTHS[kind]
        if length < shortest or (longest is not None and length > longest):
            raise MalformedPacket(f"{kind.name} can not have {length} bytes behind its fixed header")

    def _complete(self) -> None:
        self.packets += 1
        self.last_packet_type = self._kind
        self.disconnect_seen = self._kind is PacketType.DISCONNECT
        self._kind = None
