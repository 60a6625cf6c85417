"""One attempt of one visitor: a real socket from its own address, real TLS, and its way to say what it wants."""

from __future__ import annotations

import asyncio
import ssl
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from doorlog.demo.cast import CERTIFIED, Visitor, Way
from doorlog.errors import AddressError
from doorlog.simulation.client import TlsClient, dial
from doorlog.simulation.packets import MQTT_3_1_1, MQTT_5_0, connect_packet
from doorlog.simulation.profiles import PROFILES, client_context

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping
    from pathlib import Path

    from doorlog.simulation.pki import Pki

_HOST: Final = "mqtt.example.com"
_PATIENCE: Final = 15.0
"""Seconds that an attempt may take."""
_READ: Final = 65_536
_RAW: Final[Mapping[Way, bytes]] = {
    "hang_up": b"",
    "http": b"GET / HTTP/1.1\r\nHost: broker\r\n\r\n",
    "junk": b"\x00\x0c\x0b\x0a hello there",
    "half_hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}
"""What those say that do not get as far as TLS."""


class Knocker:
    """Knocks as any visitor does.

    Args:
        pki: The certificates, of the broker and of devices.
        password: Of every user.
        ports: Of the broker's listeners, by name.
        chain: What they serve, 1 or 2.
    """

    def __init__(self, pki: Pki, password: str, ports: Mapping[str, int], chain: int) -> None:
        self._pki = pki
        self._password = password
        self._ports = ports
        self._chain = chain

    async def knock(self, visitor: Visitor, way: Way) -> int:
        """Make an attempt, to its end.

        Args:
            visitor: Who.
            way: What it does.

        Returns:
            The port that it came from.

        Raises:
            AddressError: This machine has no such address: 127.0.0.0/8 is all of Linux' loopback, not of others'.
        """
        listener = "mutual" if way in CERTIFIED else "tls"
        try:
            dialled = await dial(visitor.address, ("127.0.0.1", self._ports[listener]))
        except OSError as error:
            raise AddressError(
                f"{visitor.address}: {error.strerror}: the demo gives each device an address of 127.0.0.0/8,"
                " as Linux has them"
            ) from error
        port = int(dialled.getsockname()[1])
        with dialled:
            async with asyncio.timeout(_PATIENCE):
                await self._talk(dialled, visitor, way)
        return port

    async def _talk(self, dialled: socket.socket, visitor: Visitor, way: Way) -> None:
        said = connect_packet(visitor.name, self._credentials(visitor, way)) if way == "plain_mqtt" else _RAW.get(way)
        if said is not None:
            await _say(dialled, said)
            return
        host = _HOST if PROFILES[visitor.profile].server_name else None
        client = TlsClient(dialled, self._context(visitor, way), host)
        if visitor.refusal == "late" and not self._trusts_us(visitor):
            await client.handshake()
        else:
            await self._over_tls(client, visitor, way)
        client.close("close")

    async def _over_tls(self, client: TlsClient, visitor: Visitor, way: Way) -> None:
        will = "alarms/all" if way == "forbidden_will" else None
        level = MQTT_5_0 if way == "mqtt_5" else MQTT_3_1_1
        packet = connect_packet(visitor.name, self._credentials(visitor, way), will_topic=will, level=level)
        try:
            if await client.connect(packet):
                await client.disconnect()
        except ssl.SSLError:
            await client.refuse(visitor.refusal)
        except OSError:  # the broker was quicker to hang up
            pass

    def _credentials(self, visitor: Visitor, way: Way) -> tuple[str, str] | None:
        if way in CERTIFIED or way == "no_password":
            return None
        return visitor.name, "of last year" if way == "wrong_password" else self._password

    def _trusts_us(self, visitor: Visitor) -> bool:
        return visitor.pin is None or self._chain == 1

    def _context(self, visitor: Visitor, way: Way) -> ssl.SSLContext:
        trusted = None if visitor.refusal == "late" else self._pki.trusted(visitor.pin)
        context = client_context(PROFILES[visitor.profile], trusted, self._certificate(visitor, way))
        if way == "old_version":
            with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # that it is old is the point
                context.minimum_version = ssl.TLSVersion.TLSv1
                context.maximum_version = ssl.TLSVersion.TLSv1_1
            context.set_ciphers("DEFAULT:@SECLEVEL=0")
        elif way == "old_cipher":
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers("AES128-SHA")
        return context

    def _certificate(self, visitor: Visitor, way: Way) -> tuple[Path, Path] | None:
        if way not in CERTIFIED or way == "no_certificate":
            return None
        is_retired = visitor.way == "retired_certificate"  # its authority is trusted until the rotation
        return self._pki.client(
            visitor.name, "distrusted" if is_retired else "good", expired=way == "expired_certificate"
        )


async def _say(dialled: socket.socket, said: bytes) -> None:
    """Send it, and hear whatever comes, to the end."""
    loop = asyncio.get_running_loop()
    with suppress(OSError):
        await loop.sock_sendall(dialled, said)
        while said and await loop.sock_recv(dialled, _READ):
            pass
