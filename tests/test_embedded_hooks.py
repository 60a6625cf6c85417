"""The events that plugins hear."""

from __future__ import annotations

import asyncio
from typing import Any

from amqtt.broker import BrokerContext
from amqtt.events import BrokerEvents, MQTTEvents
from amqtt.plugins.base import BasePlugin

from doorlog.embedded.broker import DoorlogBroker, embedded_config
from doorlog.embedded.hooks import Hooks
from support.broker_devices import Device
from support.broker_door import BrokerDoor

SENT = ("Connack", "Suback", "Unsuback", "Publish", "Puback", "Pubrec", "Pubcomp")
RECEIVED = ("Publish", "Puback", "Pubrel", "Subscribe", "Unsubscribe", "Disconnect")
HEARD: list[tuple[str, str | None]] = []


class Listener(BasePlugin[BrokerContext]):
    """Hears some events."""

    async def on_broker_client_connected(self, client_id: str, client_session: Any) -> None:
        HEARD.append(("connected", client_id))

    async def on_broker_client_disconnected(self, client_id: str, client_session: Any) -> None:
        HEARD.append(("disconnected", client_id))

    async def on_broker_client_subscribed(self, client_id: str, topic: str, qos: int) -> None:
        HEARD.append(("subscribed", f"{topic} {qos}"))

    async def on_broker_client_unsubscribed(self, client_id: str, topic: str) -> None:
        HEARD.append(("unsubscribed", topic))

    async def on_broker_message_received(self, client_id: str, message: Any) -> None:
        HEARD.append(("received", message.topic))

    async def on_broker_message_broadcast(self, client_id: str, message: Any) -> None:
        HEARD.append(("broadcast", message.topic))

    async def on_broker_retained_message(self, client_id: str | None, retained_message: Any) -> None:
        HEARD.append(("retained", f"{client_id} {retained_message.topic}"))

    async def on_mqtt_packet_received(self, packet: Any, session: Any) -> None:
        HEARD.append(("in", type(packet).__name__))

    async def on_mqtt_packet_sent(self, packet: Any, session: Any) -> None:
        HEARD.append(("out", type(packet).__name__))


async def test_plugins_hear_what_happens_in_order() -> None:
    HEARD.clear()
    async with BrokerDoor.open({f"{__name__}.Listener": {}}) as door:
        device = await Device.connect(door, "pump-1", clean=False)
        await device.subscribe(("t", 2))
        await device.publish("t", b"1", 1, retain=True)
        await device.message()
        await device.publish("$shadow/pump-1/get", b"", 1)
        await device.unsubscribe("t")
        await device.subscribe(("t", 2))
        await device.disconnect()
        other = await Device.connect(door, "other")
        await other.publish("t", b"2", 2)
        await other.disconnect()
        await door.broker.hooks.settle()
    events = [event for event in HEARD if event[0] not in {"in", "out"}]
    assert events[:7] == [
        ("connected", "pump-1"),
        ("subscribed", "t 2"),
        ("received", "t"),
        ("broadcast", "t"),
        ("retained", "None t"),
        ("received", "$shadow/pump-1/get"),
        ("unsubscribed", "t"),
    ]
    assert ("retained", "pump-1 t") in events
    assert ("disconnected", "pump-1") in events
    sent = {packet for direction, packet in HEARD if direction == "out"}
    assert sent == {f"{name}Packet" for name in SENT}
    received = {packet for direction, packet in HEARD if direction == "in"}
    assert received == {f"{name}Packet" for name in RECEIVED}


async def test_nothing_is_fired_when_nobody_listens() -> None:
    hooks = DoorlogBroker(embedded_config({})).hooks
    tasks = asyncio.all_tasks()
    assert not any(hooks.hears(event) for event in (*BrokerEvents, *MQTTEvents))
    hooks.fire(BrokerEvents.CLIENT_CONNECTED, client_id="pump-1", client_session=None)
    await hooks.settle()
    assert asyncio.all_tasks() == tasks


async def test_settled_hooks_are_known_to_the_plugin_manager() -> None:
    HEARD.clear()
    broker = DoorlogBroker(embedded_config({f"{__name__}.Listener": {}}))
    hooks = Hooks(broker.plugins_manager)
    hooks.fire(BrokerEvents.CLIENT_CONNECTED, client_id="pump-1", client_session=None)
    await hooks.settle()
    await broker.plugins_manager.wait_fired_events()
    assert HEARD == [("connected", "pump-1")]
