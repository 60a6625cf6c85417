"""Embedded amqtt as the door's authority: its plugins judge, its broker serves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from amqtt.contexts import Action, BrokerConfig, ListenerConfig, ListenerType
from amqtt.errors import AMQTTError, PluginError
from amqtt.plugins.base import BaseAuthPlugin, BasePlugin, BaseTopicPlugin
from amqtt.session import Session
from amqtt.utils import import_string

from doorlog.door.authority import Judgement
from doorlog.embedded.broker import DoorlogBroker
from doorlog.embedded.credentials import ask_plugins
from doorlog.embedded.session import session_of
from doorlog.errors import SettingsError
from doorlog.events.codes import Code
from doorlog.events.parts import VerdictPart
from doorlog.settings.models import Settings

if TYPE_CHECKING:
    from doorlog.door.connection import DoorConnection

OnRefusal = Callable[["DoorConnection", str, str], None]
"""Told of each refusal: the connection, the topic or filter, and ``subscribe``, ``publish`` or ``will``."""


class EmbeddedAuthority:
    """Judges with amqtt's plugins, serves with amqtt's broker.

    Args:
        settings: The configuration.
        on_refusal: Told of each topic that a device is refused.

    Raises:
        SettingsError: If a plugin can not be loaded, with its place and the remedy.
    """

    def __init__(self, settings: Settings, on_refusal: OnRefusal) -> None:
        self._auth_timeout = settings.limits.auth_timeout
        self._on_refusal = on_refusal
        self._connections: dict[str, DoorConnection] = {}
        self.broker = _build_broker(settings, self._refused)
        plugins = self.broker.plugins_manager.plugins
        self._auth_plugins = [plugin for plugin in plugins if isinstance(plugin, BaseAuthPlugin)]
        self._topic_plugins = [plugin for plugin in plugins if isinstance(plugin, BaseTopicPlugin)]

    async def judge(self, connection: DoorConnection) -> Judgement:
        """Ask the plugins for the credentials and the will, and claim the client id."""
        session = session_of(connection)
        verdict = await ask_plugins(self._auth_plugins, session, timeout=self._auth_timeout)
        verdicts = tuple(
            VerdictPart(plugin=said.plugin, verdict=said.verdict, duration=said.duration) for said in verdict.verdicts
        )

        def judged(code: Code, reason: str | None = None) -> Judgement:
            return Judgement(code, verdicts, verdict.method, verdict.principal, reason, session)

        if not verdict.admitted:
            return judged(verdict.code, verdict.reason)
        refusal = await self._judge_will(session, connection)
        if refusal is not None:
            return judged(refusal)
        if session.client_id and not self.broker.claim(session.client_id, verdict.principal):
            return judged(Code.CLIENT_ID_TAKEN)
        return judged(Code.ADMITTED)

    async def serve(self, connection: DoorConnection, judgement: Judgement) -> None:
        """Serve the connection to its end."""
        client_id = judgement.session.client_id
        self._connections[client_id] = connection
        try:
            await self.broker.serve(connection, session=judgement.session)
        finally:
            if self._connections.get(client_id) is connection:  # it may have been taken over
                del self._connections[client_id]

    async def _judge_will(self, session: Session, connection: DoorConnection) -> Code | None:
        if not session.will_flag or not session.will_topic or not self._topic_plugins:
            return None
        try:
            async with asyncio.timeout(self._auth_timeout):
                allowed = await self._may_publish(session, session.will_topic)
        except TimeoutError:
            return Code.AUTH_TIMEOUT
        if allowed:
            return None
        self._on_refusal(connection, session.will_topic, "will")
        return Code.WILL_NOT_AUTHORIZED

    async def _may_publish(self, session: Session, topic: str) -> bool:
        for plugin in self._topic_plugins:
            if await plugin.topic_filtering(session=session, topic=topic, action=Action.PUBLISH) is False:
                return False
        return True

    def _refused(self, session: Session, topic: str, action: Action) -> None:
        connection = self._connections.get(session.client_id or "")
        if connection is not None:
            self._on_refusal(connection, topic, str(action))


def check_plugins(settings: Settings) -> None:
    """Load the plugins of a configuration as a start would.

    Raises:
        SettingsError: With the plugin's place and the remedy.
    """
    _plugin_options(settings)


def _build_broker(settings: Settings, on_refusal: Callable[[Session, str, Action], None]) -> DoorlogBroker:
    names = {"default", *settings.listeners}
    config = BrokerConfig(
        # amqtt opens no port for these: the door has them.
        listeners={name: ListenerConfig(type=ListenerType.EXTERNAL) for name in sorted(names)},
        session_expiry_interval=settings.broker.session_expiry,
        plugins=dict(_plugin_options(settings)),
    )
    try:
        return DoorlogBroker(config, on_refusal=on_refusal)
    except (AMQTTError, PluginError, ValueError) as error:
        raise SettingsError(f"plugins: {_cause(error)}") from error


def _plugin_options(settings: Settings) -> Mapping[str, dict[str, Any]]:
    options: dict[str, dict[str, Any]] = {}
    for group, plugins in (("auth", settings.auth), ("acl", settings.acl), ("broker", settings.broker)):
        for path, given in plugins.plugins.items():
            place = f"{group}.plugins.{path}"
            if path in options:
                raise SettingsError(f"{place}: stands twice; keep one")
            options[path] = _checked_options(place, path, given, _REQUIRED_BASE[group])
    return options


_REQUIRED_BASE: dict[str, type[BasePlugin[Any]]] = {
    "auth": BaseAuthPlugin,
    "acl": BaseTopicPlugin,
    "broker": BasePlugin,
}


def _checked_options(place: str, path: str, given: dict[str, Any], base: type[BasePlugin[Any]]) -> dict[str, Any]:
    try:
        plugin = import_string(path)
    except (ImportError, ValueError) as error:
        raise SettingsError(f"{place}: can not be imported: {error}; is its package installed here?") from error
    if not (isinstance(plugin, type) and issubclass(plugin, base)):
        raise SettingsError(f"{place}: is no amqtt plugin of this kind ({base.__name__})")
    known = _option_names(plugin)
    unknown = sorted(set(given) - known)
    if unknown:
        raise SettingsError(f"{place}.{unknown[0]}: unknown option; known here: {', '.join(sorted(known)) or 'none'}")
    return given


def _option_names(plugin: type[Any]) -> set[str]:
    return {field.name for field in fields(plugin.Config)} if is_dataclass(plugin.Config) else set()


def _cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {error}"
