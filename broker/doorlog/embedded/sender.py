"""What goes to one client: flow control, acknowledgements and redelivery (MQTT 3.1.1, 4.3 and 4.4)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from amqtt.events import MQTTEvents
from amqtt.mqtt.connack import CONNECTION_ACCEPTED, ConnackPacket
from amqtt.mqtt.packet import PUBREL, MQTTPacket
from amqtt.mqtt.pubrec import PubrecPacket
from amqtt.mqtt.pubrel import PubrelPacket
from amqtt.session import OutgoingApplicationMessage

from doorlog.embedded.packets import encode_acknowledgement, encode_connack, encode_publish

if TYPE_CHECKING:
    from doorlog.embedded.connection import AdmittedConnection
    from doorlog.embedded.hooks import Hooks
    from doorlog.embedded.limits import BrokerLimits
    from doorlog.embedded.retained import RetainedStore
    from doorlog.embedded.session import BrokerSession

_DRAIN_BYTES = 65_536  # written without asking whether the client reads


class Sender:
    """Sends to one connected client, never waiting for it and never buffering without bound.

    amqtt has a task for each message, waits 5 s in it for the acknowledgement, and then forgets the message. Here
    a message stays in ``inflight_out`` until it is acknowledged, on this connection or on the session's next;
    no more than ``max_inflight`` are sent ahead of their acknowledgements, and none while the client does not
    read; the others wait in the session's bounded queue.

    Args:
        connection: The connection; the sender never closes it.
        session: Where the messages wait.
        limits: How many.
        hooks: Who hears of each packet sent.
        retained: Where ``owe`` finds its messages.
        on_overload: Called when the client leaves so many answers unread that it must be disconnected.
    """

    __slots__ = (
        "_connection", "_draining", "_hooks", "_limits", "_on_overload", "_owed", "_retained", "_session",
        "_stopped", "_unread",
    )  # fmt: skip

    def __init__(
        self,
        connection: AdmittedConnection,
        session: BrokerSession,
        *,
        limits: BrokerLimits,
        hooks: Hooks,
        retained: RetainedStore,
        on_overload: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._session = session
        self._limits = limits
        self._hooks = hooks
        self._retained = retained
        self._on_overload = on_overload
        self._owed: dict[str, int] = {}
        self._draining: asyncio.Task[None] | None = None
        self._unread = 0
        self._stopped = False

    def start(self, *, session_present: bool) -> None:
        """Accept the connection, send again what a resumed session had not seen acknowledged, then what waits."""
        self.send(
            encode_connack(session_present=session_present),
            lambda: ConnackPacket.build(int(session_present), CONNECTION_ACCEPTED),
        )
        for message in self._session.inflight_out.values():  # in their original order (4.6.0-1)
            self._resend(message)
        self.pump()

    def stop(self) -> None:
        """Send nothing more."""
        self._stopped = True
        self._on_overload = _nobody_cares  # else sender and handler would keep each other until the next collection
        if self._draining is not None:
            self._draining.cancel()

    def send(self, data: bytes, packet: Callable[[], MQTTPacket[Any, Any, Any]]) -> None:
        """Send a packet at once.

        Args:
            data: The packet, encoded.
            packet: Makes the same packet for plugins, if any listens.
        """
        if self._stopped:
            return
        self._connection.write(data)
        if self._hooks.hears(MQTTEvents.PACKET_SENT):
            self._hooks.fire(MQTTEvents.PACKET_SENT, packet=packet(), session=self._session)
        self._unread += len(data)
        if self._draining is None:
            if self._unread >= _DRAIN_BYTES:
                self._unread = 0
                self._draining = asyncio.ensure_future(self._drain())
        elif self._unread > self._limits.max_unread_bytes:
            # Only answers come here while the client does not read: it asks on and on and takes no reply.
            self._on_overload()

    def deliver(self, topic: str, data: bytes, qos: int) -> None:
        """Send an application message now if nothing is in its way, else let it wait behind the others."""
        if self._stopped:
            return
        if self._draining is None and self._session.retained_messages.empty():
            if qos == 0:
                self._send_publish(OutgoingApplicationMessage(None, topic, 0, data, retain=False))
                return
            if len(self._session.inflight_out) < self._limits.max_inflight:
                self._send_tracked(topic, data, qos, retain=False)
                return
        waiting = OutgoingApplicationMessage(None, topic, qos, data, retain=False)
        self._session.enqueue(waiting, self._limits)

    def owe(self, topics: Iterable[str], qos: int) -> None:
        """Send the retained messages of these topics for a new subscription, as fast as the client takes them.

        Only the topics are remembered: there can be more retained messages than may wait for a client.
        """
        self._owed.update(dict.fromkeys(topics, qos))
        self.pump()

    def acknowledged(self, packet_id: int, qos: int) -> None:
        """Forget a message that the client has, after PUBACK with QoS 1 or PUBCOMP with QoS 2."""
        message = self._session.inflight_out.get(packet_id)
        if message is not None and message.qos == qos:
            del self._session.inflight_out[packet_id]
            self.pump()

    def received(self, packet_id: int) -> None:
        """Release a QoS 2 message that the client has stored (4.3.3), also one that nobody here remembers."""
        message = self._session.inflight_out.get(packet_id)
        if message is not None and message.qos == 2:
            message.pubrec_packet = PubrecPacket.build(packet_id)
            message.data = b""  # never sent again: from now on it is PUBREL that is repeated
        self._send_pubrel(packet_id)

    def pump(self) -> None:
        """Send what waits, as far as the client keeps up."""
        inflight, window = self._session.inflight_out, self._limits.max_inflight
        while self._draining is None and not self._stopped and len(inflight) < window:
            message = self._session.dequeue()
            if message is not None:
                self._send_waiting(message.topic, bytes(message.data), message.qos or 0, retain=False)
            elif self._owed:
                self._send_owed()
            else:
                return

    def _send_owed(self) -> None:
        topic = next(iter(self._owed))
        granted = self._owed.pop(topic)
        message = self._retained.get(topic)
        if message is not None:
            qos = granted if message.qos is None else min(granted, message.qos)
            self._send_waiting(topic, bytes(message.data), qos, retain=True)

    def _send_waiting(self, topic: str, data: bytes, qos: int, *, retain: bool) -> None:
        if qos:
            self._send_tracked(topic, data, qos, retain=retain)
        else:
            self._send_publish(OutgoingApplicationMessage(None, topic, 0, data, retain))

    def _send_tracked(self, topic: str, data: bytes, qos: int, *, retain: bool) -> None:
        packet_id = self._session.next_packet_id
        message = OutgoingApplicationMessage(packet_id, topic, qos, data, retain)
        self._session.inflight_out[packet_id] = message
        self._send_publish(message)

    def _send_publish(self, message: OutgoingApplicationMessage, *, dup: bool = False) -> None:
        data = encode_publish(
            message.topic,
            bytes(message.data),
            message.qos or 0,
            message.packet_id or 0,
            retain=message.retain,
            dup=dup,
        )
        self.send(data, lambda: message.build_publish_packet(dup=dup))

    def _send_pubrel(self, packet_id: int) -> None:
        self.send(encode_acknowledgement(PUBREL, packet_id), lambda: PubrelPacket.build(packet_id))

    def _resend(self, message: OutgoingApplicationMessage) -> None:
        if message.pubrec_packet is not None and message.packet_id is not None:
            self._send_pubrel(message.packet_id)
        else:
            self._send_publish(message, dup=True)

    async def _drain(self) -> None:
        try:
            await self._connection.drain()
        except OSError:
            return  # the connection is lost, its reader ends
        self._draining = None
        self.pump()


def _nobody_cares() -> None:
    """Stand in for the handler, which has closed."""
