"""TLS devices without sockets, for the door's TLS engine: what they say reaches it in any pieces."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from doorlog.door.tls_context import ServedChain, load_served_chain
from doorlog.door.tls_engine import TlsEngine
from doorlog.settings.models import TlsSettings
from support.clients.raw_tls import ANYTHING, Offer
from support.pki import CertificateFiles, Pki

ROUNDS = 6  # more flights than any handshake has


def served(files: CertificateFiles, *, overhear: bool = True, **settings: Any) -> ServedChain:
    """Return a chain as a listener with these settings serves it."""
    tls = TlsSettings(certfile=files.certfile, keyfile=files.keyfile, **settings)
    return load_served_chain(tls, overhear=overhear)


def mutual(pki: Pki, *, overhear: bool = True, crlfile: Path | None = None, **settings: Any) -> ServedChain:
    """Return a chain that requires a client certificate."""
    return served(
        pki.server(),
        overhear=overhear,
        **{"cafile": pki.cafile, "client_certificate": "required", "crlfile": crlfile, **settings},
    )


class MemoryDevice:
    """A device's side of TLS in memory.

    Attributes:
        failure: The first TLS error, its own refusal or an alert that came.
        alerts: The numbers of the alerts that came, encrypted ones too.
        plaintext: What came through.
        ended: Whether a close_notify came.
    """

    def __init__(
        self, offer: Offer = ANYTHING, *, context: ssl.SSLContext | None = None, session: ssl.SSLSession | None = None
    ) -> None:
        self.failure: ssl.SSLError | None = None
        self.alerts: list[int] = []
        self.plaintext = b""
        self.ended = False
        self.established = False
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.context = context or offer.context()
        self.context._msg_callback = self._overhear  # type: ignore[attr-defined] # private, and needed to see alerts
        self.tls = self.context.wrap_bio(
            self._incoming, self._outgoing, server_hostname=offer.server_name, session=session
        )

    def answer(self, data: bytes = b"") -> bytes:
        """Take what came and say what follows: at first, the ClientHello."""
        self._incoming.write(data)
        try:
            if not self.established:
                self.tls.do_handshake()
                self.established = True
            while piece := self.tls.read(65_536):
                self.plaintext += piece
            self.ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True
        except ssl.SSLError as error:
            self.failure = self.failure or error
        return self._outgoing.read()

    def say(self, data: bytes) -> bytes:
        """Encrypt application data."""
        self.tls.write(data)
        return self._outgoing.read()

    def goodbye(self) -> bytes:
        """Say close_notify."""
        with suppress(ssl.SSLError):
            self.tls.unwrap()
        return self._outgoing.read()

    def _overhear(self, _tls: Any, direction: str, _version: int, content: int, _kind: int, data: bytes) -> None:
        if content == 21 and direction == "read":
            self.alerts.append(data[1])


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    """Cut data into pieces."""
    return (data[start : start + size] for start in range(0, len(data), size))


def converse(engine: TlsEngine, device: MemoryDevice, *, size: int = 1 << 20) -> bytes:
    """Let both talk until they have nothing to say; return what the device said as the engine decrypted it."""
    heard = b""
    to_device = b""
    for _ in range(ROUNDS):
        to_device += engine.take_output()
        said = device.answer(to_device)
        to_device = b""
        for piece in pieces(said, size):
            heard += engine.receive(piece)
            to_device += engine.take_output()
    return heard


def connected(chain: ServedChain, device: MemoryDevice, *, size: int = 1 << 20) -> TlsEngine:
    """Return an engine that has talked with the device as far as the two get."""
    engine = TlsEngine(lambda _hello: chain)
    converse(engine, device, size=size)
    return engine


def visited(chain: ServedChain, device: MemoryDevice) -> TlsEngine:
    """Return an engine that has talked with the device and said goodbye: the device may resume its session."""
    engine = connected(chain, device)
    engine.close()
    device.answer(engine.take_output())
    return engine
