"""A stock amqtt broker behind the door: admitted connections go to its ``external_connected``, CONNECT replayed."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from amqtt.broker import Broker
from amqtt.contexts import Action
from amqtt.plugins.base import BasePlugin
from amqtt.session import Session

from doorlog.door.authority import Judgement
from doorlog.embedded.adapters import AdmittedReader, AdmittedWriter
from doorlog.embedded.authority import OnRefusal, PluginAuthority
from doorlog.embedded.permissions import TopicPermissions
from doorlog.events.codes import DisconnectCause

if TYPE_CHECKING:
    from doorlog.door.connect_packet import Connect
    from doorlog.door.connection import DoorConnection

_log = logging.getLogger(__name__)
_judged: ContextVar[Session | None] = ContextVar("doorlog_judged", default=None)
_OF_THE_CONNECTION = ("attributes", "is_anonymous", "remote_address", "remote_port", "ssl_object", "will_retain")
_TAKE_OVER_SECONDS = 5.0  # that amqtt gets to end the connection that was there before
_REMINDERS = 20
_REMINDER_SECONDS = 1.0
_MAX_OWNERS = 10_000  # then those whose sessions amqtt has dropped are forgotten


def introduce(session: Session) -> bool:
    """Let a session of amqtt's know what the door knows of the connection that the running task serves.

    The auth plugins were shown another session, on which they have left whom they vouch for. Of a session that is
    resumed, amqtt keeps the address and the TLS connection of the last time.

    Returns:
        Whether the task serves a connection that the door has admitted.
    """
    judged = _judged.get()
    if judged is None:
        return False
    for name in _OF_THE_CONNECTION:
        setattr(session, name, getattr(judged, name))
    return True


class StockAuthority(PluginAuthority):
    """Judges with the plugins of a stock amqtt broker, and has it serve.

    Args:
        broker: The broker, started by whoever made it.
        plugins: Those that judge.
        listener: The name of one of its external listeners.
        auth_timeout: Seconds that the plugins may take.
        on_refusal: Told of each topic that a device is refused.
    """

    def __init__(
        self,
        broker: Broker,
        plugins: list[BasePlugin[Any]],
        listener: str,
        *,
        auth_timeout: float,
        on_refusal: OnRefusal,
    ) -> None:
        super().__init__(plugins, self._claim_here, self._let_go, auth_timeout=auth_timeout, on_refusal=on_refusal)
        self._broker = broker
        self._listener = listener
        self._permissions = TopicPermissions(self._topic_plugins)
        self._owners: dict[str, str | None] = {}
        self._max_owners = _MAX_OWNERS
        self._newcomers: set[str] = set()
        self._claimed: Counter[str] = Counter()  # judged, and not served yet
        self._ends: dict[DoorConnection, asyncio.Event] = {}

    @property
    def publish(self) -> None:
        """There is none: a stock amqtt can not keep the log's topic for its readers."""
        return

    @property
    def restricts_topics(self) -> bool:
        """Whether there are topic plugins to ask."""
        return not self._permissions.unrestricted

    async def start(self) -> None:
        """Do nothing: the broker was started by its maker."""

    async def shut_down(self) -> None:
        """End every session; the broker itself is its maker's to stop."""
        for connection in tuple(self._ends):
            connection.close(DisconnectCause.SERVER_SHUTDOWN)

    async def allows(self, session: Session, topic: str, action: Action) -> bool:
        """Ask the topic plugins; a refusal of what a device asked for is told."""
        if await self._permissions.allows(session, topic, action):
            return True
        if action is not Action.RECEIVE:
            self.refused(session, topic, action.value)
        return False

    async def serve(self, connection: DoorConnection, judgement: Judgement) -> None:
        """Serve the connection to its end."""
        session = judgement.session
        self._let_go(session.client_id, judgement.principal)
        previous = self._connections.get(session.client_id)
        ended = self._ends[connection] = asyncio.Event()
        try:
            with self._serving(connection, session.client_id):
                if previous is not None:
                    await self._end(previous)
                if connection.cause is None:  # else it was taken over itself meanwhile
                    await self._hand_over(connection, session)
        finally:
            await self._settle(session.client_id)
            del self._ends[connection]
            ended.set()

    async def _hand_over(self, connection: DoorConnection, session: Session) -> None:
        client_id = session.client_id or ""
        left = self._session(client_id)
        if left is not None and (client_id in self._newcomers or left.clean_session):
            await self._drop_session(client_id)  # amqtt would resume it
        self._newcomers.discard(client_id)
        _judged.set(session)
        reader = _Replay(connection, connect_without_password(connection.connect, client_id))
        writer = AdmittedWriter(connection)
        serving = asyncio.ensure_future(self._broker.external_connected(reader, writer, self._listener))
        closed = asyncio.ensure_future(connection.wait_closed())
        try:
            await asyncio.wait((serving, closed), return_when=asyncio.FIRST_COMPLETED)
            for _ in range(_REMINDERS):
                if serving.done():
                    return serving.result()
                await self._remind(client_id, writer, serving)
            _log.warning("amqtt goes on serving a connection that is over; it is left to itself")
        finally:
            closed.cancel()
            serving.cancel()

    async def _remind(self, client_id: str, writer: AdmittedWriter, serving: asyncio.Future[None]) -> None:
        """Tell amqtt again that a connection is over: one that ended while it was getting ready, it serves for ever."""
        await asyncio.wait((serving,), timeout=_REMINDER_SECONDS)
        handler = self._broker.sessions.get(client_id, (None, None))[1]
        if handler is not None and handler.writer is writer:
            await handler.handle_connection_closed()

    async def _end(self, previous: DoorConnection) -> None:
        """End the connection that is taken over, and wait until amqtt has done with it.

        Both share one Session, which amqtt would mark as disconnected when the old one ends, if that was later.
        """
        previous.close(DisconnectCause.TAKEN_OVER)
        with suppress(TimeoutError):
            async with asyncio.timeout(_TAKE_OVER_SECONDS):
                await self._ends[previous].wait()

    async def _settle(self, client_id: str) -> None:
        """Leave of a connection that is over what amqtt should have left: nothing but a persistent session."""
        session = self._session(client_id)
        if client_id in self._connections:
            return
        if session is None or session.clean_session:
            self._owners.pop(client_id, None)
            await self._drop_session(client_id)  # amqtt's monitor would come by within a second
            return
        session.ssl_object = None
        if session.transitions.is_connected():  # as where the client used a topic that is not its to use
            session.transitions.disconnect()

    def _claim_here(self, client_id: str, principal: str | None) -> bool:
        if self._is_held(client_id):
            is_theirs = self._owners[client_id] == principal
            self._claimed[client_id] += is_theirs
            return is_theirs
        if len(self._owners) >= self._max_owners:
            self._owners = {held: owner for held, owner in self._owners.items() if self._is_held(held)}
            self._max_owners = max(_MAX_OWNERS, 2 * len(self._owners))
        self._owners[client_id] = principal
        self._claimed[client_id] += 1
        # Where a plugin has brought back a session, nobody knows whose it was: the first to connect begins anew.
        self._newcomers.add(client_id)
        return True

    def _is_held(self, client_id: str) -> bool:
        # A persistent session goes on holding its client id: nobody else may resume it.
        return client_id in self._owners and (
            client_id in self._connections or client_id in self._claimed or self._session(client_id) is not None
        )

    def _let_go(self, client_id: str, _principal: str | None) -> None:
        self._claimed[client_id] -= 1
        if self._claimed[client_id] <= 0:
            del self._claimed[client_id]

    def _session(self, client_id: str) -> Session | None:
        return self._broker.sessions.get(client_id, (None,))[0]

    async def _drop_session(self, client_id: str) -> None:
        await self._broker._delete_session(client_id)  # noqa: SLF001 - there is no public way


class _Replay(AdmittedReader):
    """Gives a CONNECT of ours, then what the device sends."""

    async def read(self, n: int = -1) -> bytes:
        """Read bytes; see ``AdmittedReader``."""
        try:
            return await super().read(n)
        except asyncio.IncompleteReadError:
            # amqtt needs a turn: to get ready, and for the tasks that act on the packets before, which it cancels now.
            await asyncio.sleep(0)
            raise


def connect_without_password(connect: Connect, client_id: str) -> bytes:
    """Write a CONNECT for a broker that has no need to judge it, and must not log what it does not get.

    Args:
        connect: A valid one.
        client_id: The client's; one of ours if it has none.

    Returns:
        The packet (MQTT 3.1.1, 3.1), without the password.
    """
    will = connect.will
    flags = connect.clean_session << 1 | (connect.user_name is not None) << 7
    texts = [client_id.encode()]
    if will is not None:
        flags |= 0x04 | will.qos << 3 | will.retain << 5
        texts += [will.topic.encode(), will.payload]
    if connect.user_name is not None:
        texts.append(connect.user_name.encode())
    header = b"\x00\x04MQTT\x04" + bytes((flags,)) + connect.keep_alive.to_bytes(2)
    body = header + b"".join(len(text).to_bytes(2) + text for text in texts)
    return b"\x10" + _remaining_length(len(body)) + body


def _remaining_length(length: int) -> bytes:
    out = bytearray()
    while length >= 0x80:
        out.append(length & 0x7F | 0x80)
        length >>= 7
    out.append(length)
    return bytes(out)
