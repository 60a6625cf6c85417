"""Plays a calendar in front of the real door: real sockets, real TLS, simulated time."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, assert_never

from doorlog.simulation.client import TlsClient, dial
from doorlog.simulation.packets import connect_packet
from doorlog.simulation.profiles import PROFILES, client_context
from doorlog.simulation.scoring import Failure, failure_of, is_failure
from doorlog.simulation.steps import Attempt, End, Restart, Step, Visit
from doorlog.simulation.truth import Truth

if TYPE_CHECKING:
    from doorlog.events.records import ConnectEvent
    from doorlog.simulation.fleet import Device, Fleet
    from doorlog.simulation.host import Host
    from doorlog.simulation.namer import Namer
    from doorlog.simulation.pki import Pki
    from doorlog.simulation.recorder import Recorder

_PATIENCE: Final = 30.0  # seconds of real time that one step may take
_LEARNED_WITHIN: Final = 2.0  # simulated seconds after which what was learned counts
_HOST: Final = "mqtt.example.com"
_HTTP: Final = b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"

Tell = Callable[[Truth], None]


@dataclass(slots=True)
class _Session:
    """A device's side of an open session."""

    client: TlsClient
    connection_id: str


@dataclass(slots=True)
class Stage:
    """The devices of a fleet with their sockets. One step is over before the next begins: simulated time is in order.

    A session's sockets stay open from its beginning to its end, since the log of a real door shows both.

    Attributes:
        fleet: Who plays.
        pki: The certificates.
        host: The door.
        recorder: Who takes its events.
        namer: Who names their devices.
        tell: Told the truth about each attempt.
        failures: All so far.
    """

    fleet: Fleet
    pki: Pki
    host: Host
    recorder: Recorder
    namer: Namer
    tell: Tell
    failures: list[Failure] = field(default_factory=list)
    _sessions: dict[int, _Session] = field(default_factory=dict)
    _contexts: dict[tuple[object, ...], ssl.SSLContext] = field(default_factory=dict)
    _resumable: dict[int, tuple[ssl.SSLContext, ssl.SSLSession]] = field(default_factory=dict)
    _familiar: set[str] = field(default_factory=set)
    _failed: set[str] = field(default_factory=set)
    _settled_at: float = 0.0

    async def play(self, step: Step) -> None:
        """Let one step happen, to its last record.

        Raises:
            TimeoutError: The door says nothing about it.
            RuntimeError: Something else came of it than the calendar expects.
        """
        self.recorder.now = step.time
        if isinstance(step, Visit) or (isinstance(step, Attempt) and step.expected != "admitted"):
            self._settle()
        async with asyncio.timeout(_PATIENCE):
            match step:
                case Attempt():
                    await self._attempt(step)
                case End():
                    await self._end(step)
                case Visit():
                    await self._visit(step)
                case Restart():
                    raise ValueError("a restart is for who holds the log")
                case _:
                    assert_never(step)

    def leave(self) -> None:
        """Close what is open, after the door has ended it."""
        for session in self._sessions.values():
            session.client.close("close")
        self._sessions.clear()

    def _settle(self) -> None:
        """In life seconds pass between what is learned and what it is needed for."""
        if self.recorder.now - self._settled_at >= _LEARNED_WITHIN:
            self.namer.settle()
            self._settled_at = self.recorder.now

    async def _attempt(self, step: Attempt) -> None:
        device = self.fleet.devices[step.device]
        context = self._context(device, step)
        connected = await dial(step.address, self.host.target(mutual=device.certificate is not None))
        host = device.model.host if PROFILES[step.profile].server_name else None
        client = TlsClient(connected, context, host, self._resumed(step.device, context))
        expected = self.recorder.expect(step.address, client.port)
        is_admitted = await self._knock(client, device, step)
        event = await expected
        if is_admitted != (step.expected == "admitted") or is_admitted != (event.event.code == "admitted"):
            client.close("close")
            raise RuntimeError(f"{device.id}: {step.expected} was expected, but it is {event.event.code}")
        if is_admitted:
            await self._hold(step.device, client, event)
            if device.model.resumes and client.session is not None:
                self._resumable[step.device] = (context, client.session)
        else:
            client.close("close")
        self._note(event, device, step.expected, step.address, step.profile)

    async def _knock(self, client: TlsClient, device: Device, step: Attempt) -> bool:
        if step.expected == "refuses" and device.model.refusal == "late":
            await client.handshake()
            client.close("close")
            return False
        try:
            packet = connect_packet(
                device.id, keep_alive=device.model.keep_alive, clean_session=device.model.clean_session
            )
            return await client.connect(packet)
        except ssl.SSLError:
            await client.refuse(device.model.refusal)
        except OSError:
            client.close("close")
        return False

    async def _hold(self, index: int, client: TlsClient, event: ConnectEvent) -> None:
        before = self._sessions.get(index)
        self._sessions[index] = _Session(client, event.doorlog.connection_id or "")
        if before is not None:  # the door knew of it until now
            await self.recorder.end_of(before.connection_id)
            before.client.close("close")

    async def _end(self, step: End) -> None:
        session = self._sessions.pop(step.device, None)
        if session is None:
            return
        ended = self.recorder.end_of(session.connection_id)
        if step.how == "keep_alive":
            self.host.authority.give_up(self.fleet.devices[step.device].id)
        elif step.how == "disconnect":
            await session.client.disconnect()
        else:
            session.client.close(step.how)
        await ended
        session.client.close("close")

    async def _visit(self, step: Visit) -> None:
        connected = await dial(step.address, self.host.target(mutual=False))
        expected = self.recorder.expect(step.address, int(connected.getsockname()[1]))
        is_tls = step.errand in {"scan", "technician"}
        if is_tls:
            await self._look(connected, step)
        else:
            with suppress(OSError):
                if step.errand == "http":
                    await asyncio.get_running_loop().sock_sendall(connected, _HTTP)
            connected.close()
        event = await expected
        self._note(event, None, step.errand, step.address, step.profile if is_tls else None)

    async def _look(self, connected: socket.socket, step: Visit) -> None:
        """A scanner takes any chain; a technician's tool does not trust ours, as long as nobody tells it to."""
        profile = PROFILES[step.profile]
        context = client_context(profile, None if step.errand == "scan" else self.pki.stranger)
        client = TlsClient(connected, context, _HOST if profile.server_name else None)
        try:
            await client.handshake()
        except ssl.SSLError:
            await client.refuse("alert")
        else:
            client.close("close")

    def _context(self, device: Device, step: Attempt) -> ssl.SSLContext:
        is_late = step.pin is not None and device.model.refusal == "late"
        own = device.id if device.certificate else None
        key = (step.profile, step.pin, is_late, own, step.expired)
        if key not in self._contexts:
            certificate = None
            if device.certificate is not None:
                certificate = self.pki.client(device.id, device.certificate, expired=step.expired)
            trusted = None if is_late else self.pki.trusted(step.pin)
            self._contexts[key] = client_context(PROFILES[step.profile], trusted, certificate)
        return self._contexts[key]

    def _resumed(self, index: int, context: ssl.SSLContext) -> ssl.SSLSession | None:
        made_with, session = self._resumable.get(index, (None, None))
        return session if made_with is context else None

    def _note(self, event: ConnectEvent, device: Device | None, what: str, address: str, profile: str | None) -> None:
        truth = device.id if device else None
        self.tell(Truth(event.doorlog.connection_id or "", self.recorder.when, truth, what, address, profile))
        if is_failure(event):
            familiar, first = truth in self._familiar, truth is not None and truth not in self._failed
            seconds = self.recorder.seconds
            self.failures.append(failure_of(event, truth, familiar=familiar, first=first, seconds=seconds))
            if truth is not None:
                self._failed.add(truth)
        elif truth is not None:
            self._familiar.add(truth)
