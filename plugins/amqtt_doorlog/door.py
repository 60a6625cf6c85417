"""The door and its log in front of a stock amqtt broker, as one plugin of its."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amqtt.broker import Broker, BrokerContext
from amqtt.contexts import Action, BaseContext, ListenerConfig, ListenerType
from amqtt.errors import PluginInitError
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin
from amqtt.session import Session

from doorlog.application.service import Service, load_chains
from doorlog.door.listener import Listener
from doorlog.embedded.authority import OnRefusal
from doorlog.embedded.stock import StockAuthority, introduce
from doorlog.errors import DoorlogError, SettingsError
from doorlog.settings.load import validate_door_settings
from doorlog.settings.models import DoorSettings

_PLACE = "plugins.amqtt_doorlog.DoorPlugin"
_SHUTDOWN_SECONDS = 10.0  # that amqtt gets to stop when the door could not be opened


class DoorPlugin(BaseAuthPlugin, BaseTopicPlugin):
    """Listens, records and judges for a stock amqtt; hands over admitted devices only.

    amqtt's own listeners must be of ``type: external``, so that nobody gets around the door. The other
    authentication and topic plugins of the configuration stay as they are, in any order: the door asks them, under its
    deadline, before amqtt sees a byte; amqtt itself asks only this plugin, which knows what the door knows.

    What is wrong with the configuration is said in amqtt's log, since amqtt does not tell why a plugin failed. If the
    ports can not be opened, which shows only when amqtt has started, the process ends with exit code 1: amqtt would go
    on without a port. SIGTERM stops the ``amqtt`` command as cleanly as Ctrl-C does.

    Raises:
        SettingsError: If the configuration is wrong, or amqtt has a listener of its own.
        CertificateError: If what a listener serves can not be used.
        PluginInitError: If it is no broker that loads the plugin.
    """

    def __init__(self, context: BaseContext) -> None:
        super().__init__(context)
        if not isinstance(context, BrokerContext):
            raise PluginInitError(type(self))
        # BrokerContext has no public way to the broker, whose external_connected is public.
        self._broker: Broker = context._broker_instance  # noqa: SLF001
        self._service: Service | None = None
        self._authority: StockAuthority | None = None
        self._ending: asyncio.Task[None] | None = None
        self._is_interrupted = False
        self._caught: list[signal.Signals] = []
        try:
            self._listener = _external_listener(self._broker.listeners_config)
            self._settings: DoorSettings = validate_door_settings(dict(vars(self.config)), Path(_PLACE))
            _refuse_mqtt_sinks(self._settings)
            load_chains(self._settings)  # again when the door opens, when nobody hears of an error any more
        except DoorlogError as error:
            self._tell(error)
            raise

    async def authenticate(self, *, session: Session) -> bool | None:
        """Allow what came through the door; deny whatever found another way in."""
        return introduce(session)

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool | None:
        """Ask the other topic plugins as doorlog does: none may deny, and one that breaks or hangs denies.

        Before the door is open there are no devices, and amqtt asks them itself.
        """
        if self._authority is None or session is None or topic is None or action is None:
            return True
        return await self._authority.allows(session, topic, action)

    async def on_broker_post_start(self) -> None:
        """Open the door, or end the process."""
        try:
            await self._open()
        except DoorlogError as error:
            self._tell(error)
        except Exception:
            self.context.logger.exception("%s: the door can not be opened", _PLACE)
        else:
            self._catch_signals()
            return
        self._ending = asyncio.create_task(self._end_the_process())

    async def on_broker_pre_shutdown(self) -> None:
        """Record what is under way, end the sessions, close the log."""
        service, self._service = self._service, None
        if service is None:
            return
        try:
            await service.stop()
        except Exception:
            self.context.logger.exception("%s: the door did not close cleanly", _PLACE)

    async def close(self) -> None:
        """Give the signals back."""
        while self._caught:
            asyncio.get_running_loop().remove_signal_handler(self._caught.pop())

    async def _open(self) -> None:
        service = Service(self._settings, self._build_authority)
        await service.start()
        self._service = service
        service.failure.add_done_callback(self._log_failed)
        self.context.logger.info("the door is open: %s", ", ".join(map(_where, service.door.listeners.values())))

    def _log_failed(self, why: asyncio.Future[str]) -> None:
        if not why.cancelled():
            self.context.logger.error("%s: stopped, since the log can not be written: %s", _PLACE, why.result())
            self._ending = asyncio.create_task(self._end_the_process())

    def _build_authority(self, on_refusal: OnRefusal) -> StockAuthority:
        manager = self._broker.plugins_manager
        judges = [plugin for plugin in manager.plugins if plugin is not self]
        if not any(isinstance(plugin, BaseAuthPlugin) for plugin in judges):
            raise SettingsError(
                f"{_PLACE}: name an authentication plugin beside it under plugins: without one, nobody can be admitted"
            )
        authority = StockAuthority(
            self._broker,
            judges,
            self._listener,
            auth_timeout=self._settings.limits.auth_timeout,
            on_refusal=on_refusal,
        )
        # amqtt would ask them all again: for a password that it is not shown, and without a deadline.
        manager._auth_plugins[:] = [self]  # noqa: SLF001 - there is no public way
        manager._topic_plugins[:] = [self] if authority.restricts_topics else []  # noqa: SLF001
        self._authority = authority
        return authority

    def _tell(self, error: DoorlogError) -> None:
        for line in str(error).splitlines():
            self.context.logger.error("%s", line if line.startswith(_PLACE) else f"{_PLACE}: {line}")

    async def _end_the_process(self) -> None:
        """End as ``asyncio.run`` would: amqtt stopped, nothing left pending, and an exit code."""
        await self._broker.plugins_manager.wait_fired_events()  # so that amqtt's start is through
        try:
            async with asyncio.timeout(_SHUTDOWN_SECONDS):
                await self._broker.shutdown()
        except Exception:
            self.context.logger.exception("amqtt did not stop cleanly")
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        asyncio.get_running_loop().call_soon(sys.exit, 1)  # out of a callback, it ends the loop

    def _catch_signals(self) -> None:
        """Stop on SIGTERM as on Ctrl-C, and on both between two steps of the event loop.

        The amqtt command dies on SIGTERM, which is what every service manager sends; and Python's own KeyboardInterrupt
        breaks into whatever runs, a record half made. Handlers of a program around amqtt are left alone.
        """
        loop = asyncio.get_running_loop()
        for number, default in ((signal.SIGTERM, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
            if signal.getsignal(number) == default:
                with suppress(NotImplementedError, RuntimeError, ValueError):  # Windows, or not the main thread
                    loop.add_signal_handler(number, self._interrupt, number)
                    self._caught.append(number)

    def _interrupt(self, number: signal.Signals) -> None:
        first, self._is_interrupted = not self._is_interrupted, True
        if first or number == signal.SIGINT:  # a second Ctrl-C is impatience
            raise KeyboardInterrupt

    @dataclass
    class Config:
        """As in a configuration of doorlog; see docs/configuration.md."""

        # Of any type, since amqtt shows a stack trace where the type is wrong; doorlog says what would be right.
        listeners: Any = None
        """The ports."""
        log: Any = None
        """Where records go."""
        limits: Any = None
        """What a stranger may cost."""
        device: Any = None
        """What names a device."""
        service: Any = None
        """How this broker names itself in its records."""
        monitor: Any = None
        """Tells machines how the log does."""
        cohorts: Any = None
        """Groups of devices whose attempts are counted apart."""
        alerts: Any = None
        """Messages to a webhook when something is wrong."""


def _external_listener(listeners: Mapping[str, ListenerConfig]) -> str:
    """Return the name of one of amqtt's listeners, all of which must be external."""
    for name, listener in listeners.items():
        if listener.type is not ListenerType.EXTERNAL:
            raise SettingsError(
                f"amqtt's own listeners.{name} opens a port beside the door: set its type to external, and bind here"
            )
    usable = [name for name, listener in listeners.items() if listener.bind is not None]
    if not usable:
        raise SettingsError("amqtt's own listeners.default.bind is null, so that amqtt ignores it: leave it out")
    return usable[0]


def _refuse_mqtt_sinks(settings: DoorSettings) -> None:
    """Refuse what only doorlog's own broker can keep safe.

    A stock amqtt asks topic plugins only, delivers retained messages without asking, and resumes sessions whatever they
    had subscribed to before: anybody could read the log, and write into it.
    """
    for name, sink in settings.log.sinks.items():
        if sink.type == "mqtt":
            raise SettingsError(
                f"log.sinks.{name}.type: a stock amqtt can not keep an MQTT topic for the log alone, clients could "
                "read and forge records there: take another type, or run the broker with doorlog run"
            )


def _where(listener: Listener) -> str:
    rules = listener.rules
    host = rules.settings.bind.rpartition(":")[0]
    return f"{rules.name} at {host}:{listener.port}{' with TLS' if rules.settings.tls else ''}"
