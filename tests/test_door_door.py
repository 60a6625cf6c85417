"""All listeners together: opened all or none, counted together, closed together."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

import support.packets as mqtt
from doorlog.door.door import Door
from doorlog.door.tls_context import load_served_chain
from doorlog.errors import AddressError
from doorlog.events.codes import Action, Code, DisconnectCause
from doorlog.settings.models import LimitsSettings, ListenerSettings
from support.broker import tls
from support.clients.raw import ask, open_wire
from support.clients.raw_tls import handshake_then
from support.doors import CONNACK, FREE, Scripted, open_door, until
from support.pki import Pki

EVENT_LOOPS = ("asyncio", "uvloop")
CONNECT = mqtt.connect("pump-17", keep_alive=0)
TWO = {"plain": {"bind": FREE}, "other": {"bind": FREE}}


async def test_each_listener_stands_in_its_records() -> None:
    async with open_door(None, TWO) as opened:
        for name in TWO:
            await ask(opened.target(name), CONNECT, expect=4)
        await opened.disconnect(2)
        connects = [event for event in opened.events if event.event.action is Action.CONNECT]
        assert [event.doorlog.listener for event in connects] == ["plain", "other"]
        assert opened.door.accepted == opened.door.connects == 2
        assert opened.door.opened


async def test_limits_are_for_each_listener() -> None:
    limits: dict[str, Any] = {"attempts_per_listener": 1, "attempts_per_source": 1}
    async with open_door(None, TWO, **limits) as opened, open_wire(opened.target("plain")):
        assert (await ask(opened.target("other"), CONNECT, expect=4)).received == CONNACK


async def test_all_ports_are_opened_or_none() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = {
            "free": ListenerSettings(bind=FREE),
            "taken": ListenerSettings(bind=f"127.0.0.1:{taken.getsockname()[1]}"),
        }
        door = Door(settings, {}, LimitsSettings(), Scripted(), lambda _event: None)
        with pytest.raises(AddressError, match=r"listeners\.taken\.bind"):
            await door.start()
        assert not door.opened
        assert not door.listeners["free"]._sockets, "closed again"


async def test_each_tls_listener_serves_its_own_chain(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    first, second = pki.server("first"), pki.server("second")
    listeners = {"one": {"bind": FREE, "tls": tls(first)}, "two": {"bind": FREE, "tls": tls(second)}}
    async with open_door(None, listeners) as opened:
        for name, number, files in (("one", 1, first), ("two", 2, second)):
            await handshake_then(opened.target(name), "fin")
            event = await opened.connect(number)
            assert event.tls is not None
            assert event.tls.server is not None
            assert event.tls.server.hash is not None
            assert event.tls.server.hash.sha256 == files.sha256
    assert load_served_chain(ListenerSettings.model_validate(listeners["one"]).tls).leaf.sha256 == first.sha256  # type: ignore[arg-type] # it has one


async def test_an_abort_cuts_what_is_left() -> None:
    async with open_door() as opened, open_wire(opened.target()) as wire:
        await wire.send(CONNECT)
        while len(wire.received) < 4:
            await wire.receive()
        opened.door.abort()
        await wire.drain()
        assert wire.ended in {"eof", "reset"}
        assert (await opened.disconnect()).event.code == DisconnectCause.CLOSED


async def test_stopping_records_attempts_of_every_phase(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    listeners: dict[str, dict[str, Any]] = {
        "plain": {"bind": FREE},
        "tls": {"bind": FREE, "tls": tls(pki.server())},
        "lb": {"bind": FREE, "proxy_protocol": "required", "proxy_networks": ["127.0.0.0/8"]},
        "ws": {"bind": FREE, "websocket": True},
    }
    async with open_door(None, listeners, linger_timeout=0.1) as opened:
        async with (
            open_wire(opened.target("plain")) as plain,
            open_wire(opened.target("tls")) as hello,
            open_wire(opened.target("lb")) as proxy,
            open_wire(opened.target("ws")) as websocket,
        ):
            await plain.send(CONNECT[:5])
            await hello.send(b"\x16\x03\x01")
            await proxy.send(b"PROXY ")
            await websocket.send(b"GET /mqtt HTTP/1.1\r\n")
            await until(lambda: opened.door.accepted == 4)
            await opened.door.shut_down()
        codes = {(event.event.code, str(event.doorlog.stage)) for event in opened.events}
        assert codes == {(Code.SERVER_SHUTDOWN, stage) for stage in ("connect", "hello", "proxy")}
        assert opened.count(Action.CONNECT) == 4
