"""Who is connected, whose sessions are kept, and how the broker starts and stops."""

from __future__ import annotations

import asyncio
import gc
import ssl
import time
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest
from amqtt.broker import BrokerContext
from amqtt.contexts import BrokerConfig, ListenerConfig, ListenerType
from amqtt.errors import BrokerError
from amqtt.plugins.base import BasePlugin

from doorlog.door.connect_packet import Will
from doorlog.embedded import broker as broker_module
from doorlog.embedded.broker import DoorlogBroker, embedded_config
from doorlog.embedded.session import session_of
from doorlog.events.codes import DisconnectCause
from support.broker_devices import Device, Message, packet, text
from support.broker_devices import Will as DeviceWill
from support.broker_door import BrokerDoor
from support.broker_memory import connected, serve

LAST_WORDS: list[str] = []


class Archivist(BasePlugin[BrokerContext]):
    """Hears who leaves, until it is closed."""

    async def on_broker_client_disconnected(self, client_id: str, client_session: Any) -> None:
        LAST_WORDS.append(client_id)

    async def close(self) -> None:
        LAST_WORDS.append("closed")


@pytest.fixture
async def broker() -> AsyncIterator[DoorlogBroker]:
    broker = DoorlogBroker(embedded_config({}))
    await broker.start()
    yield broker
    if broker.transitions.state == "started":
        await broker.shutdown()


async def test_listener_of_amqtts_own_is_refused() -> None:
    config = BrokerConfig(listeners={"default": ListenerConfig(type=ListenerType.TCP, bind="127.0.0.1:0")}, plugins={})
    with pytest.raises(BrokerError, match="'default' is not external"):
        DoorlogBroker(config)


async def test_unclaimed_client_id_is_not_served(broker: DoorlogBroker) -> None:
    connection = connected(user="mallory")
    assert broker.claim("pump-1", "alice")
    with pytest.raises(BrokerError, match="not claimed"):
        await broker.serve(connection, session=session_of(connection))
    assert not broker.sessions
    assert connection.sent == b""


async def test_claim_can_be_given_back(broker: DoorlogBroker) -> None:
    assert broker.claim("pump-1", "alice")
    broker.release("pump-1", "alice")
    assert broker.claim("pump-1", "bob")


async def test_password_is_forgotten_once_admitted(broker: DoorlogBroker) -> None:
    session, _ = await serve(broker, connected(user="alice", password=b"secret"))
    assert session.username == session.principal == "alice"
    assert session.password is None


async def test_kept_session_keeps_neither_its_connection_nor_its_will(broker: DoorlogBroker) -> None:
    connection = connected(clean=False, will=Will("wills", b"gone", 0, retain=False))
    connection.ssl_object = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="x")
    session, serving = await serve(broker, connection)
    assert session.ssl_object is connection.ssl_object
    connection.close()
    await serving
    assert broker.sessions["pump-1"][0] is session
    assert session.transitions.is_disconnected()
    assert not any((session.ssl_object, session.live, session.will_flag, session.will_message))


async def test_resumed_session_is_what_its_own_connection_said(broker: DoorlogBroker) -> None:
    first = connected(clean=False, will=Will("wills", b"first", 2, retain=True))
    _, serving = await serve(broker, first)
    first.close()
    await serving
    second = connected(clean=False)
    second.source = ("198.51.100.1", 1)
    session, _ = await serve(broker, second)
    assert second.sent == b"\x20\x02\x01\x00"
    assert (session.remote_address, session.clean_session, session.will_retain) == ("198.51.100.1", False, None)


async def test_ended_connection_is_freed_at_once(broker: DoorlogBroker) -> None:
    connection = connected()
    connection.reader.feed_data(packet(0xE0, b""))
    gc.disable()
    try:
        session, serving = await serve(broker, connection)
        freed = weakref.ref(session)
        del session
        await serving
        assert freed() is None
    finally:
        gc.enable()


async def test_cancelled_connection_leaves_nothing(broker: DoorlogBroker) -> None:
    connection = connected(will=Will("wills", b"gone", 0, retain=True))
    _, serving = await serve(broker, connection)
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert connection.closed.is_set()
    assert not broker.sessions
    assert len(broker.ownership) == 0
    assert broker.retained_messages["wills"].data == b"gone"


async def test_take_over_of_a_connection_that_is_about_to_end_by_itself(broker: DoorlogBroker) -> None:
    first = connected(will=Will("wills", b"gone", 0, retain=True))
    _, serving = await serve(broker, first)
    first.disconnect_seen = True  # and not read yet
    await serve(broker, connected())
    await serving
    assert first.cause is DisconnectCause.TAKEN_OVER
    assert not broker.retained_messages


async def test_session_expires_when_its_client_stays_away(broker: DoorlogBroker) -> None:
    connections = [connected(client_id, clean=False) for client_id in ("away", "here")]
    for connection in connections:
        connection.reader.feed_data(packet(0x82, b"\x00\x01" + text("t") + b"\x01"))
        _, serving = await serve(broker, connection)
    connections[0].close()
    await asyncio.sleep(0)
    broker.expire_sessions(time.time() - 60)
    assert set(broker.sessions) == {"away", "here"}
    broker.expire_sessions(time.time() + 60)
    assert set(broker.sessions) == {"here"}
    assert broker.claim("away", "bob")
    assert len(broker.subscriptions["t"]) == 1
    serving.cancel()


async def test_monitor_looks_for_expired_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_module, "_EXPIRY_INTERVAL", 0)
    expiring = DoorlogBroker(embedded_config({}, session_expiry=3600))
    looked: asyncio.Queue[float] = asyncio.Queue()
    monkeypatch.setattr(expiring, "expire_sessions", looked.put_nowait)
    await expiring.start()
    async with asyncio.timeout(5):
        assert time.time() - 3610 < await looked.get() < time.time() - 3590
    await expiring.shutdown()


async def test_shutdown_ends_each_connection_and_fires_no_will() -> None:
    LAST_WORDS.clear()
    async with BrokerDoor.open({f"{__name__}.Archivist": {}}) as door:
        watcher = await Device.connect(door, "watcher", clean=False)
        await watcher.subscribe(("wills", 1))
        device = await Device.connect(door, "pump-1", will=DeviceWill("wills", b"gone", 1))
        await door.broker.shutdown()
        await device.ended()
        await watcher.ended()
        assert not watcher.inbox
        assert {connection.cause for connection in door.connections} == {DisconnectCause.SERVER_SHUTDOWN}
        assert not door.broker.sessions
        assert not door.broker.subscriptions
        assert len(door.broker.ownership) == 0
    assert sorted(LAST_WORDS[:2]) == ["pump-1", "watcher"]
    assert LAST_WORDS[2:] == ["closed"]


async def test_shutdown_does_not_wait_for_what_hangs(broker: DoorlogBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_module, "_SHUTDOWN_TIMEOUT", 0.01)
    stuck = connected()
    monkeypatch.setattr(stuck, "close", lambda _cause=None: None)  # its reader goes on
    _, serving = await serve(broker, stuck)
    await serve(broker, connected("other", clean=False))
    await broker.shutdown()
    assert not broker.sessions
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert len(broker.ownership) == 0


async def test_stopped_broker_serves_nobody_and_can_be_started_again(broker: DoorlogBroker) -> None:
    await broker.retain_message(None, "t", b"1", 0)
    await broker.shutdown()
    late = connected()
    _, serving = await serve(broker, late)
    await serving
    assert late.sent == b""
    assert late.cause is DisconnectCause.SERVER_SHUTDOWN
    assert not broker.sessions
    await broker.start()
    connection = connected()
    connection.reader.feed_data(packet(0x82, b"\x00\x01" + text("t") + b"\x01") + packet(0xE0, b""))
    _, serving = await serve(broker, connection)
    await serving
    assert connection.sent == b"\x20\x02\x00\x00\x90\x03\x00\x01\x01"


async def test_dropped_messages_are_reported(broker: DoorlogBroker, caplog: pytest.LogCaptureFixture) -> None:
    connection = connected()
    session, serving = await serve(broker, connection)
    session.dropped = 7
    connection.close()
    await serving
    assert "7 messages for client 'pump-1' were dropped" in caplog.text


async def test_plugins_reach_sessions_as_amqtt_lets_them(broker: DoorlogBroker) -> None:
    context = broker.plugins_manager.context
    assert isinstance(context, BrokerContext)
    connection = connected()
    await serve(broker, connection)
    await context.add_subscription("pump-1", "t", 1)
    await context.broadcast_message("t", b"1", 0)
    await context.retain_message("t", b"2", 1)
    assert connection.sent.endswith(packet(0x30, text("t") + b"1"))
    assert [session.client_id for session in context.sessions] == ["pump-1"]
    assert context.retained_messages["t"].data == b"2"
    assert broker.authenticators == ()


async def test_wills_of_many_that_vanish_together_all_arrive() -> None:
    async with BrokerDoor.open() as door:
        watcher = await Device.connect(door, "watcher")
        await watcher.subscribe(("wills", 1))
        devices = [
            await Device.connect(door, f"pump-{number}", will=DeviceWill("wills", b"%d" % number, 1))
            for number in range(30)
        ]
        for device in devices:
            device.vanish()
        got = [await watcher.message() for _ in devices]
        assert sorted(got, key=lambda message: int(message.payload)) == [
            Message("wills", b"%d" % number, 1) for number in range(30)
        ]
