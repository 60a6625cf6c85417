"""TLS handshakes without sockets, between the parties of a test ``Pki``."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from support.pki import CertificateFiles, Pki

EXPIRED: Final = 10
"""X509_V_ERR_CERT_HAS_EXPIRED; the others are verify codes of OpenSSL too."""
NOT_YET_VALID: Final = 9
SELF_SIGNED: Final = 18
NO_ISSUER: Final = 20
REVOKED: Final = 23
PURPOSE: Final = 26
HOST_MISMATCH: Final = 62


@dataclass(frozen=True, slots=True)
class Handshake:
    """How a handshake in memory ended on either side; None where that side was content."""

    client_error: ssl.SSLError | None
    server_error: ssl.SSLError | None
    server: ssl.SSLObject

    @property
    def done(self) -> bool:
        return self.client_error is None and self.server_error is None


def server_context(
    files: CertificateFiles, *, client_cafile: Path | None = None, crlfile: Path | None = None
) -> ssl.SSLContext:
    """A server; it requires a client certificate if it is told whom to trust."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certfile, files.keyfile)
    if client_cafile:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_cafile)
    if crlfile:
        context.load_verify_locations(crlfile)
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    return context


def client_context(
    cafile: Path, files: CertificateFiles | None = None, *, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> ssl.SSLContext:
    """A client of one TLS version that trusts this file only, and checks the host name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = context.maximum_version = version
    context.load_verify_locations(cafile)
    if files:
        context.load_cert_chain(files.certfile, files.keyfile)
    return context


def handshake(
    server: ssl.SSLContext,
    client: ssl.SSLContext,
    *,
    host: str = "localhost",
    session: ssl.SSLSession | None = None,
) -> Handshake:
    """Shake hands in memory, then read: in TLS 1.3 a client learns of its refusal only then."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client_side = client.wrap_bio(to_client, to_server, server_hostname=host, session=session)
    server_side = server.wrap_bio(to_server, to_client, server_side=True)
    client_step, server_step = _Side(client_side), _Side(server_side)
    for _ in range(5):
        client_step.move()
        server_step.move()
    return Handshake(client_step.error, server_step.error, server_side)


def knock(pki: Pki, files: CertificateFiles, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> Handshake:
    """A device that trusts the root only connects to a broker that serves these files."""
    return handshake(server_context(files), client_context(pki.cafile, version=version))


def verify_code(error: ssl.SSLError | None) -> int:
    """Why a certificate was refused."""
    assert isinstance(error, ssl.SSLCertVerificationError), error
    return error.verify_code


class _Side:
    """One end: moves as far as what it received allows."""

    def __init__(self, tls: ssl.SSLObject) -> None:
        self.error: ssl.SSLError | None = None
        self._tls = tls
        self._steps: list[Callable[[], object]] = [tls.do_handshake, lambda: tls.read(1)]

    def move(self) -> None:
        while self._steps and self.error is None:
            try:
                self._steps[0]()
            except ssl.SSLWantReadError:
                return
            except ssl.SSLError as error:
                self.error = error
            self._steps.pop(0)
