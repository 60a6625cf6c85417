"""The door and its log in front of a stock amqtt broker, as one plugin of its."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from amqtt.broker import Broker, BrokerContext
from amqtt.contexts import BaseContext, ListenerType
from amqtt.errors import PluginInitError
from amqtt.plugins.base import BaseAuthPlugin
from amqtt.session import Session

from doorlog.application.service import Service
from doorlog.embedded.stock import StockAuthority, came_through_the_door
from doorlog.errors import DoorlogError, SettingsError
from doorlog.settings.load import validate_door_settings
from doorlog.settings.models import DoorSettings


class DoorPlugin(BaseAuthPlugin):
    """Listens, records and judges for a stock amqtt; hands over admitted devices only.

    amqtt's own listeners must be of ``type: external``, so that nobody gets around the door. The other
    authentication and topic plugins of the configuration stay as they are: the door asks them, under its
    deadline, before amqtt sees a byte; amqtt asks only this plugin, which knows the connections that it admitted.

    Raises:
        SettingsError: If its configuration is wrong.
        PluginInitError: If amqtt has a listener of its own.
    """

    def __init__(self, context: BaseContext) -> None:
        super().__init__(context)
        if not isinstance(context, BrokerContext):
            raise PluginInitError(type(self))
        self._settings: DoorSettings = validate_door_settings(asdict(self.config), Path("amqtt.yaml"))
        # BrokerContext has no public way to the broker, whose external_connected is public.
        self._broker: Broker = context._broker_instance  # noqa: SLF001
        self._service: Service | None = None

    async def authenticate(self, *, session: Session) -> bool | None:  # noqa: ARG002 - amqtt's signature
        """Allow what came through the door; deny whatever found another way in."""
        return came_through_the_door()

    async def on_broker_pre_start(self) -> None:
        """Refuse to start beside a listener of amqtt's own."""
        for name, listener in self._broker.listeners_config.items():
            if listener.type is not ListenerType.EXTERNAL:
                _stop_the_loop(f"listeners.{name}: type must be external, so that nobody gets around the door")

    async def on_broker_post_start(self) -> None:
        """Open the door."""
        manager = self._broker.plugins_manager
        judges = [plugin for plugin in manager.plugins if plugin is not self]
        # amqtt would ask them again after the door did, hashing each password twice, on its event loop.
        manager._auth_plugins[:] = [self]  # noqa: SLF001 - there is no public way
        listener = next(iter(self._broker.listeners_config))
        try:
            self._service = Service(
                self._settings,
                lambda on_refusal: StockAuthority(
                    self._broker,
                    judges,
                    listener,
                    auth_timeout=self._settings.limits.auth_timeout,
                    on_refusal=on_refusal,
                ),
            )
            await self._service.start()
        except DoorlogError as error:
            _stop_the_loop(str(error))
        self._stop_cleanly_on_sigterm()

    async def on_broker_pre_shutdown(self) -> None:
        """Record what is under way, end the sessions, close the log."""
        if self._service is not None:
            await self._service.stop()
            self._service = None

    def _stop_cleanly_on_sigterm(self) -> None:
        # The amqtt command stops cleanly on Ctrl-C, but dies on SIGTERM, which is what every service manager sends.
        with suppress(NotImplementedError, RuntimeError, ValueError):
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, signal.raise_signal, signal.SIGINT)

    @dataclass
    class Config:
        """As in a configuration of doorlog; see docs/configuration.md."""

        listeners: dict[str, Any] = field(default_factory=dict)
        """The ports."""
        log: dict[str, Any] = field(default_factory=dict)
        """Where records go."""
        limits: dict[str, Any] = field(default_factory=dict)
        """What a stranger may cost."""
        device: dict[str, Any] = field(default_factory=dict)
        """What names a device."""
        service: dict[str, Any] = field(default_factory=dict)
        """How this broker names itself in its records."""


def _stop_the_loop(fault: str) -> NoReturn:
    raise SettingsError(fault)
