"""Admitted connections for a stock amqtt broker: its CONNECT is replayed, then the connection's own bytes follow.

    await broker.external_connected(AdmittedReader(connection, packet), AdmittedWriter(connection), listener_name)

The stock broker reads the CONNECT once more and asks its auth plugins once more.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

from amqtt.adapters import ReaderAdapter, WriterAdapter

if TYPE_CHECKING:
    from doorlog.embedded.connection import AdmittedConnection


class AdmittedReader(ReaderAdapter):
    """Gives the CONNECT packet, then what the device sends.

    Args:
        connection: The connection.
        connect_packet: The CONNECT to begin with.
    """

    def __init__(self, connection: AdmittedConnection, connect_packet: bytes) -> None:
        self._replay = memoryview(connect_packet)
        self._reader = connection.reader

    async def read(self, n: int = -1) -> bytes:
        """Read bytes.

        Args:
            n: How many; -1 for all up to the end.

        Raises:
            asyncio.IncompleteReadError: The connection ended before; amqtt takes it for the end.
        """
        replayed = bytes(self._replay if n < 0 else self._replay[:n])
        self._replay = self._replay[len(replayed) :]
        if n < 0:
            return replayed + await self._reader.read()
        if len(replayed) == n:
            return replayed
        try:
            return replayed + await self._reader.readexactly(n - len(replayed))
        except asyncio.IncompleteReadError as error:
            raise asyncio.IncompleteReadError(replayed + error.partial, n) from None

    def feed_eof(self) -> None:
        """Do nothing: the reader is the door's, which ends it when the connection ends."""


class AdmittedWriter(WriterAdapter):
    """Writes to the device.

    Args:
        connection: The connection.
    """

    def __init__(self, connection: AdmittedConnection) -> None:
        self._connection = connection

    def write(self, data: bytes) -> None:
        """Send bytes."""
        self._connection.write(data)

    async def drain(self) -> None:
        """Wait until the device has taken them, all but a bounded buffer."""
        await self._connection.drain()

    def get_peer_info(self) -> tuple[str, int]:
        """Return the device's address and port, as the door knows them: behind a proxy, too."""
        return self._connection.source

    def get_ssl_info(self) -> ssl.SSLObject | None:
        """Return the TLS connection."""
        return self._connection.ssl_object

    async def close(self) -> None:
        """Close; the door sees to the rest, so that a device that does not read holds nobody up."""
        self._connection.close()
