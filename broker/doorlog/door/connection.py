"""An admitted connection as the broker sees it: MQTT bytes in and out, and a cause when it ends."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from doorlog.door.connect_packet import Connect, ReturnCode, connack_for
from doorlog.door.layers import Layers
from doorlog.door.packet_stream import PacketStream
from doorlog.errors import PacketError, PacketTooLarge
from doorlog.events.codes import DisconnectCause

if TYPE_CHECKING:
    from doorlog.door.attempt import Attempt, ListenerRules
    from doorlog.door.tls_engine import TlsEngine

_KEEP_ALIVE_FACTOR = 1.5  # MQTT 3.1.1, 3.1.2-24
_READER_LIMIT = 65_536
_UNREAD_MAX_BYTES = 65_536
_CLOSE_TIMEOUT = 5.0  # seconds that the last bytes, or the answers to them, may take


class DoorConnection:
    """A connection whose CONNECT was decoded.

    Attributes:
        connection_id: The id that stands in its records.
        connect: The decoded CONNECT; without its password once admitted.
        source: The device's address and port.
        listener: The name of the listener.
        destination_port: Its port.
        proxy: The load balancer in front, and what it told, on a listener that has one.
        principal: Who was authenticated, None for nobody in particular.
        reader: The MQTT bytes behind the CONNECT; it ends when the device is gone or silent for too long.
        cause: How the connection ended, None while it lives.
    """

    __slots__ = (
        "__weakref__",
        "_closed",
        "_finished",
        "_layers",
        "_loop",
        "_packets",
        "_timer",
        "_transport",
        "_unread",
        "_writable",
        "bytes_received",
        "bytes_sent",
        "cause",
        "connect",
        "connection_id",
        "destination_port",
        "heard_at",
        "listener",
        "principal",
        "proxy",
        "reader",
        "source",
    )

    def __init__(
        self, attempt: Attempt, transport: asyncio.Transport, rules: ListenerRules, *, connection_id: str, port: int
    ) -> None:
        assert attempt.connect is not None  # noqa: S101 - built once CONNECT was decoded
        assert attempt.layers is not None  # noqa: S101 - CONNECT came through them
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._layers: Layers = attempt.layers
        self._packets = PacketStream(rules.limits.packet_max_bytes)
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._writable: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None  # keep-alive, then the end of what is left to do
        self._finished = False
        self._unread = 0  # bytes that TLS and WebSocket answered by themselves while the device does not read
        self.connection_id = connection_id
        self.connect: Connect = attempt.connect
        self.source = attempt.source
        self.proxy = attempt.proxy
        self.listener = rules.name
        self.destination_port = port
        self.principal: str | None = None
        self.reader = asyncio.StreamReader(limit=_READER_LIMIT, loop=self._loop)
        self.reader.set_transport(transport)
        self.cause: DisconnectCause | None = None
        self.bytes_received = attempt.bytes_received
        self.bytes_sent = attempt.bytes_sent
        self.heard_at = self._loop.time()

    @property
    def ssl_object(self) -> ssl.SSLObject | None:
        """The TLS connection, on a TLS listener."""
        return self._layers.tls.ssl_object if self._layers.tls else None

    @property
    def tls(self) -> TlsEngine | None:
        """What is known of the TLS connection, on a TLS listener."""
        return self._layers.tls

    @property
    def disconnect_seen(self) -> bool:
        """Whether the device sent DISCONNECT."""
        return self._packets.disconnect_seen

    def admitted(self, attempt: Attempt) -> None:
        """Begin the session: take what came behind CONNECT, and watch the keep-alive."""
        self.bytes_received, self.bytes_sent = attempt.bytes_received, attempt.bytes_sent
        self.connect = replace(self.connect, password=None)  # it was judged: nobody needs it any more
        early, attempt.early = bytes(attempt.early), bytearray()
        self._layers.trust()
        self.heard_at = self._loop.time()
        if self.connect.keep_alive:
            self._watch()
        if early:
            self._feed(early)
        self._follow_layers()

    def receive(self, data: bytes) -> None:
        """Take bytes from the socket."""
        self.bytes_received += len(data)
        if self.cause is not None or self._finished:
            return
        sent_before = self.bytes_sent
        plaintext = self._layers.receive(data)
        self._flush()
        if plaintext:
            self._feed(plaintext)
        self._follow_layers()
        if self._writable is not None:
            self._unread += self.bytes_sent - sent_before
            if self._unread > _UNREAD_MAX_BYTES:
                self.close(DisconnectCause.CLOSED_BY_BROKER)

    def write(self, data: bytes) -> None:
        """Send MQTT bytes."""
        if self.cause is None:
            self._layers.send(data)
            self._flush()

    async def drain(self) -> None:
        """Wait while the device takes bytes slower than we write them."""
        if self._writable is not None:
            await asyncio.shield(self._writable)

    def close(self, cause: DisconnectCause | None = None) -> None:
        """Say goodbye and close, after what was written.

        Args:
            cause: Why; by default ``normal`` after a DISCONNECT, ``closed`` after FIN, else ``closed_by_broker``.
        """
        if self.cause is not None:
            return
        self._layers.close()
        self._flush()
        self._end(cause or self._default_cause(DisconnectCause.CLOSED_BY_BROKER))
        self._transport.close()
        # A device that does not read would keep what is left in the buffer, and the socket, for ever.
        self._set_timer(_CLOSE_TIMEOUT, self._transport.abort)

    def turn_away(self, cause: DisconnectCause) -> None:
        """Close a connection that was judged admitted, and is not served after all: CONNACK 3, server unavailable."""
        self.write(connack_for(self.connect.protocol_level, ReturnCode.SERVER_UNAVAILABLE))
        self.close(cause)

    async def wait_closed(self) -> None:
        """Wait until the socket is closed."""
        await asyncio.shield(self._closed)

    def pause_writing(self) -> None:
        """The transport's buffer is full."""
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        """The transport's buffer has room again."""
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None
        self._unread = 0

    def lost(self, error: Exception | None) -> None:
        """The socket is closed."""
        if self.cause is None:
            self._layers.close()  # nobody hears it, but OpenSSL forgets a session that ends without
        self._end(self._default_cause(DisconnectCause.RESET if error else DisconnectCause.CLOSED))
        self.resume_writing()
        if not self._closed.done():
            self._closed.set_result(None)

    def peer_finished(self) -> None:
        """The device sent FIN: what it said before is still answered, if the broker does so within 5 seconds."""
        if self.cause is not None or self._finished:
            return
        self._finished = True
        self.reader.feed_eof()
        self._set_timer(_CLOSE_TIMEOUT, self.close)

    def _follow_layers(self) -> None:
        if self._layers.failed:
            self.close(DisconnectCause.TLS_ERROR)
        elif self._layers.fault is not None:
            self.close(DisconnectCause.PROTOCOL_ERROR)
        elif self._layers.closed:
            self.peer_finished()

    def _default_cause(self, otherwise: DisconnectCause) -> DisconnectCause:
        if self.disconnect_seen:
            return DisconnectCause.NORMAL
        return DisconnectCause.CLOSED if self._finished else otherwise

    def _end(self, cause: DisconnectCause) -> None:
        if self.cause is None:
            self.cause = cause
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self.reader.at_eof():
            self.reader.feed_eof()

    def _set_timer(self, seconds: float, action: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, action)

    def _feed(self, plaintext: bytes) -> None:
        packets = self._packets.packets
        try:
            self._packets.feed(plaintext)
        except PacketError as error:
            too_large = isinstance(error, PacketTooLarge)
            self.close(DisconnectCause.PACKET_TOO_LARGE if too_large else DisconnectCause.PROTOCOL_ERROR)
            return
        if self._packets.packets != packets:
            self.heard_at = self._loop.time()
        self.reader.feed_data(plaintext)

    def _watch(self) -> None:
        silence = self._loop.time() - self.heard_at
        remaining = self.connect.keep_alive * _KEEP_ALIVE_FACTOR - silence
        if remaining <= 0:
            self.close(DisconnectCause.KEEP_ALIVE_TIMEOUT)
        else:
            self._set_timer(remaining, self._watch)

    def _flush(self) -> None:
        output = self._layers.take_output()
        if output:
            self.bytes_sent += len(output)
            self._transport.write(output)
