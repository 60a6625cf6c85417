"""Admitted connections on real sockets: how they end, what they hold, and what the broker sees of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from websockets.frames import Frame, Opcode

import support.packets as mqtt
from doorlog.door.connection import DoorConnection
from doorlog.events.codes import DisconnectCause
from support.clients.raw import Wire, ask, open_wire
from support.doors import CONNACK, FREE, OpenDoor, Scripted, open_door, until

EVENT_LOOPS = ("asyncio", "uvloop")
CONNECT = mqtt.connect("pump-17", keep_alive=0)
PUBLISH = mqtt.publish("pumps/17/flow", b"1.25", qos=1)
WEBSOCKET = {"ws": {"bind": FREE, "websocket": True}}
UPGRADE = (
    b"GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
)


def frame(opcode: Opcode, data: bytes = b"") -> bytes:
    return Frame(opcode, data).serialize(mask=True)


async def admitted(wire: Wire, packet: bytes = CONNECT) -> None:
    await wire.send(packet)
    while len(wire.received) < 4:
        await wire.receive()


async def over_websocket(wire: Wire) -> None:
    await wire.send(UPGRADE + frame(Opcode.BINARY, CONNECT))
    while not wire.received.endswith(CONNACK):
        await wire.receive()
    wire.received.clear()


def connection_of(opened: OpenDoor, listener: str = "plain") -> DoorConnection:
    (protocol,) = opened.door.listeners[listener]._protocols
    assert protocol._connection is not None
    return protocol._connection


# how it ends


@pytest.mark.parametrize(
    ("last_words", "leave", "cause"),
    [
        (mqtt.DISCONNECT, "fin", DisconnectCause.NORMAL),
        (mqtt.DISCONNECT, "silence", DisconnectCause.NORMAL),
        (b"", "fin", DisconnectCause.CLOSED),
        (PUBLISH[:5], "fin", DisconnectCause.CLOSED),
        (b"", "rst", DisconnectCause.RESET),
        (b"\x00\x00", "silence", DisconnectCause.PROTOCOL_ERROR),
        (b"\x20\x02\x00\x00", "silence", DisconnectCause.PROTOCOL_ERROR),
        (CONNECT, "silence", DisconnectCause.PROTOCOL_ERROR),
        (b"\x30\xff\xff\xff\xff\x01", "silence", DisconnectCause.PROTOCOL_ERROR),
        (b"\x30\xff\xff\xff\x7f", "silence", DisconnectCause.PACKET_TOO_LARGE),
        (PUBLISH + b"\x30\xff\xff\xff\x7f", "silence", DisconnectCause.PACKET_TOO_LARGE),
    ],
)
@pytest.mark.parametrize("pipelined", [True, False])
async def test_how_it_ended(last_words: bytes, leave: str, cause: DisconnectCause, pipelined: bool) -> None:
    async def serves(connection: DoorConnection) -> None:
        connection.write(CONNACK)
        while not connection.disconnect_seen and await connection.reader.read(1):
            pass

    async with open_door(Scripted(serve=serves)) as opened, open_wire(opened.target()) as wire:
        if pipelined:
            await wire.send(CONNECT + last_words)
            await opened.connect()
        else:
            await admitted(wire)
            await wire.send(last_words)
        await wire.leave(leave)  # type: ignore[arg-type] # one of its three
        event = await opened.disconnect()
        assert event.event.code in ({cause, DisconnectCause.CLOSED} if leave == "rst" else {cause})


async def test_the_broker_ends_it() -> None:
    async def takes_over(connection: DoorConnection) -> None:
        connection.write(CONNACK)
        connection.close(DisconnectCause.TAKEN_OVER)
        connection.close(DisconnectCause.PROTOCOL_ERROR)
        connection.write(b"\xd0\x00")
        assert await connection.reader.read() == b""

    async with open_door(Scripted(serve=takes_over)) as opened:
        seen = await ask(opened.target(), CONNECT, expect=4, leave="silence")
        assert seen.received == CONNACK
        assert seen.ended == "eof"
        assert (await opened.disconnect()).event.code == DisconnectCause.TAKEN_OVER


async def test_a_broker_that_waits_for_the_end_is_told_of_it() -> None:
    async def waits(connection: DoorConnection) -> None:
        connection.write(CONNACK)
        connection.close()
        await connection.wait_closed()

    async with open_door(Scripted(serve=waits)) as opened:
        await ask(opened.target(), CONNECT, expect=4)
        await opened.disconnect()


async def test_a_device_that_is_silent_for_too_long() -> None:
    """1.5 times its keep-alive (MQTT 3.1.1, 3.1.2-24); bytes of an unfinished packet do not count."""
    async with open_door() as opened, open_wire(opened.target()) as wire:
        started = asyncio.get_running_loop().time()
        await admitted(wire, mqtt.connect("pump-17", keep_alive=1))
        await wire.send(PUBLISH[:-1])
        await wire.drain()
        assert (await opened.disconnect()).event.code == DisconnectCause.KEEP_ALIVE_TIMEOUT
        assert 1.4 < asyncio.get_running_loop().time() - started < 4


async def test_a_device_that_talks_stays() -> None:
    async with open_door() as opened, open_wire(opened.target()) as wire:
        await admitted(wire, mqtt.connect("pump-17", keep_alive=1))
        connection = connection_of(opened)
        connection.heard_at -= 1
        before = connection.heard_at
        await wire.send(mqtt.PINGREQ)
        await until(lambda: connection.heard_at > before)
        connection._watch()
        assert connection.cause is None
        connection.heard_at -= 1.5
        connection._watch()
        ended = await opened.disconnect()
        assert ended.event.code == DisconnectCause.KEEP_ALIVE_TIMEOUT
        assert connection.cause is DisconnectCause.KEEP_ALIVE_TIMEOUT


# FIN is not the end of what was said before


async def test_a_broker_that_takes_its_time_may_still_answer_after_fin() -> None:
    async def answers_late(connection: DoorConnection) -> None:
        said = await connection.reader.read()
        connection.write(CONNACK + b"\x40\x02\x00\x01" if said == PUBLISH else b"?")

    async with open_door(Scripted(serve=answers_late)) as opened:
        seen = await ask(opened.target(), CONNECT + PUBLISH, expect=0)
        assert seen.received == CONNACK + b"\x40\x02\x00\x01"
        assert (await opened.disconnect()).event.code == DisconnectCause.CLOSED


async def test_a_broker_that_does_not_notice_a_fin_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("doorlog.door.connection._CLOSE_TIMEOUT", 0.1)

    async def sleeps(connection: DoorConnection) -> None:
        connection.write(CONNACK)
        await connection.wait_closed()

    async with open_door(Scripted(serve=sleeps)) as opened:
        seen = await ask(opened.target(), CONNECT, expect=4)
        assert seen.ended == "eof"
        assert (await opened.disconnect()).event.code == DisconnectCause.CLOSED


# flow control


async def test_a_device_that_reads_slowly_is_waited_for() -> None:
    drained = asyncio.Event()

    async def says_much(connection: DoorConnection) -> None:
        connection.write(CONNACK)
        await connection.drain()
        connection.write(mqtt.publish("pumps", bytes(8 << 20)))
        await connection.drain()
        drained.set()

    async with open_door(Scripted(serve=says_much)) as opened, open_wire(opened.target()) as wire:
        await wire.send(CONNECT)
        await opened.connect()
        await asyncio.sleep(0)
        assert not drained.is_set()
        received = 0
        while data := await wire.receive():
            received += len(data)
        assert received == 4 + len(mqtt.publish("pumps", bytes(8 << 20)))
        assert drained.is_set()


async def test_whoever_waits_for_a_device_that_leaves_is_woken() -> None:
    async def says_much(connection: DoorConnection) -> None:
        connection.write(bytes(8 << 20))
        await connection.drain()
        assert connection.cause is not None

    async with open_door(Scripted(serve=says_much)) as opened, open_wire(opened.target()) as wire:
        await wire.send(CONNECT)
        await opened.connect()
        wire.rst()
        await opened.disconnect()


async def test_a_broker_that_reads_slowly_holds_a_fast_device_back() -> None:
    go_on = asyncio.Event()

    async def reads_late(connection: DoorConnection) -> None:
        connection.write(CONNACK)
        await go_on.wait()
        authority.read = await connection.reader.read()

    authority = Scripted(serve=reads_late)
    flood = b"".join(mqtt.publish("pumps", bytes(10_000), qos=1, packet_id=1 + n) for n in range(1000))
    async with open_door(authority) as opened, open_wire(opened.target()) as wire:
        await admitted(wire)
        sending = asyncio.ensure_future(wire.send(flood))
        connection = connection_of(opened)
        await until(lambda: not connection._transport.is_reading())
        assert len(connection.reader._buffer) < 1 << 20  # type: ignore[attr-defined] # a bytearray
        assert not sending.done()
        go_on.set()
        await sending
        wire.fin()
        await opened.disconnect()
        assert authority.read == flood


# WebSocket


async def test_a_websocket_is_closed_in_order() -> None:
    async with open_door(None, WEBSOCKET) as opened, open_wire(opened.target("ws")) as wire:
        await over_websocket(wire)
        await wire.send(frame(Opcode.BINARY, PUBLISH) + frame(Opcode.CLOSE, b"\x03\xe8"))
        await wire.drain()
        assert bytes(wire.received) == b"\x88\x02\x03\xe8"
        assert (await opened.disconnect()).event.code == DisconnectCause.CLOSED
        assert opened.authority.read == PUBLISH


@pytest.mark.parametrize("bad", [frame(Opcode.TEXT, b"hi"), b"\xff" * 20], ids=["text", "nonsense"])
async def test_a_frame_that_breaks_the_rules(bad: bytes) -> None:
    async with open_door(None, WEBSOCKET) as opened, open_wire(opened.target("ws")) as wire:
        await over_websocket(wire)
        await wire.send(frame(Opcode.BINARY, PUBLISH) + bad)
        await wire.drain()
        assert wire.received[0] == 0x88
        assert (await opened.disconnect()).event.code == DisconnectCause.PROTOCOL_ERROR
        assert opened.authority.read == PUBLISH, "what came before it counts"


async def test_a_bad_frame_while_it_is_judged_ends_it_afterwards() -> None:
    authority = Scripted()
    authority.verdict.clear()
    async with open_door(authority, WEBSOCKET) as opened, open_wire(opened.target("ws")) as wire:
        await wire.send(UPGRADE + frame(Opcode.BINARY, CONNECT))
        await authority.judging.wait()
        await wire.send(frame(Opcode.TEXT, b"hi"))
        (protocol,) = opened.door.listeners["ws"]._protocols
        await until(lambda: protocol._attempt.layers is not None and protocol._attempt.layers.fault is not None)
        authority.verdict.set()
        assert (await opened.disconnect()).event.code == DisconnectCause.PROTOCOL_ERROR


async def test_a_large_packet_goes_through_a_websocket() -> None:
    """As large as over TCP: the bound is for the packet, not for its frame."""
    large = mqtt.publish("pumps", bytes(99_900))
    async with open_door(None, WEBSOCKET, packet_max_bytes=100_000) as opened, open_wire(opened.target("ws")) as wire:
        await over_websocket(wire)
        await wire.send(frame(Opcode.BINARY, large * 1) + frame(Opcode.BINARY, mqtt.DISCONNECT))
        wire.fin()
        assert (await opened.disconnect()).event.code == DisconnectCause.NORMAL
        assert opened.authority.read == large + mqtt.DISCONNECT


async def never_ending_pings(wire: Wire, ended: Callable[[], Awaitable[object]]) -> int:
    """Ping without ever reading a pong, until the door has enough; return how many bytes were sent."""
    ping = frame(Opcode.PING, bytes(125)) * 500
    sent = 0
    over = asyncio.ensure_future(ended())
    while not over.done() and sent < 1 << 28:
        sending = asyncio.ensure_future(wire.send(ping))
        await asyncio.wait((sending, over), return_when=asyncio.FIRST_COMPLETED)
        if not sending.done():
            sending.cancel()
        sent += len(ping)
    await over
    return sent


async def test_a_device_that_pings_and_never_reads_is_disconnected() -> None:
    async with open_door(None, WEBSOCKET) as opened, open_wire(opened.target("ws")) as wire:
        await over_websocket(wire)
        await never_ending_pings(wire, opened.disconnect)
        assert (await opened.disconnect()).event.code == DisconnectCause.CLOSED_BY_BROKER


async def test_a_stranger_that_pings_and_never_reads_is_held_back() -> None:
    async with open_door(None, WEBSOCKET, attempt_timeout=0.5) as opened, open_wire(opened.target("ws")) as wire:
        await wire.send(UPGRADE)
        await wire.receive()
        (protocol,) = opened.door.listeners["ws"]._protocols
        most = 0

        async def watched() -> None:
            nonlocal most
            while not opened.events:
                if protocol._transport is not None and not protocol._is_lost:
                    most = max(most, protocol._transport.get_write_buffer_size())
                await asyncio.sleep(0)

        await never_ending_pings(wire, watched)
        assert (await opened.connect()).event.code == "connect_timeout"
        assert most < 1 << 20
