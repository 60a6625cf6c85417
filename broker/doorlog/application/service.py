"""The running broker: certificates, log, amqtt and door, started and stopped in the right order."""

from __future__ import annotations

import asyncio
import gc
import logging
import secrets
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Protocol, Self

from doorlog import __version__
from doorlog.application.alerting import Alerting, new_certificates
from doorlog.application.expiry import watch_expiry
from doorlog.application.facts import Facts, Instruments
from doorlog.application.monitor import Monitor
from doorlog.application.own_events import audit_event, certificate_events
from doorlog.application.signals import signals
from doorlog.door.authority import Authority
from doorlog.door.connection import DoorConnection
from doorlog.door.door import Door
from doorlog.door.report import authorize_event
from doorlog.door.tls_context import ServedChain, load_served_chain
from doorlog.embedded.authority import EmbeddedAuthority, OnRefusal
from doorlog.errors import DirectoryError, LogFailed
from doorlog.events.codes import Action
from doorlog.events.sentences import message_of, reason_of
from doorlog.identity.directory import Directory, directory_path
from doorlog.identity.naming import Naming
from doorlog.log.opening import open_log, service_part
from doorlog.log.writer import Log
from doorlog.settings.models import DoorSettings, Settings
from doorlog.watch.alert_memory import AlertMemory
from doorlog.watch.alert_rules import Sample

_STOP_SECONDS = 20.0
_log = logging.getLogger(__name__)


class ServingAuthority(Authority, Protocol):
    """An authority with a life of its own."""

    async def start(self) -> None:
        """Get ready to serve."""
        ...

    async def shut_down(self) -> None:
        """End every session."""
        ...

    @property
    def publish(self) -> Callable[[str, bytes], Future[None]] | None:
        """Publishes a record under a topic, from any thread; None where the broker is not ours."""
        ...


class Service:
    """The door, its log and what stands behind it: ``async with Service(...)`` serves until the block ends.

    Args:
        settings: What the door and the log need.
        build_authority: Makes what stands behind the door; it is given what to tell refused topics.

    Attributes:
        door: The open door.
        log: The log.
        directory: What is known of the devices, if anything is to be remembered.
        failure: Done when the log can not be written and the broker is to stop (``log.on_error: stop``), with why.

    Raises:
        DoorlogError: If a certificate, a plugin or the log can not be used.
    """

    def __init__(self, settings: DoorSettings, build_authority: Callable[[OnRefusal], ServingAuthority]) -> None:
        self._settings = settings
        self._chains = load_chains(settings)
        self._authority = build_authority(self._refused)
        self._naming = Naming(settings.device)
        self._instruments = Instruments(
            settings.listeners, directory_path(settings), settings.cohorts, alerts=settings.alerts is not None
        )
        self.log = self._open_log()
        self._record = self._instruments.counting(self.log.record)
        self.directory = self._naming.directory = self._open_directory()
        self.door = Door(settings.listeners, self._chains, settings.limits, self._authority, self._record, self.log)
        self._loop = asyncio.get_running_loop()
        self.failure: asyncio.Future[str] = self._loop.create_future()
        self.log.attach(
            accepted=lambda: self.door.accepted, on_pressure=self._log_is_pressed, on_failure=self._log_failed
        )
        self._tasks: tuple[asyncio.Task[None], ...] = ()
        self.monitor: Monitor | None = None
        self.alerting: Alerting | None = None

    async def start(self) -> None:
        """Open the door.

        Raises:
            AddressError: If an address can not be bound.
        """
        await self._authority.start()
        try:
            self.monitor = self._open_monitor()
            await self.door.start()
        except BaseException:
            await self._authority.shut_down()
            self.log.close()
            self._close_directory()
            self._close_monitor()
            raise
        self._record(audit_event(Action.AUDIT_STARTED, self.door))
        for event in certificate_events(self._settings, self._chains, self.door):
            self._record(event)
        watching = (watch_expiry(self._chains, self._record), self._instruments.probe.watch())
        self._tasks = tuple(asyncio.create_task(watch) for watch in watching)
        self.alerting = self._open_alerting()

    async def stop(self) -> None:
        """Record what is under way, end the sessions, close the log."""
        for task in self._tasks:
            task.cancel()
        if self.alerting is not None:  # first: that everybody leaves now is no news
            await asyncio.to_thread(self.alerting.close)
        try:
            await self._empty()
            self._record(audit_event(Action.AUDIT_STOPPED, self.door))
        finally:
            await asyncio.to_thread(self.log.close)
            await asyncio.to_thread(self._close_directory)
            self._close_monitor()

    async def __aenter__(self) -> Self:
        """Open the door."""
        await self.start()
        return self

    async def __aexit__(self, *_exception: object) -> None:
        """Close it."""
        await self.stop()

    async def _empty(self) -> None:
        """Undecided attempts get their record, then sessions their ``disconnect``."""
        door_is_empty = asyncio.ensure_future(self.door.shut_down())
        await asyncio.sleep(0)  # the undecided are recorded before any session ends
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self._authority.shut_down()
                await asyncio.shield(door_is_empty)
        except TimeoutError:
            self.door.abort()
            await door_is_empty

    def _open_directory(self) -> Directory | None:
        path, device = directory_path(self._settings), self._settings.device
        if path is None:
            return None
        hidden = self._settings.log.privacy.hidden
        try:
            directory = Directory(path, remember=device.remember, forget_days=device.forget_days, hidden=hidden)
        except DirectoryError as error:  # devices are let in and recorded all the same
            _log.warning("%s; devices are named by what they say alone, and nothing is learned", error)
            return None
        self._instruments.cohorts.attach(directory.view)
        return directory

    def _close_directory(self) -> None:
        """Once the log is closed: its thread teaches the directory."""
        if self.directory is not None:
            self.directory.close()

    def _refused(self, connection: DoorConnection, topic: str, what: str) -> None:
        self._record(authorize_event(connection, topic, what, datetime.now(UTC)))

    def _open_monitor(self) -> Monitor | None:
        wanted = self._settings.monitor
        if wanted is None:
            return None
        return Monitor(wanted.address, self._facts)

    def _facts(self) -> Facts:
        """On the monitor's thread."""
        alerts = self.alerting.firing if self.alerting is not None else None
        return self._instruments.facts(self.log.status(), self.door.accepted, self.door.connects, alerts)

    def _open_alerting(self) -> Alerting | None:
        wanted = self._settings.alerts
        if wanted is None:
            return None
        log = self._settings.log.file
        memory = AlertMemory(log.path.with_name("alerts.json") if log is not None else None)
        return Alerting(wanted, self._settings.service.name, self._sample, memory)

    def _sample(self) -> Sample:
        """On the alerts' thread."""
        first_shown = dict(self.directory.statistics.served) if self.directory is not None else {}
        new = new_certificates(self._chains, first_shown, time.time())
        return self._instruments.sample(self.log.status(), new)

    def _close_monitor(self) -> None:
        if self.monitor is not None:
            self.monitor.close()

    def _log_is_pressed(self, high: bool) -> None:  # noqa: FBT001 - what it says is its name
        """On any thread: more waits to be written than should."""
        with suppress(RuntimeError):  # the loop has been closed
            self._loop.call_soon_threadsafe(partial(self.door.hold, held=high))

    def _log_failed(self, why: str) -> None:
        """On the log's thread, again and again while it lasts."""

        def tell() -> None:
            if not self.failure.done():
                self.failure.set_result(why)

        with suppress(RuntimeError):  # the loop has been closed
            self._loop.call_soon_threadsafe(tell)

    def _open_log(self) -> Log:
        service, log = self._settings.service, self._settings.log
        console = log.console == "always" or (log.console == "auto" and sys.stderr.isatty())
        return open_log(
            log,
            service=service_part(service.name, __version__, service.instance_id or secrets.token_hex(6)),
            message_of=message_of,
            console=sys.stderr if console else None,
            refine=self._instruments.counting_refined(self._naming),
            reason_of=reason_of,
            afterwards=self._naming.afterwards,
            publish=self._authority.publish,
        )


async def serve(settings: Settings, on_started: Callable[[Door], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT, then stop cleanly.

    SIGHUP ends a broker whose terminal is gone; one that has none opens its log file again and reads its keys again.

    A signal that is ignored when this is called stays ignored: ``nohup`` and shells' background jobs rely on it.

    Args:
        settings: The configuration.
        on_started: Called once all ports are open.

    Raises:
        DoorlogError: If a certificate, a plugin, the log or an address can not be used.
        LogFailed: It was stopped since the log could not be written (``log.on_error: stop``).
    """
    with signals() as came:  # before a port is open: a signal must not end us without the records of a stop
        async with Service(settings, partial(EmbeddedAuthority, settings)) as service:
            gc.freeze()  # what was loaded stays for good: the collector need not look through it again and again
            came.on_hangup = service.log.reload
            if on_started is not None:
                on_started(service.door)
            stopping = asyncio.ensure_future(came.stop.wait())
            await asyncio.wait((stopping, service.failure), return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
    if service.failure.done():
        raise LogFailed(f"stopped, since the log can not be written: {service.failure.result()}")


def load_chains(settings: DoorSettings) -> dict[str, ServedChain]:
    """Load what each TLS listener serves.

    Raises:
        CertificateError: With the listener, the file and the remedy.
    """
    return {
        name: load_served_chain(listener.tls)
        for name, listener in settings.listeners.items()
        if listener.tls is not None
    }
