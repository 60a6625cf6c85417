"""Many clients from many loopback addresses, and how they connect; every socket that TCP connected is counted."""

from __future__ import annotations

import itertools
import random
import socket
import ssl
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager

from bench import clients
from bench.servers import Certificates

_TIMEOUT = 10.0
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close sends RST


class Crowd:
    """All clients together, from many addresses.

    Attributes:
        connected: Sockets that TCP connected, the server's ``accept`` being due for each.
    """

    def __init__(self, ports: Mapping[str, int], certificates: Certificates, seed: int = 1883) -> None:
        self.connected = 0
        self.trusting = clients.context(certificates.trusted)
        self.trusting12 = clients.context(certificates.trusted, version=ssl.TLSVersion.TLSv1_2)
        self.foreign = clients.context(certificates.foreign)
        self.foreign12 = clients.context(certificates.foreign, version=ssl.TLSVersion.TLSv1_2)
        self.hello = clients.client_hello(self.trusting)
        self._ports = ports
        self._lock = threading.Lock()
        self.random = random.Random(seed)
        self._numbers = itertools.count()

    def dial(self, listener: str, source: str | None = None) -> socket.socket:
        sock = socket.socket()
        try:
            sock.settimeout(_TIMEOUT)
            sock.bind((source or self._source(), 0))
            sock.connect(("127.0.0.1", self._ports[listener]))
        except OSError:
            sock.close()
            raise
        with self._lock:
            self.connected += 1
        return sock

    @contextmanager
    def knock(self, listener: str, *data: bytes) -> Iterator[socket.socket]:
        with closing(self.dial(listener)) as sock:
            for piece in data:
                sock.sendall(piece)
            yield sock

    @contextmanager
    def tunnel(self, tls: ssl.SSLContext, *data: bytes) -> Iterator[ssl.SSLSocket]:
        with closing(self.dial("tls")) as sock, tls.wrap_socket(sock, server_hostname="localhost") as tunnel:
            for piece in data:
                tunnel.sendall(piece)
            yield tunnel

    def junk(self, size: int) -> bytes:
        with self._lock:
            return self.random.randbytes(size)

    def name(self) -> str:
        return f"pump-{next(self._numbers) % 500}"

    def _source(self) -> str:
        with self._lock:
            return "127." + ".".join(str(self.random.randint(1, 254)) for _ in range(3))


def reset(sock: socket.socket) -> None:
    """Close with RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    sock.close()
