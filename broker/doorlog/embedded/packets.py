"""The bodies of the packets that a client sends, decoded strictly, and the packets that we send, encoded."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from amqtt.mqtt.disconnect import DisconnectPacket
from amqtt.mqtt.packet import (
    CONNACK,
    DISCONNECT,
    PINGREQ,
    PINGRESP,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SUBACK,
    SUBSCRIBE,
    UNSUBACK,
    UNSUBSCRIBE,
    MQTTFixedHeader,
    PacketIdVariableHeader,
)
from amqtt.mqtt.pingreq import PingReqPacket
from amqtt.mqtt.puback import PubackPacket
from amqtt.mqtt.pubcomp import PubcompPacket
from amqtt.mqtt.publish import PublishPacket, PublishPayload, PublishVariableHeader
from amqtt.mqtt.pubrec import PubrecPacket
from amqtt.mqtt.pubrel import PubrelPacket
from amqtt.mqtt.subscribe import SubscribePacket, SubscribePayload
from amqtt.mqtt.unsubscribe import UnsubscribePacket, UnubscribePayload

from doorlog.embedded.topics import is_topic_name
from doorlog.errors import MalformedPacket

Acknowledgement: TypeAlias = PubackPacket | PubrecPacket | PubrelPacket | PubcompPacket
ClientPacket: TypeAlias = (
    PublishPacket | Acknowledgement | SubscribePacket | UnsubscribePacket | PingReqPacket | DisconnectPacket
)

PINGRESP_PACKET: Final = bytes((PINGRESP << 4, 0))
_MAX_FILTERS = 2_000  # in one packet: more take too long to look at in one turn
_PACKET_ID: Final = struct.Struct("!H")


def decode_packet(first: int, body: bytes) -> ClientPacket:
    """Decode a packet that a connected client may send.

    amqtt's own decoders read on past the packet's end, take bad UTF-8 for text, and accept SUBSCRIBE without a
    filter and QoS 3; these do not.

    Args:
        first: The packet's first byte: type and flags.
        body: What is behind the fixed header, as long as the remaining length says.

    Returns:
        The packet as amqtt's plugins know it.

    Raises:
        MalformedPacket: It breaks MQTT 3.1.1, or is of a type that a connected client may not send.
    """
    decode = _DECODERS.get(first >> 4)
    if decode is None:
        raise MalformedPacket(f"packet type {first >> 4} is not one that a connected client sends")
    return decode(MQTTFixedHeader(first >> 4, first & 0x0F, len(body)), body)


def _decode_publish(header: MQTTFixedHeader, body: bytes) -> PublishPacket:
    qos = header.flags >> 1 & 3
    if qos == 3 or (qos == 0 and header.flags & PublishPacket.DUP_FLAG):
        raise MalformedPacket("the flags of a PUBLISH are wrong (MQTT 3.1.1, 3.3.1)")
    topic, position = _read_text(body, 0)
    if not is_topic_name(topic):
        raise MalformedPacket("the topic of a PUBLISH is empty, too deep or has wildcards (MQTT 3.1.1, 4.7)")
    packet_id = None
    if qos:
        packet_id = _read_packet_id(body, position)
        position += 2
    return PublishPacket(header, PublishVariableHeader(topic, packet_id), PublishPayload(body[position:]))


def _decode_subscribe(header: MQTTFixedHeader, body: bytes) -> SubscribePacket:
    _require_flags(header, 2)
    packet_id, position = _read_packet_id(body, 0), 2
    topics: list[tuple[str, int]] = []
    while position < len(body):
        topic_filter, position = _read_filter(body, position, len(topics))
        if position >= len(body) or body[position] > 2:
            raise MalformedPacket("the QoS of a SUBSCRIBE is missing or not 0, 1 or 2 (MQTT 3.1.1, 3.8.3-4)")
        topics.append((topic_filter, body[position]))
        position += 1
    if not topics:
        raise MalformedPacket("a SUBSCRIBE without a topic filter (MQTT 3.1.1, 3.8.3-3)")
    return SubscribePacket(header, PacketIdVariableHeader(packet_id), SubscribePayload(topics))


def _decode_unsubscribe(header: MQTTFixedHeader, body: bytes) -> UnsubscribePacket:
    _require_flags(header, 2)
    packet_id, position = _read_packet_id(body, 0), 2
    topics: list[str] = []
    while position < len(body):
        topic_filter, position = _read_filter(body, position, len(topics))
        topics.append(topic_filter)
    if not topics:
        raise MalformedPacket("an UNSUBSCRIBE without a topic filter (MQTT 3.1.1, 3.10.3-2)")
    return UnsubscribePacket(header, PacketIdVariableHeader(packet_id), UnubscribePayload(topics))


def _acknowledgement(packet: type[Acknowledgement], flags: int) -> Callable[[MQTTFixedHeader, bytes], Acknowledgement]:
    def decode(header: MQTTFixedHeader, body: bytes) -> Acknowledgement:
        _require_flags(header, flags)
        if len(body) != 2:
            raise MalformedPacket("an acknowledgement has a packet id and nothing else (MQTT 3.1.1, 3.4 to 3.7)")
        return packet(header, PacketIdVariableHeader(_read_packet_id(body, 0)))

    return decode


def _empty(
    packet: type[PingReqPacket | DisconnectPacket],
) -> Callable[[MQTTFixedHeader, bytes], PingReqPacket | DisconnectPacket]:
    def decode(header: MQTTFixedHeader, body: bytes) -> PingReqPacket | DisconnectPacket:
        _require_flags(header, 0)
        if body:
            raise MalformedPacket("a PINGREQ or DISCONNECT has no body (MQTT 3.1.1, 3.12 and 3.14)")
        return packet(header)

    return decode


_DECODERS: Final[dict[int, Callable[[MQTTFixedHeader, bytes], ClientPacket]]] = {
    PUBLISH: _decode_publish,
    PUBACK: _acknowledgement(PubackPacket, 0),
    PUBREC: _acknowledgement(PubrecPacket, 0),
    PUBREL: _acknowledgement(PubrelPacket, 2),
    PUBCOMP: _acknowledgement(PubcompPacket, 0),
    SUBSCRIBE: _decode_subscribe,
    UNSUBSCRIBE: _decode_unsubscribe,
    PINGREQ: _empty(PingReqPacket),
    DISCONNECT: _empty(DisconnectPacket),
}


def _require_flags(header: MQTTFixedHeader, flags: int) -> None:
    if header.flags != flags:
        raise MalformedPacket("the reserved flags of a packet are wrong (MQTT 3.1.1, 2.2.2-2)")


def _read_packet_id(body: bytes, position: int) -> int:
    packet_id = int.from_bytes(body[position : position + 2], "big")
    if packet_id == 0 or len(body) < position + 2:
        raise MalformedPacket("a packet id is missing or 0 (MQTT 3.1.1, 2.3.1-1)")
    return packet_id


def _read_text(body: bytes, position: int) -> tuple[str, int]:
    start = position + 2
    end = start + int.from_bytes(body[position:start], "big")
    if end > len(body) or start > len(body):
        raise MalformedPacket("a string is longer than its packet (MQTT 3.1.1, 1.5.3)")
    try:
        return body[start:end].decode(), end
    except UnicodeDecodeError:
        raise MalformedPacket("a string is not UTF-8 (MQTT 3.1.1, 1.5.3-1)") from None


def _read_filter(body: bytes, position: int, count: int) -> tuple[str, int]:
    if count >= _MAX_FILTERS:
        raise MalformedPacket(f"more than {_MAX_FILTERS} topic filters in one packet are not accepted")
    topic_filter, position = _read_text(body, position)
    if not topic_filter or "\x00" in topic_filter:
        raise MalformedPacket("a topic filter is empty or has a U+0000 (MQTT 3.1.1, 4.7.3)")
    return topic_filter, position


def encode_connack(*, session_present: bool) -> bytes:
    """Return the CONNACK that accepts (MQTT 3.1.1, 3.2)."""
    return bytes((CONNACK << 4, 2, session_present, 0))


def encode_publish(topic: str, data: bytes, qos: int, packet_id: int, *, retain: bool, dup: bool = False) -> bytes:
    """Return a PUBLISH (MQTT 3.1.1, 3.3).

    Args:
        topic: A valid topic name of at most 65,535 bytes in UTF-8.
        data: The payload; together with the topic less than 268,435,455 bytes.
        qos: 0 to 2.
        packet_id: 1 to 65,535; ignored with QoS 0.
        retain: Whether it answers a new subscription (3.3.1-8).
        dup: Whether it was sent before (3.3.1-1).
    """
    name = topic.encode()
    head = _PACKET_ID.pack(len(name)) + name
    if qos:
        head += _PACKET_ID.pack(packet_id)
    first = PUBLISH << 4 | dup << 3 | qos << 1 | retain
    return bytes((first, *_remaining_length(len(head) + len(data)))) + head + data


def encode_acknowledgement(packet_type: int, packet_id: int) -> bytes:
    """Return a PUBACK, PUBREC, PUBREL, PUBCOMP or UNSUBACK (MQTT 3.1.1, 3.4 to 3.7 and 3.11)."""
    flags = 2 if packet_type == PUBREL else 0
    return bytes((packet_type << 4 | flags, 2)) + _PACKET_ID.pack(packet_id)


def encode_suback(packet_id: int, return_codes: Sequence[int]) -> bytes:
    """Return a SUBACK: the granted QoS, or 0x80, for each filter (MQTT 3.1.1, 3.9)."""
    body = _PACKET_ID.pack(packet_id) + bytes(return_codes)
    return bytes((SUBACK << 4, *_remaining_length(len(body)))) + body


def _remaining_length(length: int) -> list[int]:
    if length < 0x80:
        return [length]
    encoded = []
    while length >= 0x80:
        encoded.append(length & 0x7F | 0x80)
        length >>= 7
    return [*encoded, length]


__all__ = [
    "PINGRESP_PACKET",
    "UNSUBACK",
    "Acknowledgement",
    "ClientPacket",
    "decode_packet",
    "encode_acknowledgement",
    "encode_connack",
    "encode_publish",
    "encode_suback",
]
