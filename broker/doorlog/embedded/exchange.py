"""What clients publish and subscribe to: amqtt's Broker, with its delivery of messages put right."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from amqtt.broker import Broker, RetainedApplicationMessage
from amqtt.contexts import Action, BrokerConfig
from amqtt.events import BrokerEvents
from amqtt.plugins.base import BaseTopicPlugin
from amqtt.session import IncomingApplicationMessage, OutgoingApplicationMessage, Session

from doorlog.embedded.hooks import Hooks
from doorlog.embedded.limits import BrokerLimits
from doorlog.embedded.log_topics import LogTopics
from doorlog.embedded.permissions import TopicPermissions
from doorlog.embedded.retained import RetainedStore
from doorlog.embedded.session import BrokerSession
from doorlog.embedded.subscriptions import SubscriptionTable
from doorlog.embedded.topics import is_reserved, is_topic_filter, is_topic_name

if TYPE_CHECKING:
    from amqtt.mqtt.publish import PublishPacket

RefusalListener = Callable[[Session, str, str], None]
"""Told of each refused topic: the session, the topic or filter, and a string: an ``Action``'s, or ``will``."""

_REFUSED = 0x80  # in a SUBACK (MQTT 3.1.1, 3.9.3)
_WILL = "will"


class MessageExchange(Broker):
    """The part of the broker that knows messages, subscriptions and permissions, but no connections.

    Args:
        config: As amqtt's.
        limits: What clients may hold in memory.
        on_refusal: Called once for each refusal of a subscription, a publication or a will; not for
            messages that a subscriber may not receive.
        log_topics: The topics that belong to the log.

    Attributes:
        limits: As given.
        log_topics: As given.
        hooks: The events of the plugins.
        retained: The retained messages.
        permissions: The topic plugins.
    """

    def __init__(
        self,
        config: BrokerConfig,
        limits: BrokerLimits,
        on_refusal: RefusalListener | None,
        log_topics: LogTopics,
    ) -> None:
        super().__init__(config)
        self.limits = limits
        self.log_topics = log_topics
        self.hooks = Hooks(self.plugins_manager)
        self.retained = RetainedStore(self._retained_messages, limits)
        self.permissions = TopicPermissions(
            [plugin for plugin in self.plugins_manager.plugins if isinstance(plugin, BaseTopicPlugin)]
        )
        self._on_refusal = on_refusal
        self._readers: dict[str | None, BrokerSession] = {}  # of the log, connected, by client id
        # Nobody else fills it, so that its sessions are ours.
        self._table = SubscriptionTable(cast("dict[str, list[tuple[BrokerSession, int]]]", self._subscriptions))

    def _is_registered(self, session: BrokerSession) -> bool:
        return self._sessions.get(session.client_id or "", (None,))[0] is session

    # What a client asks for

    async def accept(self, session: BrokerSession, packet: PublishPacket) -> None:
        """Retain and distribute a client's message, if it may publish it.

        Refused ones are dropped and acknowledged, as MQTT 3.1.1 has it (3.3.5-2). So are messages to the server's
        own ``$`` topics (4.7.2); plugins still hear of them, some take commands there. amqtt stops listening to such a
        client, yet keeps it connected.
        """
        topic, data = packet.topic_name or "", packet.data or b""
        self._tell(BrokerEvents.MESSAGE_RECEIVED, session, packet)
        if is_reserved(topic) or not await self._authorize(session, topic, Action.PUBLISH):
            return
        self._tell(BrokerEvents.MESSAGE_BROADCAST, session, packet)
        if packet.retain_flag:  # first, so that a subscription made meanwhile misses nothing
            await self.retain_message(None, topic, data, packet.qos)
        await self._broadcast_message(session, topic, data, packet.qos)

    def _tell(self, event: BrokerEvents, session: BrokerSession, packet: PublishPacket) -> None:
        if not self.hooks.hears(event):
            return
        message = IncomingApplicationMessage(
            packet.packet_id, packet.topic_name or "", packet.qos, packet.data or b"", packet.retain_flag
        )
        message.publish_packet = packet
        self.hooks.fire(event, client_id=session.client_id, message=message)

    async def subscribe(self, session: BrokerSession, topics: list[tuple[str, int]]) -> list[int]:
        """Subscribe a session; the granted QoS, or 0x80, for each filter."""
        codes = [await self.add_subscription(subscription, session) for subscription in topics]
        for (topic_filter, _), code in zip(topics, codes, strict=True):
            if code != _REFUSED:
                self.hooks.fire(
                    BrokerEvents.CLIENT_SUBSCRIBED, client_id=session.client_id, topic=topic_filter, qos=code
                )
        return codes

    async def add_subscription(self, subscription: tuple[str, int], session: Session) -> int:
        """Subscribe a session, or change the QoS of the same filter, which amqtt does not (3.8.4-3)."""
        topic_filter, qos = subscription
        if not isinstance(session, BrokerSession) or not is_topic_filter(topic_filter):
            return _REFUSED
        if not await self._authorize(session, topic_filter, Action.SUBSCRIBE):
            return _REFUSED
        full = len(session.subscriptions) >= self.limits.max_subscriptions
        if not self._is_registered(session) or (full and topic_filter not in session.subscriptions):
            return _REFUSED
        granted = min(qos, self.limits.max_qos)
        self._table.add(session, topic_filter, granted)
        return granted

    async def send_retained(self, session: BrokerSession, topics: list[tuple[str, int]], codes: list[int]) -> None:
        """Send the retained messages of new subscriptions (3.3.1-6), those that the session may receive.

        amqtt sends those of all clients' subscriptions, to each client that connects, and asks no plugin.
        """
        for (topic_filter, _), code in zip(topics, codes, strict=True):
            if code == _REFUSED:
                continue
            for found in self.retained.matching(topic_filter):
                # The log retains nothing: what is there under a topic of its own is no record.
                others = [topic for topic in found if not self.log_topics.own(topic)]
                allowed = [topic for topic in others if await self._may_receive(session, topic)]
                if session.live is None:
                    return
                session.live.sender.owe(allowed, code)
                await asyncio.sleep(0)

    def unsubscribe(self, session: BrokerSession, topics: list[str]) -> None:
        """Unsubscribe a session."""
        for topic_filter in topics:
            self._table.remove(session, topic_filter)
            self.hooks.fire(BrokerEvents.CLIENT_UNSUBSCRIBED, client_id=session.client_id, topic=topic_filter)

    # Messages

    async def publish_will(self, session: BrokerSession) -> None:
        """Publish the will, with its retain flag, as if its client had; amqtt asks no topic plugin."""
        topic, data = session.will_topic or "", bytes(session.will_message or b"")
        if not is_topic_name(topic) or is_reserved(topic):
            return
        if not await self._authorize(session, topic, Action.PUBLISH, _WILL):
            return
        if session.will_retain:
            await self.retain_message(None, topic, data, session.will_qos)
        await self._broadcast_message(session, topic, data, session.will_qos)

    async def _broadcast_message(
        self,
        session: Session | None,  # noqa: ARG002 - amqtt's signature
        topic: str | None,
        data: bytes | bytearray | None,
        force_qos: int | None = None,
    ) -> None:
        """Deliver a message to its subscribers, at the lower of its own and the granted QoS (4.3).

        In the publisher's turn: amqtt puts it into an unbounded queue that any publisher can fill, delivers it
        at the subscriber's QoS whatever its own, and gives up all of it if one subscriber fails.
        """
        if topic is None or self.log_topics.own(topic):  # a plugin, which nobody has asked for a name
            return
        payload = bytes(data or b"")
        for subscriber, granted in self._table.matching(topic):
            if await self._may_receive(subscriber, topic):
                qos = granted if force_qos is None else min(force_qos, granted)
                self._deliver(subscriber, topic, payload, qos)

    async def publish_record(self, topic: str, record: bytes) -> None:
        """Deliver a record of the log to who may read it and is connected, at QoS 0.

        No refusal comes of it, nothing is kept, and no plugin is told of a message: the log must not feed itself. Only
        readers are looked at: a stranger who knocks must not make us look through a fleet that subscribes to ``#``.
        """
        for reader in self._table.subscribed(tuple(self._readers.values()), topic):
            if await self._may_receive(reader, topic):
                self._deliver(reader, topic, record, 0)

    def _deliver(self, subscriber: BrokerSession, topic: str, data: bytes, qos: int) -> None:
        while subscriber.successor is not None:  # while a plugin was asked, it connected again
            subscriber = subscriber.successor
        if subscriber.live is not None:
            subscriber.live.sender.deliver(topic, data, qos)
        elif qos and self._is_registered(subscriber):
            subscriber.enqueue(OutgoingApplicationMessage(None, topic, qos, data, retain=False), self.limits)
            if self.hooks.hears(BrokerEvents.RETAINED_MESSAGE):  # what amqtt calls the messages that wait, too
                message = RetainedApplicationMessage(None, topic, data, qos)
                self.hooks.fire(BrokerEvents.RETAINED_MESSAGE, client_id=subscriber.client_id, retained_message=message)

    async def retain_message(
        self,
        source_session: Session | None,  # noqa: ARG002 - amqtt's signature; keeping it would keep the session alive
        topic_name: str | None,
        data: bytes | bytearray | None,
        qos: int | None = None,
    ) -> None:
        """Retain a message, or clear the retained one, within bounds."""
        if topic_name is not None and not self.log_topics.own(topic_name):
            message = self.retained.put(topic_name, bytes(data or b""), qos)
            if message is not None:
                self.hooks.fire(BrokerEvents.RETAINED_MESSAGE, client_id=None, retained_message=message)

    # Permissions

    async def _topic_filtering(self, session: Session, topic: str, action: Action) -> bool:
        """Ask the topic plugins, None being an abstention as amqtt documents it, not a refusal as it has it."""
        return await self.permissions.allows(session, topic, action)

    async def _may_receive(self, session: BrokerSession, topic: str) -> bool:
        return await self._allows(session, topic, Action.RECEIVE)

    async def _authorize(self, session: BrokerSession, topic: str, action: Action, purpose: str | None = None) -> bool:
        if await self._allows(session, topic, action):
            return True
        if self._on_refusal is not None:
            self._on_refusal(session, topic, purpose or action)
        return False

    async def _allows(self, session: BrokerSession, topic: str, action: Action) -> bool:
        if not self.log_topics.allow(session.principal, topic, action):
            return False
        return self.permissions.unrestricted or await self.permissions.allows(session, topic, action)
