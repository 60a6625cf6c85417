"""Ports that open, or say why not; sockets that are accepted under every shortage."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

import support.packets as mqtt
from doorlog.door import listener as listener_module
from doorlog.door.listener import Listener
from doorlog.errors import AddressError
from doorlog.events.codes import Action, Code
from support.clients.raw import Dial, ask, open_wire, silent
from support.doors import CONNACK, Scripted, listener_rules, open_door, until

EVENT_LOOPS = ("asyncio", "uvloop")
CONNECT = mqtt.connect("pump-17", keep_alive=0)
PLAIN = {"plain": {"bind": "127.0.0.1:0"}}


def on(bind: str) -> dict[str, dict[str, Any]]:
    return {"plain": {"bind": bind}}


async def log_in(host: str, port: int) -> bytes:
    """Log in over any address family."""
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(CONNECT + mqtt.DISCONNECT)
    answer = await reader.readexactly(4)
    writer.close()
    await writer.wait_closed()
    return answer


# binding


async def test_a_free_port_is_told() -> None:
    async with open_door() as opened:
        assert opened.target().port != 0
        assert (await ask(opened.target(), CONNECT, expect=4)).received == CONNACK


async def test_a_device_that_lost_its_power_is_noticed_by_the_kernel() -> None:
    """With a keep-alive of 0 nobody else would ever find out (RFC 9293, 3.8.4)."""
    async with open_door() as opened, open_wire(opened.target()) as wire:
        await wire.send(CONNECT)
        await wire.receive()
        (protocol,) = opened.door.listeners["plain"]._protocols
        assert protocol._transport is not None
        accepted = protocol._transport.get_extra_info("socket")
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        wire.fin()


async def test_ipv6() -> None:
    async with open_door(None, on("[::1]:0")) as opened:
        assert await log_in("::1", opened.target().port) == CONNACK
        assert (await opened.connect()).source.ip == "::1"


async def test_all_addresses_share_one_port() -> None:
    async with open_door(None, on(":0")) as opened:
        port = opened.target().port
        assert await log_in("127.0.0.1", port) == CONNACK
        assert await log_in("::1", port) == CONNACK
        await opened.connect(2)
        sources = {event.source.ip for event in opened.events if event.event.action is Action.CONNECT}  # type: ignore[attr-defined] # a connect event has one
        assert sources == {"127.0.0.1", "::1"}, "IPv4 is not written as IPv6"


async def test_a_machine_without_ipv6_listens_on_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    real = listener_module._listening_socket

    def without_ipv6(family: int, address: tuple[object, ...]) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
        return real(family, address)

    monkeypatch.setattr(listener_module, "_listening_socket", without_ipv6)
    async with open_door(None, on(":0")) as opened:
        assert await log_in("127.0.0.1", opened.target().port) == CONNACK


async def test_a_free_port_that_another_address_does_not_have_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    real = listener_module._listening_socket
    taken: list[object] = []

    def taken_at_first(family: int, address: tuple[object, ...]) -> socket.socket:
        if address[1] != 0 and len(taken) < 3:
            taken.append(address[1])
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        return real(family, address)

    monkeypatch.setattr(listener_module, "_listening_socket", taken_at_first)
    async with open_door(None, on(":0")) as opened:
        assert len(taken) == 3
        assert await log_in("127.0.0.1", opened.target().port) == CONNACK


@pytest.mark.parametrize(
    ("bind", "match"),
    [
        (
            "203.0.113.1:0",
            r"listeners\.test\.bind: 203\.0\.113\.1:0: Cannot assign.*: choose an address of this machine",
        ),
        ("no.such.name.invalid:0", r"listeners\.test\.bind: no\.such.*: choose an address of this machine"),
    ],
)
async def test_an_address_that_is_not_ours(bind: str, match: str) -> None:
    listener = Listener(listener_rules({"bind": bind}), Scripted(), lambda _event: None)
    with pytest.raises(AddressError, match=match):
        await listener.start()


@pytest.mark.parametrize("bind", ["127.0.0.1", ""])
async def test_a_port_that_is_taken_leaves_no_socket_behind(bind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        listener = Listener(listener_rules({"bind": f"{bind}:{port}"}), Scripted(), lambda _event: None)
        with pytest.raises(AddressError, match=f"{bind}:{port}: Address already in use: stop what listens there"):
            await listener.start()
        listener.stop_accepting()


async def test_the_zone_of_an_address_is_left_out() -> None:
    assert listener_module._without_zone("fe80::1%eth0") == "fe80::1"
    assert listener_module._without_zone("192.0.2.7") == "192.0.2.7"


# accepting


@contextmanager
def no_descriptors_left() -> Iterator[None]:
    """Use up every file descriptor of this process but none of those that are open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(number) for number in os.listdir("/proc/self/fd"))  # noqa: PTH208 - of this moment
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
    fillers = []
    with suppress(OSError):
        while True:
            fillers.append(os.dup(0))
    try:
        yield
    finally:
        for filler in fillers:
            os.close(filler)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_shortage_of_descriptors_is_waited_out(caplog: pytest.LogCaptureFixture) -> None:
    async with open_door() as opened:
        listener = opened.door.listeners["plain"]
        devices = [socket.socket() for _ in range(5)]
        loop = asyncio.get_running_loop()
        with no_descriptors_left():
            for device in devices:
                device.setblocking(False)
                await loop.sock_connect(device, ("127.0.0.1", listener.port))
                await loop.sock_sendall(device, CONNECT + mqtt.DISCONNECT)
            await until(lambda: listener._is_short)
            assert opened.door.accepted == 0
            assert not opened.events
            warned = [record.getMessage() for record in caplog.records]
        assert warned == ["listener plain accepts nobody for a moment: Too many open files"]
        for device in devices:
            assert await loop.sock_recv(device, 100) == CONNACK
            device.close()
        await opened.disconnect(5)
        assert opened.door.accepted == 5
        assert (await ask(opened.target(), CONNECT, expect=4)).received == CONNACK


async def test_a_shortage_while_stopping() -> None:
    async with open_door() as opened:
        listener = opened.door.listeners["plain"]
        listener._pause(OSError(errno.EMFILE, "Too many open files"))
        over = asyncio.Event()
        asyncio.get_running_loop().call_later(2 * listener_module._PAUSE, over.set)  # behind the listener's own timer
        await opened.door.shut_down()
        await over.wait()
        assert not listener._sockets


class Accepts:
    """A listening socket whose next accept fails."""

    def __init__(self, error: OSError) -> None:
        self.errors = [error]

    def accept(self) -> Any:
        if self.errors:
            raise self.errors.pop()
        raise BlockingIOError

    def fileno(self) -> int:
        return -1


@pytest.mark.parametrize("number", [errno.EPROTO, errno.ENETDOWN, errno.EPERM, errno.ENOBUFS, errno.ENFILE])
async def test_an_error_of_the_network_is_not_ours(number: int) -> None:
    """accept(2): errors that are already pending on the new socket are passed on."""
    async with open_door() as opened:
        listener = opened.door.listeners["plain"]
        listener._accept_ready(Accepts(OSError(number, os.strerror(number))))  # type: ignore[arg-type] # for accept() it will do
        assert opened.door.accepted == 0
        await asyncio.sleep(0)
        assert (await ask(opened.target(), CONNECT, expect=4)).received == CONNACK


async def test_a_peer_that_is_gone_again_is_not_ours_either() -> None:
    async with open_door() as opened:
        opened.door.listeners["plain"]._accept_ready(Accepts(ConnectionAbortedError()))  # type: ignore[arg-type] # for accept() it will do
        assert (await ask(opened.target(), CONNECT, expect=4)).received == CONNACK


async def test_a_storm_leaves_time_for_others() -> None:
    """No more than 64 are accepted at once."""
    async with open_door() as opened:
        listener = opened.door.listeners["plain"]
        loop = asyncio.get_running_loop()
        devices = [socket.socket() for _ in range(150)]
        for device in devices:
            device.connect(("127.0.0.1", listener.port))  # blocking: the loop does not turn meanwhile
        counted = []
        while opened.door.accepted < len(devices):
            await asyncio.sleep(0)
            counted.append(opened.door.accepted)
        assert max(after - before for before, after in zip([0, *counted], counted, strict=False)) <= 128
        for device in devices:
            device.close()
        await opened.connect(150)
        assert loop.is_running()


async def test_a_source_over_its_limit_frees_its_place_again() -> None:
    async with open_door(attempts_per_source=2) as opened:
        crowd, neighbour = Dial(source="127.0.0.2"), Dial(source="127.0.0.3")
        async with open_wire(opened.target(), crowd), open_wire(opened.target(), crowd):
            for number in range(5):
                await silent(opened.target(), crowd)
                assert (await opened.connect(number + 1)).event.code == Code.TOO_MANY_CONNECTIONS
            assert (await ask(opened.target(), CONNECT, expect=4, dial=neighbour)).received == CONNACK
        await opened.connect(8)
        assert (await ask(opened.target(), CONNECT, expect=4, dial=crowd)).received == CONNACK


async def test_stopping_twice() -> None:
    async with open_door() as opened:
        await opened.door.shut_down()
        await opened.door.shut_down()
        opened.door.abort()


async def test_a_door_that_is_held_lets_nobody_in_and_forgets_nobody() -> None:
    async with open_door(None, PLAIN) as opened:
        opened.door.hold(held=True)
        opened.door.hold(held=True)
        reader, writer = await asyncio.open_connection("127.0.0.1", opened.target().port)
        writer.write(CONNECT + mqtt.DISCONNECT)
        listener = opened.door.listeners["plain"]
        listener._resume()  # as after a shortage of descriptors
        for _ in range(10):
            await asyncio.sleep(0)
        assert opened.door.accepted == 0
        opened.door.hold(held=False)
        async with asyncio.timeout(10):
            assert await reader.readexactly(4) == CONNACK
        writer.close()
        await writer.wait_closed()
