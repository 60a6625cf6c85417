"""The whole door: all listeners of a configuration, started and stopped together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from doorlog.door.assurance import NO_ASSURANCE, Assurance
from doorlog.door.attempt import ListenerRules
from doorlog.door.authority import Authority
from doorlog.door.limits import AttemptLimits
from doorlog.door.listener import Listener
from doorlog.door.tls_context import ServedChain
from doorlog.errors import AddressError
from doorlog.events.records import Event
from doorlog.settings.models import LimitsSettings, ListenerSettings


class Door:
    """All listeners.

    Args:
        listeners: Their settings by name.
        chains: What each TLS listener serves, by the listener's name.
        limits: What a stranger may cost.
        authority: Who judges and serves.
        emit: Takes every event; must not block.
        assurance: What is promised of the events.

    Attributes:
        opened: Whether all ports were opened.
    """

    def __init__(
        self,
        listeners: Mapping[str, ListenerSettings],
        chains: Mapping[str, ServedChain],
        limits: LimitsSettings,
        authority: Authority,
        emit: Callable[[Event], None],
        assurance: Assurance = NO_ASSURANCE,
    ) -> None:
        self.opened = False
        self.listeners = {
            name: Listener(_rules(name, settings, limits, chains.get(name)), authority, emit, assurance)
            for name, settings in listeners.items()
        }

    @property
    def accepted(self) -> int:
        """Sockets accepted so far."""
        return sum(listener.accepted for listener in self.listeners.values())

    @property
    def connects(self) -> int:
        """``connect`` events emitted so far."""
        return sum(listener.connects for listener in self.listeners.values())

    async def start(self) -> None:
        """Open every port, or none.

        Raises:
            AddressError: If an address can not be bound.
        """
        try:
            for listener in self.listeners.values():
                await listener.start()
        except AddressError:
            self.stop_accepting()
            raise
        self.opened = True

    def hold(self, *, held: bool) -> None:
        """Accept nobody for a while, or again."""
        for listener in self.listeners.values():
            listener.hold(held=held)

    def stop_accepting(self) -> None:
        """Close every port."""
        for listener in self.listeners.values():
            listener.stop_accepting()

    def abort(self) -> None:
        """Cut every connection that is left."""
        for listener in self.listeners.values():
            listener.abort()

    async def shut_down(self) -> None:
        """Close every port, record what is under way, and wait until all connections are gone."""
        await asyncio.gather(*(listener.shut_down() for listener in self.listeners.values()))


def _rules(name: str, settings: ListenerSettings, limits: LimitsSettings, chain: ServedChain | None) -> ListenerRules:
    return ListenerRules(
        name=name,
        settings=settings,
        limits=limits,
        counts=AttemptLimits(limits.attempts_per_listener, limits.attempts_per_source),
        chain_policy=(lambda _hello: chain) if chain is not None else None,
    )
