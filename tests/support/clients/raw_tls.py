"""Clients that misbehave within TLS: a real ClientHello, the door's real flight, and then whatever the test wants.

OpenSSL works on memory BIOs here and the test moves the bytes. Alerts are flushed before the connection is closed, as
blocking clients do (asyncio's TLS drops them, so that a refusal looks like a bare FIN or RST).
"""

from __future__ import annotations

import ssl
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from support.clients.raw import CONTENT_ALERT, DIRECT, Dial, Leave, Seen, Wire, open_wire, send_then

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from support.clients.base import Target, TlsVersion

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
CONTENT_HANDSHAKE, HANDSHAKE_CLIENT_HELLO = 22, 1
SUPPORTED_GROUPS, KEY_SHARE = 10, 51


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a client brings to a handshake.

    What Python's ssl cannot offer (TLS 1.1, signature algorithms, TLS 1.3 cipher suites), `openssl.EXOTIC` can.

    Attributes:
        minimum: the oldest TLS version; None: OpenSSL's choice.
        maximum: the newest.
        ciphers: OpenSSL's cipher list; TLS 1.2 only.
        curve: the only group, for example `secp521r1`.
        alpn: application protocols.
        server_name: SNI; None sends none.
        cafile: the only CAs to trust; None accepts every certificate, expired and foreign ones too.
        certfile: client certificate and chain (PEM).
        keyfile: its key; None if `certfile` holds it.
    """

    minimum: TlsVersion | None = None
    maximum: TlsVersion | None = None
    ciphers: str | None = None
    curve: str | None = None
    alpn: tuple[str, ...] = ()
    server_name: str | None = "localhost"
    cafile: Path | None = None
    certfile: Path | None = None
    keyfile: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Return a new context."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = self.cafile is not None and self.server_name is not None
        if self.cafile is None:
            context.verify_mode = ssl.CERT_NONE
        else:
            context.load_verify_locations(self.cafile)
        self._narrow(context)
        if self.certfile is not None:
            context.load_cert_chain(self.certfile, self.keyfile)
        return context

    def _narrow(self, context: ssl.SSLContext) -> None:
        if self.minimum is not None:
            context.minimum_version = VERSIONS[self.minimum]
        if self.maximum is not None:
            context.maximum_version = VERSIONS[self.maximum]
        if self.ciphers is not None:
            context.set_ciphers(self.ciphers)
        if self.curve is not None:
            context.set_ecdh_curve(self.curve)
        if self.alpn:
            context.set_alpn_protocols(list(self.alpn))


ANYTHING = Offer()
"""OpenSSL's defaults, whatever certificate the door shows."""


def only(version: TlsVersion, offer: Offer = ANYTHING) -> Offer:
    """Return `offer` held to one TLS version."""
    return replace(offer, minimum=version, maximum=version)


class Tunnel:
    """A TLS client whose replies wait until the test lets them go.

    Args:
        wire: The connection.
        offer: What it brings.
        former: An earlier one of the same device, whose session it resumes if the door lets it.
    """

    def __init__(self, wire: Wire, offer: Offer = ANYTHING, former: Tunnel | None = None) -> None:
        self.wire = wire
        self.established = False
        self.version: str | None = None
        self.failure: ssl.SSLError | None = None
        self.plaintext = bytearray()
        self._alerts: list[tuple[str, int]] = []
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.context: ssl.SSLContext = former.context if former else offer.context()
        # private, but the only way to see the number of an encrypted alert; `alert` of `Seen` does without
        self.context._msg_callback = self._overhear  # type: ignore[attr-defined]  # not in typeshed, being private
        self._tls = self.context.wrap_bio(
            self._incoming,
            self._outgoing,
            server_hostname=offer.server_name,
            session=former.session if former else None,
        )

    @property
    def session(self) -> ssl.SSLSession | None:
        """What it can resume."""
        return self._tls.session

    def replies(self) -> bytes:
        """Let OpenSSL work on what has come in, and take what it wants to send: at first, the ClientHello."""
        try:
            if not self.established:
                self._tls.do_handshake()
                self.established, self.version = True, self._tls.version()
            while more := self._tls.read(65_536):
                self.plaintext += more
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            pass
        except ssl.SSLError as error:
            self.failure = self.failure or error
        return self._outgoing.read()

    async def hear(self) -> bool:
        """Take in what comes next; return false if nothing will."""
        data = await self.wire.receive()
        self._incoming.write(data)
        return bool(data)

    async def read_flight(self) -> None:
        """Send the ClientHello and read the door's whole flight, without answering it.

        A HelloRetryRequest is answered, since the flight comes only after it.
        """
        await self.wire.send(self.replies())
        while await self.hear():
            reply = self.replies()
            if not reply and not self.established and self.failure is None:
                continue
            if not _has_client_hello(reply):
                return
            await self.wire.send(reply)

    async def shake_hands(self) -> None:
        """Do the whole handshake; a refusal of ours goes out as an alert."""
        while True:
            reply = self.replies()
            if reply:
                await self.wire.send(reply)
            if self.established or self.failure is not None or not await self.hear():
                return

    async def send(self, data: bytes) -> None:
        """Send application data, if there is a tunnel."""
        if self.established and self.failure is None:
            self._tls.write(data)
            await self.wire.send(self._outgoing.read())

    async def read(self, count: int) -> None:
        """Read until `plaintext` holds `count` bytes, TLS has failed, or nothing more comes."""
        self.replies()
        while len(self.plaintext) < count and self.failure is None and await self.hear():
            self.replies()

    async def leave(self, how: Leave) -> None:
        """Go. What still comes is decrypted, so that the door's alert is seen; it is never answered."""
        if how == "rst":
            self.wire.rst()
            return
        if how == "close_notify":
            await self.wire.send(self._close_notify())
        self.wire.farewell(how)
        self.replies()
        while await self.hear():
            self.replies()

    def seen(self) -> Seen:
        """Return what was seen until now."""
        return replace(
            self.wire.seen(),
            plaintext=bytes(self.plaintext),
            established=self.established,
            version=self.version,
            failure=self.failure,
            alerts_received=tuple(number for direction, number in self._alerts if direction == "read"),
            alerts_sent=tuple(number for direction, number in self._alerts if direction == "write"),
        )

    def _close_notify(self) -> bytes:
        with suppress(ssl.SSLError):  # the other side's close_notify is not there yet
            self._tls.unwrap()
        return self._outgoing.read()

    def _overhear(self, _tls: Any, direction: str, _version: int, content: int, _kind: int, data: bytes) -> None:
        if content == CONTENT_ALERT:
            self._alerts.append((direction, data[1]))


@asynccontextmanager
async def open_tunnel(
    target: Target, offer: Offer = ANYTHING, dial: Dial = DIRECT, former: Tunnel | None = None
) -> AsyncIterator[Tunnel]:
    """Connect over TCP; no byte of TLS is sent before the test says so."""
    async with open_wire(target, dial) as wire:
        yield Tunnel(wire, offer, former)


async def half_hello(
    target: Target, leave: Leave, offer: Offer = ANYTHING, dial: Dial = DIRECT, share: float = 0.5
) -> Seen:
    """Send the first `share` of a ClientHello and go."""
    hello = client_hello(offer)
    return await send_then(target, hello[: int(len(hello) * share)], leave, dial)


async def hello_then(target: Target, leave: Leave, offer: Offer = ANYTHING, dial: Dial = DIRECT) -> Seen:
    """Read the door's whole flight, its certificate in it, and go without an answer."""
    async with open_tunnel(target, offer, dial) as tunnel:
        await tunnel.read_flight()
        await tunnel.leave(leave)
        return tunnel.seen()


async def handshake_then(
    target: Target, leave: Leave, offer: Offer = ANYTHING, dial: Dial = DIRECT, *, data: bytes = b"", expect: int = 0
) -> Seen:
    """Do the handshake, send `data`, read `expect` bytes of plaintext (or to the end), and go."""
    async with open_tunnel(target, offer, dial) as tunnel:
        await tunnel.shake_hands()
        if data:
            await tunnel.send(data)
        await tunnel.read(expect)
        await tunnel.leave(leave)
        return tunnel.seen()


def client_hello(offer: Offer = ANYTHING) -> bytes:
    """Return the record with the ClientHello of `offer`."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = offer.context().wrap_bio(incoming, outgoing, server_hostname=offer.server_name)
    with suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def with_only_group(hello: bytes, group: int) -> bytes:
    """Return `hello` with `group` (two bytes, RFC 8446, 4.2.7) as its only group and a key share of zeros for it.

    For groups that no OpenSSL here can offer, such as 0x11EC (X25519MLKEM768) or a reserved one.
    """
    number = group.to_bytes(2, "big")
    bodies = {SUPPORTED_GROUPS: _vector(number), KEY_SHARE: _vector(number + _vector(bytes(32)))}
    at = 5 + 4 + 2 + 32  # record header, handshake header, version, random
    at += 1 + hello[at]  # session id
    at += 2 + int.from_bytes(hello[at : at + 2], "big")  # cipher suites
    at += 1 + hello[at]  # compression methods
    extensions = b"".join(
        kind.to_bytes(2, "big") + _vector(bodies.get(kind, body)) for kind, body in _extensions(hello[at + 2 :])
    )
    message = hello[9:at] + _vector(extensions)
    handshake = bytes((HANDSHAKE_CLIENT_HELLO,)) + len(message).to_bytes(3, "big") + message
    return hello[:3] + _vector(handshake)


def _extensions(rest: bytes) -> Iterator[tuple[int, bytes]]:
    while rest:
        kind, length = int.from_bytes(rest[:2], "big"), int.from_bytes(rest[2:4], "big")
        yield kind, rest[4 : 4 + length]
        rest = rest[4 + length :]


def _vector(body: bytes) -> bytes:
    return len(body).to_bytes(2, "big") + body


def _has_client_hello(records: bytes) -> bool:
    """Whether one of these records is a ClientHello, the answer to a HelloRetryRequest."""
    while records:
        length = int.from_bytes(records[3:5], "big")
        fills_it = length == 4 + int.from_bytes(records[6:9], "big")  # an encrypted one may begin with 1, too
        if records[0] == CONTENT_HANDSHAKE and records[5] == HANDSHAKE_CLIENT_HELLO and fills_it:
            return True
        records = records[5 + length :]
    return False
