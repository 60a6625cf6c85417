"""A tiny door that admits everybody, for tests of the broker behind it.

As a program it serves one port until it is stopped: `python -m support.broker_door [PORT]`, with `tests` in PYTHONPATH.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Self

from amqtt.contexts import Action
from amqtt.plugins.base import BaseTopicPlugin
from amqtt.session import Session

from doorlog.door.connect_packet import Connect, ConnectDecoder, connack
from doorlog.door.packet_stream import PacketStream
from doorlog.embedded.broker import DoorlogBroker, embedded_config
from doorlog.embedded.limits import BrokerLimits
from doorlog.embedded.session import session_of
from doorlog.errors import ClientIdRejected, PeerError
from doorlog.events.codes import DisconnectCause

HOST = "127.0.0.1"
PATIENCE = 5.0
"""Seconds after which a test that waits for a packet fails."""

Refusal = tuple[str | None, str, str]


class Refusing(BaseTopicPlugin):
    """Refuses what its configuration lists, to all but the user "boss"."""

    @dataclass
    class Config:
        """Topics or filters, by action."""

        subscribe: list[str] = field(default_factory=list)
        publish: list[str] = field(default_factory=list)
        receive: list[str] = field(default_factory=list)

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool | None:
        assert session is not None
        assert action is not None
        return session.username == "boss" or topic not in getattr(self.config, action.value)


def refusing(**topics: list[str]) -> dict[str, Any]:
    """Return a broker's plugins: what is refused, by action."""
    return {"support.broker_door.Refusing": topics}


class DoorConnection(asyncio.Protocol):
    """One socket: reads the CONNECT, claims the client id, lets the broker serve, keeps the keep-alive."""

    ssl_object: ssl.SSLObject | None = None

    def __init__(self, door: BrokerDoor) -> None:
        self._door = door
        self._decoder = ConnectDecoder()
        self._packets = PacketStream(1 << 20)
        self._closed = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._keep_alive: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self.reader = asyncio.StreamReader()
        self.listener = "default"
        self.connection_id = "0000000000000000"
        self.source = (HOST, 0)
        self.cause: DisconnectCause | None = None
        self.principal: str | None = None
        self.connect: Connect = None  # type: ignore[assignment] # nobody sees it before it is decoded

    @property
    def disconnect_seen(self) -> bool:
        return self._packets.disconnect_seen

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.reader.set_transport(transport)
        self.source = transport.get_extra_info("peername")[:2]

    def data_received(self, data: bytes) -> None:
        if self._task is not None:
            self._take(data)
            return
        try:
            connect = self._decoder.receive(data)
        except PeerError as error:
            self.write(connack(2) if isinstance(error, ClientIdRejected) else b"")
            self.close()
            return
        if connect is not None:
            self.connect = connect
            self.principal = connect.user_name
            self._take(self._decoder.trailing)
            self._task = asyncio.ensure_future(self._door.admit(self))

    def _take(self, data: bytes) -> None:
        if self.reader.at_eof() or self.cause is not None:
            return
        if self._keep_alive is not None:
            self._keep_alive.cancel()
        if self.connect.keep_alive:
            silence = self.connect.keep_alive * 1.5 * self._door.second
            self._keep_alive = asyncio.get_running_loop().call_later(silence, self.reader.feed_eof)
        with suppress(PeerError):
            self._packets.feed(data)
        self.reader.feed_data(data)

    def eof_received(self) -> bool:
        self.reader.feed_eof()
        return self._task is not None

    def connection_lost(self, error: Exception | None) -> None:
        if self._keep_alive is not None:
            self._keep_alive.cancel()
        self.reader.feed_eof()
        self._writable.set()
        self._closed.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def write(self, data: bytes) -> None:
        assert self._transport is not None
        if not self._transport.is_closing():
            self._transport.write(data)

    async def drain(self) -> None:
        await self._writable.wait()

    def close(self, cause: DisconnectCause | None = None) -> None:
        assert self._transport is not None
        if not self._transport.is_closing():
            self.cause = cause
            self._transport.close()
        self.reader.feed_eof()

    async def wait_closed(self) -> None:
        await self._closed.wait()

    async def served(self) -> None:
        """Wait until the broker has done with it, and raise what it raised."""
        if self._task is not None:
            await self._task


class BrokerDoor:
    """A broker with a listening socket before it.

    Attributes:
        port: Where it listens.
        broker: The broker.
        refusals: Client id, topic and purpose of each refusal that the broker reported.
        connections: All that were ever admitted.
        second: How long a second of keep-alive lasts here.
    """

    def __init__(self, plugins: dict[str, Any] | None = None, limits: BrokerLimits | None = None) -> None:
        self.refusals: list[Refusal] = []
        self.connections: list[DoorConnection] = []
        self.second = 1.0
        self.port = 0
        self._dialled: list[asyncio.StreamWriter] = []
        self.broker = DoorlogBroker(embedded_config(plugins or {}), limits=limits, on_refusal=self._refused)

    def _refused(self, session: Session, topic: str, purpose: str) -> None:
        self.refusals.append((session.client_id, topic, purpose))

    async def admit(self, connection: DoorConnection) -> None:
        session = session_of(connection)
        assert session.client_id is not None
        if not self.broker.claim(session.client_id, connection.principal):
            connection.write(connack(2))
            connection.close()
            return
        self.connections.append(connection)
        await self.broker.serve(connection, session=session)

    async def dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection from the outside, and say nothing."""
        reader, writer = await asyncio.open_connection(HOST, self.port)
        self._dialled.append(writer)
        return reader, writer

    async def hang_up(self) -> None:
        """Cut all connections from the outside, and wait until the broker has done with them."""
        for writer in self._dialled:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()
        async with asyncio.timeout(PATIENCE):
            for connection in self.connections:
                await connection.served()
                await connection.wait_closed()

    @classmethod
    @asynccontextmanager
    async def open(
        cls, plugins: dict[str, Any] | None = None, *, limits: BrokerLimits | None = None, port: int = 0
    ) -> AsyncIterator[Self]:
        door = cls(plugins, limits)
        await door.broker.start()
        server = await asyncio.get_running_loop().create_server(lambda: DoorConnection(door), HOST, port)
        door.port = server.sockets[0].getsockname()[1]
        try:
            yield door
        finally:
            await door.hang_up()
            server.close()
            if door.broker.transitions.state == "started":
                await door.broker.shutdown()
            await server.wait_closed()


async def main(port: int) -> None:
    async with BrokerDoor.open(refusing(subscribe=["test/nosubscribe"]), port=port) as door:
        sys.stdout.write(f"listening on {door.port}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 0))
