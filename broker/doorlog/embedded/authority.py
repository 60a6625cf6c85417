"""Embedded amqtt as the door's authority: its plugins judge, its broker serves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from amqtt.contexts import Action
from amqtt.errors import PluginError, PluginLoadError
from amqtt.plugins.base import BaseAuthPlugin, BasePlugin, BaseTopicPlugin
from amqtt.session import Session

from doorlog.door.authority import Judgement
from doorlog.embedded.broker import DoorlogBroker, embedded_config
from doorlog.embedded.credentials import ask_plugins
from doorlog.embedded.log_publisher import LogPublisher
from doorlog.embedded.log_topics import LogTopics, log_topics
from doorlog.embedded.permissions import TopicPermissions
from doorlog.embedded.plugin_options import configured_plugins, load_fault
from doorlog.embedded.session import session_of
from doorlog.events.codes import Code
from doorlog.events.parts import VerdictPart
from doorlog.settings.models import Settings

if TYPE_CHECKING:
    from doorlog.door.connection import DoorConnection

OnRefusal = Callable[["DoorConnection", str, str], None]
"""Told of each refusal: the connection, the topic or filter, and ``subscribe``, ``publish`` or ``will``."""

_abandoned: set[asyncio.Future[bool | str | None]] = set()
"""Plugins that still run after their deadline: the event loop itself would not keep them from being collected."""

_served: ContextVar[DoorConnection | None] = ContextVar("doorlog_served", default=None)
"""The connection that the running task serves, or was started for."""


class PluginAuthority:
    """Judges with amqtt's plugins.

    Args:
        plugins: All plugins of a broker.
        claim: Holds a client id for a principal; False if it is another's.
        release: Gives such a claim back.
        auth_timeout: Seconds that the plugins may take.
        on_refusal: Told of each topic that a device is refused.
    """

    def __init__(
        self,
        plugins: Sequence[BasePlugin[Any]],
        claim: Callable[[str, str | None], bool],
        release: Callable[[str, str | None], None],
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
        self._release = release

    def dismiss(self, judgement: Judgement) -> None:
        """Give the claim back that the judgement came with."""
        session = judgement.session
        if session is not None and session.client_id:
            self._release(session.client_id, judgement.principal)

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
        token = _served.set(connection)
        try:
            yield
        finally:
            _served.reset(token)
            if self._connections.get(client_id) is connection:  # it may have been taken over
                del self._connections[client_id]

    def refused(self, session: Session, topic: str, action: str) -> None:
        """Take note that a topic plugin refused a session something."""
        # The task knows better than the client id, which may have been taken over meanwhile.
        connection = _served.get() or self._connections.get(session.client_id or "")
        if connection is not None:
            self._on_refusal(connection, topic, str(action))

    async def _judge_will(self, session: Session, connection: DoorConnection) -> tuple[Code, str | None] | None:
        """Ask whether the device may leave its will; a code and a reason where it may not."""
        topic = session.will_topic
        if not session.will_flag or not topic or not self._topic_plugins:
            return None
        permissions = _AccountablePermissions(self._topic_plugins, timeout=self._auth_timeout)
        try:
            allowed = await permissions.allows(session, topic, Action.PUBLISH)
        except _NoAnswer as error:
            return error.code, str(error)
        if allowed:
            return None
        self._on_refusal(connection, topic, "will")
        return Code.WILL_NOT_AUTHORIZED, None


class _NoAnswer(Exception):
    """A topic plugin gave no answer that counts."""

    def __init__(self, code: Code, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class _AccountablePermissions(TopicPermissions):
    """Permissions that tell a plugin that is broken from one that refuses, with one deadline for all plugins together.

    As with credentials, a plugin runs as a task of its own and is left behind at the deadline, whatever it does then.
    """

    __slots__ = ("_deadline", "_seconds")

    def __init__(self, plugins: Sequence[BaseTopicPlugin], *, timeout: float) -> None:
        super().__init__(plugins, timeout=timeout)
        self._seconds = timeout
        self._deadline = asyncio.get_running_loop().time() + timeout

    async def _ask(self, plugin: BaseTopicPlugin, session: Session, topic: str, action: Action) -> bool | None:
        name = type(plugin).__name__
        question = asyncio.ensure_future(_answer(plugin, session, topic, action))
        try:
            left = self._deadline - asyncio.get_running_loop().time()
            await asyncio.wait((question,), timeout=max(0.0, left))
        finally:
            if not question.done():
                _abandoned.add(question)
                question.add_done_callback(_abandoned.discard)
                question.cancel()
        if not question.done():
            raise _NoAnswer(Code.AUTH_TIMEOUT, f"{name} did not answer within {self._seconds:g} s")
        answer = question.result()
        if isinstance(answer, str):
            raise _NoAnswer(Code.AUTH_BACKEND_ERROR, f"{name} failed: {answer}")
        return answer


async def _answer(plugin: BaseTopicPlugin, session: Session, topic: str, action: Action) -> bool | str | None:
    """Give the plugin's verdict, or its fault in words of ours: its own may hold anything."""
    try:
        said: object = await plugin.topic_filtering(session=session, topic=topic, action=action)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        return "CancelledError"  # of something that the plugin awaited; nobody cancelled us
    except (Exception, SystemExit) as error:  # noqa: BLE001 - third-party code, which must harm nobody else
        return type(error).__name__
    # Strict, since a forgotten await would answer with a coroutine, which is true.
    return said if said is None or isinstance(said, bool) else f"no bool but {type(said).__name__}"


class EmbeddedAuthority(PluginAuthority):
    """Judges with amqtt's plugins, serves with doorlog's amqtt broker.

    Args:
        settings: The configuration.
        on_refusal: Told of each topic that a device is refused.

    Raises:
        SettingsError: If a plugin can not be loaded, or a sink that publishes here is wrong; with its place and the
            remedy.
    """

    def __init__(self, settings: Settings, on_refusal: OnRefusal) -> None:
        self.broker = _build_broker(settings, self.refused, log_topics(settings.log))
        self._publisher = LogPublisher(self.broker.publish_record)
        super().__init__(
            self.broker.plugins_manager.plugins,
            self.broker.claim,
            self.broker.release,
            auth_timeout=settings.limits.auth_timeout,
            on_refusal=on_refusal,
        )

    async def start(self) -> None:
        """Start the broker."""
        await self.broker.start()
        self._publisher.start()

    async def shut_down(self) -> None:
        """End every session, then the broker."""
        try:
            await self.broker.shutdown()
        finally:
            await self._publisher.stop()

    def publish(self, topic: str, record: bytes) -> Future[None]:
        """Publish a record of the log, from any thread; see ``LogPublisher.publish``."""
        return self._publisher.publish(topic, record)

    async def serve(self, connection: DoorConnection, judgement: Judgement) -> None:
        """Serve the connection to its end."""
        session = judgement.session
        with self._serving(connection, session.client_id):
            await self.broker.serve(connection, session=session)

    async def _judge_will(self, session: Session, connection: DoorConnection) -> tuple[Code, str | None] | None:
        topic = session.will_topic or ""
        if session.will_flag and self.broker.log_topics.own(topic):
            self._on_refusal(connection, topic, "will")
            return Code.WILL_NOT_AUTHORIZED, None
        return await super()._judge_will(session, connection)


def check_plugins(settings: Settings) -> None:
    """Load the plugins of a configuration as a start does, and let them go.

    Raises:
        SettingsError: With the plugin's place, the cause and the remedy.
    """

    async def load() -> None:
        broker = _build_broker(settings, lambda _session, _topic, _action: None, LogTopics())
        with suppress(Exception):  # how they end is no fault of the configuration
            await broker.plugins_manager.close()

    with ThreadPoolExecutor(1) as thread:  # which has no event loop yet, whoever calls
        thread.submit(asyncio.run, load()).result()


def _build_broker(
    settings: Settings, on_refusal: Callable[[Session, str, str], None], topics: LogTopics
) -> DoorlogBroker:
    plugins = configured_plugins(settings)
    config = embedded_config(
        {plugin.path: plugin.options for plugin in plugins}, session_expiry=settings.broker.session_expiry
    )
    try:
        return DoorlogBroker(config, on_refusal=on_refusal, log_topics=topics)
    except (PluginError, PluginLoadError) as error:
        raise load_fault(error, plugins) from error
