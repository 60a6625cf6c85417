"""The founding story: devices refuse a rotated certificate, and what they offer to resume says which ones they are."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import support.packets as mqtt
from support.broker import FREE, Running, running, tls
from support.clients.base import Client, ClientResult, TlsVersion
from support.clients.mbedtls import MbedTls
from support.clients.openssl import OpenSslClient
from support.clients.raw import open_wire
from support.clients.raw_tls import Offer, Tunnel, client_hello, only, open_tunnel
from support.doors import until
from support.pki import CertificateFiles, Pki
from support.records import Record

LISTENERS = ("tls", "mtls")
CONNECT = mqtt.connect("pump-17", keep_alive=60)
each_version = pytest.mark.parametrize("version", ["1.2", "1.3"])
each_listener = pytest.mark.parametrize("listener", LISTENERS)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@asynccontextmanager
async def broker_with(folder: Path, pki: Pki, server: CertificateFiles) -> AsyncIterator[Running]:
    """A broker that serves this certificate."""
    mutual = tls(server, cafile=str(pki.cafile), client_certificate="required")
    listeners = {"tls": {"bind": FREE, "tls": tls(server)}, "mtls": {"bind": FREE, "tls": mutual}}
    async with running(folder, listeners, limits={"attempt_timeout": 10}) as broker:
        yield broker


@pytest.fixture
async def broker(tmp_path: Path, pki: Pki) -> AsyncIterator[Running]:
    async with broker_with(tmp_path, pki, pki.server()) as broker:
        yield broker


async def knock(client: Client, broker: Running, pki: Pki, listener: str, version: TlsVersion) -> ClientResult:
    files = pki.client()
    return await client.run(
        broker.target(listener),
        cafile=pki.cafile,
        certfile=files.certfile,
        keyfile=files.keyfile,
        client_id="pump-17",
        tls_version=version,
    )


def is_connect(record: Record) -> bool:
    return bool(record["event"]["action"] == "connect")


def keeping(stack: str, folder: Path) -> tuple[Client, Client]:
    """Return a device that keeps its session in a file, and the same device as it comes again."""
    session = folder / "session"
    if stack == "mbedTLS":
        return MbedTls(session), MbedTls(session)
    return OpenSslClient(("-sess_out", str(session))), OpenSslClient(("-sess_in", str(session)))


@each_listener
@pytest.mark.parametrize(("stack", "version"), [("OpenSSL", "1.2"), ("OpenSSL", "1.3"), ("mbedTLS", "1.2")])
async def test_a_device_that_refuses_the_rotated_certificate_is_known_by_its_session(
    tmp_path: Path, pki: Pki, listener: str, stack: str, version: TlsVersion
) -> None:
    first, again = keeping(stack, tmp_path)
    if reason := first.available():
        pytest.skip(reason)
    async with broker_with(tmp_path / "before", pki, pki.server()) as before:
        assert (await knock(first, before, pki, listener, version)).connected
        admitted = await before.failure("admitted")
    async with broker_with(tmp_path / "after", pki, pki.server_foreign()) as after:
        assert not (await knock(again, after, pki, listener, version)).connected
        refused = await after.record(is_connect)

    assert admitted["mqtt"]["client_id"] == "pump-17"
    assert len(admitted["tls"]["ticket"]) == 16
    assert refused["event"]["code"] == "server_certificate_unknown_ca"
    assert "mqtt" not in refused
    assert refused["tls"]["client"]["tickets"] == [admitted["tls"]["ticket"]]
    assert "ticket" not in refused["tls"]


@each_listener
@pytest.mark.parametrize(("stack", "version"), [("OpenSSL", "1.2"), ("OpenSSL", "1.3"), ("mbedTLS", "1.2")])
async def test_a_device_resumes_what_it_was_given(
    broker: Running, pki: Pki, tmp_path: Path, listener: str, stack: str, version: TlsVersion
) -> None:
    first, again = keeping(stack, tmp_path)
    if reason := first.available():
        pytest.skip(reason)
    assert (await knock(first, broker, pki, listener, version)).connected
    began = await broker.record(is_connect)
    assert (await knock(again, broker, pki, listener, version)).connected
    resumed = await broker.record(lambda record: record.get("tls", {}).get("resumed") is True)
    assert "tickets" not in began["tls"]["client"]
    assert resumed["event"]["code"] == "admitted"
    assert resumed["tls"]["client"]["tickets"] == [began["tls"]["ticket"]]
    assert (resumed["tls"]["ticket"] == began["tls"]["ticket"]) is (version == "1.2"), "TLS 1.3 gives a new one"


def device(pki: Pki, version: TlsVersion) -> Offer:
    files = pki.client()
    return only(version, Offer(cafile=pki.cafile, certfile=files.certfile, keyfile=files.keyfile))


async def log_in(tunnel: Tunnel) -> None:
    await tunnel.shake_hands()
    await tunnel.send(CONNECT)
    await tunnel.read(4)
    assert tunnel.plaintext == b"\x20\x02\x00\x00"


@each_listener
@each_version
async def test_a_device_that_was_cut_off_still_resumes(
    broker: Running, pki: Pki, listener: str, version: TlsVersion
) -> None:
    offer = device(pki, version)
    async with open_tunnel(broker.target(listener), offer) as first:
        await log_in(first)
        await first.leave("rst")
        began = await broker.connect_of(first.seen())
        await broker.disconnect_of(first.seen())
        await until(lambda: not broker.service.door.listeners[listener]._protocols)
        gc.collect()  # OpenSSL decides what it forgets when the connection is freed
    async with open_tunnel(broker.target(listener), offer, former=first) as again:
        await log_in(again)
        resumed = await broker.connect_of(again.seen())
    assert resumed["tls"]["resumed"] is True
    assert resumed["tls"]["client"]["tickets"] == [began["tls"]["ticket"]]


@each_version
async def test_who_only_overheard_a_session_can_not_resume_it(broker: Running, pki: Pki, version: TlsVersion) -> None:
    """A replayed ClientHello offers what it offered; that it was resumed is said of the device alone."""
    offer = device(pki, version)
    async with open_tunnel(broker.target("tls"), offer) as first:
        await log_in(first)
        await first.leave("close_notify")
        began = await broker.connect_of(first.seen())
        await broker.disconnect_of(first.seen())
    async with (
        open_tunnel(broker.target("tls"), offer, former=first) as again,
        open_wire(broker.target("tls")) as thief,
    ):
        overheard = again.replies()
        await thief.send(overheard)
        await thief.receive()
        await thief.leave("fin")
        replayed = await broker.connect_of(thief.seen())
    assert replayed["tls"]["client"]["tickets"] == [began["tls"]["ticket"]]
    assert replayed["tls"]["established"] is False
    assert "ticket" not in replayed["tls"]
    assert replayed["event"]["outcome"] == "failure"


async def test_what_a_stranger_offers_is_not_written_down(broker: Running) -> None:
    """A session id of its choice, once in TLS 1.2; 16 digits of a digest stand for it."""
    hello = bytearray(client_hello(only("1.2")))
    assert hello[43] == 0, "no session id"
    said = b"<script>alert(1)</script>\r\n\r\n\x1b[2J"[:32]
    body = bytes(hello[9:43]) + bytes((len(said),)) + said + bytes(hello[44:])
    message = b"\1" + len(body).to_bytes(3, "big") + body
    async with open_wire(broker.target("tls")) as wire:
        await wire.send(b"\x16\3\1" + len(message).to_bytes(2, "big") + message)
        await wire.receive()
        await wire.leave("fin")
        record = await broker.connect_of(wire.seen())
    (ticket,) = record["tls"]["client"]["tickets"]
    assert len(ticket) == 16
    assert int(ticket, 16) >= 0
    assert "script" not in str(record)
