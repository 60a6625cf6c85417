from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorlog.door.connect_packet import connack
from doorlog.door.packet_stream import PacketStream, PacketType
from doorlog.errors import MalformedPacket, PacketError, PacketTooLarge
from support.packets import (
    DISCONNECT,
    PINGREQ,
    connect,
    connect_v5,
    mqtt_bytes,
    packet,
    publish,
    remaining_length,
    subscribe,
)

ACK = b"\x00\x01"
UNSUBSCRIBE = packet(0xA2, ACK + mqtt_bytes("a"))
EVERY_PACKET_OF_A_CLIENT = {
    PacketType.PUBLISH: publish(),
    PacketType.PUBACK: packet(0x40, ACK),
    PacketType.PUBREC: packet(0x50, ACK),
    PacketType.PUBREL: packet(0x62, ACK),
    PacketType.PUBCOMP: packet(0x70, ACK),
    PacketType.SUBSCRIBE: subscribe("a"),
    PacketType.UNSUBSCRIBE: UNSUBSCRIBE,
    PacketType.PINGREQ: PINGREQ,
    PacketType.DISCONNECT: DISCONNECT,
}


def refusal(data: bytes, max_packet_bytes: int = 1000) -> PacketError:
    with pytest.raises(PacketError) as caught:
        PacketStream(max_packet_bytes).feed(data)
    return caught.value


def needed_for_refusal(data: bytes, max_packet_bytes: int = 1000) -> int:
    """After how many bytes, sent one by one, the stream is refused."""
    stream = PacketStream(max_packet_bytes)
    for sent, byte in enumerate(data, 1):
        try:
            stream.feed(bytes((byte,)))
        except PacketError:
            return sent
    raise AssertionError("not refused")


# what a client may not send


@pytest.mark.parametrize(
    ("sent", "sentence"),
    [
        (b"\x00\x00", "packet type 0 is reserved (MQTT 3.1.1, 2.2.1)"),
        (b"\xf0\x00", "packet type 15 is reserved (MQTT 3.1.1, 2.2.1)"),
        (b"\xff\x00", "packet type 15 is reserved (MQTT 3.1.1, 2.2.1)"),
        (connect(), "a second CONNECT on one connection (MQTT 3.1.1, 3.1.0-2)"),
        (connect_v5(), "a second CONNECT on one connection (MQTT 3.1.1, 3.1.0-2)"),
        (connack(0), "CONNACK is sent by servers only (MQTT 3.1.1, 2.2.1)"),
        (b"\x90\x03\x00\x01\x00", "SUBACK is sent by servers only (MQTT 3.1.1, 2.2.1)"),
        (b"\xb0\x02\x00\x01", "UNSUBACK is sent by servers only (MQTT 3.1.1, 2.2.1)"),
        (b"\xd0\x00", "PINGRESP is sent by servers only (MQTT 3.1.1, 2.2.1)"),
        (publish(qos=3), "a PUBLISH with QoS 3 (MQTT 3.1.1, 3.3.1-4)"),
        (b"\x3f\x05", "a PUBLISH with QoS 3 (MQTT 3.1.1, 3.3.1-4)"),
        (b"\x38\x05", "a PUBLISH with QoS 0 that is marked as a duplicate (MQTT 3.1.1, 3.3.1-2)"),
        (b"\x39\x05", "a PUBLISH with QoS 0 that is marked as a duplicate (MQTT 3.1.1, 3.3.1-2)"),
    ],
)
def test_packets_that_no_client_may_send_are_refused_at_their_first_byte(sent: bytes, sentence: str) -> None:
    assert isinstance(refusal(sent), MalformedPacket)
    assert str(refusal(sent)) == sentence
    assert needed_for_refusal(PINGREQ + sent) == 3


@pytest.mark.parametrize("kind", [kind for kind in EVERY_PACKET_OF_A_CLIENT if kind is not PacketType.PUBLISH])
def test_every_other_flag_than_the_right_one_is_refused(kind: PacketType) -> None:
    right = EVERY_PACKET_OF_A_CLIENT[kind][0]
    for first in {kind << 4 | flags for flags in range(16)} - {right}:
        error = refusal(bytes((first, 0)))
        assert isinstance(error, MalformedPacket)
        assert str(error) == f"the fixed header flags of {kind.name} are wrong (MQTT 3.1.1, 2.2.2-2)"


@pytest.mark.parametrize("first", [0x30, 0x31, 0x32, 0x33, 0x3A, 0x3B, 0x34, 0x35, 0x3C, 0x3D])
def test_every_right_flag_of_a_publish_is_served(first: int) -> None:
    stream = PacketStream(1000)

    stream.feed(packet(first, mqtt_bytes("a") + ACK))

    assert stream.packets == 1


@pytest.mark.parametrize(
    "sent",
    [
        b"\xc0\x01",
        b"\xe0\x01",
        b"\x40\x01",
        b"\x40\x03",
        b"\x50\x00",
        b"\x62\x7f",
        b"\x70\x01",
        b"\x30\x00",
        b"\x30\x02",
        b"\x82\x05",
        b"\xa2\x04",
    ],
)
def test_a_length_that_no_packet_of_its_type_has_is_refused_with_its_header(sent: bytes) -> None:
    error = refusal(sent)

    assert isinstance(error, MalformedPacket)
    assert str(error).endswith(f" can not have {sent[1]} bytes behind its fixed header")
    assert needed_for_refusal(sent) == 2


def test_a_remaining_length_of_five_bytes_is_refused_at_the_fourth() -> None:
    sent = b"\x30\x80\x80\x80\x80\x01"

    assert isinstance(refusal(sent), MalformedPacket)
    assert "2.2.3" in str(refusal(sent))
    assert needed_for_refusal(sent) == 5


def test_a_packet_that_announces_too_much_is_refused_before_its_body() -> None:
    sent = b"\x30" + remaining_length(268_435_455)
    error = refusal(sent)

    assert isinstance(error, PacketTooLarge)
    assert str(error) == "PUBLISH announces 268435455 bytes, more than the 1000 that are accepted"
    assert needed_for_refusal(sent) == 5


def test_a_packet_may_be_as_large_as_the_limit() -> None:
    stream = PacketStream(1000)

    stream.feed(packet(0x30, mqtt_bytes("a") + bytes(997)))

    assert stream.packets == 1
    assert isinstance(refusal(packet(0x30, mqtt_bytes("a") + bytes(998))), PacketTooLarge)


def test_a_refusal_comes_also_behind_good_packets_of_the_same_segment() -> None:
    stream = PacketStream(1000)

    with pytest.raises(MalformedPacket):
        stream.feed(publish() + PINGREQ + connect())

    assert stream.packets == 2
    assert stream.last_packet_type is PacketType.PINGREQ


# what it tells of a well-behaved client


def test_a_session_from_its_first_packet_to_its_disconnect() -> None:
    stream = PacketStream(1000)
    assert (stream.packets, stream.last_packet_type, stream.disconnect_seen) == (0, None, False)
    assert stream.at_boundary

    stream.feed(subscribe())
    assert (stream.packets, stream.last_packet_type) == (1, PacketType.SUBSCRIBE)

    stream.feed(PINGREQ + publish(payload=b"x" * 300) + publish(qos=1)[:1])
    assert (stream.packets, stream.last_packet_type) == (3, PacketType.PUBLISH)
    assert not stream.at_boundary

    stream.feed(publish(qos=1)[1:-1])
    assert stream.packets == 3
    assert not stream.at_boundary

    stream.feed(publish(qos=1)[-1:] + DISCONNECT[:1])
    assert stream.packets == 4
    assert not stream.disconnect_seen

    stream.feed(DISCONNECT[1:])
    assert (stream.packets, stream.last_packet_type) == (5, PacketType.DISCONNECT)
    assert stream.disconnect_seen
    assert stream.at_boundary


@pytest.mark.parametrize("kind", EVERY_PACKET_OF_A_CLIENT)
def test_every_packet_of_a_client_is_known_by_its_type(kind: PacketType) -> None:
    stream = PacketStream(1000)

    stream.feed(EVERY_PACKET_OF_A_CLIENT[kind])

    assert stream.last_packet_type is kind
    assert stream.disconnect_seen is (kind is PacketType.DISCONNECT)


def test_nothing_behind_a_disconnect_is_looked_at() -> None:
    stream = PacketStream(1000)

    stream.feed(DISCONNECT + connect() + b"\x00")
    stream.feed(b"\xff" * 10)

    assert stream.packets == 1
    assert stream.disconnect_seen
    assert stream.at_boundary


@pytest.mark.parametrize("width", [2, 3, 4])
def test_a_padded_remaining_length_is_understood(width: int) -> None:
    stream = PacketStream(1000)

    stream.feed(b"\xc0" + remaining_length(0, width=width) + b"\xe0" + remaining_length(0, width=width))

    assert stream.packets == 2
    assert stream.disconnect_seen


def test_a_trickled_packet_is_no_packet_until_its_last_byte() -> None:
    """Keep-alive counts packets: a client that sends a byte now and then has not sent one."""
    stream = PacketStream(1000)
    for byte in publish(payload=b"x" * 500)[:-1]:
        stream.feed(bytes((byte,)))
        assert stream.packets == 0


def test_bodies_are_not_held() -> None:
    stream = PacketStream(10_000_000)
    piece = bytes(100_000)
    tracemalloc.start()
    stream.feed(b"\x30" + remaining_length(10_000_000))
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(99):
        stream.feed(piece)
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()

    assert held < 1000
    assert not stream.at_boundary


# any bytes, any segmentation

State = tuple[int, PacketType | None, bool, bool, str | None]


def watch(pieces: list[bytes]) -> State:
    stream = PacketStream(1000)
    fault = None
    try:
        for piece in pieces:
            stream.feed(piece)
    except PacketError as error:
        fault = f"{type(error).__name__}: {error}"
    return stream.packets, stream.last_packet_type, stream.disconnect_seen, stream.at_boundary, fault


good_packets = st.one_of(
    st.sampled_from([value for value in EVERY_PACKET_OF_A_CLIENT.values() if value != DISCONNECT]),
    st.builds(publish, payload=st.binary(max_size=300), qos=st.integers(0, 2)),
)
streams = st.lists(
    good_packets | st.sampled_from([DISCONNECT, connect(), connack(0)]) | st.binary(max_size=5), max_size=8
)
hostile = streams.map(b"".join) | st.binary(max_size=100)


@given(hostile)
def test_any_bytes_are_watched_or_refused_with_a_documented_error(data: bytes) -> None:
    watch([data])


@given(hostile, st.lists(st.integers(0, 300), max_size=6))
def test_segmentation_changes_nothing(data: bytes, cuts: list[int]) -> None:
    ends = sorted({min(cut, len(data)) for cut in cuts} | {len(data)})
    pieces = [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]

    assert watch(pieces) == watch([data])
    assert watch([bytes((byte,)) for byte in data]) == watch([data])


@given(st.lists(good_packets, max_size=10), st.booleans())
def test_every_good_packet_is_counted(packets: list[bytes], orderly: bool) -> None:
    sent = [*packets, DISCONNECT] if orderly else packets

    count, last, disconnect_seen, at_boundary, fault = watch([b"".join(sent)])

    assert (count, disconnect_seen, at_boundary, fault) == (len(sent), orderly, True, None)
    assert last == (sent[-1][0] >> 4 if sent else None)
