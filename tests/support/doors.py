"""A door on real sockets in front of an authority that a test scripts; its events are kept as objects."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from doorlog.door.assurance import NO_ASSURANCE, Assurance
from doorlog.door.attempt import ListenerRules
from doorlog.door.authority import Judgement
from doorlog.door.connection import DoorConnection
from doorlog.door.door import Door
from doorlog.door.limits import AttemptLimits
from doorlog.door.tls_context import ServedChain, load_served_chain
from doorlog.events.codes import Action, Code, DisconnectCause
from doorlog.events.records import ConnectEvent, DisconnectEvent, Event
from doorlog.settings.models import LimitsSettings, ListenerSettings, TlsSettings
from support.clients.base import Target

FREE = "127.0.0.1:0"
CONNACK = b"\x20\x02\x00\x00"
ADMITTED = Judgement(Code.ADMITTED, method="anonymous")


class Scripted:
    """An authority that admits everybody, says CONNACK and reads to the end, unless a test says otherwise.

    Attributes:
        judging: Set once it was asked.
        verdict: What it waits for before it answers; set from the beginning.
        read: What the last connection sent behind its CONNECT, once it has ended.
        served: How many connections it was given.
        dismissed: Judgements of those that it was not given after all.
    """

    def __init__(
        self,
        judge: Callable[[DoorConnection], Awaitable[Any]] | None = None,
        serve: Callable[[DoorConnection], Awaitable[None]] | None = None,
    ) -> None:
        self.judging = asyncio.Event()
        self.verdict = asyncio.Event()
        self.verdict.set()
        self.read = b""
        self.served = 0
        self.dismissed: list[Judgement] = []
        self._judge = judge
        self._serve = serve

    async def judge(self, connection: DoorConnection) -> Judgement:
        self.judging.set()
        await self.verdict.wait()
        if self._judge is None:
            return ADMITTED
        judgement: Judgement = await self._judge(connection)
        return judgement

    def dismiss(self, judgement: Judgement) -> None:
        self.dismissed.append(judgement)

    async def serve(self, connection: DoorConnection, judgement: Judgement) -> None:
        self.served += 1
        if self._serve is not None:
            await self._serve(connection)
            return
        connection.write(CONNACK)
        self.read = await connection.reader.read()


class OpenDoor:
    """A door that is open, and what it has emitted."""

    def __init__(self, authority: Any) -> None:
        self.authority = authority
        self.events: list[Event] = []
        self.door: Door
        self._emitted = asyncio.Event()

    def emit(self, event: Event) -> None:
        self.events.append(event)
        self._emitted.set()

    def target(self, listener: str = "plain", host: str = "127.0.0.1") -> Target:
        return Target(host, self.door.listeners[listener].port)

    async def event(self, action: Action, number: int = 1) -> Event:
        """Wait for the n-th event of an action."""
        async with asyncio.timeout(10):
            while len(found := [event for event in self.events if event.event.action is action]) < number:
                self._emitted.clear()
                await self._emitted.wait()
        return found[number - 1]

    async def connect(self, number: int = 1) -> ConnectEvent:
        event = await self.event(Action.CONNECT, number)
        assert isinstance(event, ConnectEvent)
        return event

    async def disconnect(self, number: int = 1) -> DisconnectEvent:
        event = await self.event(Action.DISCONNECT, number)
        assert isinstance(event, DisconnectEvent)
        return event

    def count(self, action: Action) -> int:
        return sum(event.event.action is action for event in self.events)


def listener_rules(
    listener: Mapping[str, Any] | None = None, *, chain: ServedChain | None = None, **limits: Any
) -> ListenerRules:
    """Return what an attempt must know of a listener, which has these settings and serves this chain."""
    settings = ListenerSettings.model_validate({"bind": FREE, **(listener or {})})
    if chain is not None:
        nowhere = Path("unused.pem")
        settings = settings.model_copy(update={"tls": TlsSettings(certfile=nowhere, keyfile=nowhere)})
    sizes = LimitsSettings(**limits)
    counts = AttemptLimits(sizes.attempts_per_listener, sizes.attempts_per_source)
    policy = (lambda _hello: chain) if chain is not None else None
    return ListenerRules(name="test", settings=settings, limits=sizes, counts=counts, chain_policy=policy)


async def until(reached: Callable[[], bool], timeout_s: float = 5) -> None:
    """Let the event loop turn until it is so: for what nobody is told of."""
    async with asyncio.timeout(timeout_s):
        while not reached():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0)


def end_sessions(door: Door) -> None:
    """End every session, as a broker does when it stops."""
    for listener in door.listeners.values():
        for protocol in tuple(listener._protocols):
            if protocol._connection is not None:
                protocol._connection.close(DisconnectCause.SERVER_SHUTDOWN)


@asynccontextmanager
async def open_door(
    authority: Any = None,
    listeners: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    assurance: Assurance = NO_ASSURANCE,
    **limits: Any,
) -> AsyncIterator[OpenDoor]:
    """Open a door; afterwards nothing of it is left: each accepted socket has its event, no task and no socket lives.

    Args:
        authority: ``Scripted`` or another.
        listeners: As in a configuration file, by default one without TLS, ``plain``.
        assurance: What is promised of its events.
        limits: As in a configuration file.
    """
    before = asyncio.all_tasks()
    settings = {
        name: ListenerSettings.model_validate(listener)
        for name, listener in (listeners or {"plain": {"bind": FREE}}).items()
    }
    chains = {name: load_served_chain(listener.tls) for name, listener in settings.items() if listener.tls}
    opened = OpenDoor(authority or Scripted())
    opened.door = Door(settings, chains, LimitsSettings(**limits), opened.authority, opened.emit, assurance)
    await opened.door.start()
    try:
        yield opened
    finally:
        async with asyncio.timeout(10):
            leaving = asyncio.ensure_future(opened.door.shut_down())
            await asyncio.sleep(0)
            end_sessions(opened.door)
            await leaving
            await check_nothing_is_left(opened.door, before)
    assert opened.count(Action.CONNECT) == opened.door.accepted == opened.door.connects
    admitted = [e for e in opened.events if e.event.action is Action.CONNECT and e.event.code == Code.ADMITTED]
    ended = [e for e in opened.events if e.event.action is Action.DISCONNECT]
    assert sorted(str(e.doorlog.connection_id) for e in admitted) == sorted(str(e.doorlog.connection_id) for e in ended)


async def check_nothing_is_left(door: Door, before: set[asyncio.Task[Any]]) -> None:
    """Fail if the door still counts an attempt, or if a task of its goes on."""
    for listener in door.listeners.values():
        assert not listener._protocols
        assert not listener._undecided
        assert listener.rules.counts.total == 0
        assert not listener.rules.counts._by_source
    while left := asyncio.all_tasks() - before - {asyncio.current_task()}:
        await asyncio.wait(left)
    gc.collect(1)  # a forgotten socket or transport warns now, and a warning is a failure
