"""The way to a syslog receiver: where it is, how it is reached, and datagrams to it (RFC 5426)."""

from __future__ import annotations

import re
import socket
import ssl
import time
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Final, Protocol

from doorlog.errors import SinkError

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_PORTS: Final = {"udp": 514, "tcp": 601, "tls": 6514}

_SERVER: Final = re.compile(
    r"(?P<transport>udp|tcp|tls)://"
    r"(?:\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<host>[0-9A-Za-z_-]{1,63}(?:\.[0-9A-Za-z_-]{1,63})*))"
    r"(?::(?P<port>[0-9]{1,5}))?"
)


@dataclass(frozen=True, slots=True)
class Server:
    """A receiver."""

    transport: str
    """``udp``, ``tcp`` or ``tls``."""
    host: str
    """A name or an address, without brackets."""
    port: int

    @classmethod
    def parse(cls, text: str) -> Server:
        """Read ``tls://logs.example.com:6514``; without a port, that of the transport.

        Raises:
            ValueError: It is something else.
        """
        match = _SERVER.fullmatch(text)
        if match is None:
            raise ValueError('expected "udp://HOST:PORT", "tcp://HOST:PORT" or "tls://HOST:PORT", IPv6 in brackets')
        port = int(match["port"] or DEFAULT_PORTS[match["transport"]])
        if not 0 < port < 65536:
            raise ValueError("a port is a number from 1 to 65535")
        host = match["host"] or str(IPv6Address(match["v6"]))
        return cls(match["transport"], host, port)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.transport}://{host}:{self.port}"


class Link(Protocol):
    """Brings messages to a receiver; connects at the first ``send``, and again after an error."""

    def send(self, messages: Sequence[bytes]) -> None:
        """Hand messages to the kernel, in order.

        Raises:
            SinkError: They were not all handed over; ``lost`` as in ``Sink.write``.
        """

    def close(self) -> None:
        """Let go, after the receiver had a moment to read the rest; never raises."""


class DatagramLink:
    """One datagram for each message. Whether it arrives, nobody knows; only a port where nobody listens answers.

    Args:
        server: Where to.
        timeout: Seconds that one datagram may wait for room in the kernel.
    """

    def __init__(self, server: Server, timeout: float) -> None:
        self._server = server
        self._timeout = timeout
        self._socket: socket.socket | None = None
        self._last: bytes | None = None
        """The datagram that a refusal is about, should one come."""
        self._again: list[bytes] = []

    def send(self, messages: Sequence[bytes]) -> None:
        """Send each as a datagram, after the one that was refused before."""
        pending = [*self._again, *messages]
        sent = 0
        try:
            opened = self._socket = self._socket or connected(self._server, socket.SOCK_DGRAM, self._timeout)
            for datagram in pending:
                opened.send(datagram)
                self._last = datagram
                sent += 1
        except OSError as error:
            # "Connection refused" is the answer to the datagram before the one that it kept from being sent.
            refused = isinstance(error, ConnectionRefusedError) and self._last is not None
            self._again = [*([self._last] if refused and self._last else []), *self._again[sent:]]
            self.close()
            raise SinkError(in_words(error, self._timeout), lost=min(len(messages), len(pending) - sent)) from error
        self._again = []

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
        self._socket = self._last = None


def connected(server: Server, kind: socket.SocketKind, timeout: float) -> socket.socket:
    """Return a connected socket with that timeout, to the first address of the server that answers.

    Raises:
        OSError: None does within ``timeout`` seconds, or the name is unknown.
    """
    deadline = time.monotonic() + timeout
    failure: OSError = TimeoutError()
    for family, _, protocol, _, address in socket.getaddrinfo(server.host, server.port, type=kind):
        opened = socket.socket(family, kind, protocol)
        try:
            opened.settimeout(max(0.001, deadline - time.monotonic()))
            if kind == socket.SOCK_STREAM:
                opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            opened.connect(address)
            opened.settimeout(timeout)
            return opened
        except OSError as error:
            opened.close()
            failure = error
    raise failure


def in_words(error: OSError, timeout: float) -> str:
    """Say for an operator why a receiver can not be reached."""
    match error:
        case ssl.SSLCertVerificationError():
            return f"its certificate is refused: {error.verify_message.rstrip('.')} (cafile says whom to trust)"
        case ssl.SSLEOFError():
            return "TLS failed: the receiver closed the connection"
        case ssl.SSLError(reason=str() as reason):
            return f"TLS failed: {reason.lower().replace('_', ' ')}"
        case socket.gaierror():
            return f"its name leads nowhere: {error.strerror}"
        case TimeoutError():
            return f"no sign of life for {timeout:g} s"
        case _:
            return error.strerror or str(error)
