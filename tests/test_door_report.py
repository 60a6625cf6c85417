"""From attempts to events: every field of the record that the door can know is filled, and nothing else is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

import support.packets as mqtt
from doorlog.door.authority import Judgement
from doorlog.door.connection import DoorConnection
from doorlog.door.report import authorize_event
from doorlog.events.codes import Action, Code, DisconnectCause, Stage
from doorlog.events.parts import UNKNOWN_DEVICE, VerdictPart
from doorlog.events.records import Event
from support.broker import tls
from support.clients.raw import Dial, ask, send_then
from support.clients.raw_tls import Offer, handshake_then, only
from support.doors import FREE, Scripted, open_door
from support.pki import Pki

PROXY = {"proxy_protocol": "required", "proxy_networks": ["127.0.0.0/8"]}
SET_BY_THE_LOG = {"message", "service", "event.sequence", "event.id", "device", "doorlog.device"}
"""By the log, by identity, and by the sentences: everything else is the door's."""


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


def filled(value: Any, path: str = "") -> Iterator[str]:
    """Yield the dotted path of each field that has a value."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from filled(inner, f"{path}.{key}" if path else key)
    elif value is not None:
        yield path


def paths(event: Event) -> set[str]:
    """Return the fields that the door filled; of the device it can only say that it does not know it."""
    assert event.doorlog.device in (None, UNKNOWN_DEVICE)
    return set(filled(event.model_dump(by_alias=True, exclude={"doorlog": {"device"}})))


ALWAYS = {
    "@timestamp",
    "ecs.version",
    "event.kind",
    "event.category",
    "event.type",
    "event.action",
    "event.outcome",
    "event.code",
    "event.duration",
    "source.ip",
    "source.port",
    "source.bytes",
    "destination.port",
    "destination.bytes",
    "doorlog.schema_version",
    "doorlog.stage",
    "doorlog.listener",
    "doorlog.connection_id",
}
X509 = {
    *(
        f"{who}.{what}"
        for who in ("subject", "issuer")
        for what in ("distinguished_name", "common_name", "organization")
    ),
    "serial_number",
    "not_before",
    "not_after",
    "public_key_algorithm",
    "signature_algorithm",
}
CLIENT_CERTIFICATE = {f"tls.client.x509.{path}" for path in X509} | {
    "tls.client.x509.alternative_names",
    "tls.client.hash.sha256",
}
TLS = {
    "tls.established",
    "tls.version",
    "tls.version_protocol",
    "tls.cipher",
    "tls.resumed",
    "tls.client.server_name",
    "tls.client.supported_ciphers",
    "tls.client.supported_versions",
    "tls.client.ja4",
    "tls.server.hash.sha256",
    "tls.server.generation",
    "tls.server.supported_versions",
    "tls.server.x509.alternative_names",
    *(f"tls.server.x509.{path}" for path in X509),
}
COMPLETED = {"tls.ticket", "tls.handshake_duration"}
"""Once the handshake is complete."""
ALPN = {"tls.next_protocol", "tls.client.alpn"}
ALERT = {"tls.alert.code", "tls.alert.description", "tls.alert.direction"}
MQTT = {
    "mqtt.client_id",
    "mqtt.protocol_version",
    "mqtt.keep_alive",
    "mqtt.clean_session",
    "mqtt.connack.code",
    "mqtt.connack.name",
    "user.name",
}
FLAGS = {"mqtt.protocol_version", "mqtt.keep_alive", "mqtt.clean_session"}
AUTH = {"doorlog.auth.method", "doorlog.auth.verdicts"}
BEHIND_PROXY = {
    f"doorlog.proxy.{what}" for what in ("ip", "port", "server_name", "tls_version", "client_name", "client_verified")
}


def judging(code: Code, reason: str | None = None) -> Scripted:
    async def judge(connection: DoorConnection) -> Judgement:
        verdicts = (VerdictPart(plugin="Passwords", verdict="deny", duration=5),)
        return Judgement(code, verdicts, "password", "anna", reason)

    return Scripted(judge)


async def test_an_admitted_device_behind_everything(pki: Pki) -> None:
    shown = pki.client_named("device-17", "pump-17.example.org")
    offer = Offer(certfile=shown.certfile, keyfile=shown.keyfile, alpn=("mqtt",))
    settings = tls(pki.server(), cafile=pki.cafile, client_certificate="required", alpn=["mqtt"])
    async with open_door(judging(Code.ADMITTED), {"lb": {"bind": FREE, "tls": settings, **PROXY}}) as opened:
        told = (mqtt.tlv(0x02, "pumps.example.org"), mqtt.ssl_tlv("pump-17"))
        dial = Dial(preamble=mqtt.proxy_v2("10.0.0.9", ports=(4711, 8883), tlvs=told))
        packet = mqtt.connect("pump-17", user_name="anna", password="secret", keep_alive=60)
        seen = await handshake_then(opened.target("lb"), "fin", offer, dial, data=packet, expect=4)
        connect, disconnect = await opened.connect(), await opened.disconnect()

    assert paths(connect) == ALWAYS | TLS | COMPLETED | ALPN | CLIENT_CERTIFICATE | MQTT | AUTH | BEHIND_PROXY
    assert (connect.source.ip, connect.source.port) == ("10.0.0.9", 4711)
    assert connect.doorlog.proxy is not None
    assert (connect.doorlog.proxy.ip, connect.doorlog.proxy.port) == seen.address
    assert connect.event.type == ("connection", "allowed")
    assert connect.event.category == ("network", "authentication")
    assert connect.doorlog.stage is Stage.SESSION
    assert connect.source.bytes is not None
    assert connect.source.bytes > len(dial.preamble)
    assert connect.timestamp.tzinfo is UTC

    left = {"tls.established", "tls.version", "tls.version_protocol", "tls.cipher"}
    said = {"mqtt.client_id", "mqtt.keep_alive", "user.name"}
    assert paths(disconnect) == ALWAYS | left | CLIENT_CERTIFICATE | said | BEHIND_PROXY
    assert disconnect.doorlog.connection_id == connect.doorlog.connection_id
    assert disconnect.doorlog.proxy == connect.doorlog.proxy
    assert disconnect.source.ip == "10.0.0.9"
    assert disconnect.event.code == DisconnectCause.CLOSED
    assert disconnect.source.bytes is not None
    assert disconnect.source.bytes >= connect.source.bytes
    assert disconnect.destination.bytes == len(seen.received)


async def test_a_refused_password(pki: Pki) -> None:
    async with open_door(judging(Code.BAD_PASSWORD, "Passwords refused the password")) as opened:
        seen = await ask(opened.target(), mqtt.connect("pump-17", user_name="anna", password="wrong"), expect=4)
        event = await opened.connect()
    assert paths(event) == ALWAYS | MQTT | AUTH | {"event.reason"}
    assert event.event.type == ("connection", "denied")
    assert event.mqtt is not None
    assert event.mqtt.connack is not None
    assert (event.mqtt.connack.code, event.mqtt.connack.name) == (4, "bad user name or password")
    assert event.destination.bytes == len(seen.received) == 4
    assert "wrong" not in event.model_dump_json()


async def test_a_device_that_refuses_us(pki: Pki) -> None:
    async with open_door(None, {"tls": {"bind": FREE, "tls": tls(pki.server())}}) as opened:
        await handshake_then(opened.target("tls"), "fin", only("1.3", Offer(cafile=pki.other_cafile)))
        event = await opened.connect()
    assert paths(event) == ALWAYS | TLS | ALERT
    assert event.event.category == ("network",)


@pytest.mark.parametrize(
    ("said", "facts"),
    [
        (b"", set()),
        (b"GET / HTTP/1.1\r\n", {"event.reason"}),
        (mqtt.connect_v5("pump-5", user_name="anna"), MQTT | {"event.reason"}),
        (mqtt.packet(0x10, b"\x00\x04MQTT\x04\x01\x00\x3c\x00\x00"), FLAGS | {"event.reason"}),
    ],
)
async def test_what_a_first_packet_got_to_say(said: bytes, facts: set[str]) -> None:
    async with open_door() as opened:
        await send_then(opened.target(), said, "fin")
        event = await opened.connect()
    assert paths(event) == ALWAYS | facts


async def test_hostile_texts_are_cut_and_escaped() -> None:
    name = "\u202egnp.tohs" + "x" * 3000
    async with open_door() as opened:
        packet = mqtt.connect(name, user_name="a" * 3000 + "\u2028", password="p")
        await ask(opened.target(), packet + mqtt.DISCONNECT, expect=4)
        events: list[Event] = [await opened.connect(), await opened.disconnect()]
    for event in events:
        text = event.model_dump_json()
        assert "\u202e" not in text
        assert "\u2028" not in text
        assert len(text) < 4000


@pytest.mark.parametrize("what", ["subscribe", "publish", "will"])
async def test_a_refused_topic(pki: Pki, what: str) -> None:
    events: list[Event] = []

    async def asks(connection: DoorConnection) -> None:
        events.append(authorize_event(connection, "secret/\n" + "x" * 2000, what, datetime.now(UTC)))

    shown = pki.client_named("device-17", "pump-17.example.org")
    offer = only("1.3", Offer(certfile=shown.certfile, keyfile=shown.keyfile))
    settings = tls(pki.server(), cafile=pki.cafile, client_certificate="required")
    packet = mqtt.connect("pump-17", user_name="anna", password="secret")
    async with open_door(Scripted(serve=asks), {"mtls": {"bind": FREE, "tls": settings}}) as opened:
        await handshake_then(opened.target("mtls"), "fin", offer, data=packet, expect=4)
        connect = await opened.connect()
    (event,) = events
    said = {"mqtt.client_id", "mqtt.topic", "user.name", "doorlog.authorize"}
    left = {"tls.established", "tls.version", "tls.version_protocol", "tls.cipher"}
    never = {"event.duration", "source.bytes", "destination.bytes"}
    assert paths(event) == (ALWAYS - never) | left | CLIENT_CERTIFICATE | said
    assert event.event.action is Action.AUTHORIZE
    assert event.event.code == f"{what}_refused"
    assert event.doorlog.connection_id == connect.doorlog.connection_id
    topic = event.model_dump()["mqtt"]["topic"]
    assert topic.startswith("secret/\\u000A")
    assert len(topic) == 1024


async def test_a_refused_will_is_named_in_the_connect_record() -> None:
    async with open_door(judging(Code.WILL_NOT_AUTHORIZED)) as opened:
        packet = mqtt.connect("pump-17", will=("secret/will", b"boom", 1, True))
        await ask(opened.target(), packet, expect=4)
        event = await opened.connect()
    assert event.mqtt is not None
    assert event.mqtt.topic == "secret/will"
