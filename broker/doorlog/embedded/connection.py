"""What the door hands over: an authenticated connection, its CONNECT taken off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio
    import ssl

    from doorlog.door.connect_packet import Connect
    from doorlog.events.codes import DisconnectCause


class AdmittedConnection(Protocol):
    """A connection that the door has admitted and goes on to own: socket, TLS, framing, sizes and keep-alive.

    The bytes of ``reader`` are whole packets, within the size that the listener accepts, of types that a client
    may send; their bodies are unchecked. The reader ends on FIN, on RST, after 1.5 times the keep-alive of
    silence (MQTT 3.1.1, 3.1.2-24), and when anybody calls ``close``.
    """

    @property
    def connect(self) -> Connect:
        """The CONNECT, decoded and valid."""
        ...

    @property
    def connection_id(self) -> str:
        """The id that stands in this connection's records."""
        ...

    @property
    def listener(self) -> str:
        """The name of the listener that accepted it."""
        ...

    @property
    def source(self) -> tuple[str, int]:
        """Address and port of the device."""
        ...

    @property
    def ssl_object(self) -> ssl.SSLObject | None:
        """The TLS connection, None without TLS."""
        ...

    @property
    def principal(self) -> str | None:
        """Who was authenticated: a user name or a certificate's subject; None for nobody in particular."""
        ...

    @property
    def disconnect_seen(self) -> bool:
        """Whether a whole DISCONNECT has arrived (MQTT 3.1.1, 3.14), read from ``reader`` or not."""
        ...

    @property
    def reader(self) -> asyncio.StreamReader:
        """The MQTT bytes behind the CONNECT."""
        ...

    def write(self, data: bytes) -> None:
        """Send MQTT bytes; without effect once the connection is closed."""
        ...

    async def drain(self) -> None:
        """Wait until the device has taken what was written, all but a bounded buffer."""
        ...

    def close(self, cause: DisconnectCause | None = None) -> None:
        """Close after what was written, the first cause counts; ends ``reader`` at once."""
        ...

    async def wait_closed(self) -> None:
        """Wait until the socket is closed."""
        ...
