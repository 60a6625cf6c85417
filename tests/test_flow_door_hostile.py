"""Attackers, broken stacks and a tired operating system against a whole broker over real sockets.

Each test ends with the broker's stop, after which every accepted socket has exactly one ``connect`` record, every
session its ``disconnect``, and nothing of the door is left: no task, no socket, no counted place.
"""

from __future__ import annotations

import asyncio
import random
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import support.packets as mqtt
from support.broker import FREE, Running, listeners, running, tls
from support.clients.base import Target, TlsVersion
from support.clients.openssl import OpenSslClient
from support.clients.raw import Dial, Leave, Wire, ask, open_wire, send_then, silent
from support.clients.raw_tls import Offer, Tunnel, client_hello, handshake_then, hello_then, only, open_tunnel
from support.doors import check_nothing_is_left, until
from support.pki import CertificateFiles, Pki
from support.processes import talk
from support.waiting_plugin import WAITING, Waits

EVENT_LOOPS = ("asyncio", "uvloop")
CONNECT = mqtt.connect("pump-17", keep_alive=0)
CONNACK = b"\x20\x02\x00\x00"
PUBLISH = mqtt.publish("pumps/17/flow", b"1.25", qos=1)
PUBACK = b"\x40\x02\x00\x01"
HASTY = {"attempt_timeout": 0.3, "linger_timeout": 0.2}
UPGRADE = (
    b"GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
)
each_version = pytest.mark.parametrize("version", ["1.2", "1.3"])
any_loop = pytest.mark.asyncio(loop_factories=["asyncio"])
"""For what is between OpenSSL, a parser and a record: which loop moves the bytes makes no difference."""


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@asynccontextmanager
async def house(folder: Path, pki: Pki, **settings: Any) -> AsyncIterator[Running]:
    """A broker with a listener of each kind, of which nothing may be left afterwards."""
    before = asyncio.all_tasks()
    async with running(folder, listeners(pki), **settings) as broker:
        yield broker
    async with asyncio.timeout(5):
        await check_nothing_is_left(broker.service.door, before)


@pytest.fixture
async def broker(tmp_path: Path, pki: Pki) -> AsyncIterator[Running]:
    async with house(tmp_path, pki, limits={"linger_timeout": 0.2}) as broker:
        yield broker


@pytest.fixture
async def hasty(tmp_path: Path, pki: Pki) -> AsyncIterator[Running]:
    async with house(tmp_path, pki, limits=HASTY) as broker:
        yield broker


@pytest.fixture
async def judging(tmp_path: Path, pki: Pki) -> AsyncIterator[Running]:
    """A broker whose plugin answers when ``Waits.answer`` is set."""
    Waits.ready()
    async with house(tmp_path, pki, auth=WAITING, limits={"linger_timeout": 0.2, "auth_timeout": 30}) as broker:
        yield broker
        Waits.answer.set()


def stopped_at(record: dict[str, Any]) -> tuple[str, str]:
    return record["doorlog"]["stage"], record["event"]["code"]


async def admitted(wire: Wire, said: bytes = CONNECT) -> None:
    await wire.send(said)
    while len(wire.received) < 4 and await wire.receive():
        pass
    assert wire.received[:4] == CONNACK


# slow


@pytest.mark.parametrize("listener", ["plain", "lb", "ws"])
async def test_a_device_of_one_byte_at_a_time(broker: Running, listener: str) -> None:
    said = {"plain": b"", "lb": mqtt.proxy_v2("10.0.0.9"), "ws": UPGRADE}[listener]
    packet = b"\x82\x80\x00\x00\x00\x00" if listener == "ws" else b""
    whole = CONNECT + mqtt.DISCONNECT
    if listener == "ws":
        packet = bytes((0x82, 0x80 | len(whole), 0, 0, 0, 0))
    async with open_wire(broker.target(listener)) as wire:
        for byte in said + packet + whole:
            await wire.send(bytes((byte,)))
            await asyncio.sleep(0)
        await wire.drain()
        assert CONNACK in wire.received
    record = await broker.record(lambda r: r["event"]["action"] == "disconnect")
    assert record["event"]["code"] == "normal"


@each_version
async def test_a_tls_device_of_one_byte_at_a_time(broker: Running, version: TlsVersion) -> None:
    async with open_tunnel(broker.target("tls"), only(version)) as tunnel:
        while not tunnel.established:
            for byte in tunnel.replies():
                await tunnel.wire.send(bytes((byte,)))
                await asyncio.sleep(0)
            if not tunnel.established:
                assert await tunnel.hear()
        await tunnel.send(CONNECT + mqtt.DISCONNECT)
        await tunnel.read(4)
        assert bytes(tunnel.plaintext) == CONNACK
        await tunnel.leave("fin")
    assert stopped_at(await broker.connect_of(tunnel.wire.address)) == ("session", "admitted")


async def drip(wire: Wire, data: bytes) -> None:
    """Send a byte now and then until the door has had enough."""
    for byte in data:
        await wire.send(bytes((byte,)))
        wire.patience = 0.01
        if not await wire.receive() and wire.ended != "open":
            break
    wire.patience = 15
    await wire.drain()


@pytest.mark.parametrize(
    ("listener", "first", "dripped", "stopped"),
    [
        ("lb", b"", b"PROXY TCP4 " + b"1" * 90, ("proxy", "proxy_header_missing")),
        ("tls", b"", client_hello(), ("hello", "hello_timeout")),
        ("plain", b"\x10\xe8\x07\x00\x04MQTT\x04\x02\x00\x00\x03\xdc", b"p" * 900, ("connect", "connect_timeout")),
        ("ws", b"", UPGRADE, ("connect", "connect_timeout")),
        ("ws", UPGRADE, b"\x82\xfe\x03\xe8" + bytes(900), ("connect", "connect_timeout")),
    ],
    ids=["PROXY header", "ClientHello", "CONNECT", "upgrade", "frame"],
)
async def test_bytes_do_not_extend_the_deadline(
    hasty: Running, listener: str, first: bytes, dripped: bytes, stopped: tuple[str, str]
) -> None:
    async with open_wire(hasty.target(listener)) as wire:
        await wire.send(first)
        await drip(wire, dripped)
        assert wire.ended in {"eof", "reset"}
    record = await hasty.connect_of(wire.address)
    assert stopped_at(record) == stopped
    assert 0.29e9 < record["event"]["duration"] < 3e9


@each_version
async def test_bytes_do_not_extend_the_deadline_within_tls(hasty: Running, version: TlsVersion) -> None:
    async with open_tunnel(hasty.target("tls"), only(version)) as tunnel:
        await tunnel.read_flight()
        flight = b"\x16\x03\x03\x01\x00\x10\x00\x00\xfc" if version == "1.2" else b"\x17\x03\x03\x01\x00"
        await drip(tunnel.wire, flight + bytes(240))
    stopped = stopped_at(await hasty.connect_of(tunnel.wire.address))
    assert stopped == ("handshake", "timeout_after_server_certificate")

    async with open_tunnel(hasty.target("tls"), only(version)) as tunnel:
        await tunnel.shake_hands()
        for byte in b"\x10\xe8\x07\x00\x04MQTT\x04\x02\x00\x00\x03\xdc" + b"p" * 900:
            await tunnel.send(bytes((byte,)))
            tunnel.wire.patience = 0.01
            if not await tunnel.hear() and tunnel.wire.ended != "open":
                break
    stopped = stopped_at(await hasty.connect_of(tunnel.wire.address))
    assert stopped == ("connect", "connect_timeout")


# large


GARBAGE = random.Random(17).randbytes(100_000)
HANDSHAKE_RECORD = b"\x16\x03\x01\x40\x00"


@any_loop
@pytest.mark.parametrize(
    ("listener", "said", "codes"),
    [
        ("plain", GARBAGE, {"not_mqtt", "malformed_connect"}),
        ("tls", GARBAGE, {"not_tls"}),
        ("lb", GARBAGE, {"proxy_header_missing"}),
        ("ws", GARBAGE, {"websocket_rejected"}),
        ("wss", GARBAGE, {"not_tls"}),
        ("tls", HANDSHAKE_RECORD + b"\x01\x00\xff\xfc" + bytes(0x3FFC) + (HANDSHAKE_RECORD + bytes(0x4000)) * 5, None),
        ("tls", (HANDSHAKE_RECORD + b"\x0b\x00\x3f\xfc" + bytes(0x3FFC)) * 6, None),
        ("tls", b"\x16\x03\x01\x00\x01\x01" * 17_000, None),
        ("ws", UPGRADE + b"\x82\xff" + (1 << 62).to_bytes(8, "big") + GARBAGE, {"websocket_rejected"}),
        ("lb", b"PROXY " + b"1" * 100_000, {"proxy_header_invalid"}),
    ],
    ids=[
        "on plain",
        "on tls",
        "behind a proxy",
        "on ws",
        "on wss",
        "huge ClientHello",
        "endless messages",
        "tiny records",
        "huge frame",
        "PROXY line",
    ],
)
async def test_much_of_nothing(broker: Running, listener: str, said: bytes, codes: set[str] | None) -> None:
    seen = await send_then(broker.target(listener), said, "silence")
    record = await broker.connect_of(seen)
    assert record["event"]["code"] in (codes or {"malformed_hello"})
    assert seen.ended in {"eof", "reset"}
    assert record["source"]["bytes"] <= 200_000


@any_loop
async def test_a_client_hello_with_hostile_names(broker: Running) -> None:
    name = b'evil\r\n{"forged": 1}\x1b[2J\xff\xe2\x80\xae'
    hello = client_hello(Offer(server_name="a" * len(name), alpn=("b" * 8,))).replace(b"a" * len(name), name)
    hello = hello.replace(b"b" * 8, b"\r\n\x85\xe2\x80\xa8\x1b[")
    async with open_wire(broker.target("tls")) as wire:
        await wire.send(hello)
        await wire.leave("fin")
    record = await broker.connect_of(wire.address)
    offered = record["tls"]["client"]
    assert offered["server_name"] == 'evil\\x0d\\x0a{"forged": 1}\\x1b[2J\\xff\\xe2\\x80\\xae'
    assert all(name.isprintable() for name in (*offered["alpn"], record["message"]))


# devices that say more before they are admitted


async def test_packets_behind_connect_wait_for_the_verdict_and_are_all_served(judging: Running) -> None:
    count = 3000
    flood = b"".join(mqtt.publish("pumps/17/flow", bytes(200), qos=1, packet_id=1 + n) for n in range(count))
    async with open_wire(judging.target("plain")) as wire:
        sending = asyncio.ensure_future(wire.send(CONNECT + flood))
        await Waits.asked.wait()
        (protocol,) = judging.service.door.listeners["plain"]._protocols
        transport = protocol._transport
        assert transport is not None
        await until(lambda: not transport.is_reading())
        assert len(protocol._attempt.early) < 2 * 65_536 + 1
        Waits.answer.set()
        answers = bytearray()
        while len(answers) < 4 + 4 * count:
            answers += await wire.receive()
        await sending
        assert answers[:4] == CONNACK
        acknowledged = [answers[at + 2] << 8 | answers[at + 3] for at in range(4, len(answers), 4)]
        assert acknowledged == list(range(1, count + 1))
        await wire.leave("fin")
    assert (await judging.disconnect_of(wire.address))["event"]["code"] == "closed"


async def test_a_device_that_says_all_and_fin_is_answered(judging: Running) -> None:
    """``printf ... | nc -N broker 1883``"""
    async with open_wire(judging.target("plain")) as wire:
        await wire.send(CONNECT + mqtt.subscribe("pumps/#") + mqtt.publish("pumps/1", b"on"))
        wire.fin()
        await Waits.asked.wait()
        Waits.answer.set()
        await wire.drain()
        assert wire.received.startswith(CONNACK + b"\x90\x03\x00\x01\x00")
        assert mqtt.publish("pumps/1", b"on") in wire.received
    assert stopped_at(await judging.connect_of(wire.address)) == ("session", "admitted")
    assert (await judging.disconnect_of(wire.address))["event"]["code"] == "closed"


@each_version
async def test_a_tls_device_that_says_all_and_close_notify_is_answered(judging: Running, version: TlsVersion) -> None:
    async with open_tunnel(judging.target("tls"), only(version)) as tunnel:
        await tunnel.shake_hands()
        await tunnel.send(CONNECT + PUBLISH)
        await tunnel.wire.send(tunnel._close_notify())
        await Waits.asked.wait()
        Waits.answer.set()
        while await tunnel.hear():
            pass
        tunnel.replies()
        assert bytes(tunnel.plaintext) == CONNACK + PUBACK
    assert (await judging.disconnect_of(tunnel.wire.address))["event"]["code"] == "closed"


async def test_a_refused_device_that_said_fin_reads_why(judging: Running) -> None:
    async with open_wire(judging.target("plain")) as wire:
        await wire.send(mqtt.connect("pump-17", user_name="evil", password="p") + PUBLISH)
        wire.fin()
        await Waits.asked.wait()
        Waits.answer.set()
        await wire.drain()
        assert bytes(wire.received) == b"\x20\x02\x00\x04"
    assert stopped_at(await judging.connect_of(wire.address)) == ("credentials", "bad_password")


async def test_a_reset_while_judged(judging: Running) -> None:
    async with open_wire(judging.target("plain")) as wire:
        await wire.send(CONNECT + PUBLISH)
        await Waits.asked.wait()
        (protocol,) = judging.service.door.listeners["plain"]._protocols
        wire.rst()
        await until(lambda: protocol._is_lost)
        Waits.answer.set()
    assert stopped_at(await judging.connect_of(wire.address)) == ("session", "admitted")
    assert (await judging.disconnect_of(wire.address))["event"]["code"] == "reset"


async def test_garbage_within_tls_while_judged(judging: Running) -> None:
    async with open_tunnel(judging.target("tls"), only("1.3")) as tunnel:
        await tunnel.shake_hands()
        await tunnel.send(CONNECT)
        await Waits.asked.wait()
        await tunnel.wire.send(b"\x17\x03\x03\x00\x20" + bytes(32))
        (protocol,) = judging.service.door.listeners["tls"]._protocols
        await until(lambda: protocol._attempt.layers is not None and protocol._attempt.layers.failed)
        Waits.answer.set()
        await tunnel.leave("silence")
        assert 20 in tunnel.seen().alerts_received
    assert stopped_at(await judging.connect_of(tunnel.wire.address)) == ("session", "admitted")
    assert (await judging.disconnect_of(tunnel.wire.address))["event"]["code"] == "tls_error"


# leaving in every phase

Phase = Callable[[Target, Leave], Awaitable[Any]]


async def after_a_hello(target: Target, leave: Leave) -> Any:
    if leave != "close_notify":
        return await hello_then(target, leave)
    async with open_tunnel(target) as tunnel:
        await tunnel.read_flight()
        await tunnel.wire.send(b"\x15\x03\x03\x00\x02\x01\x00")
        await tunnel.wire.leave("fin")
        return tunnel.seen()


async def after_the_handshake(target: Target, leave: Leave) -> Any:
    return await handshake_then(target, leave)


async def after_half_a_connect(target: Target, leave: Leave) -> Any:
    return await handshake_then(target, leave, data=CONNECT[:7])


async def when_admitted(target: Target, leave: Leave) -> Any:
    return await handshake_then(target, leave, data=CONNECT, expect=4)


@pytest.mark.parametrize("leave", ["fin", "rst", "close_notify"])
@pytest.mark.parametrize(
    ("phase", "stage"),
    [
        (after_a_hello, "handshake"),
        (after_the_handshake, "connect"),
        (after_half_a_connect, "connect"),
        (when_admitted, "session"),
    ],
)
async def test_leaving_in_every_phase(broker: Running, phase: Phase, stage: str, leave: Leave) -> None:
    seen = await phase(broker.target("tls"), leave)
    record = await broker.connect_of(seen)
    if stage == "connect" and leave == "rst":
        assert record["doorlog"]["stage"] in {"connect", "handshake"}
    else:
        assert record["doorlog"]["stage"] == stage
    expected = {
        "handshake": {"closed_after_server_certificate", "reset_after_server_certificate"},
        "connect": {"closed_before_connect", "reset_after_server_certificate"},
        "session": {"admitted"},
    }
    assert record["event"]["code"] in expected[stage]
    if stage == "session":
        ended = await broker.disconnect_of(seen)
        assert ended["event"]["code"] in {"closed", "reset"}


async def test_a_crowd_that_resets_at_once(broker: Running) -> None:
    for listener in ("plain", "tls", "ws", "lb"):
        for _ in range(25):
            async with open_wire(broker.target(listener)) as wire:
                wire.rst()
    await until(lambda: broker.service.door.connects == 100)


# TLS, bent


async def alert_of(broker: Running, tunnel: Any) -> None:
    """Have the device's OpenSSL send an alert of its own under encryption: it was fed garbage."""
    tunnel._incoming.write(b"\x17\x03\x03\x00\x20" + bytes(32))
    await tunnel.wire.send(tunnel.replies())
    assert tunnel.failure is not None


@each_version
async def test_an_alert_after_the_handshake(broker: Running, version: TlsVersion) -> None:
    async with open_tunnel(broker.target("tls"), only(version)) as tunnel:
        await tunnel.shake_hands()
        tunnel.replies()
        await alert_of(broker, tunnel)
        await tunnel.wire.leave("silence")
    record = await broker.connect_of(tunnel.wire.address)
    assert stopped_at(record) == ("handshake", "client_alert")
    assert record["tls"]["established"] is True
    assert record["tls"]["alert"] == {"code": 20, "description": "bad_record_mac", "direction": "received"}


@each_version
async def test_an_alert_after_admission(broker: Running, version: TlsVersion) -> None:
    async with open_tunnel(broker.target("tls"), only(version)) as tunnel:
        await tunnel.shake_hands()
        await tunnel.send(CONNECT)
        await tunnel.read(4)
        await alert_of(broker, tunnel)
        await tunnel.wire.leave("silence")
    assert (await broker.disconnect_of(tunnel.wire.address))["event"]["code"] == "tls_error"


@each_version
async def test_garbage_after_admission(broker: Running, version: TlsVersion) -> None:
    async with open_tunnel(broker.target("tls"), only(version)) as tunnel:
        await tunnel.shake_hands()
        await tunnel.send(CONNECT)
        await tunnel.read(4)
        await tunnel.wire.send(GARBAGE)
        await tunnel.leave("silence")
    assert (await broker.disconnect_of(tunnel.wire.address))["event"]["code"] == "tls_error"


@any_loop
async def test_nobody_renegotiates(broker: Running) -> None:
    """s_client renegotiates when it reads a line with R; the door says no_renegotiation (RFC 5746, 4.5)."""
    argv = ["openssl", "s_client", "-connect", str(broker.target("tls")), "-tls1_2"]
    finished, connected = await talk(argv, say=b"", until=re.compile(rb"Extended master secret"), then=b"R\n")
    assert connected
    assert "RENEGOTIATING" in finished.output
    assert "no renegotiation" in finished.output
    record = await broker.record(lambda r: r["event"]["action"] == "connect")
    assert record["tls"]["established"] is True
    assert stopped_at(record) == ("handshake", "client_alert"), "the device gave up"


# sessions and certificates


async def resume(
    broker: Running, pki: Pki, listener: str, files: CertificateFiles | None, *session: str, version: TlsVersion = "1.3"
) -> bool:
    result = await OpenSslClient(session).run(
        broker.target(listener),
        cafile=pki.cafile,
        certfile=files.certfile if files else None,
        keyfile=files.keyfile if files else None,
        client_id="pump-17",
        tls_version=version,
    )
    return result.connected


@any_loop
@each_version
async def test_a_ticket_of_one_listener_opens_no_other(
    broker: Running, pki: Pki, tmp_path: Path, version: TlsVersion
) -> None:
    """What was sealed where nobody was asked for a certificate must not let anybody in where one is required."""
    ticket = str(tmp_path / "ticket.pem")
    assert await resume(broker, pki, "tls", None, "-sess_out", ticket, version=version)
    assert not await resume(broker, pki, "mtls", None, "-sess_in", ticket, version=version)
    refused = await broker.record(
        lambda r: r["doorlog"].get("listener") == "mtls" and r["event"]["action"] == "connect"
    )
    assert stopped_at(refused) == ("handshake", "client_certificate_missing")
    assert refused["tls"]["resumed"] is False


@any_loop
@each_version
async def test_a_ticket_with_a_certificate_proves_nothing_elsewhere(
    broker: Running, pki: Pki, tmp_path: Path, version: TlsVersion
) -> None:
    ticket = str(tmp_path / "ticket.pem")
    assert await resume(broker, pki, "mtls", pki.client(), "-sess_out", ticket, version=version)
    assert await resume(broker, pki, "tls", None, "-sess_in", ticket, version=version)
    record = await broker.record(lambda r: r["doorlog"].get("listener") == "tls" and r["event"]["action"] == "connect")
    assert record["tls"]["resumed"] is False
    assert "x509" not in record["tls"]["client"]


@any_loop
async def test_a_ticket_is_worth_nothing_after_a_restart(tmp_path: Path, pki: Pki) -> None:
    ticket = str(tmp_path / "ticket.pem")
    async with house(tmp_path / "first", pki) as broker:
        assert await resume(broker, pki, "mtls", pki.client(), "-sess_out", ticket)
    async with house(tmp_path / "second", pki) as broker:
        assert not await resume(broker, pki, "mtls", None, "-sess_in", ticket)


def short_lived(pki: Pki, seconds: float) -> CertificateFiles:
    """Return a device certificate that ends in so many seconds."""
    plain = pki.client("short-lived")
    certificate = plain.certificate
    builder = (
        x509.CertificateBuilder()
        .subject_name(certificate.subject)
        .issuer_name(certificate.issuer)
        .public_key(certificate.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(certificate.not_valid_before_utc)
        .not_valid_after(datetime.now(UTC) + timedelta(seconds=seconds))
    )
    for extension in certificate.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    signed = builder.sign(pki.devices.key, hashes.SHA256())
    certfile = pki.write(f"short-lived-{signed.serial_number}.pem", signed, pki.devices.certificate)
    return replace(plain, certfile=certfile, certificate=signed)


@any_loop
@each_version
async def test_a_certificate_that_has_expired_since_the_session_began(
    broker: Running, pki: Pki, version: TlsVersion
) -> None:
    files = short_lived(pki, 1.6)
    context = only(version, Offer(certfile=files.certfile, keyfile=files.keyfile)).context()
    session = await log_in(broker.target("mtls"), context, None)
    assert session is not None
    left = files.certificate.not_valid_after_utc - datetime.now(UTC)
    await asyncio.sleep(left.total_seconds() + 1.05)  # until it has ended, in whole seconds: nothing else tells
    assert await log_in(broker.target("mtls"), context, session) is None
    first, again = await broker.failure("admitted"), await broker.failure("client_certificate_expired")
    assert (first["tls"]["resumed"], again["tls"]["resumed"]) == (False, True)
    for record in (first, again):
        assert record["tls"]["client"]["x509"]["subject"]["common_name"] == ["short-lived"]
        assert record["device"]["id"] in {"pump-17", "short-lived"}


async def log_in(target: Target, context: ssl.SSLContext, session: ssl.SSLSession | None) -> ssl.SSLSession | None:
    """Log in with a TLS session; return the one for the next time, None if the door did not let us in."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname="localhost", session=session)
    steps: list[Callable[[], Any]] = [client.do_handshake, lambda: client.write(CONNECT), lambda: client.read(4)]
    async with open_wire(target) as wire:
        while steps:
            try:
                if steps[0]() == b"":  # close_notify
                    return None
                del steps[0]
            except ssl.SSLWantReadError:
                await wire.send(outgoing.read())
                data = await wire.receive()
                if not data:
                    return None
                incoming.write(data)
        wire.fin()
        return client.session


@any_loop
async def test_a_forged_certificate_of_a_revoked_number_names_nobody_for_certain(tmp_path: Path, pki: Pki) -> None:
    """OpenSSL looks a serial number up before it verifies the signature: the name beside it can be anybody's."""
    key = ec.generate_private_key(ec.SECP256R1())
    forged = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pump-17")]))
        .issuer_name(pki.devices.certificate.subject)
        .public_key(key.public_key())
        .serial_number(pki.client_revoked().certificate.serial_number)
        .not_valid_before(pki.now - timedelta(days=1))
        .not_valid_after(pki.now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    certfile = pki.write("forged.pem", forged, pki.devices.certificate)
    offer = Offer(certfile=certfile, keyfile=pki.write_key("forged.key", key))
    trust = {"cafile": str(pki.cafile), "crlfile": str(pki.crlfile), "client_certificate": "required"}
    async with running(tmp_path, {"mtls": {"bind": FREE, "tls": tls(pki.server(), **trust)}}) as broker:
        record = await broker.connect_of(await handshake_then(broker.target("mtls"), "fin", offer))
        assert stopped_at(record) == ("handshake", "client_certificate_revoked")
        assert record["doorlog"]["device"]["confidence"] == "likely"


@any_loop
async def test_a_hostile_subject_in_a_record(broker: Running, pki: Pki) -> None:
    name = 'pump\r\n{"event": 1}\u202e\x1b[2J'
    files = pki.client(name)
    seen = await handshake_then(
        broker.target("mtls"),
        "fin",
        Offer(certfile=files.certfile, keyfile=files.keyfile),
        data=mqtt.connect(""),
        expect=4,
    )
    record = await broker.connect_of(seen)
    (shown,) = record["tls"]["client"]["x509"]["subject"]["common_name"]
    assert shown.isprintable()
    assert shown.startswith("pump\\u000D\\u000A")
    assert record["message"].isprintable()


# the door's own resources


async def test_devices_that_never_read_our_answer(hasty: Running) -> None:
    """They keep the connection open, and its receive buffer full of nothing."""
    async with open_wire(hasty.target("plain")) as refused, open_wire(hasty.target("tls")) as failed:
        await refused.send(mqtt.connect("x", protocol=("MQIsdp", 3)))
        await failed.send(GARBAGE[:100])
        await hasty.connect_of(refused.address)
        await hasty.connect_of(failed.address)
        door = hasty.service.door
        await until(lambda: not any(listener._protocols for listener in door.listeners.values()))


async def test_an_admitted_device_that_never_reads(broker: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("doorlog.door.connection._CLOSE_TIMEOUT", 0.2)
    async with open_wire(broker.target("plain")) as deaf, open_wire(broker.target("plain")) as loud:
        await admitted(deaf, mqtt.connect("deaf", keep_alive=0))
        await deaf.send(mqtt.subscribe("much", qos=0))
        await deaf.receive()
        await admitted(loud, mqtt.connect("loud", keep_alive=0))
        for _ in range(20):
            await loud.send(mqtt.publish("much", bytes(1 << 19)))
        await loud.send(mqtt.PINGREQ)
        while not loud.received.endswith(b"\xd0\x00"):
            assert await loud.receive()
        await loud.send(mqtt.connect("deaf"))  # a second CONNECT: gone
        await loud.drain()
        taken = mqtt.connect("deaf", keep_alive=0)
        again = await ask(broker.target("plain"), taken, expect=4)
        assert again.received[:4] == CONNACK
    assert (await broker.disconnect_of(deaf.address))["event"]["code"] == "taken_over"


async def test_a_source_over_its_limit_frees_its_place_again(tmp_path: Path, pki: Pki) -> None:
    async with house(tmp_path, pki, limits={"attempts_per_source": 3, "linger_timeout": 0.2}) as broker:
        crowd = Dial(source="127.0.0.2")
        async with open_wire(broker.target("tls"), crowd), open_wire(broker.target("tls"), crowd):
            async with open_wire(broker.target("tls"), crowd):
                refused = await silent(broker.target("tls"), crowd)
                assert stopped_at(await broker.connect_of(refused)) == ("accept", "too_many_connections")
            await until(lambda: len(broker.service.door.listeners["tls"]._protocols) == 2)
            seen = await handshake_then(broker.target("tls"), "fin", dial=crowd, data=CONNECT, expect=4)
            assert seen.plaintext == CONNACK


def misfortunes(broker: Running, pki: Pki) -> list[Callable[[], Awaitable[Any]]]:
    """Return one of each thing that can happen at a door."""
    plain, over_tls, mutual = broker.target("plain"), broker.target("tls"), broker.target("mtls")
    proxy, websocket = broker.target("lb"), broker.target("ws")
    return [
        lambda: send_then(plain, b"", "fin"),
        lambda: send_then(plain, b"", "rst"),
        lambda: send_then(plain, CONNECT[:9], "rst"),
        lambda: send_then(plain, GARBAGE[:5000], "fin"),
        lambda: ask(plain, mqtt.connect(""), expect=4),
        lambda: send_then(plain, mqtt.connect("") + PUBLISH, "rst"),
        lambda: send_then(over_tls, CONNECT, "fin"),
        lambda: send_then(over_tls, client_hello()[:99], "rst"),
        lambda: hello_then(over_tls, "fin"),
        lambda: hello_then(over_tls, "rst", only("1.2")),
        lambda: handshake_then(over_tls, "fin", Offer(cafile=pki.other_cafile)),
        lambda: handshake_then(over_tls, "close_notify", data=mqtt.connect("") + mqtt.DISCONNECT, expect=4),
        lambda: handshake_then(over_tls, "rst", data=mqtt.connect("")),
        lambda: handshake_then(mutual, "fin", only("1.3")),
        lambda: send_then(proxy, b"PROXY UNKNOWN\r\n" + CONNECT[:4], "fin"),
        lambda: send_then(proxy, mqtt.proxy_v2("10.0.0.9") + mqtt.connect("") + mqtt.DISCONNECT, "fin"),
        lambda: send_then(websocket, UPGRADE + GARBAGE[:500], "fin"),
        lambda: send_then(websocket, UPGRADE[:50], "rst"),
    ]


async def test_a_storm_of_everything_at_once(broker: Running, pki: Pki) -> None:
    """An admitted device is served meanwhile; afterwards, sockets and records are equal in number."""
    chance = random.Random(17)
    storm = misfortunes(broker, pki) * 12
    chance.shuffle(storm)
    at_once = asyncio.Semaphore(40)

    async def happens(misfortune: Callable[[], Awaitable[Any]]) -> None:
        async with at_once:
            await misfortune()

    async with open_wire(broker.target("plain")) as wire:
        await admitted(wire)
        raging = asyncio.gather(*map(happens, storm))
        while not raging.done():
            await wire.send(mqtt.PINGREQ)
            assert await wire.receive() == b"\xd0\x00"
        await raging
        await until(lambda: broker.service.door.connects == len(storm) + 1)
        wire.fin()


async def test_stopping_in_every_phase(tmp_path: Path, pki: Pki) -> None:
    Waits.ready()
    async with AsyncExitStack() as devices:

        async def dial(target: Target) -> Wire:
            return await devices.enter_async_context(open_wire(target))

        async def tunnel(target: Target, version: TlsVersion) -> Tunnel:
            return await devices.enter_async_context(open_tunnel(target, only(version)))

        async with house(tmp_path, pki, auth=WAITING, limits={"linger_timeout": 0.2}) as broker:
            plain, over_tls = broker.target("plain"), broker.target("tls")
            session, refused = await dial(plain), await dial(plain)
            Waits.answer.set()
            await admitted(session)
            await refused.send(mqtt.publish())
            await broker.connect_of(refused.address)
            Waits.answer.clear()
            Waits.asked.clear()
            hello = await dial(over_tls)
            await hello.send(client_hello()[:50])
            handshake, certificate = await tunnel(over_tls, "1.3"), await tunnel(broker.target("mtls"), "1.2")
            await handshake.read_flight()
            await certificate.read_flight()
            connect = await tunnel(over_tls, "1.3")
            await connect.shake_hands()
            proxy, websocket = await dial(broker.target("lb")), await dial(broker.target("ws"))
            await proxy.send(b"PROXY TCP4")
            await websocket.send(UPGRADE)
            await websocket.receive()
            credentials = await dial(plain)
            await credentials.send(mqtt.connect("pump-18", keep_alive=0) + PUBLISH)
            await Waits.asked.wait()
            await until(lambda: broker.service.door.accepted == 9)
            started = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - started < 5
        wires = session, hello, handshake.wire, certificate.wire, connect.wire, proxy, websocket, credentials
        for wire in wires:
            await wire.drain()
            assert wire.ended in {"eof", "reset"}
    ended = [record for record in broker.log.records if record["event"].get("code") == "server_shutdown"]
    assert sorted(record["doorlog"]["stage"] for record in ended if record["event"]["action"] == "connect") == [
        "connect",
        "connect",
        "credentials",
        "handshake",
        "handshake",
        "hello",
        "proxy",
    ]
    assert [record["source"]["port"] for record in ended if record["event"]["action"] == "disconnect"] == [
        session.address[1]
    ]
