"""An admitted connection without a socket: what the device sends is fed, what it gets is kept."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

from doorlog.door.connect_packet import Connect, Will
from doorlog.embedded.session import session_of
from support.broker_door import PATIENCE

if TYPE_CHECKING:
    from doorlog.embedded.broker import DoorlogBroker
    from doorlog.embedded.connection import AdmittedConnection
    from doorlog.embedded.session import BrokerSession
    from doorlog.events.codes import DisconnectCause


class MemoryConnection:
    """A device that is connected as long as its test wants.

    Attributes:
        sent: What the broker has written.
        reads: Cleared while the device takes no more bytes.
        lost: Whether waiting for the device fails.
    """

    def __init__(self, connect: Connect, *, principal: str | None = None) -> None:
        self.connect = connect
        self.principal = principal
        self.connection_id = "0123456789abcdef"
        self.listener = "default"
        self.source = ("192.0.2.7", 50123)
        self.ssl_object: ssl.SSLObject | None = None
        self.disconnect_seen = False
        self.reader = asyncio.StreamReader()
        self.sent = b""
        self._written = asyncio.Event()
        self.reads = asyncio.Event()
        self.reads.set()
        self.lost = False
        self.closed = asyncio.Event()
        self.cause: DisconnectCause | None = None

    def write(self, data: bytes) -> None:
        self.sent += data
        self._written.set()

    async def drain(self) -> None:
        await self.reads.wait()
        if self.lost:
            raise ConnectionResetError

    def close(self, cause: DisconnectCause | None = None) -> None:
        if not self.closed.is_set():
            self.closed.set()
            self.cause = cause
            self.reader.feed_eof()

    async def wait_closed(self) -> None:
        await self.closed.wait()

    async def answer(self, length: int) -> bytes:
        """Wait for this many bytes at least, and take them."""
        async with asyncio.timeout(PATIENCE):
            while len(self.sent) < length:
                self._written.clear()
                await self._written.wait()
        return self.take()

    def take(self) -> bytes:
        """Return what was written since the last call."""
        taken, self.sent = self.sent, b""
        return taken


def connected(
    client_id: str = "pump-1",
    *,
    clean: bool = True,
    user: str | None = None,
    password: bytes | None = None,
    will: Will | None = None,
) -> MemoryConnection:
    """Return a connection that is admitted under its user name."""
    return MemoryConnection(Connect("MQTT", 4, clean, 60, client_id, user, password, will), principal=user)


async def serve(broker: DoorlogBroker, connection: AdmittedConnection) -> tuple[BrokerSession, asyncio.Task[None]]:
    """Let a broker serve a connection, up to its first answer."""
    session = session_of(connection)
    assert broker.claim(session.client_id or "", connection.principal)
    serving = asyncio.ensure_future(broker.serve(connection, session=session))
    await asyncio.sleep(0)
    return session, serving
