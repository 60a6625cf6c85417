"""MQTT over WebSocket at the same door: real clients over ws and wss, browsers' Origin, and hostile frames."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import support.packets as mqtt
from support.broker import ANYBODY, FREE, Running, running, tls
from support.clients import Client, MqttJs, Paho, usable
from support.clients.base import Target
from support.clients.raw import Seen, open_wire
from support.clients.raw_tls import handshake_then
from support.pki import Pki
from support.records import Record, action_is
from support.stock import stock
from support.users import our_auth, write_users

USER, PASSWORD = "anna", "wonderland-17"
ACCEPTED = b"\x20\x02\x00\x00"
each_client = pytest.mark.parametrize("client", [Paho(), MqttJs()], ids=repr)
each_listener = pytest.mark.parametrize("listener", ["ws", "wss"])


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def auth(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return our_auth(write_users(tmp_path_factory.mktemp("users") / "users.txt", {USER: PASSWORD}))


@pytest.fixture
async def broker(tmp_path: Path, pki: Pki, auth: dict[str, Any]) -> AsyncIterator[Running]:
    listeners = {
        "tls": {"bind": FREE, "tls": tls(pki.server())},
        "ws": {"bind": FREE, "websocket": True, "origins": ["https://panel.example"]},
        "wss": {"bind": FREE, "websocket": True, "tls": tls(pki.server())},
    }
    async with running(tmp_path, listeners, auth=auth) as broker:
        yield broker


def stopped_at(record: Record) -> tuple[str, str]:
    return record["doorlog"]["stage"], record["event"]["code"]


# Real clients.


@each_listener
@each_client
async def test_a_good_login(client: Client, listener: str, broker: Running, pki: Pki) -> None:
    result = await usable(client).run(
        broker.target(listener),
        cafile=pki.cafile,
        username=USER,
        password=PASSWORD,
        client_id="panel-1",
        tls=listener == "wss",
        websocket=True,
    )

    assert result.connected, result
    record = await broker.record(action_is("connect"))
    assert stopped_at(record) == ("session", "admitted")
    assert record["doorlog"]["listener"] == listener
    assert (record["mqtt"]["client_id"], record["user"]["name"]) == ("panel-1", USER)
    assert ("tls" in record) is (listener == "wss")
    ended = await broker.record(action_is("disconnect"))
    assert ended["event"]["code"] == "normal"
    assert ended["source"]["bytes"] > record["source"]["bytes"]


@each_listener
@each_client
async def test_a_wrong_password(client: Client, listener: str, broker: Running, pki: Pki) -> None:
    result = await usable(client).run(
        broker.target(listener),
        cafile=pki.cafile,
        username=USER,
        password="guess-1",
        client_id="panel-1",
        tls=listener == "wss",
        websocket=True,
    )

    assert not result.connected
    assert "bad user" in (result.refused_text or "").lower(), result
    record = await broker.record(action_is("connect"))
    assert stopped_at(record) == ("credentials", "bad_password")
    assert record["mqtt"]["connack"]["code"] == 4


@pytest.mark.parametrize(
    ("client", "said", "stopped"),
    [
        (Paho(), "CERTIFICATE_VERIFY_FAILED", ("handshake", "server_certificate_unknown_ca")),
        (MqttJs(), "unable to get local issuer certificate", ("handshake", "closed_after_server_certificate")),
    ],
    ids=repr,
)
async def test_an_untrusted_authority(
    client: Client, said: str, stopped: tuple[str, str], broker: Running, pki: Pki
) -> None:
    result = await usable(client).run(
        broker.target("wss"), cafile=pki.other_cafile, username=USER, password=PASSWORD, websocket=True
    )

    assert said in (result.refused_text or ""), result
    record = await broker.record(action_is("connect"))
    assert stopped_at(record) == stopped
    assert record["tls"]["client"]["ja4"].startswith("t13")


async def test_a_websocket_client_leaves_the_same_fields_as_any_other(broker: Running, pki: Pki) -> None:
    over_tls = await handshake_then(broker.target("tls"), "fin", data=login(), expect=4)
    over_wss = await handshake_then(broker.target("wss"), "fin", data=opening() + frame(login()), expect=200)
    records = [await broker.connect_of(seen) for seen in (over_tls, over_wss)]

    assert stopped_at(records[0]) == stopped_at(records[1]) == ("session", "admitted")
    assert fields(records[0]) == fields(records[1])


# Byte by byte.


def login(password: str = PASSWORD) -> bytes:
    return mqtt.connect("panel-1", user_name=USER, password=password)


def opening(origin: str | None = None, path: str = "/mqtt", protocol: str | None = "mqtt", **more: str) -> bytes:
    """The opening handshake of a client (RFC 6455, 4.1)."""
    headers = {
        "Host": "localhost",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Version": "13",
        **({"Origin": origin} if origin else {}),
        **({"Sec-WebSocket-Protocol": protocol} if protocol else {}),
        **more,
    }
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode()


def frame(data: bytes, *, opcode: int = 2, fin: bool = True) -> bytes:
    """A client's frame with a mask of zeros (RFC 6455, 5.2), for up to 65,535 bytes."""
    length = bytes((0x80 | len(data),)) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2)
    return bytes((fin << 7 | opcode,)) + length + bytes(4) + data


def fields(record: Record, prefix: str = "") -> set[str]:
    """The names of all fields."""
    names = set()
    for name, value in record.items():
        names |= fields(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}"}
    return names


async def speak(target: Target, *said: bytes) -> Seen:
    """Send pieces, each when something has come back for the one before, and read to the end."""
    async with open_wire(target) as wire:
        for piece in said:
            await wire.send(piece)
            await wire.receive()
        await wire.leave("fin")
        return wire.seen()


@pytest.mark.parametrize(
    ("origin", "admitted"),
    [
        (None, True),
        ("https://panel.example", True),
        ("http://localhost", True),
        ("https://evil.example", False),
        ("https://panel.example.evil.example", False),
        ("null", False),
    ],
)
async def test_the_origin_of_a_browser(origin: str | None, admitted: bool, broker: Running) -> None:
    seen = await speak(broker.target("ws"), opening(origin), frame(login()))

    record = await broker.connect_of(seen)
    assert (ACCEPTED in seen.received) is admitted
    if admitted:
        assert stopped_at(record) == ("session", "admitted")
        return
    assert seen.received.startswith(b"HTTP/1.1 403")
    assert stopped_at(record) == ("connect", "websocket_rejected")
    assert f'"{origin}"' in record["message"]


async def test_stock_amqtt_takes_any_origin() -> None:
    async with stock(ANYBODY, ws={"type": "ws"}) as amqtt, open_wire(amqtt.target("ws")) as wire:
        await wire.send(opening("https://evil.example"))
        await wire.receive()
        await wire.send(frame(login()))
        while ACCEPTED not in wire.received and await wire.receive():
            pass

    assert ACCEPTED in wire.received


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"HTTP/1.1 426"),
        (opening(protocol=None), b"HTTP/1.1 400"),
        (opening(protocol="chat"), b"HTTP/1.1 400"),
        (opening(**{"Sec-WebSocket-Version": "7"}), b"HTTP/1.1 400"),
        (opening(**{"Sec-WebSocket-Key": "short"}), b"HTTP/1.1 400"),
    ],
    ids=["a browser", "no subprotocol", "another subprotocol", "old version", "bad key"],
)
async def test_an_opening_that_is_refused(said: bytes, status: bytes, broker: Running) -> None:
    seen = await speak(broker.target("ws"), said)

    record = await broker.connect_of(seen)
    assert stopped_at(record) == ("connect", "websocket_rejected")
    assert record["event"]["reason"]
    assert seen.received.startswith(status)


@pytest.mark.parametrize(
    "said", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40), login()], ids=["TLS", "MQTT"]
)
async def test_what_is_no_http_at_all_is_known_by_its_first_bytes(
    said: bytes, tmp_path: Path, auth: dict[str, Any]
) -> None:
    listeners = {"ws": {"bind": FREE, "websocket": True}}
    async with running(tmp_path, listeners, auth=auth, limits={"attempt_timeout": 0.3}) as broker:
        seen = await speak(broker.target("ws"), said)
        record = await broker.connect_of(seen)

    assert stopped_at(record) == ("connect", "websocket_rejected")


async def test_a_connect_in_pieces(broker: Running) -> None:
    data = login()
    pieces = frame(data[:5], fin=False) + frame(b"", opcode=9) + frame(data[5:9], opcode=0) + frame(data[9:])
    seen = await speak(broker.target("ws"), opening(), pieces)

    assert ACCEPTED in seen.received
    assert stopped_at(await broker.connect_of(seen)) == ("session", "admitted")


@pytest.mark.parametrize(
    "said",
    [frame(login(), opcode=1), frame(b"\x03\xe8", opcode=8), b"\x82\x05hello", frame(b"", opcode=3), b"\xff\xff" * 50],
    ids=["text", "close", "not masked", "unknown opcode", "garbage"],
)
async def test_frames_that_are_no_mqtt(said: bytes, broker: Running) -> None:
    seen = await speak(broker.target("ws"), opening(), said)

    record = await broker.connect_of(seen)
    assert record["doorlog"]["stage"] == "connect"
    assert record["event"]["outcome"] == "failure"
    assert ACCEPTED not in seen.received


async def test_no_password_in_the_words_of_the_websocket_library(
    broker: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    data = login()
    half = len(data) // 2
    await speak(broker.target("ws"), opening(Cookie="session=cookie-21"), frame(data))
    await speak(broker.target("ws"), opening(), frame(data[:half], fin=False) + frame(data[half:], opcode=0))
    written = caplog.text + broker.log.path.read_text()

    assert PASSWORD not in written
    assert PASSWORD[-6:].encode().hex(" ") not in written
    assert "cookie-21" not in written
