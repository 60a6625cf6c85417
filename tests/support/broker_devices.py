"""Devices that come through the test door: an MQTT client, byte by byte."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from doorlog.door.packet_stream import PacketType
from support.broker_door import PATIENCE, BrokerDoor


@dataclass(frozen=True, slots=True)
class Message:
    """A PUBLISH as a device got it."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    dup: bool = False


class Refused(Exception):
    """The CONNACK's code was not 0."""


def text(value: str | bytes) -> bytes:
    encoded = value.encode() if isinstance(value, str) else value
    return len(encoded).to_bytes(2, "big") + encoded


def packet(first: int, body: bytes) -> bytes:
    length, rest = b"", len(body)
    while rest >= 0x80:
        length += bytes((rest & 0x7F | 0x80,))
        rest >>= 7
    return bytes((first,)) + length + bytes((rest,)) + body


@dataclass(frozen=True, slots=True)
class Will:
    topic: str
    payload: bytes = b"gone"
    qos: int = 0
    retain: bool = False


class Device:
    """An MQTT client, byte by byte.

    Attributes:
        inbox: Messages that came and were not asked for yet.
        acknowledges: Whether it answers messages, as it should.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._packet_id = 0
        self.session_present = False
        self.acknowledges = True
        self.inbox: list[Message] = []

    @classmethod
    async def connect(
        cls,
        door: BrokerDoor,
        client_id: str,
        *,
        user: str | None = None,
        clean: bool = True,
        keep_alive: int = 0,
        will: Will | None = None,
    ) -> Self:
        device = cls(*await door.dial())
        flags = clean << 1 | (user is not None) << 7
        body = text(client_id)
        if will is not None:
            flags |= 4 | will.qos << 3 | will.retain << 5
            body += text(will.topic) + text(will.payload)
        if user is not None:
            body += text(user)
        device.send(packet(0x10, text("MQTT") + bytes((4, flags)) + keep_alive.to_bytes(2, "big") + body))
        present, code = await device._expect(PacketType.CONNACK)
        if code:
            device.vanish()
            raise Refused(code)
        device.session_present = bool(present)
        return device

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def subscribe(self, *filters: tuple[str, int]) -> list[int]:
        body = b"".join(text(topic_filter) + bytes((qos,)) for topic_filter, qos in filters)
        self.send(packet(0x82, self._next_id() + body))
        return list((await self._expect(PacketType.SUBACK))[2:])

    async def unsubscribe(self, *filters: str) -> None:
        self.send(packet(0xA2, self._next_id() + b"".join(map(text, filters))))
        await self._expect(PacketType.UNSUBACK)

    async def publish(self, topic: str, payload: bytes = b"", qos: int = 0, *, retain: bool = False) -> None:
        """Publish; with QoS 1 or 2 until the broker has it."""
        packet_id = self._next_id() if qos else b""
        self.send(packet(0x30 | qos << 1 | retain, text(topic) + packet_id + payload))
        if qos == 1:
            await self._expect(PacketType.PUBACK)
        elif qos == 2:
            await self._expect(PacketType.PUBREC)
            self.send(packet(0x62, packet_id))
            await self._expect(PacketType.PUBCOMP)

    async def message(self) -> Message:
        """Return the next message."""
        async with asyncio.timeout(PATIENCE):
            while not self.inbox:
                await self._read()
        return self.inbox.pop(0)

    async def messages(self) -> list[Message]:
        """Return all messages that the broker has sent by now: a PINGRESP comes behind them."""
        self.send(packet(0xC0, b""))
        await self._expect(PacketType.PINGRESP)
        messages, self.inbox = self.inbox, []
        return messages

    async def disconnect(self) -> None:
        self.send(packet(0xE0, b""))
        await self.ended()

    async def ended(self) -> None:
        """Wait until the broker has closed the connection."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            async with asyncio.timeout(PATIENCE):
                while True:
                    await self._read()
        self._writer.close()

    def vanish(self) -> None:
        """Go without a word."""
        self._writer.transport.abort()

    def _next_id(self) -> bytes:
        self._packet_id += 1
        return self._packet_id.to_bytes(2, "big")

    async def _expect(self, kind: PacketType) -> bytes:
        async with asyncio.timeout(PATIENCE):
            while True:
                got, body = await self._read()
                if got is kind:
                    return body

    async def _read(self) -> tuple[PacketType, bytes]:
        first = (await self._reader.readexactly(1))[0]
        length = shift = 0
        while True:
            byte = (await self._reader.readexactly(1))[0]
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        body = await self._reader.readexactly(length)
        kind = PacketType(first >> 4)
        if kind is PacketType.PUBLISH:
            self._receive(first, body)
        elif kind is PacketType.PUBREL and self.acknowledges:
            self.send(packet(0x70, body))
        return kind, body

    def _receive(self, first: int, body: bytes) -> None:
        qos, end = first >> 1 & 3, 2 + int.from_bytes(body[:2], "big")
        packet_id, payload = (body[end : end + 2], body[end + 2 :]) if qos else (b"", body[end:])
        retain, dup = bool(first & 1), bool(first & 8)
        self.inbox.append(Message(body[2:end].decode(), payload, qos, retain, dup))
        if qos and self.acknowledges:
            self.send(packet(0x40 if qos == 1 else 0x50, packet_id))
