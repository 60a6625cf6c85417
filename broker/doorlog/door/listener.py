"""One port of the door: accepts sockets, counts them, and gives each a protocol."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from doorlog.door.assurance import NO_ASSURANCE, Assurance
from doorlog.door.attempt import ListenerRules
from doorlog.door.authority import Authority
from doorlog.door.protocol import DoorProtocol
from doorlog.door.transport import SocketTransport
from doorlog.errors import AddressError
from doorlog.events.records import ConnectEvent, Event

if TYPE_CHECKING:
    from collections.abc import Sequence

_log = logging.getLogger(__name__)
_BACKLOG = 1024
_ACCEPTS_PER_TURN = 64  # so that a storm leaves the event loop time for admitted devices
_PAUSE = 0.1  # seconds without accepting, when that fails
_TRIES = 10
_NO_SUCH_FAMILY = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})
_REMEDIES = {
    errno.EADDRINUSE: "stop what listens there, or choose another port",
    errno.EACCES: "choose a port above 1023, or give the process the right to bind this one",
}


class Listener:
    """A listening socket.

    Args:
        rules: What its attempts must know.
        authority: Who judges and serves.
        emit: Takes every event; must not block.
        assurance: What is promised of the events.

    Attributes:
        accepted: Sockets accepted so far.
        connects: ``connect`` events emitted so far; equals ``accepted`` when no attempt is under way.
        port: The port that is bound.
    """

    def __init__(
        self,
        rules: ListenerRules,
        authority: Authority,
        emit: Callable[[Event], None],
        assurance: Assurance = NO_ASSURANCE,
    ) -> None:
        self.rules = rules
        self.authority = authority
        self.emit = emit
        self.assurance = assurance
        self.accepted = 0
        self.connects = 0
        self.port = rules.settings.address[1]
        self._sockets: Sequence[socket.socket] = ()
        self._is_short = False
        self._is_held = False
        self._protocols: set[DoorProtocol] = set()
        self._undecided: set[DoorProtocol] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self.loop = asyncio.get_running_loop()

    async def start(self) -> None:
        """Bind and listen.

        Raises:
            AddressError: If the address can not be bound.
        """
        host, port = self.rules.settings.address
        try:
            self._sockets = await _bind(host, port)
        except OSError as error:
            bind = self.rules.settings.bind
            remedy = _REMEDIES.get(error.errno or 0, "choose an address of this machine")
            raise AddressError(f"listeners.{self.rules.name}.bind: {bind}: {error.strerror}: {remedy}") from error
        self.port = self._sockets[0].getsockname()[1]
        self._resume()

    def hold(self, *, held: bool) -> None:
        """Accept nobody for a while; who comes waits in the kernel's queue."""
        if held == self._is_held:
            return
        self._is_held = held
        if held:
            self._ignore()
        else:
            self._resume()

    def stop_accepting(self) -> None:
        """Close the listening sockets."""
        self._ignore()
        for listening in self._sockets:
            listening.close()
        self._sockets = ()

    async def shut_down(self) -> None:
        """Give every undecided attempt its record, and wait until all connections are gone."""
        self.stop_accepting()
        for protocol in tuple(self._protocols):
            protocol.shut_down()
        await self._empty.wait()

    def abort(self) -> None:
        """Cut every connection that is left."""
        for protocol in tuple(self._protocols):
            protocol.cut()

    def emit_connect(self, event: ConnectEvent) -> None:
        """Emit the one ``connect`` event of an attempt."""
        self.connects += 1
        self.emit(event)

    async def settle(self, answer: Callable[[], None], abort: Callable[[], None], *, at_once: bool = False) -> None:
        """Answer once the record of a verdict is safe; no verdict without its record.

        Args:
            answer: Lets the answer out.
            abort: Cuts the connection.
            at_once: The answer is no verdict over the device, and its record may take long.
        """
        if at_once or await self.assurance.on_disk():
            answer()
        else:
            abort()

    def leave(self, protocol: DoorProtocol) -> None:
        """An attempt got its verdict and holds no place among the undecided any more."""
        if protocol in self._undecided:
            self._undecided.discard(protocol)
            self.rules.counts.leave()

    def forget(self, protocol: DoorProtocol) -> None:
        """A connection is over."""
        self.leave(protocol)
        self._protocols.discard(protocol)
        if not self._protocols:
            self._empty.set()

    def _accept_ready(self, listening: socket.socket) -> None:
        for _ in range(_ACCEPTS_PER_TURN):
            try:
                accepted, address = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # no descriptors left, mostly; but accept(2) passes network errors on, too
                self._pause(error)
                return
            self._is_short = False
            self._welcome(accepted, (_without_zone(address[0]), address[1]))

    def _welcome(self, accepted: socket.socket, source: tuple[str, int]) -> None:
        self.accepted += 1
        crowded = not self.rules.counts.enter()
        accepted.setblocking(False)
        protocol = DoorProtocol(self, source, crowded=crowded)
        self._protocols.add(protocol)
        self._undecided.add(protocol)
        self._empty.clear()
        try:
            SocketTransport(self.loop, accepted, protocol).begin()
        except Exception as error:  # noqa: BLE001 - whatever it is: an accepted socket gets its record
            accepted.close()
            protocol.connection_lost(error)

    def _pause(self, error: OSError) -> None:
        if not self._is_short:  # once, not ten times a second
            _log.warning("listener %s accepts nobody for a moment: %s", self.rules.name, error.strerror)
        self._is_short = True
        self._ignore()
        self.loop.call_later(_PAUSE, self._resume)

    def _ignore(self) -> None:
        for listening in self._sockets:
            self.loop.remove_reader(listening.fileno())

    def _resume(self) -> None:
        for listening in self._sockets if not self._is_held else ():
            self.loop.add_reader(listening.fileno(), self._accept_ready, listening)


async def _bind(host: str, port: int) -> list[socket.socket]:
    loop = asyncio.get_running_loop()
    infos = await loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    addresses = [(family, address) for family, _kind, _protocol, _name, address in infos]
    for _ in range(_TRIES if port == 0 else 1):
        try:
            return _listening_sockets(addresses)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            taken = error  # a free port of the first address need not be free on the others
    raise taken


def _listening_sockets(addresses: Sequence[tuple[int, tuple[Any, ...]]]) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    try:
        for family, (ip, port, *scope) in addresses:
            chosen = sockets[0].getsockname()[1] if sockets else port
            try:
                sockets.append(_listening_socket(family, (ip, chosen, *scope)))
            except OSError as error:
                if error.errno not in _NO_SUCH_FAMILY:
                    raise
                missing = error  # many containers have no IPv6, although its wildcard and ::1 are known by name
    except OSError:
        for opened in sockets:
            opened.close()
        raise
    if missing is not None and not sockets:
        raise missing
    return sockets


def _without_zone(ip: str) -> str:
    # The zone of a link-local address is our own interface; no log store takes it for an address.
    return ip.partition("%")[0]


def _listening_socket(family: int, address: tuple[object, ...]) -> socket.socket:
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Inherited by what it accepts. A device that loses its power says no FIN, and with an MQTT keep-alive of 0
        # nothing but the kernel's probes finds out.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if family == socket.AF_INET6:
            with contextlib.suppress(OSError):
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.setblocking(False)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening
