"""The events that amqtt's plugins hear, fired without waiting and for nothing when nobody listens."""

from __future__ import annotations

import asyncio
from typing import Any

from amqtt.broker import BrokerContext
from amqtt.events import BrokerEvents, Events, MQTTEvents
from amqtt.plugins.manager import PluginManager


class Hooks:
    """Fires events at the plugins that have an ``on_...`` method for them.

    Args:
        manager: amqtt's plugin manager, its plugins loaded.
    """

    __slots__ = ("_firing", "_heard", "_manager")

    def __init__(self, manager: PluginManager[BrokerContext]) -> None:
        self._manager = manager
        self._firing: set[asyncio.Task[None]] = set()
        self._heard = frozenset(
            event
            for event in (*BrokerEvents, *MQTTEvents)
            if any(hasattr(plugin, f"on_{event}") for plugin in manager.plugins)
        )

    def hears(self, event: Events) -> bool:
        """Whether any plugin listens, so that facts need not be put together for nobody."""
        return event in self._heard

    def fire(self, event: Events, **facts: Any) -> None:
        """Let the plugins hear of an event, soon and in the order of the calls."""
        if event not in self._heard:
            return
        task = asyncio.ensure_future(self._manager.fire_event(event, **facts))
        self._firing.add(task)
        task.add_done_callback(self._firing.discard)

    async def settle(self) -> None:
        """Wait until the plugin manager knows of each event fired; it waits for the plugins itself."""
        if self._firing:
            await asyncio.wait(tuple(self._firing))
