"""One connection: its packets in, the answers out, until it ends."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from amqtt.events import MQTTEvents
from amqtt.mqtt.packet import PUBACK, PUBCOMP, PUBREC, UNSUBACK, PacketIdVariableHeader
from amqtt.mqtt.pingreq import PingReqPacket
from amqtt.mqtt.pingresp import PingRespPacket
from amqtt.mqtt.puback import PubackPacket
from amqtt.mqtt.pubcomp import PubcompPacket
from amqtt.mqtt.publish import PublishPacket
from amqtt.mqtt.pubrec import PubrecPacket
from amqtt.mqtt.pubrel import PubrelPacket
from amqtt.mqtt.suback import SubackPacket
from amqtt.mqtt.subscribe import SubscribePacket, SubscribePayload
from amqtt.mqtt.unsuback import UnsubackPacket
from amqtt.mqtt.unsubscribe import UnsubscribePacket, UnubscribePayload
from amqtt.session import IncomingApplicationMessage

from doorlog.embedded.packets import (
    PINGRESP_PACKET,
    ClientPacket,
    decode_packet,
    encode_acknowledgement,
    encode_suback,
)
from doorlog.embedded.sender import Sender
from doorlog.errors import MalformedPacket
from doorlog.events.codes import DisconnectCause

if TYPE_CHECKING:
    from doorlog.embedded.connection import AdmittedConnection
    from doorlog.embedded.exchange import MessageExchange
    from doorlog.embedded.session import BrokerSession

_log = logging.getLogger(__name__)
_PACKETS_PER_TURN = 16  # a client that sends without pause must not keep the others waiting
_UNRELEASED = IncomingApplicationMessage(None, "", 2, b"", retain=False)  # only the packet ids must be kept


class SessionHandler:
    """Serves one connection in one coroutine, instead of amqtt's BrokerProtocolHandler.

    That one reads each packet into a task of its own (answers out of order, nothing bounded), hands over through
    five queues and futures, goes on after a malformed packet, and reads beyond its end.

    Args:
        exchange: The broker.
        connection: The connection.
        session: Its session.

    Attributes:
        session: As given.
        sender: What sends to the client.
        closed: Whether the broker has closed the connection, or seen it end.
        cause: Why, where it was the broker.
    """

    __slots__ = ("_connection", "_exchange", "_hooks", "cause", "closed", "sender", "session")

    def __init__(self, exchange: MessageExchange, connection: AdmittedConnection, session: BrokerSession) -> None:
        self.session = session
        self._exchange = exchange
        self._connection = connection
        self._hooks = exchange.hooks
        self.closed = False
        self.cause: DisconnectCause | None = None
        self.sender = Sender(
            connection,
            session,
            limits=exchange.limits,
            hooks=exchange.hooks,
            retained=exchange.retained,
            on_overload=lambda: self.close(DisconnectCause.CLOSED_BY_BROKER),
        )

    def close(self, cause: DisconnectCause | None = None) -> None:
        """End the connection; the first cause counts. ``run`` returns soon.

        Args:
            cause: Why; None leaves it to the door, which knows how the reader ended.
        """
        if self.closed:
            return
        self.closed = True
        self.cause = cause
        self.sender.stop()
        self._connection.close(cause)

    @property
    def will_is_due(self) -> bool:
        """Whether the connection ended without DISCONNECT (MQTT 3.1.1, 3.1.2-8), read or still to be read.

        Not when the server stops: its devices have not failed, and nobody is left to be told. The specification
        has no such exception; mosquitto makes the same one.
        """
        if not self.session.will_flag or self.cause is DisconnectCause.SERVER_SHUTDOWN:
            return False
        return self.cause is DisconnectCause.PROTOCOL_ERROR or not self._connection.disconnect_seen

    async def run(self) -> None:
        """Answer packets until the connection ends."""
        served = 0
        try:
            while not self.closed:
                packet = await self._read_packet()
                self._hooks.fire(MQTTEvents.PACKET_RECEIVED, packet=packet, session=self.session)
                await self._answer(packet)
                served += 1
                if served % _PACKETS_PER_TURN == 0:
                    await asyncio.sleep(0)
        except MalformedPacket as error:
            _log.info("packet refused, connection closed: %s", error)
            self.close(DisconnectCause.PROTOCOL_ERROR)
        except (asyncio.IncompleteReadError, OSError):
            self.close()

    async def _read_packet(self) -> ClientPacket:
        read = self._connection.reader.readexactly
        first, length = await read(2)
        if length >= 0x80:
            length = await self._read_length(length)
        return decode_packet(first, await read(length) if length else b"")

    async def _read_length(self, low: int) -> int:
        length, shift = low & 0x7F, 7
        while True:
            (byte,) = await self._connection.reader.readexactly(1)
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return length
            if shift == 28:
                raise MalformedPacket("a remaining length of more than four bytes (MQTT 3.1.1, 2.2.3)")

    async def _answer(self, packet: ClientPacket) -> None:
        match packet:
            case PublishPacket():
                await self._publish(packet)
            case PubackPacket():
                self.sender.acknowledged(packet.packet_id, 1)
            case PubrecPacket():
                self.sender.received(packet.packet_id)
            case PubrelPacket():
                self._release(packet.packet_id)
            case PubcompPacket():
                self.sender.acknowledged(packet.packet_id, 2)
            case PingReqPacket():
                self.sender.send(PINGRESP_PACKET, PingRespPacket.build)
            case SubscribePacket(
                variable_header=PacketIdVariableHeader(packet_id=packet_id), payload=SubscribePayload(topics=topics)
            ):
                await self._subscribe(packet_id, topics)
            case UnsubscribePacket(
                variable_header=PacketIdVariableHeader(packet_id=packet_id), payload=UnubscribePayload(topics=filters)
            ):
                self._unsubscribe(packet_id, filters)
            case _:  # DISCONNECT is the only one left
                self.close(DisconnectCause.NORMAL)

    async def _publish(self, packet: PublishPacket) -> None:
        packet_id, qos = packet.packet_id, packet.qos
        if packet_id is None:
            await self._exchange.accept(self.session, packet)
        elif qos == 1:
            await self._exchange.accept(self.session, packet)
            self._send(PUBACK, packet_id, PubackPacket)
        elif await self._store(packet_id, packet):
            self._send(PUBREC, packet_id, PubrecPacket)

    async def _store(self, packet_id: int, packet: PublishPacket) -> bool:
        """Hand a QoS 2 message on once, and keep its id until it is released (MQTT 3.1.1, figure 4.3, method B)."""
        unreleased = self.session.inflight_in
        if packet_id in unreleased:
            return True
        if len(unreleased) >= self._exchange.limits.max_unreleased:
            self.close(DisconnectCause.CLOSED_BY_BROKER)
            return False
        unreleased[packet_id] = _UNRELEASED
        await self._exchange.accept(self.session, packet)
        return True

    def _release(self, packet_id: int) -> None:
        self.session.inflight_in.pop(packet_id, None)
        self._send(PUBCOMP, packet_id, PubcompPacket)

    async def _subscribe(self, packet_id: int, topics: list[tuple[str, int]]) -> None:
        codes = await self._exchange.subscribe(self.session, topics)
        self.sender.send(encode_suback(packet_id, codes), lambda: SubackPacket.build(packet_id, codes))
        await self._exchange.send_retained(self.session, topics, codes)

    def _unsubscribe(self, packet_id: int, filters: list[str]) -> None:
        self._exchange.unsubscribe(self.session, filters)
        self._send(UNSUBACK, packet_id, UnsubackPacket)

    def _send(
        self,
        packet_type: int,
        packet_id: int,
        packet: type[PubackPacket | PubrecPacket | PubcompPacket | UnsubackPacket],
    ) -> None:
        self.sender.send(encode_acknowledgement(packet_type, packet_id), lambda: packet.build(packet_id))
