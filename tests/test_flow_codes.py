"""Every code of the closed list, reached over real sockets: what the device did, what it saw, what the record says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import support.packets as mqtt
from support.broker import FREE, Running, listeners, running, tls
from support.clients.base import TlsVersion
from support.clients.openssl import EXOTIC, OpenSslClient
from support.clients.raw import Dial, ask, open_wire, send_then, silent, tcp_open_and_close, tcp_open_and_reset
from support.clients.raw_tls import (
    Offer,
    client_hello,
    half_hello,
    handshake_then,
    hello_then,
    only,
    open_tunnel,
    with_only_group,
)
from support.pki import Pki

VERSIONS: tuple[TlsVersion, ...] = ("1.2", "1.3")
CONNECT = mqtt.connect("pump-17")
ACCEPTED = 4  # bytes of CONNACK


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
async def broker(tmp_path: Path, pki: Pki) -> AsyncIterator[Running]:
    async with running(tmp_path, listeners(pki), limits={"attempt_timeout": 10}) as broker:
        yield broker


@pytest.fixture
async def hasty(tmp_path: Path, pki: Pki) -> AsyncIterator[Running]:
    """A broker that waits for a quarter of a second."""
    async with running(tmp_path, listeners(pki), limits={"attempt_timeout": 0.25}) as broker:
        yield broker


def stopped_at(record: dict[str, Any]) -> tuple[str, str]:
    return record["doorlog"]["stage"], record["event"]["code"]


# admitted


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_device_is_admitted_over_tls(broker: Running, version: TlsVersion) -> None:
    seen = await handshake_then(broker.target("tls"), "fin", only(version), data=CONNECT, expect=ACCEPTED)

    record = await broker.connect_of(seen)
    assert seen.plaintext == b"\x20\x02\x00\x00"
    assert stopped_at(record) == ("session", "admitted")
    assert record["tls"]["established"] is True
    assert record["tls"]["version"] == version
    assert record["mqtt"]["connack"] == {"code": 0, "name": "connection accepted"}
    assert record["device"] == {"id": "pump-17"}
    ended = await broker.disconnect_of(seen)
    assert ended["event"]["code"] == "closed"


async def test_a_device_says_goodbye(broker: Running) -> None:
    seen = await ask(broker.target("plain"), CONNECT + mqtt.DISCONNECT, expect=ACCEPTED)

    assert (await broker.disconnect_of(seen))["event"]["code"] == "normal"


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_resumed_session_is_recorded_as_one(broker: Running, pki: Pki, version: TlsVersion) -> None:
    first = OpenSslClient(("-sess_out", str(broker.log.path.parent / "session.pem")))
    again = OpenSslClient(("-sess_in", str(broker.log.path.parent / "session.pem")))
    for number, client in enumerate((first, again)):
        await client.run(broker.target("tls"), cafile=pki.cafile, client_id=f"pump-{number}", tls_version=version)

    anew = await broker.record(lambda r: r.get("mqtt", {}).get("client_id") == "pump-0")
    resumed = await broker.record(lambda r: r.get("mqtt", {}).get("client_id") == "pump-1")
    assert anew["tls"]["resumed"] is False
    assert resumed["tls"]["resumed"] is True


# accept


async def test_more_than_a_source_may_have(tmp_path: Path, pki: Pki) -> None:
    async with running(tmp_path, listeners(pki), limits={"attempts_per_source": 1}) as broker:
        target = broker.target("tls")
        patient = Dial(source="127.0.0.2")
        async with open_wire(target, patient):
            refused = await tcp_open_and_close(target, patient)
            neighbour = await tcp_open_and_close(target, Dial(source="127.0.0.3"))
            assert stopped_at(await broker.connect_of(refused)) == ("accept", "too_many_connections")
            assert stopped_at(await broker.connect_of(neighbour)) == ("hello", "closed_before_hello")


async def test_more_than_a_listener_may_have(tmp_path: Path, pki: Pki) -> None:
    async with running(tmp_path, listeners(pki), limits={"attempts_per_listener": 1}) as broker:
        target = broker.target("tls")
        async with open_wire(target, Dial(source="127.0.0.2")):
            refused = await tcp_open_and_close(target, Dial(source="127.0.0.3"))
            assert stopped_at(await broker.connect_of(refused)) == ("accept", "too_many_connections")


async def test_a_blocked_source(tmp_path: Path) -> None:
    doors = {"plain": {"bind": FREE, "blocked_networks": ["127.0.0.66/32"]}}
    async with running(tmp_path, doors) as broker:
        seen = await send_then(broker.target("plain"), CONNECT, "silence", Dial(source="127.0.0.66"))
        assert stopped_at(await broker.connect_of(seen)) == ("accept", "source_blocked")


# proxy


@pytest.mark.parametrize("header", [mqtt.proxy_v1("10.0.0.9"), mqtt.proxy_v2("10.0.0.9")])
async def test_a_device_behind_a_load_balancer(broker: Running, header: bytes) -> None:
    seen = await ask(broker.target("lb"), header + CONNECT, expect=ACCEPTED)

    record = await broker.record(lambda r: r.get("doorlog", {}).get("proxy", {}).get("port") == seen.address[1])
    assert stopped_at(record) == ("session", "admitted")
    assert record["source"]["ip"] == "10.0.0.9"
    assert record["doorlog"]["proxy"] == {"ip": "127.0.0.1", "port": seen.address[1]}


async def test_no_proxy_header(broker: Running) -> None:
    seen = await send_then(broker.target("lb"), CONNECT, "silence")

    assert stopped_at(await broker.connect_of(seen)) == ("proxy", "proxy_header_missing")


async def test_a_broken_proxy_header(broker: Running) -> None:
    seen = await send_then(broker.target("lb"), b"PROXY TCP4 10.0.0.9 nowhere 1 2\r\n", "silence")

    assert stopped_at(await broker.connect_of(seen)) == ("proxy", "proxy_header_invalid")


async def test_a_proxy_that_nobody_trusts(tmp_path: Path) -> None:
    doors = {"lb": {"bind": FREE, "proxy_protocol": "required", "proxy_networks": ["10.1.0.0/16"]}}
    async with running(tmp_path, doors) as broker:
        seen = await send_then(broker.target("lb"), mqtt.proxy_v1("10.0.0.9") + CONNECT, "silence")
        assert stopped_at(await broker.connect_of(seen)) == ("proxy", "proxy_untrusted_source")


# hello


async def test_a_health_check(broker: Running) -> None:
    for knock in (tcp_open_and_close, tcp_open_and_reset):
        seen = await knock(broker.target("tls"))
        record = await broker.connect_of(seen)
        assert stopped_at(record) == ("hello", "closed_before_hello")
        assert record["source"]["bytes"] == 0


async def test_half_a_hello(broker: Running) -> None:
    seen = await half_hello(broker.target("tls"), "fin")

    assert stopped_at(await broker.connect_of(seen)) == ("hello", "closed_before_hello")


async def test_silence(hasty: Running) -> None:
    quiet = await silent(hasty.target("tls"))
    half = await half_hello(hasty.target("tls"), "silence")

    assert stopped_at(await hasty.connect_of(quiet)) == ("hello", "hello_timeout")
    assert stopped_at(await hasty.connect_of(half)) == ("hello", "hello_timeout")


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (CONNECT, "plaintext_mqtt"),
        (b"GET / HTTP/1.1\r\nHost: broker\r\n\r\n", "plaintext_http"),
        (b"\x00\x01\x02\x03 anything", "not_tls"),
    ],
)
async def test_no_tls_on_the_tls_port(broker: Running, said: bytes, code: str) -> None:
    seen = await send_then(broker.target("tls"), said, "silence")

    assert stopped_at(await broker.connect_of(seen)) == ("hello", code)


async def test_a_device_that_forgot_tls_is_named_by_what_it_wrote(broker: Running) -> None:
    seen = await send_then(
        broker.target("tls"), mqtt.connect("pump-17", user_name="anna", password="secret"), "silence"
    )

    record = await broker.connect_of(seen)
    assert (record["mqtt"]["client_id"], record["user"]["name"]) == ("pump-17", "anna")
    assert record["doorlog"]["device"]["method"] == "client_id"
    assert record["doorlog"]["device"]["confidence"] != "certain", "anybody can write a name"


async def test_a_malformed_hello(broker: Running) -> None:
    body = b"\x03\x03" + bytes(32) + b"\x00" + b"\x00\x01\x13" + b"\x01\x00"  # an odd list of cipher suites
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    seen = await send_then(broker.target("tls"), b"\x16\x03\x01" + len(message).to_bytes(2, "big") + message, "silence")

    record = await broker.connect_of(seen)
    assert stopped_at(record) == ("hello", "malformed_hello")
    assert record["tls"]["alert"]["direction"] == "sent"


# handshake: the device refuses us


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("server", "code", "alert"),
    [
        ("server", "server_certificate_unknown_ca", 48),
        ("server_expired", "server_certificate_expired", 45),
        ("server_wrong_host", "server_certificate_bad", 42),
        ("server_incomplete", "server_certificate_unknown_ca", 48),
    ],
)
async def test_the_device_refuses_our_certificate(
    tmp_path: Path, pki: Pki, version: TlsVersion, server: str, code: str, alert: int
) -> None:
    trusted = pki.other_cafile if server == "server" else pki.cafile
    certificate = getattr(pki, server)()
    async with running(tmp_path, {"tls": {"bind": FREE, "tls": tls(certificate)}}) as broker:
        seen = await handshake_then(broker.target("tls"), "fin", only(version, Offer(cafile=trusted)))
        record = await broker.connect_of(seen)
        assert stopped_at(record) == ("handshake", code)
        assert record["tls"]["alert"]["code"] == alert
        assert record["tls"]["alert"]["direction"] == "received"
        assert record["tls"]["version"] == version
        assert record["tls"]["established"] is False
        assert record["tls"]["client"]["server_name"] == "localhost"
        assert record["tls"]["client"]["ja4"].startswith("t1")
        assert record["tls"]["server"]["hash"]["sha256"] == certificate.sha256
        assert record["tls"]["server"]["generation"] == 1


@pytest.mark.parametrize(
    ("alert", "code"),
    [
        (44, "server_certificate_revoked"),
        (43, "server_certificate_unsupported"),
        (46, "server_certificate_unknown"),
        (80, "client_alert"),
        (40, "client_alert"),
    ],
)
@pytest.mark.parametrize("version", VERSIONS)
async def test_other_alerts(broker: Running, version: TlsVersion, alert: int, code: str) -> None:
    async with open_tunnel(broker.target("tls"), only(version)) as tunnel:
        await tunnel.read_flight()
        await tunnel.wire.send(b"\x15\x03\x03\x00\x02\x02" + bytes((alert,)))
        await tunnel.wire.leave("fin")

    record = await broker.connect_of(tunnel.wire.address)
    assert stopped_at(record) == ("handshake", code)
    assert record["tls"]["alert"]["code"] == alert
    assert record["tls"]["alert"]["direction"] == "received"


@pytest.mark.parametrize("version", VERSIONS)
async def test_gone_after_our_certificate(broker: Running, version: TlsVersion) -> None:
    finished = await hello_then(broker.target("tls"), "fin", only(version))
    reset = await hello_then(broker.target("tls"), "rst", only(version))

    assert stopped_at(await broker.connect_of(finished)) == ("handshake", "closed_after_server_certificate")
    assert stopped_at(await broker.connect_of(reset)) == ("handshake", "reset_after_server_certificate")


@pytest.mark.parametrize("version", VERSIONS)
async def test_silent_after_our_certificate(hasty: Running, version: TlsVersion) -> None:
    seen = await hello_then(hasty.target("tls"), "silence", only(version))

    assert stopped_at(await hasty.connect_of(seen)) == ("handshake", "timeout_after_server_certificate")


# handshake: we refuse the device


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("client", "code", "alert"),
    [
        ("client_expired", "client_certificate_expired", 45),
        ("client_not_yet_valid", "client_certificate_not_yet_valid", 42),
        ("client_foreign", "client_certificate_untrusted", 48),
        ("client_self_signed", "client_certificate_untrusted", 48),
        ("client_revoked", "client_certificate_revoked", 44),
        ("client_wrong_usage", "client_certificate_invalid", 43),
    ],
)
async def test_we_refuse_the_certificate_of_a_device(
    tmp_path: Path, pki: Pki, version: TlsVersion, client: str, code: str, alert: int
) -> None:
    shown = getattr(pki, client)("device-17")
    trust = {"cafile": str(pki.cafile), "crlfile": str(pki.crlfile), "client_certificate": "required"}
    offer = only(version, Offer(certfile=shown.certfile, keyfile=shown.keyfile))
    async with running(tmp_path, {"mtls": {"bind": FREE, "tls": tls(pki.server(), **trust)}}) as broker:
        seen = await handshake_then(broker.target("mtls"), "fin", offer, data=CONNECT, expect=ACCEPTED)
        record = await broker.connect_of(seen)
        assert stopped_at(record) == ("handshake", code)
        assert alert in seen.alerts_received, "the device must read why it was refused"
        assert record["tls"]["alert"]["code"] == alert
        assert record["tls"]["alert"]["direction"] == "sent"
        named = record["tls"]["client"]
        assert named["x509"]["subject"]["common_name"] == ["device-17"]
        assert named["x509"]["serial_number"] == shown.serial_number
        assert named["hash"]["sha256"] == shown.sha256


@pytest.mark.parametrize(("version", "alert"), [("1.2", 40), ("1.3", 116)])
async def test_no_client_certificate(broker: Running, version: TlsVersion, alert: int) -> None:
    seen = await handshake_then(broker.target("mtls"), "fin", only(version), data=CONNECT, expect=ACCEPTED)

    record = await broker.connect_of(seen)
    assert stopped_at(record) == ("handshake", "client_certificate_missing")
    assert alert in seen.alerts_received
    assert (record["tls"]["alert"]["code"], record["tls"]["alert"]["direction"]) == (alert, "sent")


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_good_client_certificate(broker: Running, pki: Pki, version: TlsVersion) -> None:
    shown = pki.client("device-17")
    offer = only(version, Offer(certfile=shown.certfile, keyfile=shown.keyfile))
    seen = await handshake_then(broker.target("mtls"), "fin", offer, data=CONNECT, expect=ACCEPTED)

    record = await broker.connect_of(seen)
    assert stopped_at(record) == ("session", "admitted")
    assert record["tls"]["client"]["x509"]["subject"]["common_name"] == ["device-17"]


# handshake: no agreement


@pytest.mark.parametrize(
    ("exotic", "code", "alert"),
    [
        ("tls_1_1_only", "no_shared_version", 70),
        ("fallback", "no_shared_version", 86),
        ("cipher_1_2", "no_shared_cipher", 40),
        ("cipher_1_3", "no_shared_cipher", 40),
        ("group_1_2", "no_shared_group", 40),
        ("signature_1_2", "no_shared_signature_algorithm", 40),
        ("signature_1_3", "no_shared_signature_algorithm", 40),
    ],
)
async def test_no_agreement(broker: Running, exotic: str, code: str, alert: int) -> None:
    result = await OpenSslClient(EXOTIC[exotic]).run(broker.target("tls"), client_id="pump-17")

    record = await broker.failure(code)
    assert not result.connected
    assert record["doorlog"]["stage"] == "handshake"
    assert (record["tls"]["alert"]["code"], record["tls"]["alert"]["direction"]) == (alert, "sent")


async def test_a_group_that_nobody_has_in_tls_1_3(broker: Running) -> None:
    hello = with_only_group(client_hello(only("1.3")), 0xFE00)  # a private one (RFC 8446, 4.2.7)
    seen = await send_then(broker.target("tls"), hello, "silence")

    record = await broker.connect_of(seen)
    assert stopped_at(record) == ("handshake", "no_shared_group")
    assert 40 in seen.alerts_received
    assert (record["tls"]["alert"]["code"], record["tls"]["alert"]["direction"]) == (40, "sent")


async def test_alpn_mismatch(tmp_path: Path, pki: Pki) -> None:
    async with running(tmp_path, {"tls": {"bind": FREE, "tls": tls(pki.server(), alpn=["mqtt"])}}) as broker:
        wrong = await handshake_then(broker.target("tls"), "fin", Offer(alpn=("h2",)))
        right = await handshake_then(
            broker.target("tls"), "fin", Offer(alpn=("h2", "mqtt")), data=CONNECT, expect=ACCEPTED
        )
        record = await broker.connect_of(wrong)
        assert stopped_at(record) == ("handshake", "alpn_mismatch")
        assert 120 in wrong.alerts_received
        assert (await broker.connect_of(right))["tls"]["next_protocol"] == "mqtt"


async def test_nonsense_after_our_flight(broker: Running) -> None:
    async with open_tunnel(broker.target("tls"), only("1.3")) as tunnel:
        await tunnel.read_flight()
        await tunnel.wire.send(b"\x17\x03\x03\x00\x20" + bytes(32))
        await tunnel.wire.leave("fin")

    record = await broker.connect_of(tunnel.wire.address)
    assert stopped_at(record) == ("handshake", "handshake_failed")


# connect


@pytest.mark.parametrize("version", VERSIONS)
async def test_gone_before_connect(broker: Running, version: TlsVersion) -> None:
    over_tls = await handshake_then(broker.target("tls"), "fin", only(version))
    plain = await tcp_open_and_close(broker.target("plain"))

    record = await broker.connect_of(over_tls)
    assert stopped_at(record) == ("connect", "closed_before_connect")
    assert record["tls"]["established"] is True
    assert stopped_at(await broker.connect_of(plain)) == ("connect", "closed_before_connect")


async def test_no_connect_in_time(hasty: Running) -> None:
    over_tls = await handshake_then(hasty.target("tls"), "silence")
    half = await send_then(hasty.target("plain"), CONNECT[:7], "silence")

    assert stopped_at(await hasty.connect_of(over_tls)) == ("connect", "connect_timeout")
    assert stopped_at(await hasty.connect_of(half)) == ("connect", "connect_timeout")


@pytest.mark.parametrize(
    ("said", "code", "answer"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "not_mqtt", b""),
        (mqtt.publish(), "not_mqtt", b""),
        (mqtt.packet(0x10, b"\x00\x04MQTT\x04\x01\x00\x00\x00\x00"), "malformed_connect", b""),
        (b"\x10\xff\xff\xff\x7f", "connect_too_large", b""),
        (mqtt.connect("old", protocol=("MQIsdp", 3)), "unsupported_protocol_version", b"\x20\x02\x00\x01"),
        (mqtt.connect_v5("new", user_name="anna"), "unsupported_protocol_version", b"\x20\x03\x00\x84\x00"),
        (mqtt.connect("", clean_session=False), "client_id_rejected", b"\x20\x02\x00\x02"),
    ],
)
async def test_a_first_packet_that_can_not_be_served(broker: Running, said: bytes, code: str, answer: bytes) -> None:
    seen = await send_then(broker.target("plain"), said, "silence")

    record = await broker.connect_of(seen)
    assert stopped_at(record) == ("connect", code)
    assert seen.received == answer


async def test_a_device_of_mqtt_5_is_named(broker: Running) -> None:
    seen = await send_then(broker.target("plain"), mqtt.connect_v5("pump-5", user_name="anna"), "silence")

    record = await broker.connect_of(seen)
    assert record["mqtt"]["client_id"] == "pump-5"
    assert record["mqtt"]["protocol_version"] == "5.0"
    assert record["user"] == {"name": "anna"}


@pytest.mark.parametrize("listener", ["ws", "wss"])
async def test_a_websocket_that_is_refused(broker: Running, listener: str) -> None:
    request = b"GET /mqtt HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\nUpgrade: websocket\r\n"
    request += b"Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    request += b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
    if listener == "wss":
        seen = await handshake_then(broker.target("wss"), "silence", data=request)
        answer = seen.plaintext
    else:
        seen = await send_then(broker.target("ws"), request, "silence")
        answer = seen.received

    assert stopped_at(await broker.connect_of(seen)) == ("connect", "websocket_rejected")
    assert answer.startswith(b"HTTP/1.1 403")
