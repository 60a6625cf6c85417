"""Bodies of packets: nothing that breaks MQTT 3.1.1 gets through, and what we send is read back as it was meant."""

from __future__ import annotations

from contextlib import suppress

import pytest
from amqtt.adapters import BufferReader
from amqtt.mqtt.disconnect import DisconnectPacket
from amqtt.mqtt.packet import PUBACK, PUBREL, UNSUBACK
from amqtt.mqtt.pingreq import PingReqPacket
from amqtt.mqtt.puback import PubackPacket
from amqtt.mqtt.publish import PublishPacket
from amqtt.mqtt.pubrel import PubrelPacket
from amqtt.mqtt.suback import SubackPacket
from amqtt.mqtt.subscribe import SubscribePacket
from amqtt.mqtt.unsubscribe import UnsubscribePacket
from hypothesis import given
from hypothesis import strategies as st

from doorlog.embedded.packets import (
    PINGRESP_PACKET,
    decode_packet,
    encode_acknowledgement,
    encode_connack,
    encode_publish,
    encode_suback,
)
from doorlog.errors import MalformedPacket
from support.broker_devices import text

TOPICS = st.text(st.characters(exclude_characters="\x00+#/", exclude_categories=["Cs"]), min_size=1, max_size=300)


@pytest.mark.parametrize(
    ("first", "body", "reason"),
    [
        (0x10, b"", "type 1"),
        (0x20, b"\x00\x00", "type 2"),
        (0x90, b"\x00\x01\x00", "type 9"),
        (0xD0, b"", "type 13"),
        (0xF0, b"", "type 15"),
        (0x36, text("t") + b"\x00\x01", "flags"),
        (0x38, text("t"), "flags"),
        (0x30, b"", "longer"),
        (0x30, b"\x00", "longer"),
        (0x30, b"\x00\x05abc", "longer"),
        (0x30, text(b"\xc3\x28"), "UTF-8"),
        (0x30, text(b"\xed\xa0\x80"), "UTF-8"),
        (0x30, text("a\x00b"), "topic"),
        (0x30, text(""), "topic"),
        (0x30, text("a/+"), "wildcards"),
        (0x30, text("/" * 200), "deep"),
        (0x32, text("t"), "packet id"),
        (0x32, text("t") + b"\x01", "packet id"),
        (0x34, text("t") + b"\x00\x00", "packet id"),
        (0x40, b"\x00", "acknowledgement"),
        (0x40, b"\x00\x01\x00", "acknowledgement"),
        (0x50, b"\x00\x00", "packet id"),
        (0x60, b"\x00\x01", "reserved flags"),
        (0x72, b"\x00\x01", "reserved flags"),
        (0x80, b"\x00\x01" + text("t") + b"\x00", "reserved flags"),
        (0x82, b"", "packet id"),
        (0x82, b"\x00\x01", "without a topic filter"),
        (0x82, b"\x00\x01" + text("t"), "QoS"),
        (0x82, b"\x00\x01" + text("t") + b"\x03", "QoS"),
        (0x82, b"\x00\x01" + text("t") + b"\x81", "QoS"),
        (0x82, b"\x00\x01" + text("") + b"\x00", "empty"),
        (0x82, b"\x00\x01" + text("a\x00") + b"\x00", "U\\+0000"),
        (0x82, b"\x00\x01" + (text("t") + b"\x00") * 2_001, "2000 topic filters"),
        (0xA0, b"\x00\x01" + text("t"), "reserved flags"),
        (0xA2, b"\x00\x01", "without a topic filter"),
        (0xA2, b"\x00\x01" + text("t") * 2_001, "2000 topic filters"),
        (0xC1, b"", "reserved flags"),
        (0xC0, b"\x00", "no body"),
        (0xE0, b"\x00", "no body"),
    ],
)
def test_packet_is_refused(first: int, body: bytes, reason: str) -> None:
    with pytest.raises(MalformedPacket, match=reason):
        decode_packet(first, body)


@given(st.integers(0, 255), st.binary(max_size=64))
def test_garbage_raises_the_documented_error_or_is_a_packet(first: int, body: bytes) -> None:
    with suppress(MalformedPacket):
        assert decode_packet(first, body).fixed_header.packet_type == first >> 4


def test_publish_is_decoded() -> None:
    packet = decode_packet(0x3D, text("plant/7") + b"\x01\x02" + b"21.5")
    assert isinstance(packet, PublishPacket)
    assert (packet.topic_name, packet.packet_id, packet.data) == ("plant/7", 258, b"21.5")
    assert (packet.qos, packet.retain_flag, packet.dup_flag) == (2, True, True)


def test_subscribe_and_unsubscribe_are_decoded() -> None:
    subscribe = decode_packet(0x82, b"\x00\x07" + text("a/+") + b"\x02" + text("b") + b"\x00")
    assert isinstance(subscribe, SubscribePacket)
    assert subscribe.payload is not None
    assert subscribe.payload.topics == [("a/+", 2), ("b", 0)]
    unsubscribe = decode_packet(0xA2, b"\x00\x08" + text("a/+") + text("b"))
    assert isinstance(unsubscribe, UnsubscribePacket)
    assert unsubscribe.payload is not None
    assert unsubscribe.payload.topics == ["a/+", "b"]


def test_packets_without_more_are_decoded() -> None:
    assert isinstance(decode_packet(0xC0, b""), PingReqPacket)
    assert isinstance(decode_packet(0xE0, b""), DisconnectPacket)
    puback = decode_packet(0x40, b"\x00\x09")
    assert isinstance(puback, PubackPacket)
    assert puback.packet_id == 9


@given(TOPICS, st.binary(max_size=20_000), st.integers(0, 2), st.integers(1, 65_535), st.booleans(), st.booleans())
def test_what_we_publish_is_what_amqtt_would_write(
    topic: str, data: bytes, qos: int, packet_id: int, retain: bool, dup: bool
) -> None:
    expected = PublishPacket.build(topic, data, packet_id if qos else None, dup, qos, retain)
    assert encode_publish(topic, data, qos, packet_id, retain=retain, dup=dup) == expected.to_bytes()


async def test_answers_are_what_amqtt_reads() -> None:
    assert encode_connack(session_present=True) == b"\x20\x02\x01\x00"
    assert encode_acknowledgement(PUBACK, 9) == PubackPacket.build(9).to_bytes()
    assert encode_acknowledgement(PUBREL, 9) == PubrelPacket.build(9).to_bytes()
    assert encode_acknowledgement(UNSUBACK, 9) == b"\xb0\x02\x00\x09"
    assert PINGRESP_PACKET == b"\xd0\x00"
    codes = [0, 1, 2, 0x80] * 100
    suback = await SubackPacket.from_stream(BufferReader(encode_suback(9, codes)))
    assert suback.payload is not None
    assert suback.payload.return_codes == codes
