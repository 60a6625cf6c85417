"""Clients that misbehave below TLS: every byte, FIN and RST of theirs is the test's own decision.

They use non-blocking sockets driven by the event loop (`loop.sock_*`), not asyncio streams: a stream reads ahead,
buffers writes and decides itself how to close, so that a FIN may become a RST. Thousands can be open at once, without
threads.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Iterator

    from support.clients.base import Target

Leave = Literal["fin", "rst", "silence", "close_notify"]
"""How a client goes: FIN and reading on; RST; staying silent until the door hangs up; TLS close_notify and FIN."""

Ended = Literal["eof", "reset", "left", "open"]
"""How it ended for the client: the door's FIN; the door's RST; its own RST; still open when its patience was over."""

MAX_SEEN = 64 * 1024
CONTENT_ALERT = 21


@dataclass(frozen=True, slots=True)
class Dial:
    """How to dial.

    Attributes:
        source: the address to come from, for example 127.0.0.7; None: the kernel's choice.
        preamble: bytes to send before all others, in the same segment as what follows (a PROXY header).
        patience: seconds to wait for the door to say something or to hang up.
        stay: seconds that a client stays which leaves by "silence"; None: as long as its patience lasts.
    """

    source: str | None = None
    preamble: bytes = b""
    patience: float = 15
    stay: float | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """What the client saw.

    Attributes:
        address: its own address: the record's source.
        ended: how the connection ended.
        received: the bytes off the wire, at most `MAX_SEEN`.
        plaintext: what came through the tunnel.
        established: the client's side of the handshake was complete (in TLS 1.3 before it is judged).
        version: the TLS version agreed on, None without handshake.
        failure: the first TLS error, its own refusal or an alert that came.
        alerts_received: the numbers of the door's alerts (0: close_notify), encrypted ones too where TLS was spoken.
        alerts_sent: the numbers of its own.
    """

    address: tuple[str, int]
    ended: Ended
    received: bytes = b""
    plaintext: bytes = b""
    established: bool = False
    version: str | None = None
    failure: ssl.SSLError | None = None
    alerts_received: tuple[int, ...] = field(default=())
    alerts_sent: tuple[int, ...] = field(default=())

    @property
    def alert(self) -> str | None:
        """OpenSSL's name of the fatal alert that came, for example `SSLV3_ALERT_CERTIFICATE_EXPIRED`."""
        reason = self.failure.reason if self.failure is not None else None
        return reason if reason and "_ALERT_" in reason else None


DIRECT = Dial()


class Wire:
    """One TCP connection. A peer that is gone is no error: `ended` says so."""

    def __init__(self, sock: socket.socket, dial: Dial) -> None:
        self._socket = sock
        self._pending = dial.preamble
        self._send_failed = False
        self.patience = dial.patience
        self._stay = dial.stay
        self.address: tuple[str, int] = sock.getsockname()[:2]
        self.received = bytearray()
        self.ended: Ended = "open"

    async def send(self, data: bytes) -> None:
        """Send `data`, after the preamble if that was not sent yet."""
        data, self._pending = self._pending + data, b""
        try:
            await asyncio.get_running_loop().sock_sendall(self._socket, data)
        except ConnectionError:
            self._send_failed = True  # there may still be an alert to read: `receive` decides how it ended

    async def receive(self) -> bytes:
        """Return the next bytes; none if the connection has ended or patience has.

        `ended` tells which: it stays "open" in the latter case.
        """
        if self.ended != "open":
            return b""
        try:
            async with asyncio.timeout(self.patience):
                data = await asyncio.get_running_loop().sock_recv(self._socket, 65_536)
        except TimeoutError:
            return b""
        except ConnectionError:
            self.ended = "reset"
            return b""
        if not data:
            self.ended = "reset" if self._send_failed else "eof"
        self.received += data[: MAX_SEEN - len(self.received)]
        return data

    async def drain(self) -> None:
        """Read until the door hangs up, or patience ends."""
        while await self.receive():
            pass

    def fin(self) -> None:
        """Say that no more will come; reading goes on."""
        with suppress(OSError):  # the other side may have reset the connection by now
            self._socket.shutdown(socket.SHUT_WR)

    def rst(self) -> None:
        """Reset the connection."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()
        self.ended = "left"

    def farewell(self, how: Leave) -> None:
        """Say by FIN that no more will come, or fall silent; what still comes can be read."""
        if how == "silence":
            self.patience = self.patience if self._stay is None else self._stay
        else:
            self.fin()

    async def leave(self, how: Leave) -> None:
        """Go, in one of the three ways that there are without TLS."""
        if how == "rst":
            self.rst()
            return
        self.farewell(how)
        await self.drain()

    def seen(self) -> Seen:
        """Return what was seen until now."""
        received = bytes(self.received)
        return Seen(self.address, self.ended, received, alerts_received=tuple(clear_alerts(received)))


def clear_alerts(received: bytes) -> Iterator[int]:
    """Yield the numbers of the alerts in a flow of TLS records that are not encrypted."""
    while len(received) >= 5:
        length = int.from_bytes(received[3:5], "big")
        if received[0] == CONTENT_ALERT and length == 2 and len(received) >= 7:
            yield received[6]
        received = received[5 + length :]


@asynccontextmanager
async def open_wire(target: Target, dial: Dial = DIRECT) -> AsyncIterator[Wire]:
    """Connect; the socket is closed on the way out, if it still is open."""
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if dial.source is not None:
            sock.bind((dial.source, 0))
        async with asyncio.timeout(dial.patience):
            await loop.sock_connect(sock, (target.host, target.port))
        yield Wire(sock, dial)


async def send_then(target: Target, data: bytes, leave: Leave, dial: Dial = DIRECT) -> Seen:
    """Send `data` in the clear and go; nothing of the answer is read before."""
    async with open_wire(target, dial) as wire:
        if dial.preamble + data:
            await wire.send(data)
        await wire.leave(leave)
        return wire.seen()


async def tcp_open_and_close(target: Target, dial: Dial = DIRECT) -> Seen:
    """Connect and close with a FIN: a health check, a port scan."""
    return await send_then(target, b"", "fin", dial)


async def tcp_open_and_reset(target: Target, dial: Dial = DIRECT) -> Seen:
    """Connect and reset."""
    return await send_then(target, b"", "rst", dial)


async def silent(target: Target, dial: Dial = DIRECT) -> Seen:
    """Connect, say nothing, and wait until the door hangs up."""
    return await send_then(target, b"", "silence", dial)


async def ask(target: Target, data: bytes, *, expect: int, leave: Leave = "fin", dial: Dial = DIRECT) -> Seen:
    """Send `data` in the clear, read `expect` bytes (or to the end) and go."""
    async with open_wire(target, dial) as wire:
        await wire.send(data)
        while len(wire.received) < expect and await wire.receive():
            pass
        await wire.leave(leave)
        return wire.seen()
