"""A connection to a syslog receiver: frames over TCP (RFC 6587) or TLS (RFC 5425)."""

from __future__ import annotations

import fcntl
import os
import select
import socket
import ssl
import struct
import termios
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from doorlog.errors import SinkError
from doorlog.log.syslog_link import connected, in_words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from doorlog.log.syslog_link import Server

_UNSURE_BYTES: Final = 512 * 1024
"""The most that is kept of what was sent last, to be sent again should the connection turn out to be broken."""
_VERDICT_SECONDS: Final = 0.5
"""How long a TLS 1.3 receiver has to refuse our certificate, which it does after its side of the handshake."""
_FAREWELL_SECONDS: Final = 1.0
"""How long a receiver has to read the rest when we close."""
_DEAD_PEER_SECONDS: Final = 60
"""After so long without a sign of life, a connection is given up by the kernel."""


_TORN: Final = "the receiver closed the connection in the middle of records"


class StreamLink:
    """Frames over one connection.

    A receiver acknowledges nothing: what its kernel has taken counts as sent. What can be known is used: a connection
    that the receiver has closed is noticed before anything is written to it, and when it is found broken, what was
    written to it last goes over the next one again.

    Args:
        server: Where to.
        timeout: Seconds to connect (the look-up of a name not counted), for the TLS handshake, and without progress.
        context: Makes the TLS context, anew for each connection so that renewed files are used; None for plain TCP.
    """

    def __init__(self, server: Server, timeout: float, context: Callable[[], ssl.SSLContext] | None = None) -> None:
        self._server = server
        self._timeout = timeout
        self._context = context
        self._socket: socket.socket | None = None
        self._last = self._again = b""

    def send(self, messages: Sequence[bytes]) -> None:
        """Write frames; after an error all of them are to be brought again, some may then arrive twice."""
        data = b"".join(messages)
        try:
            stream = self._usable()
            payload = self._again + data
            self._write(stream, payload)
            if _has_ended(stream):
                raise ConnectionResetError(_TORN)
        except OSError as error:
            self._again += self._last
            self._drop()
            raise SinkError(in_words(error, self._timeout)) from error
        self._last, self._again = (payload if len(payload) <= _UNSURE_BYTES else data), b""

    def close(self) -> None:
        """Say farewell (RFC 5425, 4.4), and wait up to a second for the receiver to have read all."""
        if self._socket is not None:
            with suppress(OSError):
                _farewell(self._socket)
            self._drop()

    def _usable(self) -> socket.socket:
        """Return the connection, a new one if there is none or the receiver has ended it.

        Raises:
            OSError: It was broken, or there can be no new one.
        """
        if self._socket is not None and _has_ended(self._socket):
            self._drop()  # in good order: it had read all
        if self._socket is None:
            self._socket = self._connect()
        return self._socket

    def _connect(self) -> socket.socket:
        plain = connected(self._server, socket.SOCK_STREAM, self._timeout)
        _watch(plain)
        if self._context is None:
            return plain
        try:
            stream = self._context().wrap_socket(plain, server_hostname=self._server.host)
        except BaseException:
            plain.close()
            raise
        try:
            _await_verdict(stream)
        except BaseException:
            stream.close()
            raise
        return stream

    def _write(self, stream: socket.socket, data: bytes) -> None:
        stream.settimeout(self._timeout)
        rest = memoryview(data)
        while rest:
            rest = rest[stream.send(rest) :]

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket, self._last = None, b""


def _watch(stream: socket.socket) -> None:
    """Have the kernel notice a receiver that is gone without a word: after a power cut, behind a firewall."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": _DEAD_PEER_SECONDS * 1000}
    for name, value in options.items():
        if hasattr(socket, name):  # not everywhere
            stream.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _has_ended(stream: socket.socket) -> bool:
    """Whether the receiver has closed the connection in good order; what it says otherwise is read and forgotten.

    Raises:
        OSError: The connection is broken, a TLS alert has come, or the receiver closed before it had all.
    """
    # Looked at before reading: at the receiver's end, a read hides the reset that it sent for what came too late, and
    # OpenSSL may write an alert.
    is_short = _unacknowledged(stream) > 0
    reset = stream.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    ended = _reads_to_the_end(stream)  # an alert says more than the reset behind it: it is raised first
    if reset:
        raise OSError(reset, os.strerror(reset))
    if ended and is_short:
        raise ConnectionResetError(_TORN)
    return ended


def _reads_to_the_end(stream: socket.socket) -> bool:
    stream.settimeout(0)
    with suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
        for _ in range(16):
            if not stream.recv(4096):
                return True
    return False


def _unacknowledged(stream: socket.socket) -> int:
    """Return how many bytes the receiver's kernel has not acknowledged (tcp(7), SIOCOUTQ); 0 where nobody can tell."""
    try:
        (size,) = struct.unpack("i", fcntl.ioctl(stream, termios.TIOCOUTQ, bytes(4)))
    except OSError:  # not Linux
        return 0
    return int(size)


def _await_verdict(stream: ssl.SSLSocket) -> None:
    """Give a TLS 1.3 receiver a moment to refuse our certificate; one that is content sends tickets at once.

    Raises:
        OSError: It refused, or closed the connection.
    """
    if stream.version() != "TLSv1.3":
        return
    poll = select.poll()
    poll.register(stream, select.POLLIN)
    if poll.poll(_VERDICT_SECONDS * 1000) and _has_ended(stream):
        raise ConnectionResetError("the receiver closed the connection right after the TLS handshake")


def _farewell(stream: socket.socket) -> None:
    """Say that nothing more comes, and read until the receiver has closed.

    Closing with something unread would send a reset, which destroys what the receiver has not read yet.

    Raises:
        OSError: It did not close, or is gone.
    """
    if isinstance(stream, ssl.SSLSocket):
        stream.settimeout(0)
        with suppress(ssl.SSLWantReadError):  # it is sent; the answer is waited for below
            stream.unwrap()
    stream.shutdown(socket.SHUT_WR)
    deadline = time.monotonic() + _FAREWELL_SECONDS
    while (left := deadline - time.monotonic()) > 0:
        stream.settimeout(left)
        if not stream.recv(4096):
            return
