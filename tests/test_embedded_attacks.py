"""What another user with valid credentials, or a broken device, can not do to the broker and its other clients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from amqtt.adapters import BufferReader, BufferWriter
from amqtt.broker import BrokerContext
from amqtt.errors import BrokerError

from doorlog.embedded.limits import BrokerLimits
from doorlog.embedded.session import BrokerSession
from doorlog.events.codes import DisconnectCause
from support.broker_devices import Device, Message, Refused, Will, packet, text
from support.broker_door import BrokerDoor, refusing

PROTOCOL_ERROR, CLOSED_BY_BROKER = DisconnectCause.PROTOCOL_ERROR, DisconnectCause.CLOSED_BY_BROKER


@pytest.fixture
async def door() -> AsyncIterator[BrokerDoor]:
    async with BrokerDoor.open() as opened:
        yield opened


# Somebody else's client id


@pytest.mark.parametrize("clean", [True, False])
async def test_other_user_can_not_take_over_a_connected_client(door: BrokerDoor, *, clean: bool) -> None:
    victim = await Device.connect(door, "pump-1", user="alice", clean=False, will=Will("wills", b"alice's"))
    watcher = await Device.connect(door, "watcher", user="alice")
    await victim.subscribe(("t", 1))
    await watcher.subscribe(("wills", 0))
    with pytest.raises(Refused, match="2"):
        await Device.connect(door, "pump-1", user="mallory", clean=clean, will=Will("wills", b"mallory's"))
    await watcher.publish("t", b"still yours", 1)
    assert await victim.messages() == [Message("t", b"still yours", 1)]
    assert not await watcher.messages()


@pytest.mark.parametrize("clean", [True, False])
async def test_other_user_can_neither_read_nor_wipe_what_waits_for_an_absent_client(
    door: BrokerDoor, *, clean: bool
) -> None:
    victim = await Device.connect(door, "pump-1", user="alice", clean=False)
    await victim.subscribe(("t", 1))
    await victim.disconnect()
    writer = await Device.connect(door, "writer", user="alice")
    await writer.publish("t", b"private", 1)
    with pytest.raises(Refused, match="2"):
        await Device.connect(door, "pump-1", user="mallory", clean=clean)
    with pytest.raises(Refused, match="2"):
        await Device.connect(door, "pump-1", clean=clean)
    victim = await Device.connect(door, "pump-1", user="alice", clean=False)
    assert victim.session_present
    assert await victim.messages() == [Message("t", b"private", 1)]


async def test_client_id_is_free_again_when_its_clean_session_has_ended(door: BrokerDoor) -> None:
    device = await Device.connect(door, "pump-1", user="alice")
    await device.disconnect()
    assert not (await Device.connect(door, "pump-1", user="bob")).session_present


async def test_of_two_users_at_the_same_moment_one_gets_the_client_id(door: BrokerDoor) -> None:
    logins = [Device.connect(door, "pump-1", user=user) for user in ("alice", "bob", "carol")]
    outcomes = await asyncio.gather(*logins, return_exceptions=True)
    assert sum(isinstance(outcome, Device) for outcome in outcomes) == 1
    assert len(door.connections) == 1


async def test_session_from_storage_is_nobodys_and_begins_anew(door: BrokerDoor) -> None:
    context = door.broker.plugins_manager.context
    assert isinstance(context, BrokerContext)
    await context.add_subscription("pump-1", "t", 1)  # as a persistence plugin does after a restart
    writer = await Device.connect(door, "writer")
    await writer.publish("t", b"private", 1)
    device = await Device.connect(door, "pump-1", user="mallory", clean=False)
    assert not device.session_present
    assert not await device.messages()
    assert not door.broker.subscriptions


# The same user again (MQTT 3.1.1, 3.1.4-2)


async def test_take_over_closes_the_old_connection_and_publishes_its_will(door: BrokerDoor) -> None:
    watcher = await Device.connect(door, "watcher")
    await watcher.subscribe(("wills", 0))
    old = await Device.connect(door, "pump-1", user="alice", will=Will("wills", b"old"))
    new = await Device.connect(door, "pump-1", user="alice", will=Will("wills", b"new"))
    await old.ended()
    assert [connection.cause for connection in door.connections] == [None, DisconnectCause.TAKEN_OVER, None]
    assert await watcher.message() == Message("wills", b"old")
    await new.disconnect()
    assert not await watcher.messages()


async def test_take_over_with_a_clean_session_leaves_nothing_of_the_old_one(door: BrokerDoor) -> None:
    old = await Device.connect(door, "pump-1", clean=False)
    await old.subscribe(("t", 1))
    new = await Device.connect(door, "pump-1")
    assert not new.session_present
    old.send(packet(0x82, b"\x00\x07" + text("t") + b"\x01"))  # the old connection subscribes on
    await old.ended()
    writer = await Device.connect(door, "writer")
    await writer.publish("t", b"x", 1)
    assert not await new.messages()
    assert not door.broker.subscriptions


async def test_take_over_of_a_persistent_session_delivers_what_waited_at_once(door: BrokerDoor) -> None:
    old = await Device.connect(door, "pump-1", clean=False)
    await old.subscribe(("t", 1))
    old.acknowledges = False
    writer = await Device.connect(door, "writer")
    published = [b"%d" % number for number in range(25)]  # 20 are sent, 5 wait for acknowledgements
    for payload in published:
        await writer.publish("t", payload, 1)
    new = await Device.connect(door, "pump-1", clean=False)
    assert new.session_present
    got = [await new.message() for _ in published]
    assert [message.payload for message in got] == published
    assert [message.dup for message in got] == [True] * 20 + [False] * 5
    await old.ended()
    await writer.publish("t", b"live", 1)
    assert await new.messages() == [Message("t", b"live", 1)]


# Messages that are not for everybody


async def test_client_without_a_subscription_gets_no_retained_message(door: BrokerDoor) -> None:
    reader = await Device.connect(door, "reader", user="alice")
    await reader.subscribe(("secret/#", 1))
    await reader.publish("secret/1", b"kept", 1, retain=True)
    device = await Device.connect(door, "pump-1", user="mallory")
    assert not await device.messages()


async def test_retained_and_live_messages_reach_only_who_may_receive_them() -> None:
    async with BrokerDoor.open(refusing(receive=["plant/secret"])) as door:
        boss = await Device.connect(door, "boss", user="boss")
        for topic in ("plant/secret", "plant/open"):
            await boss.publish(topic, b"kept", retain=True)
        device = await Device.connect(door, "pump-1", user="mallory")
        await device.subscribe(("plant/+", 0))
        assert await device.messages() == [Message("plant/open", b"kept", retain=True)]
        for topic in ("plant/secret", "plant/open"):
            await boss.publish(topic, b"live", 1)
        assert await device.messages() == [Message("plant/open", b"live")]
        assert not door.refusals


async def test_will_without_permission_is_not_published() -> None:
    async with BrokerDoor.open(refusing(publish=["secret/will"])) as door:
        boss = await Device.connect(door, "boss", user="boss")
        await boss.subscribe(("secret/will", 0))
        device = await Device.connect(door, "pump-1", user="mallory", will=Will("secret/will", b"evil", retain=True))
        device.vanish()
        await door.connections[1].served()
        assert not await boss.messages()
        assert not door.broker.retained_messages
        assert door.refusals == [("pump-1", "secret/will", "will")]


async def test_will_to_a_topic_of_the_servers_own_is_dropped(door: BrokerDoor) -> None:
    watcher = await Device.connect(door, "watcher")
    await watcher.subscribe(("$SYS/broker", 0))
    device = await Device.connect(door, "pump-1", will=Will("$SYS/broker", retain=True))
    device.vanish()
    await door.connections[1].served()
    assert not await watcher.messages()
    assert not door.broker.retained_messages


# Broken and greedy devices


@pytest.mark.parametrize(
    "malformed",
    [
        pytest.param(packet(0x82, b"\x00\x01"), id="subscribe-without-filter"),
        pytest.param(packet(0x82, b"\x00\x01\x00\x09t\x00"), id="subscribe-filter-longer-than-the-packet"),
        pytest.param(packet(0x82, b"\x00\x01" + text("t") + b"\x03"), id="subscribe-qos-3"),
        pytest.param(packet(0x82, b"\x00\x01" + text(b"\xff") + b"\x01"), id="subscribe-bad-utf-8"),
        pytest.param(packet(0xA2, b"\x00\x01" + text("")), id="unsubscribe-empty-filter"),
        pytest.param(packet(0x30, text("a/#") + b"x"), id="publish-to-a-wildcard"),
        pytest.param(packet(0x36, text("t") + b"\x00\x01"), id="publish-qos-3"),
        pytest.param(packet(0x32, text("t") + b"\x00\x00"), id="publish-packet-id-0"),
    ],
)
async def test_malformed_packet_closes_the_connection_and_the_will_is_published(
    door: BrokerDoor, malformed: bytes
) -> None:
    watcher = await Device.connect(door, "watcher")
    await watcher.subscribe(("wills", 0))
    device = await Device.connect(door, "pump-1", will=Will("wills"))
    device.send(malformed + packet(0xE0, b""))
    await device.ended()
    assert await watcher.message() == Message("wills", b"gone")
    assert door.connections[1].cause is PROTOCOL_ERROR
    assert not {filter_ for filter_ in door.broker.subscriptions if filter_ != "wills"}


async def test_300_attempts_leave_nothing_behind(door: BrokerDoor) -> None:
    holder = await Device.connect(door, "pump-1", user="alice")
    tasks = len(asyncio.all_tasks())
    for number in range(300):
        with pytest.raises(Refused):
            await Device.connect(door, "pump-1", user=f"mallory-{number}", clean=False)
    for number in range(300):
        device = await Device.connect(door, f"d-{number}", user="bob")
        device.vanish() if number % 2 else await device.disconnect()
    for connection in door.connections[1:]:
        await connection.served()
    assert list(door.broker.sessions) == ["pump-1"]
    assert len(door.broker.ownership) == 1
    assert len(asyncio.all_tasks()) <= tasks
    assert not await holder.messages()


async def test_subscriber_that_does_not_read_is_bounded_and_harms_nobody() -> None:
    async with BrokerDoor.open(limits=BrokerLimits(max_queued_messages=10)) as door:
        slow = await Device.connect(door, "slow")
        await slow.subscribe(("t", 1))
        writer = await Device.connect(door, "writer")
        for _ in range(300):
            await writer.publish("t", bytes(65_536), 1)
        session = door.broker.sessions["slow"][0]
        assert isinstance(session, BrokerSession)
        assert session.retained_messages.qsize() == 10
        assert len(session.inflight_out) <= 20
        received = await slow.messages()
        while not session.retained_messages.empty() or session.inflight_out:
            received += await slow.messages()
        assert len(received) + session.dropped == 300


async def test_client_that_takes_no_answers_is_disconnected() -> None:
    async with BrokerDoor.open(limits=BrokerLimits(max_queued_messages=10, max_unread_bytes=500)) as door:
        slow = await Device.connect(door, "slow")
        await slow.subscribe(("t", 0))
        writer = await Device.connect(door, "writer")
        for _ in range(300):
            await writer.publish("t", bytes(65_536), 1)
        slow.send(packet(0xC0, b"") * 251)
        await door.connections[0].served()
        assert door.connections[0].cause is CLOSED_BY_BROKER


async def test_messages_never_released_are_bounded() -> None:
    async with BrokerDoor.open(limits=BrokerLimits(max_unreleased=3)) as door:
        device = await Device.connect(door, "pump-1")
        for packet_id in range(1, 5):
            device.send(packet(0x34, text("t") + packet_id.to_bytes(2, "big")))
        await device.ended()
        assert door.connections[0].cause is CLOSED_BY_BROKER


async def test_subscriptions_and_retained_messages_are_bounded() -> None:
    async with BrokerDoor.open(limits=BrokerLimits(max_subscriptions=2, max_retained_messages=1)) as door:
        device = await Device.connect(door, "pump-1")
        assert await device.subscribe(("a", 1), ("b", 1), ("c", 1), ("a", 0)) == [1, 1, 0x80, 0]
        await device.publish("x", b"1", 1, retain=True)
        await device.publish("y", b"1", 1, retain=True)
        assert list(door.broker.retained_messages) == ["x"]
        assert door.broker.retained.dropped == 1


async def test_no_message_is_lost_while_subscriptions_come_and_go() -> None:
    async with BrokerDoor.open(refusing()) as door:
        reader = await Device.connect(door, "reader")
        await reader.subscribe(("t", 1))
        writer, churner = await Device.connect(door, "writer"), await Device.connect(door, "churner")

        async def churn() -> None:
            for number in range(100):
                await churner.subscribe((f"other/{number}", 1), ("t", 0))
                await churner.unsubscribe(f"other/{number}", "t")

        async def write() -> None:
            for number in range(100):
                await writer.publish("t", b"%d" % number, 1)

        await asyncio.gather(churn(), write())
        assert [(await reader.message()).payload for _ in range(100)] == [b"%d" % number for number in range(100)]


async def test_the_brokers_own_way_in_is_closed(door: BrokerDoor) -> None:
    with pytest.raises(BrokerError, match="door"):
        await door.broker.external_connected(BufferReader(b"\x10"), BufferWriter(), "default")
    assert not door.broker.sessions
