"""MQTT 3.1.1 as a client sees it, over real sockets: what the Paho interoperability suite asks of a broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from support.broker_devices import Device, Message, Refused, Will, packet, text
from support.broker_door import PATIENCE, BrokerDoor, refusing


@pytest.fixture
async def door() -> AsyncIterator[BrokerDoor]:
    async with BrokerDoor.open(refusing(subscribe=["test/nosubscribe"])) as opened:
        yield opened


async def test_second_connect_on_a_connection_ends_it(door: BrokerDoor) -> None:
    device = await Device.connect(door, "pump-1")
    device.send(packet(0x10, text("MQTT") + b"\x04\x02\x00\x00" + text("pump-1")))
    await device.ended()


async def test_wrong_protocol_name_gets_no_connack(door: BrokerDoor) -> None:
    device = await Device.connect(door, "pump-1")
    await device.disconnect()
    reader, writer = await door.dial()
    writer.write(packet(0x10, text("hj") + b"\x04\x02\x00\x00" + text("pump-1")))
    assert await reader.read() == b""
    writer.close()


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_message_of_each_qos_comes_back_once(door: BrokerDoor, qos: int) -> None:
    device = await Device.connect(door, "pump-1")
    assert await device.subscribe(("TopicA", 2)) == [2]
    await device.publish("TopicA", b"21.5", qos)
    assert await device.messages() == [Message("TopicA", b"21.5", qos)]


@pytest.mark.parametrize(("published", "granted", "expected"), [(0, 2, 0), (2, 0, 0), (1, 2, 1), (2, 1, 1)])
async def test_message_is_delivered_at_the_lower_qos(
    door: BrokerDoor, published: int, granted: int, expected: int
) -> None:
    reader = await Device.connect(door, "reader")
    await reader.subscribe(("t", granted))
    writer = await Device.connect(door, "writer")
    await writer.publish("t", b"x", published)
    assert await reader.messages() == [Message("t", b"x", expected)]


async def test_empty_client_id_needs_a_clean_session(door: BrokerDoor) -> None:
    with pytest.raises(Refused, match="2"):
        await Device.connect(door, "", clean=False)
    first, second = await Device.connect(door, ""), await Device.connect(door, "")
    assert not await first.messages()
    assert not await second.messages()
    assert len({client_id for client_id in door.broker.sessions if client_id}) == 2


async def test_retained_messages_answer_a_new_subscription_marked_as_such(door: BrokerDoor) -> None:
    device = await Device.connect(door, "pump-1")
    for qos in (0, 1, 2):
        await device.publish(f"TopicA/{qos}", b"kept", qos, retain=True)
    await device.subscribe(("+/+", 1))
    assert await device.messages() == [
        Message("TopicA/0", b"kept", 0, retain=True),
        Message("TopicA/1", b"kept", 1, retain=True),
        Message("TopicA/2", b"kept", 1, retain=True),
    ]


async def test_retained_messages_come_again_with_each_subscription_and_not_with_a_connection(door: BrokerDoor) -> None:
    writer = await Device.connect(door, "writer")
    await writer.publish("t", b"kept", 1, retain=True)
    device = await Device.connect(door, "pump-1", clean=False)
    for _ in range(2):
        await device.subscribe(("t", 1))
        assert await device.messages() == [Message("t", b"kept", 1, retain=True)]
    await device.disconnect()
    device = await Device.connect(door, "pump-1", clean=False)
    assert device.session_present
    assert not await device.messages()


async def test_empty_retained_message_clears_and_is_passed_on(door: BrokerDoor) -> None:
    device = await Device.connect(door, "pump-1")
    await device.subscribe(("t", 0))
    await device.publish("t", b"kept", retain=True)
    await device.publish("t", b"", retain=True)
    assert await device.messages() == [Message("t", b"kept"), Message("t", b"")]
    await device.subscribe(("t", 0))
    assert not await device.messages()


async def test_messages_for_an_absent_client_wait_for_it(door: BrokerDoor) -> None:
    device = await Device.connect(door, "pump-1", clean=False)
    assert not device.session_present
    await device.subscribe(("+/+", 2))
    await device.disconnect()
    writer = await Device.connect(door, "writer")
    for qos in (0, 1, 2):
        await writer.publish("TopicA/B", b"%d" % qos, qos)
    device = await Device.connect(door, "pump-1", clean=False)
    assert device.session_present
    assert await device.messages() == [Message("TopicA/B", b"1", 1), Message("TopicA/B", b"2", 2)]


async def test_session_last_used_clean_can_be_made_persistent(door: BrokerDoor) -> None:
    await (await Device.connect(door, "pump-1")).disconnect()
    device = await Device.connect(door, "pump-1", clean=False)
    await device.subscribe(("t", 1))
    await device.disconnect()
    writer = await Device.connect(door, "writer")
    await writer.publish("t", b"while away", 1)
    device = await Device.connect(door, "pump-1", clean=False)
    assert await device.messages() == [Message("t", b"while away", 1)]
    await device.disconnect()
    assert not (await Device.connect(door, "pump-1")).session_present
    assert not door.broker.subscriptions


@pytest.mark.parametrize("retain", [False, True])
async def test_will_is_published_when_a_device_vanishes(door: BrokerDoor, *, retain: bool) -> None:
    watcher = await Device.connect(door, "watcher")
    await watcher.subscribe(("Topic/C", 2))
    device = await Device.connect(door, "pump-1", will=Will("Topic/C", b"gone", 2, retain))
    device.vanish()
    assert await watcher.message() == Message("Topic/C", b"gone", 2)
    await watcher.subscribe(("Topic/C", 2))
    assert await watcher.messages() == [Message("Topic/C", b"gone", 2, retain=True)] * retain


async def test_will_is_forgotten_with_a_disconnect(door: BrokerDoor) -> None:
    watcher = await Device.connect(door, "watcher")
    await watcher.subscribe(("Topic/C", 2))
    device = await Device.connect(door, "pump-1", will=Will("Topic/C"))
    await device.disconnect()
    assert not await watcher.messages()


async def test_overlapping_subscriptions_give_one_message_at_the_highest_qos(door: BrokerDoor) -> None:
    device = await Device.connect(door, "pump-1")
    assert await device.subscribe(("TopicA/#", 2), ("TopicA/+", 1), ("TopicA/C", 0)) == [2, 1, 0]
    await device.publish("TopicA/C", b"once", 2)
    assert await device.messages() == [Message("TopicA/C", b"once", 2)]


async def test_same_filter_again_replaces_the_qos(door: BrokerDoor) -> None:
    device = await Device.connect(door, "pump-1")
    await device.subscribe(("TopicA/#", 2))
    assert await device.subscribe(("TopicA/#", 0)) == [0]
    await device.publish("TopicA/C", b"x", 2)
    assert await device.messages() == [Message("TopicA/C", b"x", 0)]


async def test_silent_device_is_dropped_and_its_will_published(door: BrokerDoor) -> None:
    watcher = await Device.connect(door, "watcher")
    await watcher.subscribe(("/TopicA", 2))
    door.second = 0.02
    device = await Device.connect(door, "pump-1", keep_alive=2, will=Will("/TopicA", b"silent"))
    assert await watcher.message() == Message("/TopicA", b"silent")
    await device.ended()


async def test_unacknowledged_messages_are_sent_again_on_the_next_connection(door: BrokerDoor) -> None:
    device = await Device.connect(door, "pump-1", clean=False)
    await device.subscribe(("TopicA/#", 2))
    device.acknowledges = False
    await device.publish("TopicA/B", b"one", 1)
    await device.publish("TopicA/C", b"two", 2)
    assert not any(message.dup for message in await device.messages())
    await device.disconnect()
    device = await Device.connect(door, "pump-1", clean=False)
    assert await device.messages() == [
        Message("TopicA/B", b"one", 1, dup=True),
        Message("TopicA/C", b"two", 2, dup=True),
    ]
    await device.disconnect()
    device = await Device.connect(door, "pump-1", clean=False)
    assert not await device.messages()


async def test_received_but_unreleased_message_is_released_again_not_repeated(door: BrokerDoor) -> None:
    device = await Device.connect(door, "pump-1", clean=False)
    await device.subscribe(("t", 2))
    device.acknowledges = False
    await device.publish("t", b"x", 2)
    assert await device.messages() == [Message("t", b"x", 2)]
    device.send(packet(0x50, b"\x00\x01"))  # PUBREC, and no PUBCOMP for the PUBREL that follows
    await device.messages()
    await device.disconnect()
    device = await Device.connect(door, "pump-1", clean=False)
    assert not await device.messages()
    await device.disconnect()
    assert not door.broker.sessions["pump-1"][0].inflight_out


async def test_refused_subscription_is_answered_with_0x80(door: BrokerDoor) -> None:
    device = await Device.connect(door, "pump-1")
    assert await device.subscribe(("test/nosubscribe", 2), ("allowed", 1)) == [0x80, 1]


async def test_wildcards_in_front_do_not_match_dollar_topics(door: BrokerDoor) -> None:
    device = await Device.connect(door, "pump-1")
    await device.subscribe(("+/+", 2), ("#", 2), ("$SYS/#", 0))
    await device.publish("$TopicA/B", b"", 1)
    await door.broker.internal_message_broadcast("$SYS/uptime", b"7", 0)
    assert await device.messages() == [Message("$SYS/uptime", b"7")]


async def test_unsubscribed_topic_is_delivered_no_more(door: BrokerDoor) -> None:
    device = await Device.connect(door, "pump-1")
    await device.subscribe(("TopicA", 2), ("TopicA/B", 2))
    await device.unsubscribe("TopicA", "never/subscribed")
    await device.publish("TopicA", b"x", 1)
    await device.publish("TopicA/B", b"y", 1)
    assert await device.messages() == [Message("TopicA/B", b"y", 1)]


class PahoClient(paho.Client):
    """Subscribes, publishes to itself, and hands what arrives to the test's event loop."""

    def __init__(self) -> None:
        super().__init__(CallbackAPIVersion.VERSION2, "paho", clean_session=True)
        self.arrived: asyncio.Queue[bytes] = asyncio.Queue()
        self._test = asyncio.get_running_loop()
        self.on_connect = self._subscribe
        self.on_subscribe = self._publish
        self.on_message = self._arrive

    def _subscribe(self, *_: Any) -> None:
        self.subscribe("t", 2)

    def _publish(self, *_: Any) -> None:
        self.publish("t", b"hello", 2)

    def _arrive(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        self._test.call_soon_threadsafe(self.arrived.put_nowait, bytes(message.payload))


async def test_paho_client_is_served(door: BrokerDoor) -> None:
    client = PahoClient()
    await asyncio.to_thread(client.connect, "127.0.0.1", door.port)
    client.loop_start()
    try:
        async with asyncio.timeout(PATIENCE):
            assert await client.arrived.get() == b"hello"
    finally:
        await asyncio.to_thread(client.disconnect)
        await asyncio.to_thread(client.loop_stop)
