"""The device's side: blocking sockets, and packets that are made once."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from itertools import cycle
from pathlib import Path

from bench.plugins import PASSWORD, WRONG_PASSWORD
from bench.servers import USER

Address = tuple[str, int]
TIMEOUT = 20.0
PINGREQ, PINGRESP = b"\xc0\x00", b"\xd0\x00"
DISCONNECT = b"\xe0\x00"
UNKNOWN_CA = "CERTIFICATE_VERIFY_FAILED"
_CLIENT_IDS = cycle([f"pump-{number}" for number in range(32)])


def connect_packet(client_id: str, *, user: str = USER, password: str = PASSWORD, keep_alive: int = 600) -> bytes:
    """Build a CONNECT (MQTT 3.1.1, 3.1) with a clean session."""
    payload = b"".join(len(text).to_bytes(2) + text.encode() for text in (client_id, user, password))
    body = b"\x00\x04MQTT\x04\xc2" + keep_alive.to_bytes(2) + payload
    if len(body) > 127:
        raise ValueError("one byte of remaining length is enough for a benchmark")
    return b"\x10" + bytes((len(body),)) + body


def context(trusted: Path, *, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    """Make a client's context that trusts one root and speaks one version."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.load_verify_locations(trusted)
    made.minimum_version = made.maximum_version = version
    return made


def dial(address: Address, source: str = "127.0.0.1") -> socket.socket:
    sock = socket.create_connection(address, TIMEOUT, (source, 0))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def dial_tls(address: Address, tls: ssl.SSLContext, source: str = "127.0.0.1") -> ssl.SSLSocket:
    return tls.wrap_socket(dial(address, source), server_hostname="localhost")


def dial_any(address: Address, tls: ssl.SSLContext | None) -> socket.socket:
    return dial(address) if tls is None else dial_tls(address, tls)


def refuse_server(address: Address, foreign: ssl.SSLContext) -> None:
    """Refuse the server's certificate with the alert unknown_ca."""
    with closing(dial(address)) as sock:
        try:
            foreign.wrap_socket(sock, server_hostname="localhost").close()
        except ssl.SSLCertVerificationError:
            return
    raise RuntimeError("the server's certificate was trusted")


def log_in(sock: socket.socket, client_id: str, password: str = PASSWORD) -> int:
    """Send CONNECT; return CONNACK's code."""
    sock.sendall(connect_packet(client_id, password=password))
    answer = receive(sock, 4)
    if len(answer) < 4 or answer[0] != 0x20:
        raise RuntimeError(f"no CONNACK: {answer!r}")
    return answer[3]


def come_and_go(address: Address, tls: ssl.SSLContext | None) -> None:
    """Be admitted, say DISCONNECT, wait until the server closes."""
    with closing(dial_any(address, tls)) as sock:
        if log_in(sock, next(_CLIENT_IDS)) != 0:
            raise RuntimeError("the right password was refused")
        sock.sendall(DISCONNECT)
        drain(sock)


def be_refused(address: Address, tls: ssl.SSLContext | None) -> None:
    """Send a wrong password, read the refusal, wait until the server closes."""
    with closing(dial_any(address, tls)) as sock:
        if log_in(sock, next(_CLIENT_IDS), WRONG_PASSWORD) == 0:
            raise RuntimeError("the wrong password was admitted")
        drain(sock)


def ping(sock: socket.socket) -> None:
    sock.sendall(PINGREQ)
    if receive(sock, 2) != PINGRESP:
        raise RuntimeError("no PINGRESP")


def receive(sock: socket.socket, size: int) -> bytes:
    """Receive so many bytes, fewer if the server closes."""
    received = b""
    while len(received) < size and (piece := sock.recv(size - len(received))):
        received += piece
    return received


def drain(sock: socket.socket) -> None:
    """Wait until the server closes."""
    with suppress(ssl.SSLError, ConnectionError):
        while sock.recv(4096):
            pass


@contextmanager
def device(address: Address, tls: ssl.SSLContext | None, client_id: str) -> Iterator[socket.socket]:
    """Be an admitted device."""
    with closing(dial_any(address, tls)) as sock:
        if log_in(sock, client_id) != 0:
            raise RuntimeError("the right password was refused")
        yield sock
        sock.sendall(DISCONNECT)


def client_hello(tls: ssl.SSLContext) -> bytes:
    """Return the bytes with which this client opens TLS."""
    outgoing = ssl.MemoryBIO()
    handshake = tls.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with suppress(ssl.SSLWantReadError):
        handshake.do_handshake()
    return outgoing.read()
