"""amqtt's Broker for connections that the door has authenticated: who is connected, and whose sessions are kept."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from amqtt.adapters import ReaderAdapter, WriterAdapter
from amqtt.contexts import BrokerConfig, ListenerConfig, ListenerType
from amqtt.errors import BrokerError
from amqtt.events import BrokerEvents
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.plugins.base import BaseAuthPlugin
from amqtt.session import Session

from doorlog.embedded.exchange import MessageExchange, RefusalListener
from doorlog.embedded.handler import SessionHandler
from doorlog.embedded.limits import BrokerLimits
from doorlog.embedded.log_topics import LogTopics
from doorlog.embedded.ownership import ClientIdOwnership
from doorlog.embedded.session import BrokerSession
from doorlog.events.codes import DisconnectCause

if TYPE_CHECKING:
    from doorlog.embedded.connection import AdmittedConnection

_SHUTDOWN_TIMEOUT = 5.0  # seconds that the connections get to end
_EXPIRY_INTERVAL = 1.0  # seconds, as amqtt has it


def embedded_config(plugins: dict[str, Any], *, session_expiry: int | None = None) -> BrokerConfig:
    """Return the configuration of a broker that opens no socket of its own.

    Args:
        plugins: Options by dotted path of the plugin class.
        session_expiry: Seconds for which the session of a disconnected client is kept; None for ever.
    """
    return BrokerConfig(
        listeners={"default": ListenerConfig(type=ListenerType.EXTERNAL)},
        plugins=plugins,
        session_expiry_interval=session_expiry,
    )


class DoorlogBroker(MessageExchange):
    """Serves admitted connections; amqtt's own way in is closed.

    Args:
        config: As amqtt's; all its listeners are external.
        limits: What clients may hold in memory.
        on_refusal: Told of each subscription, publication or will that was refused.
        log_topics: The topics that belong to the log; none without it.

    Attributes:
        ownership: Who holds which client id.

    Raises:
        BrokerError: If a listener is not external.
    """

    def __init__(
        self,
        config: BrokerConfig,
        *,
        limits: BrokerLimits | None = None,
        on_refusal: RefusalListener | None = None,
        log_topics: LogTopics | None = None,
    ) -> None:
        super().__init__(config, limits or BrokerLimits(), on_refusal, log_topics or LogTopics())
        for name, listener in self.listeners_config.items():
            if listener.type is not ListenerType.EXTERNAL:
                raise BrokerError(f"listener {name!r} is not external: clients come through the door only")
        self.ownership = ClientIdOwnership(self.limits.max_client_ids, self.limits.max_client_ids_per_principal)
        self._nobody = BrokerProtocolHandler(self.plugins_manager)  # beside each session in amqtt's table
        self._serving = 0
        self._idle = asyncio.Event()
        self._accepting = False

    @property
    def authenticators(self) -> tuple[BaseAuthPlugin, ...]:
        """The auth plugins, for the door to ask."""
        return tuple(plugin for plugin in self.plugins_manager.plugins if isinstance(plugin, BaseAuthPlugin))

    def claim(self, client_id: str, principal: str | None) -> bool:
        """Hold a client id for who was authenticated, before ``serve``; False if it is another's (``ownership``)."""
        return self.ownership.claim(client_id, principal)

    def release(self, client_id: str, principal: str | None) -> None:
        """Give a claim back that ``serve`` was not called for."""
        self.ownership.release(client_id, principal)

    async def start(self) -> None:
        """Start; nothing is left of an earlier run."""
        self._table.clear()
        self.retained.clear()
        await super().start()
        self._accepting = True

    async def shutdown(self) -> None:
        """Close each connection with ``server_shutdown``, publishing no wills, then stop."""
        self._accepting = False
        await super().shutdown()

    async def _client_connected(
        self,
        listener_name: str,
        reader: ReaderAdapter,  # noqa: ARG002 - amqtt's signature
        writer: WriterAdapter,
    ) -> None:
        # amqtt's way in touches sessions before it authenticates; here it would also go around the door.
        await writer.close()
        raise BrokerError(f"{listener_name}: only serve() takes connections, and the door has admitted them")

    # One connection

    async def serve(self, connection: AdmittedConnection, *, session: BrokerSession) -> None:
        """Serve an admitted connection to its end, CONNACK first; leaves nothing behind but a persistent session.

        Args:
            connection: The connection. It is closed on return, with a cause where the broker ended it.
            session: From ``session_of``, as the auth plugins have left it. The caller has claimed its client id
                for the connection's principal; that claim is released here.

        Raises:
            BrokerError: If the client id is not claimed.
        """
        client_id, principal = session.client_id, connection.principal
        if client_id is None or not self.ownership.holds(client_id, principal):
            raise BrokerError("the client id was not claimed for the principal of this connection")
        session.principal = principal
        session.password = None  # nobody needs it any more
        self._serving += 1
        self._idle.clear()
        try:
            if self._accepting:
                await self._serve(connection, session, client_id)
            else:
                connection.close(DisconnectCause.SERVER_SHUTDOWN)
        finally:
            self.ownership.release(client_id, principal)
            self._serving -= 1
            if self._serving == 0:
                self._idle.set()

    async def _serve(self, connection: AdmittedConnection, session: BrokerSession, client_id: str) -> None:
        handler = SessionHandler(self, connection, session)
        present = self._register(session, handler, client_id)
        try:
            handler.sender.start(session_present=present)
            self.hooks.fire(BrokerEvents.CLIENT_CONNECTED, client_id=client_id, client_session=session)
            await handler.run()
        finally:
            handler.close()
            self._leave(session)
            if handler.will_is_due:
                await self.publish_will(session)
            session.will_flag, session.will_message = False, None  # 3.1.2-10
            self.hooks.fire(BrokerEvents.CLIENT_DISCONNECTED, client_id=client_id, client_session=session)

    def _register(self, session: BrokerSession, handler: SessionHandler, client_id: str) -> bool:
        """Enter a session, ending another connection of the client (3.1.4-2); whether it has been resumed (3.2.2-2).

        Without an await: of two connections of a client at the same moment, the second takes over from the first.
        amqtt writes the new connection's user, will and keep-alive into the old session, keeps the old
        ``clean_session`` and peer, leaves the old connection running after a take-over with a clean session, and
        has nobody deliver what waited.
        """
        old = self._sessions.get(client_id, (None,))[0]
        present = False
        if isinstance(old, BrokerSession):
            if old.live is not None:
                old.live.close(DisconnectCause.TAKEN_OVER)
                self._disconnect(old)
            present = not session.clean_session and not old.clean_session and not old.restored
            if present:
                session.inherit(old)
                self._table.hand_over(session)
            else:
                self._forget(old)
        if not present:
            self.ownership.claim(client_id, session.principal)
        self._sessions[client_id] = (session, self._nobody)
        session.live = handler
        if self.log_topics.has_reader(session.principal):
            self._readers[client_id] = session
        session.transitions.connect()
        return present

    def _leave(self, session: BrokerSession) -> None:
        """Let the connection's session go, or keep it if it is persistent; not if another has taken over."""
        if session.live is None:
            return
        self._disconnect(session)
        if session.clean_session:
            self._forget(session)

    def _disconnect(self, session: BrokerSession) -> None:
        session.live = None
        self._readers.pop(session.client_id, None)
        session.ssl_object = None  # a session that is kept must not keep its connection
        session.transitions.disconnect()

    def _forget(self, session: BrokerSession) -> None:
        """Drop a session with all that it holds, at once: amqtt's monitor would come by within a second."""
        if session.dropped:
            self.logger.warning("%d messages for client %r were dropped", session.dropped, session.client_id)
        self._table.remove_all(session)
        session.clear()
        if session.client_id is not None and self._is_registered(session):
            del self._sessions[session.client_id]
            if not session.restored:
                self.ownership.release(session.client_id, session.principal)

    # Sessions without a connection

    def create_offline_session(self, client_id: str) -> tuple[BrokerProtocolHandler, Session]:
        """Make the session of a client that is not connected, for a plugin that brings one back from storage.

        Nobody has stored whose it was. So that no other user inherits it, the first to connect begins anew.
        """
        session = BrokerSession()
        session.client_id = client_id
        session.restored = True
        session.transitions.disconnect()
        return self._nobody, session

    async def _session_monitor(self) -> None:
        """Drop expired sessions; amqtt also drops those of anonymous clients that asked to keep them."""
        expiry = self.config.session_expiry_interval
        while expiry is not None:
            await asyncio.sleep(_EXPIRY_INTERVAL)
            self.expire_sessions(time.time() - expiry)

    def expire_sessions(self, before: float) -> None:
        """Drop the sessions of clients that have not been connected since a time.

        Args:
            before: Seconds since the epoch.
        """
        for session, _ in tuple(self._sessions.values()):
            gone = session.last_disconnect_time
            if isinstance(session, BrokerSession) and session.live is None and gone and gone < before:
                self._forget(session)

    async def _cleanup_session(self, client_id: str) -> None:
        """End what amqtt's shutdown wants ended: all connections first, whose last words plugins still hear."""
        sessions = [session for session, _ in self._sessions.values() if isinstance(session, BrokerSession)]
        live = [session.live for session in sessions if session.live is not None and not session.live.closed]
        for handler in live:
            handler.close(DisconnectCause.SERVER_SHUTDOWN)
        if live:
            with suppress(TimeoutError):
                async with asyncio.timeout(_SHUTDOWN_TIMEOUT):
                    await self._idle.wait()
        last = self._sessions.get(client_id, (None,))[0]
        if isinstance(last, BrokerSession):
            self._forget(last)
        await self.hooks.settle()
