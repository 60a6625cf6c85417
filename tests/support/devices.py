"""MQTT clients that do only what the test says, packet by packet, against any broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from support import packets
from support.clients.base import Target
from support.clients.raw import DIRECT, Dial, Wire, open_wire

CONNACK, PUBLISH, PUBACK, SUBACK, PINGRESP = 2, 3, 4, 9, 13
REFUSED = 0x80
"""The return code of a refused subscription (MQTT 3.1.1, 3.9.3)."""

Will = tuple[str, bytes, int, bool]
"""Topic, message, QoS, retain."""


class HungUp(Exception):
    """The broker ended the connection, or said nothing for as long as the device was patient."""


@dataclass(frozen=True, slots=True)
class Connack:
    """The broker's answer to a login."""

    session_present: bool
    code: int


@dataclass(frozen=True, slots=True)
class Message:
    """A PUBLISH as a device got it."""

    topic: str
    payload: bytes


class Device:
    """One connection.

    Attributes:
        wire: Its socket.
        connack: The answer to its login; None if none came.
    """

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.connack: Connack | None = None
        self._unread = bytearray()
        self._inbox: list[Message] = []
        self._packet_id = 0

    @property
    def address(self) -> tuple[str, int]:
        return self.wire.address

    @property
    def admitted(self) -> bool:
        return self.connack is not None and self.connack.code == 0

    async def send(self, data: bytes) -> None:
        await self.wire.send(data)

    async def answer(self) -> Connack | None:
        """Read the answer to a login."""
        try:
            present, code = await self._expect(CONNACK)
        except HungUp:
            return None
        self.connack = Connack(bool(present), code)
        return self.connack

    async def subscribe(self, topic_filter: str, qos: int = 0) -> int:
        """Subscribe; return the granted QoS, or `REFUSED`."""
        await self.send(packets.subscribe(topic_filter, qos=qos, packet_id=self._next_id()))
        return (await self._expect(SUBACK))[2]

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish with QoS 1, until the broker has it."""
        body = packets.mqtt_bytes(topic) + self._next_id().to_bytes(2) + payload
        await self.send(packets.packet(0x32 | retain, body))
        await self._expect(PUBACK)

    async def message(self) -> Message:
        """Return the next message."""
        while not self._inbox:
            await self._read()
        return self._inbox.pop(0)

    async def messages_until(self, payload: bytes) -> list[Message]:
        """Return the messages before the one with a certain payload, which must come."""
        messages: list[Message] = []
        while (message := await self.message()).payload != payload:
            messages.append(message)
        return messages

    async def messages(self) -> list[Message]:
        """Return the messages that came before the answer to a PINGREQ."""
        await self.ping()
        messages, self._inbox = self._inbox, []
        return messages

    async def ping(self) -> None:
        await self.send(packets.PINGREQ)
        await self._expect(PINGRESP)

    async def is_served(self) -> bool:
        """Whether the broker still answers."""
        try:
            await self.ping()
        except HungUp:
            return False
        return True

    async def disconnect(self) -> None:
        """Say DISCONNECT, and wait until the broker has closed the connection."""
        await self.send(packets.DISCONNECT)
        await self.wire.drain()

    def vanish(self) -> None:
        """Reset the connection, without a word."""
        self.wire.rst()

    def _next_id(self) -> int:
        self._packet_id += 1
        return self._packet_id

    async def _expect(self, kind: int) -> bytes:
        while (packet := await self._read())[0] >> 4 != kind:
            pass
        return packet[1]

    async def _read(self) -> tuple[int, bytes]:
        """Return the first byte and the body of the next packet; keep messages, and acknowledge them."""
        while (packet := self._take()) is None:
            data = await self.wire.receive()
            if not data:
                raise HungUp(self.wire.ended)
            self._unread += data
        if packet[0] >> 4 == PUBLISH:
            await self._keep(*packet)
        return packet

    def _take(self) -> tuple[int, bytes] | None:
        length, size = 0, 1
        while True:
            if len(self._unread) <= size:
                return None
            length |= (self._unread[size] & 0x7F) << 7 * (size - 1)
            size += 1
            if not self._unread[size - 1] & 0x80:
                break
        if len(self._unread) < size + length:
            return None
        packet = self._unread[0], bytes(self._unread[size : size + length])
        del self._unread[: size + length]
        return packet

    async def _keep(self, first: int, body: bytes) -> None:
        end = 2 + int.from_bytes(body[:2])
        qos = first >> 1 & 3
        self._inbox.append(Message(body[2:end].decode(), body[end + 2 * bool(qos) :]))
        if qos:
            await self.send(packets.packet(0x40, body[end : end + 2]))


class DialDevice(Protocol):
    """Makes a device that logs in, and waits for the answer unless it is told not to."""

    def __call__(
        self,
        client_id: str,
        user_name: str | None = None,
        password: str | None = None,
        *,
        clean_session: bool = True,
        keep_alive: int = 0,
        will: Will | None = None,
        target: Target | None = None,
        dial: Dial = DIRECT,
        waits: bool = True,
    ) -> Awaitable[Device]: ...


@asynccontextmanager
async def devices(usual: Target) -> AsyncIterator[DialDevice]:
    """Let devices log in, at a usual target or another; whoever is still there at the end is cut off."""
    async with AsyncExitStack() as stack:

        async def log_in(
            client_id: str,
            user_name: str | None = None,
            password: str | None = None,
            *,
            clean_session: bool = True,
            keep_alive: int = 0,
            will: Will | None = None,
            target: Target | None = None,
            dial: Dial = DIRECT,
            waits: bool = True,
        ) -> Device:
            device = Device(await stack.enter_async_context(open_wire(target or usual, dial)))
            connect = packets.connect(
                client_id,
                user_name=user_name,
                password=password,
                clean_session=clean_session,
                keep_alive=keep_alive,
                will=will,
            )
            await device.send(connect)
            if waits:
                await device.answer()
            return device

        yield log_in


async def turns(count: int = 20) -> None:
    """Let everything else in the event loop have so many turns."""
    for _ in range(count):
        await asyncio.sleep(0)
