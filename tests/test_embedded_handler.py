"""One connection: packets in, answers out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from doorlog.door.connect_packet import Will
from doorlog.embedded.broker import DoorlogBroker, embedded_config
from doorlog.embedded.handler import SessionHandler
from doorlog.embedded.session import session_of
from doorlog.events.codes import DisconnectCause
from support.broker_devices import packet, text
from support.broker_memory import MemoryConnection, connected, serve

CONNACK = b"\x20\x02\x00\x00"
PINGREQ, PINGRESP, DISCONNECT = b"\xc0\x00", b"\xd0\x00", b"\xe0\x00"


@pytest.fixture
async def broker() -> AsyncIterator[DoorlogBroker]:
    broker = DoorlogBroker(embedded_config({}))
    await broker.start()
    yield broker
    await broker.shutdown()


async def conversation(broker: DoorlogBroker, *sent: bytes) -> tuple[MemoryConnection, bytes]:
    """Send packets, in one piece, and the end of the connection; what came back behind CONNACK."""
    connection = connected()
    connection.reader.feed_data(b"".join(sent))
    connection.reader.feed_eof()
    _, serving = await serve(broker, connection)
    await serving
    assert connection.closed.is_set()
    assert connection.sent.startswith(CONNACK)
    return connection, connection.sent.removeprefix(CONNACK)


@pytest.mark.parametrize(
    "broken",
    [
        b"\x10\x00",
        b"\x00\x00",
        b"\x30\x00",
        b"\x82\x02\x00\x01",
        b"\x30\xff\xff\xff\xff\x01",
        b"\x30\x80\x80\x80\x80\x00",
    ],
)
async def test_broken_packet_ends_the_conversation(broker: DoorlogBroker, broken: bytes) -> None:
    connection, answers = await conversation(broker, PINGREQ, broken, PINGREQ)
    assert answers == PINGRESP
    assert connection.cause is DisconnectCause.PROTOCOL_ERROR


@pytest.mark.parametrize("torn", [b"", b"\x30", b"\x30\x80", b"\x30\x05\x00", b"\x82\x80\x01" + bytes(100)])
async def test_end_within_a_packet_is_the_end(broker: DoorlogBroker, torn: bytes) -> None:
    connection, answers = await conversation(broker, PINGREQ, torn)
    assert answers == PINGRESP
    assert connection.cause is None


async def test_nothing_behind_a_disconnect_is_read(broker: DoorlogBroker) -> None:
    connection, answers = await conversation(broker, DISCONNECT, PINGREQ)
    assert answers == b""
    assert connection.cause is DisconnectCause.NORMAL


async def test_connection_that_fails_is_the_end(broker: DoorlogBroker) -> None:
    connection = connected()
    connection.reader.set_exception(ConnectionResetError())
    _, serving = await serve(broker, connection)
    await serving
    assert connection.closed.is_set()


async def test_packets_are_answered_in_their_order(broker: DoorlogBroker) -> None:
    _, answers = await conversation(
        broker,
        packet(0x32, text("t") + b"\x00\x01" + bytes(300)),
        packet(0x34, text("t") + b"\x00\x02"),
        packet(0x3C, text("t") + b"\x00\x02"),
        packet(0x62, b"\x00\x02"),
        packet(0x62, b"\x00\x09"),
        packet(0x82, b"\x00\x03" + text("t") + b"\x01"),
        packet(0xA2, b"\x00\x04" + text("t")),
        packet(0x40, b"\x00\x01"),
        packet(0x50, b"\x00\x01"),
        packet(0x70, b"\x00\x01"),
        PINGREQ,
    )
    assert answers == (
        b"\x40\x02\x00\x01"
        b"\x50\x02\x00\x02\x50\x02\x00\x02"
        b"\x70\x02\x00\x02\x70\x02\x00\x09"
        b"\x90\x03\x00\x03\x01"
        b"\xb0\x02\x00\x04"
        b"\x62\x02\x00\x01" + PINGRESP
    )


async def test_repeated_qos_2_message_is_handed_on_once(broker: DoorlogBroker) -> None:
    watcher = connected("watcher")
    watcher.reader.feed_data(packet(0x82, b"\x00\x01" + text("t") + b"\x00"))
    await serve(broker, watcher)
    await asyncio.sleep(0)
    watcher.take()
    await conversation(broker, packet(0x34, text("t") + b"\x00\x02x"), packet(0x3C, text("t") + b"\x00\x02x"))
    assert watcher.take() == packet(0x30, text("t") + b"x")


async def test_client_that_sends_without_pause_lets_others_have_their_turn(broker: DoorlogBroker) -> None:
    busy, other = connected("busy"), connected("other")
    busy.reader.feed_data(PINGREQ * 1_000)
    await serve(broker, busy)
    other.reader.feed_data(PINGREQ)
    await serve(broker, other)
    assert other.sent == CONNACK + PINGRESP
    assert len(busy.sent) < 200


async def test_first_cause_counts(broker: DoorlogBroker) -> None:
    connection = connected()
    handler = SessionHandler(broker, connection, session_of(connection))
    handler.close(DisconnectCause.TAKEN_OVER)
    handler.close(DisconnectCause.PROTOCOL_ERROR)
    assert handler.cause is connection.cause is DisconnectCause.TAKEN_OVER


@pytest.mark.parametrize(
    ("cause", "disconnect_seen", "due"),
    [
        (None, False, True),
        (None, True, False),
        (DisconnectCause.TAKEN_OVER, False, True),
        (DisconnectCause.TAKEN_OVER, True, False),
        (DisconnectCause.PROTOCOL_ERROR, True, True),
        (DisconnectCause.SERVER_SHUTDOWN, False, False),
    ],
)
async def test_will_is_due_when_a_connection_ends_without_disconnect(
    broker: DoorlogBroker, cause: DisconnectCause | None, *, disconnect_seen: bool, due: bool
) -> None:
    connection = connected(will=Will("wills", b"gone", 0, retain=False))
    connection.disconnect_seen = disconnect_seen
    handler = SessionHandler(broker, connection, session_of(connection))
    handler.close(cause)
    assert handler.will_is_due is due
    handler.session.will_flag = False
    assert not handler.will_is_due
