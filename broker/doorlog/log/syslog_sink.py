"""Records to a syslog receiver, as RFC 5424 over UDP, TCP or TLS."""

from __future__ import annotations

import os
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from doorlog.errors import SinkError
from doorlog.log.sink import SinkOptions
from doorlog.log.syslog_link import DatagramLink, Server
from doorlog.log.syslog_message import EXAMPLE_NUMBER, SMALLEST_LIMIT, Facility, Sender, framed
from doorlog.log.syslog_stream import StreamLink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from doorlog.log.sink import SinkContext
    from doorlog.log.syslog_link import Link


class SyslogSettings(SinkOptions):
    """A syslog receiver."""

    server: str
    """Where to: ``udp://HOST:PORT``, ``tcp://HOST:PORT`` or ``tls://HOST:PORT``, an IPv6 address in brackets; without
    a port 514, 601 or 6514."""
    cafile: Path | None = None
    """PEM file with the authorities that sign the receiver's certificate; without it, those of the operating system.
    The certificate must be for the HOST of ``server``."""
    certfile: Path | None = None
    """PEM file with our certificate and its intermediates, for a receiver that asks for one."""
    keyfile: Path | None = None
    """PEM file with the unencrypted private key of ``certfile``."""
    facility: Facility = "local0"
    """What kind of program speaks."""
    app_name: Annotated[str, Field(pattern="^[!-~]{1,48}$")] | None = None
    """How we call ourselves; without it, ``service.name``."""
    hostname: Annotated[str, Field(pattern="^[!-~]{1,255}$")] | None = None
    """The machine that we run on; without it, its own name."""
    timeout: Annotated[float, Field(ge=0.1, le=60)] = 5.0
    """Seconds to connect (the look-up of a name not counted), for the TLS handshake, and without progress."""
    max_bytes: Annotated[int, Field(ge=SMALLEST_LIMIT, le=65_507)] = 8192
    """The longest datagram over UDP. A record that is longer is sent as an excerpt, and ``doorlog.fault`` says so."""
    enterprise_number: Annotated[int, Field(ge=0, le=2**32 - 1)] = EXAMPLE_NUMBER
    """Your private enterprise number, for the name of our structured data (``doorlog@32473``); without it, the one for
    examples (RFC 5612), since doorlog has none."""

    @field_validator("server")
    @classmethod
    def _is_a_server(cls, value: str) -> str:
        return str(Server.parse(value))

    @model_validator(mode="after")
    def _consistent(self) -> SyslogSettings:
        if not self.server.startswith("tls:") and (self.cafile or self.certfile or self.keyfile):
            raise ValueError("cafile, certfile and keyfile are for tls:// only")
        if (self.certfile is None) != (self.keyfile is None):
            raise ValueError("certfile and keyfile belong together")
        return self


class SyslogSink:
    """Sends each record as one message; connects at the first one, and again after an error.

    What arrives: over UDP, what the network does not lose. Over TCP and TLS, all that the receiver's kernel had handed
    on when it died; syslog knows no acknowledgement. A record can arrive twice after a connection broke: ``event.id``
    tells.

    Args:
        settings: Its keys under ``log.sinks.NAME``.
        context: Who we are.

    Raises:
        SinkError: A certificate or key file can not be used.
    """

    Settings: ClassVar = SyslogSettings
    buffer: ClassVar[Literal["memory", "file"]] = "memory"

    def __init__(self, settings: SyslogSettings, context: SinkContext) -> None:
        server = Server.parse(settings.server)
        self.name = f"syslog {server}"
        self._limit = settings.max_bytes if server.transport == "udp" else None
        self._sender = Sender(
            facility=settings.facility,
            hostname=settings.hostname or socket.gethostname(),
            app_name=settings.app_name or context.service_name,
            process_id=str(os.getpid()),
            version=context.version,
            instance_id=context.instance_id,
            enterprise_number=settings.enterprise_number,
        )
        self._link = _link(server, settings)

    def write(self, lines: Sequence[bytes]) -> None:
        """Send records.

        Raises:
            SinkError: The receiver can not be reached, is not whom we trust, or does not read.
        """
        self._link.send([self._message(line) for line in lines])

    def close(self) -> None:
        """Close the connection, after the receiver had a second to read the rest."""
        self._link.close()

    def _message(self, line: bytes) -> bytes:
        if self._limit is None:
            return framed(self._sender.message(line))
        return self._sender.short_message(line, self._limit)


def _link(server: Server, settings: SyslogSettings) -> Link:
    if server.transport == "udp":
        return DatagramLink(server, settings.timeout)
    if server.transport == "tcp":
        return StreamLink(server, settings.timeout)
    tls_context(settings)  # so that a wrong file is known at once
    return StreamLink(server, settings.timeout, lambda: tls_context(settings))


def tls_context(settings: SyslogSettings) -> ssl.SSLContext:
    """Return a context that trusts ``cafile`` alone and verifies the receiver's name.

    Raises:
        SinkError: A file can not be used; its name and why.
    """
    try:
        context = ssl.create_default_context(cafile=settings.cafile)
    except OSError as error:
        raise SinkError(f"cafile {settings.cafile}: {_why(error)}") from error
    if settings.certfile is not None:
        try:
            # An encrypted key would ask for its passphrase on the terminal; an empty answer fails instead.
            context.load_cert_chain(settings.certfile, settings.keyfile, password=lambda: b"")
        except OSError as error:
            files = f"certfile {settings.certfile}, keyfile {settings.keyfile}"
            raise SinkError(f"{files}: {_why(error)}") from error
    return context


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "no PEM that can be used").lower().replace("_", " ")
    return error.strerror or str(error)
