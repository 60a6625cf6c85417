"""The door's transport over a pair of connected sockets: what asyncio promises a protocol, it keeps."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from doorlog.door.transport import SocketTransport
from support.doors import until

EVENT_LOOPS = ("asyncio", "uvloop")


class Listens(asyncio.Protocol):
    """Notes all that it is told."""

    def __init__(self, *, keep_open: bool = False) -> None:
        self.told: list[str] = []
        self.data = b""
        self.error: Exception | None = None
        self.lost = asyncio.Event()
        self.keep_open = keep_open

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.told.append("made")

    def data_received(self, data: bytes) -> None:
        self.data += data

    def eof_received(self) -> bool:
        self.told.append("eof")
        return self.keep_open

    def pause_writing(self) -> None:
        self.told.append("pause")

    def resume_writing(self) -> None:
        self.told.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.told.append("lost")
        self.error = exc
        self.lost.set()


class Peer:
    """The other end."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def read(self) -> bytes:
        """Read to the end."""
        received = b""
        async with asyncio.timeout(5):
            while data := await asyncio.get_running_loop().sock_recv(self.sock, 1 << 20):
                received += data
        return received

    def fin(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def rst(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


@asynccontextmanager
async def connected(protocol: Listens) -> AsyncIterator[tuple[SocketTransport, Peer]]:
    """Give a transport over TCP and its peer; afterwards the protocol was told of its end exactly once."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as dialled:
        accepted, _ = server.accept()
        accepted.setblocking(False)
        dialled.setblocking(False)
        transport = SocketTransport(loop, accepted, protocol)
        transport.begin()
        yield transport, Peer(dialled)
        transport.abort()
        async with asyncio.timeout(5):
            await protocol.lost.wait()
        assert accepted.fileno() == -1
    assert protocol.told[0] == "made"
    assert protocol.told.count("lost") == 1
    assert protocol.told[-1] == "lost"
    assert transport.is_closing()


async def test_bytes_go_both_ways() -> None:
    protocol = Listens()
    async with connected(protocol) as (transport, peer):
        await peer.send(b"in")
        await until(lambda: protocol.data == b"in")
        transport.write(b"out")
        transport.close()
        assert await peer.read() == b"out"
        await protocol.lost.wait()
        assert protocol.error is None


async def test_a_fin_closes_unless_the_protocol_keeps_it_open() -> None:
    protocol = Listens()
    async with connected(protocol) as (_, peer):
        await peer.send(b"last words")
        peer.fin()
        await protocol.lost.wait()
        assert protocol.data == b"last words"
        assert protocol.told == ["made", "eof", "lost"]


async def test_a_protocol_that_is_kept_open_hears_of_a_fin_once_and_can_answer() -> None:
    protocol = Listens(keep_open=True)
    async with connected(protocol) as (transport, peer):
        peer.fin()
        await until(lambda: "eof" in protocol.told)
        transport.pause_reading()
        transport.resume_reading()
        await asyncio.sleep(0)
        transport.write(b"answer")
        transport.close()
        assert await peer.read() == b"answer"
        await protocol.lost.wait()
        assert protocol.told == ["made", "eof", "lost"]


async def test_a_reset_is_told_as_an_error() -> None:
    protocol = Listens()
    async with connected(protocol) as (_, peer):
        peer.rst()
        await protocol.lost.wait()
        assert isinstance(protocol.error, ConnectionResetError)
        assert "eof" not in protocol.told


async def test_a_reset_in_the_middle_of_writing() -> None:
    protocol = Listens()
    async with connected(protocol) as (transport, peer):
        transport.pause_reading()
        for _ in range(40):
            transport.write(bytes(1 << 20))
        assert protocol.told == ["made", "pause"]
        peer.rst()
        await protocol.lost.wait()
        assert isinstance(protocol.error, OSError)
        transport.write(b"nobody is there")


async def test_what_a_slow_peer_reads_late_arrives_whole() -> None:
    protocol = Listens()
    async with connected(protocol) as (transport, peer):
        much = bytes(range(256)) * 40_000
        transport.write(much)
        transport.write(b"and more")
        assert transport.get_write_buffer_size() > 0
        assert protocol.told == ["made", "pause"]
        transport.close()
        transport.write(b"too late")
        assert not protocol.lost.is_set(), "what was written goes out first"
        assert await peer.read() == much + b"and more"
        await protocol.lost.wait()
        assert protocol.told == ["made", "pause", "resume", "lost"]


async def test_an_abort_throws_away_what_waits() -> None:
    protocol = Listens()
    async with connected(protocol) as (transport, _):
        transport.write(bytes(20 << 20))
        transport.close()
        transport.abort()
        transport.abort()
        await protocol.lost.wait()
        assert transport.get_write_buffer_size() == 0
        transport.resume_reading()
        transport.write_eof()
        assert not transport.is_reading()


async def test_fin_goes_out_behind_what_was_written_and_reading_goes_on() -> None:
    protocol = Listens()
    async with connected(protocol) as (transport, peer):
        assert transport.can_write_eof()
        transport.write(bytes(10 << 20))
        transport.write_eof()
        transport.write_eof()
        transport.write(b"too late")
        assert len(await peer.read()) == 10 << 20
        await peer.send(b"thanks")
        await until(lambda: protocol.data == b"thanks")
        assert "lost" not in protocol.told


async def test_a_pause_leaves_bytes_to_the_kernel() -> None:
    protocol = Listens()
    async with connected(protocol) as (transport, peer):
        assert transport.is_reading()
        transport.pause_reading()
        transport.pause_reading()
        assert not transport.is_reading()
        await peer.send(b"patience")
        for _ in range(20):
            await asyncio.sleep(0)
        assert protocol.data == b""
        transport.resume_reading()
        await until(lambda: protocol.data == b"patience")


@pytest.mark.parametrize("callback", ["data_received", "eof_received"])
async def test_a_protocol_that_fails_loses_its_connection(callback: str) -> None:
    """As asyncio does: a socket that nobody understands any more must not stay open."""
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: faults.append(context))
    protocol = Listens()

    def breaks(*_: object) -> bool:
        raise ZeroDivisionError

    setattr(protocol, callback, breaks)
    async with connected(protocol) as (_, peer):
        await peer.send(b"x")
        peer.fin()
        await protocol.lost.wait()
        assert isinstance(protocol.error, ZeroDivisionError)
    assert isinstance(faults[0]["exception"], ZeroDivisionError)


async def test_the_socket_can_be_asked_for_while_it_is_open() -> None:
    protocol = Listens()
    async with connected(protocol) as (transport, _):
        assert transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert transport.get_extra_info("peername", "unknown") == "unknown"
        transport.abort()
        await protocol.lost.wait()
        assert transport.get_extra_info("socket") is None


async def test_a_peer_that_was_gone_from_the_beginning() -> None:
    protocol = Listens()
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as server:
        Peer(socket.create_connection(server.getsockname())).rst()
        accepted, _ = server.accept()
        accepted.setblocking(False)
        SocketTransport(loop, accepted, protocol).begin()
        async with asyncio.timeout(5):
            await protocol.lost.wait()
    assert isinstance(protocol.error, ConnectionResetError)
