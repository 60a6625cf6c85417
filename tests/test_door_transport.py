"""One socket's bytes, moved: what a device on the other end of a real TCP connection sees, and the protocol is told."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from doorlog.door.transport import SocketTransport

EVENT_LOOPS = ("asyncio", "uvloop")
PATIENCE = 10


class Told(asyncio.Protocol):
    """A protocol that writes down what it is told."""

    def __init__(self, *, half_open: bool = False) -> None:
        self.said: list[str] = []
        self.received = bytearray()
        self.half_open = half_open
        self.transport: SocketTransport
        self.error: Exception | None = None
        self._news = asyncio.Event()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self._say("made")

    def data_received(self, data: bytes) -> None:
        self.received += data
        self._say("data")

    def eof_received(self) -> bool:
        self._say("eof")
        return self.half_open

    def connection_lost(self, exc: Exception | None) -> None:
        self.error = exc
        self._say("lost")

    def pause_writing(self) -> None:
        self._say("pause")

    def resume_writing(self) -> None:
        self._say("resume")

    async def until(self, word: str) -> None:
        async with asyncio.timeout(PATIENCE):
            while word not in self.said:
                self._news.clear()
                await self._news.wait()

    def _say(self, word: str) -> None:
        self.said.append(word)
        self._news.set()


@asynccontextmanager
async def talking(*, half_open: bool = False) -> AsyncIterator[tuple[Told, socket.socket]]:
    """Give a protocol behind the transport, and the device's end of the connection."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as device:
        device.connect(server.getsockname())
        device.setblocking(False)
        accepted, _ = server.accept()
        accepted.setblocking(False)
        told = Told(half_open=half_open)
        transport = SocketTransport(loop, accepted, told)
        transport.begin()
        try:
            yield told, device
        finally:
            transport.abort()
            await told.until("lost")


async def receive(device: socket.socket, count: int) -> bytes:
    """Read until there are so many bytes, or the end."""
    loop, received = asyncio.get_running_loop(), bytearray()
    async with asyncio.timeout(PATIENCE):
        while len(received) < count and (data := await loop.sock_recv(device, 65_536)):
            received += data
    return bytes(received)


async def test_bytes_go_both_ways() -> None:
    async with talking() as (told, device):
        device.send(b"hello")
        await told.until("data")
        told.transport.write(b"welcome")
        assert bytes(told.received) == b"hello"
        assert await receive(device, 7) == b"welcome"
        assert told.transport.get_extra_info("socket") is not None
        assert told.transport.get_extra_info("peername", "unknown") == "unknown"


async def test_the_device_finishes_and_that_is_the_end() -> None:
    async with talking() as (told, device):
        device.shutdown(socket.SHUT_WR)
        await told.until("lost")
        assert told.said == ["made", "eof", "lost"]
        assert told.error is None
        assert await receive(device, 1) == b""


async def test_the_device_finishes_and_still_gets_its_answer() -> None:
    async with talking(half_open=True) as (told, device):
        device.shutdown(socket.SHUT_WR)
        await told.until("eof")
        told.transport.write(b"goodbye")
        told.transport.close()
        assert await receive(device, 8) == b"goodbye"
        await told.until("lost")


async def test_a_reset_is_told() -> None:
    async with talking() as (told, device):
        device.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        device.close()
        await told.until("lost")
        assert isinstance(told.error, ConnectionResetError)
        assert told.transport.is_closing()


async def test_writing_to_a_device_that_has_reset() -> None:
    async with talking() as (told, device):
        told.transport.pause_reading()
        device.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        device.close()
        while not told.transport.is_closing():  # the first write may still be taken by the kernel
            told.transport.write(b"anybody there?")
        await told.until("lost")
        assert isinstance(told.error, OSError)


async def test_fin_behind_the_answer_and_reading_goes_on() -> None:
    async with talking() as (told, device):
        told.transport.write(b"refused")
        assert told.transport.can_write_eof()
        told.transport.write_eof()
        told.transport.write_eof()
        told.transport.write(b"too late")
        assert await receive(device, 100) == b"refused"
        device.send(b"so be it")
        await told.until("data")
        assert bytes(told.received) == b"so be it"


async def test_a_device_that_reads_slowly_makes_writers_wait() -> None:
    async with talking() as (told, device):
        told.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        much = bytes(8_000_000)
        told.transport.write(much)
        told.transport.write(b"and more")
        assert told.said == ["made", "pause"]
        assert told.transport.get_write_buffer_size() > 0
        received = await receive(device, len(much) + 8)
        assert received == much + b"and more"
        assert told.said == ["made", "pause", "resume"]
        assert told.transport.get_write_buffer_size() == 0


async def test_closing_waits_for_what_was_written() -> None:
    async with talking() as (told, device):
        much = bytes(8_000_000)
        told.transport.write(much)
        told.transport.close()
        told.transport.close()
        assert await receive(device, len(much) + 1) == much
        await told.until("lost")
        assert told.error is None


async def test_fin_waits_for_what_was_written() -> None:
    async with talking() as (told, device):
        much = bytes(8_000_000)
        told.transport.write(much)
        told.transport.write_eof()
        assert await receive(device, len(much) + 1) == much


async def test_aborting_does_not_wait() -> None:
    async with talking() as (told, device):
        told.transport.write(bytes(8_000_000))
        told.transport.abort()
        told.transport.abort()
        await told.until("lost")
        assert told.said.count("lost") == 1
        received = b""
        with suppress(ConnectionResetError):
            received = await receive(device, 8_000_000)
        assert len(received) < 8_000_000


async def test_reading_pauses_and_goes_on() -> None:
    async with talking() as (told, device):
        assert told.transport.is_reading()
        told.transport.pause_reading()
        told.transport.pause_reading()
        assert not told.transport.is_reading()
        device.send(b"wait")
        told.transport.resume_reading()
        await told.until("data")
        assert bytes(told.received) == b"wait"


async def test_nothing_happens_after_the_end() -> None:
    async with talking() as (told, _):
        told.transport.abort()
        await told.until("lost")
        told.transport.write(b"x")
        told.transport.write_eof()
        told.transport.resume_reading()
        told.transport.close()
        assert not told.transport.is_reading()
        assert told.transport.get_extra_info("socket") is None
        assert told.said == ["made", "lost"]


def reset(device: socket.socket) -> None:
    device.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    device.close()


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.parametrize("size", [3, 100_000])
async def test_a_reset_right_behind_the_last_words(size: int) -> None:
    """Both wait in the kernel. libuv, below uvloop, tells of an error on a socket once and never again."""
    async with talking() as (told, device):
        device.setblocking(True)
        device.sendall(bytes(size))
        reset(device)
        await told.until("lost")
        assert len(told.received) == size
        assert isinstance(told.error, ConnectionResetError)
        assert "eof" not in told.said


async def test_a_reset_behind_words_that_nobody_wants_yet() -> None:
    async with talking() as (told, device):
        device.setblocking(True)
        told.transport.pause_reading()
        device.sendall(bytes(100_000))
        reset(device)
        await turns()
        assert told.said == ["made"]
        told.transport.resume_reading()
        await told.until("data")
        told.transport.pause_reading()
        told.transport.resume_reading()
        await told.until("lost")
        assert len(told.received) == 100_000
        assert isinstance(told.error, ConnectionResetError)


async def test_a_reset_while_much_waits_to_be_written() -> None:
    async with talking() as (told, device):
        told.transport.write(bytes(20 << 20))
        reset(device)
        await told.until("lost")
        assert isinstance(told.error, OSError)
        assert told.transport.get_write_buffer_size() == 0
        told.transport.write(b"nobody is there")


async def test_a_device_that_was_gone_from_the_beginning() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        reset(socket.create_connection(server.getsockname()))
        accepted, _ = server.accept()
        accepted.setblocking(False)
        told = Told()
        SocketTransport(asyncio.get_running_loop(), accepted, told).begin()
        await told.until("lost")
    assert isinstance(told.error, ConnectionResetError)


async def test_a_fin_is_told_once() -> None:
    """A socket at its end is readable for ever."""
    async with talking(half_open=True) as (told, device):
        device.shutdown(socket.SHUT_WR)
        await told.until("eof")
        told.transport.pause_reading()
        told.transport.resume_reading()
        await turns()
        assert told.said == ["made", "eof"]


@pytest.mark.parametrize("callback", ["data_received", "eof_received"])
async def test_a_protocol_that_fails_loses_its_connection(callback: str) -> None:
    """As asyncio has it: a socket that nobody understands any more must not stay open."""
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: faults.append(context))

    def breaks(*_: object) -> bool:
        raise ZeroDivisionError

    async with talking() as (told, device):
        setattr(told, callback, breaks)
        device.send(b"x")
        device.shutdown(socket.SHUT_WR)
        await told.until("lost")
        assert isinstance(told.error, ZeroDivisionError)
    assert isinstance(faults[0]["exception"], ZeroDivisionError)
