"""The broker that a simulated fleet comes to: the real door, with an authority that lets every device in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from doorlog.door.authority import Judgement
from doorlog.door.door import Door
from doorlog.door.tls_context import ServedChain, load_served_chain
from doorlog.events.codes import Code, DisconnectCause
from doorlog.settings.models import LimitsSettings, ListenerSettings, TlsSettings

if TYPE_CHECKING:
    from doorlog.door.connection import DoorConnection
    from doorlog.events.records import Event
    from doorlog.simulation.pki import Pki

_CONNACK: Final = b"\x20\x02\x00\x00"
_READ: Final = 65_536
_FOR_EVER: Final = 1e6  # seconds
_HOST: Final = "127.0.0.1"
_LISTENERS: Final = ("tls", "mtls")


class OpenHouse:
    """Lets everybody in, with one connection for each client id (MQTT 3.1.1, 3.1.4-2)."""

    def __init__(self) -> None:
        self._connections: dict[str, DoorConnection] = {}

    async def judge(self, connection: DoorConnection) -> Judgement:
        """Admit."""
        method = "certificate" if connection.listener == "mtls" else "anonymous"
        return Judgement(Code.ADMITTED, method=method)

    def dismiss(self, judgement: Judgement) -> None:
        """Hold nothing."""

    async def serve(self, connection: DoorConnection, _judgement: Judgement) -> None:
        """Answer CONNECT, and listen to the end."""
        # Keep-alives pass in simulated time, of which the door knows nothing: the calendar says when one is over.
        connection.heard_at = asyncio.get_running_loop().time() + _FOR_EVER
        client_id = connection.connect.client_id
        before = self._connections.get(client_id)
        self._connections[client_id] = connection
        if before is not None:
            before.close(DisconnectCause.TAKEN_OVER)
        connection.write(_CONNACK)
        while await connection.reader.read(_READ):
            pass
        if self._connections.get(client_id) is connection:
            del self._connections[client_id]

    def give_up(self, client_id: str) -> None:
        """End a connection whose keep-alive is over."""
        self._connections[client_id].close(DisconnectCause.KEEP_ALIVE_TIMEOUT)

    def end(self) -> None:
        """End every connection, as a broker does that stops."""
        for connection in tuple(self._connections.values()):
            connection.close(DisconnectCause.SERVER_SHUTDOWN)


class Host:
    """The door, which can be started again with another chain on the same ports.

    Args:
        pki: Its certificates.
        record: Takes every event.

    Attributes:
        authority: Who lets in.
        chains: What each listener serves.
        listeners: Their settings.
    """

    def __init__(self, pki: Pki, record: Callable[[Event], None]) -> None:
        self._pki = pki
        self._record = record
        self._ports = dict.fromkeys(_LISTENERS, 0)
        self.authority = OpenHouse()
        self.listeners: dict[str, ListenerSettings] = {}
        self.chains: dict[str, ServedChain] = {}
        self.door: Door | None = None

    async def start(self, chain: int, generation: int) -> Door:
        """Serve a chain.

        Args:
            chain: 1 or 2.
            generation: How many chains were served before, and this one.
        """
        certfile, keyfile, cafile = self._pki.server(chain)
        tls = TlsSettings(certfile=certfile, keyfile=keyfile)
        mutual = TlsSettings(certfile=certfile, keyfile=keyfile, cafile=cafile, client_certificate="required")
        self.listeners = {
            name: ListenerSettings(bind=f"{_HOST}:{self._ports[name]}", tls=settings)
            for name, settings in zip(_LISTENERS, (tls, mutual), strict=True)
        }
        self.chains = {
            name: load_served_chain(settings, generation)
            for name, settings in zip(_LISTENERS, (tls, mutual), strict=True)
        }
        self.door = Door(self.listeners, self.chains, LimitsSettings(), self.authority, self._record)
        await self.door.start()
        self._ports = {name: listener.port for name, listener in self.door.listeners.items()}
        return self.door

    async def stop(self) -> None:
        """End every session and close the ports."""
        assert self.door is not None  # noqa: S101 - it was started
        self.door.stop_accepting()
        self.authority.end()
        await self.door.shut_down()

    def target(self, *, mutual: bool) -> tuple[str, int]:
        """Return where a device connects to."""
        return _HOST, self._ports["mtls" if mutual else "tls"]
