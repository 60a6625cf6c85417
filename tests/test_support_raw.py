"""The misbehaving clients do what they claim: seen from the other end of a socket, and by OpenSSL's server."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from support import packets
from support.clients import Target
from support.clients.raw import Dial, Leave, ask, send_then, silent, tcp_open_and_close, tcp_open_and_reset
from support.clients.raw_tls import Offer, client_hello, half_hello, handshake_then, hello_then, only, with_only_group
from support.clients.servers import s_server
from support.pki import Pki

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from support.clients.base import TlsVersion

SHORT = Dial(stay=0.1)  # for servers that never hang up: the client gives in
each_version = pytest.mark.parametrize("version", ["1.2", "1.3"])
each_leave = pytest.mark.parametrize("leave", ["fin", "rst", "silence"])


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


# below TLS: what the other end of the socket sees


@asynccontextmanager
async def observer() -> AsyncIterator[tuple[Target, asyncio.Task[tuple[bytes, str]]]]:
    """Accept one connection and tell what came and how it ended, without ever hanging up first."""
    loop = asyncio.get_running_loop()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)

        async def watch() -> tuple[bytes, str]:
            sock, _ = await loop.sock_accept(listener)
            got = b""
            with sock:
                try:
                    while data := await loop.sock_recv(sock, 65_536):
                        got += data
                except ConnectionResetError:
                    return got, "rst"
                return got, "fin"

        async with asyncio.timeout(10):
            yield Target(*listener.getsockname()), asyncio.create_task(watch())


async def test_tcp_open_and_close() -> None:
    async with observer() as (target, other_end):
        seen = await tcp_open_and_close(target)
        assert await other_end == (b"", "fin")
    assert (seen.ended, seen.received) == ("eof", b"")


async def test_tcp_open_and_reset() -> None:
    async with observer() as (target, other_end):
        seen = await tcp_open_and_reset(target)
        assert await other_end == (b"", "rst")
    assert seen.ended == "left"


async def test_silent_waits_for_the_other_side() -> None:
    async with observer() as (target, other_end):
        seen = await silent(target, SHORT)
        assert seen.ended == "open"
        assert await other_end == (b"", "fin")


async def test_preamble_and_source_address() -> None:
    async with observer() as (target, other_end):
        header = packets.proxy_v1()
        seen = await send_then(target, b"then this", "fin", Dial(source="127.0.0.7", preamble=header))
        assert await other_end == (header + b"then this", "fin")
    assert seen.address[0] == "127.0.0.7"


@each_leave
async def test_half_a_hello_is_half_a_hello(leave: Leave) -> None:
    async with observer() as (target, other_end):
        await half_hello(target, leave, dial=SHORT)
        got, ending = await other_end
    assert got[:1] == b"\x16"
    assert len(got) < 5 + int.from_bytes(got[3:5])
    assert ending == ("rst" if leave == "rst" else "fin")


# within TLS: what OpenSSL's server makes of it, and what the client sees


@each_version
@each_leave
async def test_hello_then_leaves_before_it_answers_the_certificate(leave: Leave, version: TlsVersion, pki: Pki) -> None:
    files = pki.server()
    async with s_server(files.certfile, files.keyfile, "-state") as (target, log):
        seen = await hello_then(target, leave, only(version), SHORT)
        await log.line("SSL_accept:error in")
    assert files.der[-32:] in seen.received or version == "1.3"  # in the clear in 1.2 only
    assert seen.established == (version == "1.3")  # nothing is missing for the client
    assert seen.alerts_received == ((50,) if leave == "fin" else ())  # decode_error: OpenSSL's answer to a FIN


@each_version
async def test_handshake_then_close_notify_is_a_good_end(version: TlsVersion, pki: Pki) -> None:
    files = pki.server()
    async with s_server(files.certfile, files.keyfile) as (target, _):
        seen = await handshake_then(target, "close_notify", only(version, Offer(cafile=pki.cafile)))
    assert (seen.established, seen.version, seen.failure) == (True, f"TLSv{version}", None)
    assert (seen.alerts_sent, seen.alerts_received, seen.ended) == ((0,), (0,), "eof")


@each_version
@pytest.mark.parametrize("leave", ["fin", "rst"])
async def test_handshake_then_ends_abruptly(leave: Leave, version: TlsVersion, pki: Pki) -> None:
    files = pki.server()
    async with s_server(files.certfile, files.keyfile) as (target, log):
        seen = await handshake_then(target, leave, only(version))
        await log.line("ERROR")
    assert seen.established
    assert seen.alerts_sent == ()


@each_version
async def test_our_own_refusal_reaches_the_server_as_an_alert(version: TlsVersion, pki: Pki) -> None:
    files = pki.server()
    async with s_server(files.certfile, files.keyfile) as (target, log):
        stranger = await handshake_then(target, "fin", only(version, Offer(cafile=pki.other_cafile)))
        await log.line("SSL alert number 48")
        misnamed = await handshake_then(
            target, "fin", only(version, Offer(cafile=pki.cafile, server_name="else.example"))
        )
        await log.line("SSL alert number 42")
    assert (stranger.alerts_sent, misnamed.alerts_sent) == ((48,), (42,))
    assert stranger.failure is not None
    assert stranger.failure.reason == "CERTIFICATE_VERIFY_FAILED"
    assert stranger.alert is None  # nothing came from the other side


@each_version
async def test_the_servers_refusal_reaches_us_as_an_alert(version: TlsVersion, pki: Pki) -> None:
    files, old, foreign = pki.server(), pki.client_expired(), pki.client_foreign()
    demand = ("-Verify", "3", "-verify_return_error", "-CAfile", str(pki.cafile))
    async with s_server(files.certfile, files.keyfile, *demand) as (target, _):
        nothing = await handshake_then(target, "fin", only(version), expect=1)
        expired = await handshake_then(
            target, "fin", only(version, Offer(certfile=old.certfile, keyfile=old.keyfile)), expect=1
        )
        unknown = await handshake_then(
            target, "fin", only(version, Offer(certfile=foreign.certfile, keyfile=foreign.keyfile)), expect=1
        )
    assert expired.alert == "SSLV3_ALERT_CERTIFICATE_EXPIRED"
    assert unknown.alert == "TLSV1_ALERT_UNKNOWN_CA"
    assert nothing.alerts_received == ((116,) if version == "1.3" else (40,))
    assert expired.established == (version == "1.3")  # it learns of its refusal on the first read


async def test_hello_retry_request_is_answered(pki: Pki) -> None:
    files = pki.server()
    async with s_server(files.certfile, files.keyfile, "-groups", "P-384") as (target, _):
        seen = await hello_then(target, "rst", only("1.3"))
    assert seen.established


async def test_a_group_that_nobody_has(pki: Pki) -> None:
    files = pki.server()
    async with s_server(files.certfile, files.keyfile) as (target, log):
        seen = await ask(target, with_only_group(client_hello(only("1.3")), 0x11EC), expect=7)
        await log.line("no suitable key share")
    assert seen.alerts_received == (40,)
