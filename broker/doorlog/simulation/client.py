"""A device's side of a connection, on a real socket with real TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from doorlog.simulation.models import Refusal
    from doorlog.simulation.steps import Ending

_READ: Final = 65_536
_DISCONNECT: Final = b"\xe0\x00"
_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: close sends RST
_BIND_ADDRESS_NO_PORT: Final = 24  # Linux: the port is chosen with the destination, so that there are enough


async def dial(source: str, target: tuple[str, int]) -> socket.socket:
    """Open a TCP connection from an address of 127.0.0.0/8.

    Raises:
        OSError: It can not be opened.
    """
    dialled = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        dialled.setblocking(False)
        dialled.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        dialled.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
        dialled.bind((source, 0))
        await asyncio.get_running_loop().sock_connect(dialled, target)
    except BaseException:
        dialled.close()
        raise
    return dialled


class TlsClient:
    """A TLS client on a connected socket.

    Args:
        connected: Its socket, which it takes over.
        context: What it offers and trusts.
        host: The name that it asks for and expects; None to say none.
        session: One to resume, made with the same context.
    """

    def __init__(
        self, connected: socket.socket, context: ssl.SSLContext, host: str | None, session: ssl.SSLSession | None = None
    ) -> None:
        self._socket = connected
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host, session=session)
        self._loop = asyncio.get_running_loop()

    @property
    def port(self) -> int:
        """The port that it came from."""
        return int(self._socket.getsockname()[1])

    @property
    def session(self) -> ssl.SSLSession | None:
        """What it could resume later."""
        return self._tls.session

    async def connect(self, packet: bytes) -> bool:
        """Do the handshake, send CONNECT and wait for the answer.

        Returns:
            Whether there is one: not if either side turned the other down.

        Raises:
            ssl.SSLError: The server's chain is not trusted; nobody has been told yet.
        """
        await self.handshake()
        self._tls.write(packet)
        await self._flush()
        while True:
            try:
                return bool(self._tls.read(_READ))
            except ssl.SSLWantReadError:
                await self._receive()
            except ssl.SSLError:
                return False

    async def handshake(self) -> None:
        """Do the handshake.

        Raises:
            ssl.SSLError: The server's chain is not trusted; nobody has been told yet.
        """
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._receive()
            else:
                await self._flush()
                return

    async def refuse(self, refusal: Refusal) -> None:
        """Turn the server down after its chain was not trusted, and close."""
        if refusal == "alert":
            await self._flush()
        self.close("reset" if refusal == "reset" else "close")

    async def disconnect(self) -> None:
        """Say DISCONNECT and close_notify, and close."""
        self._tls.write(_DISCONNECT)
        try:
            self._tls.unwrap()
        except ssl.SSLWantReadError:
            await self._flush()
        self.close("close")

    def close(self, how: Ending) -> None:
        """Close with FIN, or with RST."""
        if how == "reset":
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._socket.close()

    async def _flush(self) -> None:
        output = self._outgoing.read()
        if output:
            await self._loop.sock_sendall(self._socket, output)

    async def _receive(self) -> None:
        data = await self._loop.sock_recv(self._socket, _READ)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
