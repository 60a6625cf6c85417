"""Embedded amqtt as the door's authority: its plugins judge, its broker serves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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


class PluginAuthority:
    """Judges with amqtt's plugins.

    Args:
        plugins: All plugins of a broker.
        claim: Holds a client id for a principal; False if it is another's.
        auth_timeout: Seconds that the plugins may take.
        on_refusal: Told of each topic that a device is refused.
    """

    def __init__(
        self,
        plugins: Sequence[BasePlugin[Any]],
        claim: Callable[[str, str | None], bool],
        *,
        auth_timeout: float,
        on_refusal: OnRefusal,
    ) -> None:
        self._auth_plugins = [plugin for plugin in plugins if isinstance(plugin, BaseAuthPlugin)]
        self._topic_plugins = [plugin for plugin in plugins if isinstance(plugin, BaseTopicPlugin)]
        self._claim = claim
        self._auth_timeout = auth_timeout
        self._on_refusal = on_refusal
        self._connections: dict[str, DoorConnection] = {}

    async def judge(self, connection: DoorConnection) -> Judgement:
        """Ask the plugins for the credentials and the will, and claim the client id."""
        session = session_of(connection)
        verdict = await ask_plugins(self._auth_plugins, session, timeout=self._auth_timeout)
        session.password = None  # the topic plugins do not need it, and their faults can not show it
        verdicts = tuple(
            VerdictPart(plugin=said.plugin, verdict=said.verdict, duration=said.duration) for said in verdict.verdicts
        )

        def judged(code: Code, reason: str | None = None) -> Judgement:
            return Judgement(code, verdicts, verdict.method, verdict.principal, reason, session)

        if not verdict.admitted:
            return judged(verdict.code, verdict.reason)
        refusal = await self._judge_will(session, connection)
        if refusal is not None:
            return judged(*refusal)
        # The last step, without an await behind it: whoever claims is served.
        if session.client_id and not self._claim(session.client_id, verdict.principal):
            return judged(Code.CLIENT_ID_TAKEN)
        return judged(Code.ADMITTED)

    @contextmanager
    def _serving(self, connection: DoorConnection, client_id: str) -> Iterator[None]:
        self._connections[client_id] = connection
        try:
            yield
        finally:
            if self._connections.get(client_id) is connection:  # it may have been taken over
                del self._connections[client_id]

    def refused(self, session: Session, topic: str, action: str) -> None:
        """Take note that a topic plugin refused a session something."""
        connection = self._connections.get(session.client_id or "")
        if connection is not None:
            self._on_refusal(connection, topic, str(action))

    async def _judge_will(self, session: Session, connection: DoorConnection) -> tuple[Code, str | None] | None:
        """Ask the topic plugins, as ``TopicPermissions`` does for messages; a code and a reason where they refuse."""
        topic = session.will_topic
        if not session.will_flag or not topic or not self._topic_plugins:
            return None
        asked: list[str] = []
        deadline = asyncio.timeout(self._auth_timeout)
        try:
            async with deadline:
                allowed = await self._may_publish(session, topic, asked)
        except Exception as error:  # noqa: BLE001 - third-party code, whose texts may hold anything
            if deadline.expired():
                return Code.AUTH_TIMEOUT, f"{asked[-1]} did not answer within {self._auth_timeout:g} s"
            return Code.AUTH_BACKEND_ERROR, f"{asked[-1]} failed: {type(error).__name__}"
        if allowed:
            return None
        self._on_refusal(connection, topic, "will")
        return Code.WILL_NOT_AUTHORIZED, None

    async def _may_publish(self, session: Session, topic: str, asked: list[str]) -> bool:
        allowed = False
        for plugin in self._topic_plugins:
            asked.append(type(plugin).__name__)
            verdict = await plugin.topic_filtering(session=session, topic=topic, action=Action.PUBLISH)
            if verdict is None:
                continue
            if not verdict:
                return False
            allowed = True
        return allowed


class EmbeddedAuthority(PluginAuthority):
    """Judges with amqtt's plugins, serves with doorlog's amqtt broker.

    Args:
        settings: The configuration.
        on_refusal: Told of each topic that a device is refused.

    Raises:
        SettingsError: If a plugin can not be loaded, with its place and the remedy.
    """

    def __init__(self, settings: Settings, on_refusal: OnRefusal) -> None:
        self.broker = _build_broker(settings, self.refused)
        super().__init__(
            self.broker.plugins_manager.plugins,
            self.broker.claim,
            auth_timeout=settings.limits.auth_timeout,
            on_refusal=on_refusal,
        )

    async def start(self) -> None:
        """Start the broker."""
        await self.broker.start()

    async def shut_down(self) -> None:
        """End every session, then the broker."""
        await self.broker.shutdown()

    async def serve(self, connection: DoorConnection, judgement: Judgement) -> None:
        """Serve the connection to its end."""
        session = judgement.session
        with self._serving(connection, session.client_id):
            await self.broker.serve(connection, session=session)


def check_plugins(settings: Settings) -> None:
    """Load the plugins of a configuration as a start would.

    Raises:
        SettingsError: With the plugin's place and the remedy.
    """
    _plugin_options(settings)


def _build_broker(settings: Settings, on_refusal: Callable[[Session, str, str], None]) -> DoorlogBroker:
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
