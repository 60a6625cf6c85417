"""Messages, subscriptions and permissions, without a connection where none is needed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from amqtt.contexts import Action, BaseContext
from amqtt.plugins.base import BaseTopicPlugin
from amqtt.session import Session

from doorlog.embedded.broker import DoorlogBroker, embedded_config
from doorlog.embedded.limits import BrokerLimits
from doorlog.embedded.permissions import TopicPermissions
from doorlog.embedded.session import BrokerSession, session_of
from support.broker_devices import Device, Message, packet, text
from support.broker_door import BrokerDoor, refusing
from support.broker_memory import MemoryConnection, connected, serve


@pytest.fixture
async def broker() -> AsyncIterator[DoorlogBroker]:
    broker = DoorlogBroker(embedded_config({}), limits=BrokerLimits(max_qos=1))
    await broker.start()
    yield broker
    await broker.shutdown()


class Gate(BaseTopicPlugin):
    """Lets a subscriber receive once the test opens it."""

    def __init__(self) -> None:
        super().__init__(BaseContext())
        self.asked, self.open = asyncio.Event(), asyncio.Event()

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool | None:
        if action is Action.RECEIVE or topic == "gated":
            self.asked.set()
            await self.open.wait()
        return True


async def subscriber(broker: DoorlogBroker, topic: str = "t", *, clean: bool = False) -> MemoryConnection:
    connection = connected(clean=clean)
    connection.reader.feed_data(packet(0x82, b"\x00\x01" + text(topic) + b"\x01"))
    await serve(broker, connection)
    await asyncio.sleep(0)
    connection.take()
    return connection


async def test_message_in_the_making_follows_its_subscriber_to_the_next_connection(broker: DoorlogBroker) -> None:
    gate = Gate()
    old = await subscriber(broker)
    broker.permissions = TopicPermissions([gate])
    sending = asyncio.ensure_future(broker.internal_message_broadcast("t", b"1", 0))
    await gate.asked.wait()
    new = connected(clean=False)
    await serve(broker, new)
    new.take()
    gate.open.set()
    await sending
    assert new.take() == packet(0x30, text("t") + b"1")
    assert old.take() == b""


async def test_message_in_the_making_is_not_for_a_clean_successor(broker: DoorlogBroker) -> None:
    gate = Gate()
    await subscriber(broker)
    broker.permissions = TopicPermissions([gate])
    sending = asyncio.ensure_future(broker.internal_message_broadcast("t", b"1", 1))
    await gate.asked.wait()
    new = connected()
    await serve(broker, new)
    new.take()
    gate.open.set()
    await sending
    assert new.take() == b""
    assert broker.sessions["pump-1"][0].retained_messages.empty()


async def test_subscription_in_the_making_ends_with_its_connection(broker: DoorlogBroker) -> None:
    gate = Gate()
    broker.permissions = TopicPermissions([gate])
    connection = connected()
    session, _ = await serve(broker, connection)
    subscribing = asyncio.ensure_future(broker.add_subscription(("gated", 1), session))
    await gate.asked.wait()
    await serve(broker, connected())
    gate.open.set()
    assert await subscribing == 0x80
    assert not broker.subscriptions


async def test_retained_messages_in_the_making_end_with_their_connection(broker: DoorlogBroker) -> None:
    gate = Gate()
    broker.permissions = TopicPermissions([gate])
    await broker.retain_message(None, "t", b"1", 0)
    connection = connected()
    session, serving = await serve(broker, connection)
    sending = asyncio.ensure_future(broker.send_retained(session, [("t", 0)], [0]))
    await gate.asked.wait()
    connection.close()
    await serving
    connection.take()
    gate.open.set()
    await sending
    assert connection.take() == b""


async def test_subscription_is_granted_no_more_than_the_highest_qos(broker: DoorlogBroker) -> None:
    session, _ = await serve(broker, connected())
    assert await broker.subscribe(session, [("t", 2), ("t/#/x", 1), ("u", 0)]) == [1, 0x80, 0]


async def test_sessions_that_are_not_ours_can_not_subscribe(broker: DoorlogBroker) -> None:
    assert await broker.add_subscription(("t", 1), Session()) == 0x80
    assert await broker.add_subscription(("t", 1), BrokerSession()) == 0x80
    assert not broker.subscriptions


async def test_broadcast_without_a_qos_has_that_of_each_subscription(broker: DoorlogBroker) -> None:
    connection = await subscriber(broker)
    await broker.internal_message_broadcast("t", b"1")
    assert connection.take() == packet(0x32, text("t") + b"\x00\x011")


async def test_no_topic_is_no_message(broker: DoorlogBroker) -> None:
    await broker._broadcast_message(None, None, b"1")
    await broker.retain_message(None, None, b"1")
    assert not broker.retained_messages


@pytest.mark.parametrize("topic", ["", "a/+", "$SYS/x"])
async def test_will_that_is_no_message_of_a_client_is_dropped(broker: DoorlogBroker, topic: str) -> None:
    connection = await subscriber(broker, "#")
    session = session_of(connected("other"))
    session.will_topic, session.will_message, session.will_retain = topic, b"gone", True
    await broker.publish_will(session)
    assert connection.take() == b""
    assert not broker.retained_messages


async def test_absent_clients_get_no_qos_0_messages_later(broker: DoorlogBroker) -> None:
    connection = await subscriber(broker)
    connection.close()
    await asyncio.sleep(0)
    for qos in (0, 1):
        await broker.internal_message_broadcast("t", b"%d" % qos, qos)
    waiting = broker.sessions["pump-1"][0].retained_messages
    assert waiting.qsize() == 1
    assert (waiting.get_nowait()).data == b"1"


async def test_each_refusal_is_reported_once() -> None:
    async with BrokerDoor.open(refusing(subscribe=["s"], publish=["p"], receive=["r"])) as door:
        device = await Device.connect(door, "pump-1")
        assert await device.subscribe(("s", 1), ("r", 1)) == [0x80, 1]
        for qos in (0, 1, 2):
            await device.publish("p", b"", qos)
        await device.publish("r", b"", 1)
        assert not await device.messages()
        assert door.refusals == [("pump-1", "s", "subscribe"), *[("pump-1", "p", "publish")] * 3]


async def test_refusals_need_no_listener() -> None:
    broker = DoorlogBroker(embedded_config(refusing(subscribe=["s"])))
    await broker.start()
    session, _ = await serve(broker, connected())
    assert await broker.add_subscription(("s", 1), session) == 0x80
    assert not await broker._topic_filtering(session, "s", Action.SUBSCRIBE)
    await broker.shutdown()


async def test_others_have_their_turn_while_many_retained_messages_are_looked_for(broker: DoorlogBroker) -> None:
    for number in range(2_500):
        await broker.retain_message(None, f"t/{number}", b"1", 0)
    connection = connected()
    session, _ = await serve(broker, connection)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.ensure_future(count())
    await broker.send_retained(session, [("t/+", 0)], [0])
    counting.cancel()
    assert turns >= 3
    assert connection.sent.count(b"t/") == 2_500


async def test_message_of_a_topic_reaches_exactly_its_subscribers() -> None:
    async with BrokerDoor.open() as door:
        devices = [await Device.connect(door, f"pump-{number}") for number in range(10)]
        for number, device in enumerate(devices):
            await device.subscribe((f"pump/{number}/+", 1))
        await devices[0].publish("pump/7/start", b"now", 1)
        got = [await device.messages() for device in devices]
        assert got == [[]] * 7 + [[Message("pump/7/start", b"now", 1)]] + [[]] * 2
