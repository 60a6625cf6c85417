"""What the door says, in simulated time: stamped, named, written, and told to whoever waits for it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from doorlog.events.changes import changed
from doorlog.events.codes import Outcome
from doorlog.events.records import ConnectEvent, DisconnectEvent, Event

if TYPE_CHECKING:
    from datetime import datetime

    from doorlog.log.writer import Log
    from doorlog.simulation.namer import Namer
    from doorlog.simulation.plan import Plan


class Recorder:
    """Takes the door's events.

    Args:
        namer: Who names their devices.
        plan: When the simulated time begins.

    Attributes:
        log: Where they are written; None for nowhere.
        now: The simulated time, in seconds from the start.
        seconds: CPU that the naming of the last ``connect`` event took.
    """

    def __init__(self, namer: Namer, plan: Plan) -> None:
        self.log: Log | None = None
        self.now = 0.0
        self.seconds = 0.0
        self._namer = namer
        self._plan = plan
        self._began: dict[str | None, float] = {}
        self._connects: dict[tuple[str | None, int | None], asyncio.Future[ConnectEvent]] = {}
        self._ends: dict[str | None, asyncio.Future[None]] = {}

    @property
    def when(self) -> datetime:
        """The simulated time, UTC."""
        return self._plan.moment(self.now)

    def record(self, event: Event) -> None:
        """Take an event of now."""
        stamped = self._stamped(event)
        began = time.thread_time()
        named = self._namer(stamped)
        spent = time.thread_time() - began
        self._write(named)
        for later in self._namer.afterwards():
            self._write(later)
        if isinstance(named, ConnectEvent):
            self.seconds = spent
            self._tell(named)
        elif isinstance(named, DisconnectEvent):
            self._ended(named.doorlog.connection_id)

    def expect(self, address: str, port: int) -> asyncio.Future[ConnectEvent]:
        """Return what will hold the ``connect`` event of the connection from there, which has said nothing yet."""
        future: asyncio.Future[ConnectEvent] = asyncio.get_running_loop().create_future()
        self._connects[address, port] = future
        return future

    def end_of(self, connection_id: str) -> asyncio.Future[None]:
        """Return what is done once an admitted connection's ``disconnect`` event is there."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if connection_id not in self._began:
            future.set_result(None)
            return future
        return self._ends.setdefault(connection_id, future)

    def _stamped(self, event: Event) -> Event:
        """Give it the simulated time, and a session its simulated length."""
        when = self.when
        if isinstance(event, ConnectEvent) and event.event.outcome is Outcome.SUCCESS:
            self._began[event.doorlog.connection_id] = self.now
        elif isinstance(event, DisconnectEvent):
            lasted = self.now - self._began[event.doorlog.connection_id]
            return changed(event, timestamp=when, event=changed(event.event, duration=int(lasted * 1e9)))
        return changed(event, timestamp=when)

    def _write(self, event: Event) -> None:
        if self.log is not None:
            self.log.record(event)

    def _tell(self, event: ConnectEvent) -> None:
        waiting = self._connects.pop((event.source.ip, event.source.port), None)
        if waiting is not None:
            waiting.set_result(event)

    def _ended(self, connection_id: str | None) -> None:
        del self._began[connection_id]
        waiting = self._ends.pop(connection_id, None)
        if waiting is not None:
            waiting.set_result(None)
