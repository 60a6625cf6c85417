"""A stock amqtt broker behind the door: admitted connections go to its ``external_connected``, CONNECT replayed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from functools import wraps
from typing import TYPE_CHECKING, Any

from amqtt.broker import Broker
from amqtt.contexts import Action
from amqtt.plugins.base import BasePlugin, BaseTopicPlugin
from amqtt.session import Session

from doorlog.door.authority import Judgement
from doorlog.embedded.adapters import AdmittedReader, AdmittedWriter
from doorlog.embedded.authority import OnRefusal, PluginAuthority
from doorlog.events.codes import DisconnectCause

if TYPE_CHECKING:
    from doorlog.door.connection import DoorConnection

_came_through_the_door: ContextVar[bool] = ContextVar("doorlog_came_through_the_door", default=False)
_MAX_OWNERS = 10_000  # then those whose sessions amqtt has dropped are forgotten
_OBSERVED = {Action.SUBSCRIBE: "subscribe", Action.PUBLISH: "publish"}


def came_through_the_door() -> bool:
    """Whether the running task serves a connection that the door admitted: amqtt need not authenticate it again."""
    return _came_through_the_door.get()


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
        super().__init__(plugins, self._claim_here, auth_timeout=auth_timeout, on_refusal=on_refusal)
        self._broker = broker
        self._listener = listener
        self._owners: dict[str, str | None] = {}
        self._open: set[DoorConnection] = set()
        for plugin in self._topic_plugins:
            _observe(plugin, self.refused)

    async def start(self) -> None:
        """Do nothing: the broker was started by its maker."""

    async def shut_down(self) -> None:
        """End every session; the broker itself is its maker's to stop."""
        for connection in tuple(self._open):
            connection.close(DisconnectCause.SERVER_SHUTDOWN)

    async def serve(self, connection: DoorConnection, judgement: Judgement) -> None:
        """Serve the connection to its end."""
        client_id = judgement.session.client_id
        _came_through_the_door.set(True)
        self._open.add(connection)
        try:
            with self._serving(connection, client_id):
                reader, writer = AdmittedReader(connection), AdmittedWriter(connection)
                await self._broker.external_connected(reader, writer, self._listener)
        finally:
            self._open.discard(connection)
            if not self._is_held(client_id):
                self._owners.pop(client_id, None)

    def _claim_here(self, client_id: str, principal: str | None) -> bool:
        if self._is_held(client_id):
            return client_id in self._owners and self._owners[client_id] == principal
        if len(self._owners) >= _MAX_OWNERS:
            self._owners = {held: owner for held, owner in self._owners.items() if self._is_held(held)}
        self._owners[client_id] = principal
        return True

    def _is_held(self, client_id: str) -> bool:
        # A persistent session goes on holding its client id: nobody else may resume it.
        return client_id in self._connections or client_id in self._broker.sessions


def _observe(plugin: BaseTopicPlugin, on_refusal: Callable[[Session, str, str], None]) -> None:
    """Hear of each refusal of a topic plugin, whichever it is: amqtt has no hook for them."""
    ask: Callable[..., Awaitable[bool | None]] = plugin.topic_filtering

    @wraps(ask)
    async def observed(
        *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool | None:
        allowed = await ask(session=session, topic=topic, action=action)
        if allowed is False and session is not None and topic is not None and action in _OBSERVED:
            on_refusal(session, topic, _OBSERVED[action])
        return allowed

    plugin.topic_filtering = observed  # type: ignore[method-assign]  # amqtt looks it up on the instance
