"""Attempts without any socket: what came, what goes back, and the verdict."""

from __future__ import annotations

from typing import Any

import pytest
from websockets.frames import Frame, Opcode

import support.packets as mqtt
from doorlog.door.attempt import CONNACK_OF, Attempt, ListenerRules
from doorlog.door.classify import Ending
from doorlog.door.connect_packet import CONNACK_NAMES
from doorlog.events.codes import STAGE_OF, Code, Stage
from doorlog.events.parts import ProxyPart
from support.clients.raw_tls import Offer, client_hello, only
from support.doors import listener_rules
from support.memory_tls import MemoryDevice, pieces, served
from support.pki import Pki

SOURCE = ("192.0.2.7", 50123)
CONNECT = mqtt.connect("pump-17", user_name="anna", password="secret")
BEHIND_PROXY = {"proxy_protocol": "required", "proxy_networks": ["192.0.2.0/24"]}
UPGRADE = (
    b"GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
)
each_size = pytest.mark.parametrize("size", [1, 3, 1 << 20])


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def tls(pki: Pki) -> ListenerRules:
    return listener_rules(chain=served(pki.server()))


def attempt(listener: dict[str, Any] | None = None, source: tuple[str, int] = SOURCE, **limits: Any) -> Attempt:
    return Attempt(listener_rules(listener, **limits), source)


def verdict(attempt: Attempt) -> tuple[Stage, Code | None]:
    return attempt.phase, attempt.code


def binary(data: bytes) -> bytes:
    return Frame(Opcode.BINARY, data).serialize(mask=True)


# MQTT in the clear


@each_size
def test_a_connect_waits_for_its_verdict(size: int) -> None:
    device = attempt()
    for piece in pieces(CONNECT + mqtt.PINGREQ, size):
        device.receive(piece)
    assert verdict(device) == (Stage.CREDENTIALS, None)
    assert device.connect is not None
    assert (device.connect.client_id, device.connect.user_name) == ("pump-17", "anna")
    assert bytes(device.early) == mqtt.PINGREQ
    assert device.bytes_received == len(CONNECT) + 2
    assert device.take_output() == b""


@pytest.mark.parametrize(("code", "answer"), CONNACK_OF.items(), ids=str)
def test_each_verdict_has_its_connack(code: Code, answer: int) -> None:
    device = attempt()
    device.receive(CONNECT)
    device.conclude(code, "because")
    assert device.take_output() == (bytes((0x20, 2, 0, answer)) if answer else b"")
    assert (device.code, device.reason) == (code, "because")
    assert device.connack == (answer or None)
    assert answer in CONNACK_NAMES
    device.conclude(Code.INTERNAL_ERROR)
    assert device.code is code, "the first verdict counts"


def test_every_code_of_the_credentials_stage_has_a_connack() -> None:
    assert {code for code, stage in STAGE_OF.items() if stage is Stage.CREDENTIALS} < set(CONNACK_OF)


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        (Ending.FIN, Code.CLOSED_BEFORE_CONNECT),
        (Ending.RESET, Code.CLOSED_BEFORE_CONNECT),
        (Ending.TIMEOUT, Code.CONNECT_TIMEOUT),
    ],
)
@pytest.mark.parametrize("said", [b"", CONNECT[:9]])
def test_an_end_before_connect(said: bytes, ending: Ending, code: Code) -> None:
    device = attempt()
    device.receive(said)
    device.end(ending)
    assert verdict(device) == (Stage.CONNECT, code)
    device.receive(CONNECT)
    assert device.connect is None, "what comes too late is not looked at"


@pytest.mark.parametrize("ending", Ending)
def test_an_end_while_it_is_judged_waits_for_the_verdict(ending: Ending) -> None:
    device = attempt()
    device.receive(CONNECT)
    device.end(ending)
    assert device.code is None


def test_what_a_refused_connect_said_is_kept() -> None:
    device = attempt()
    device.receive(mqtt.connect_v5("pump-5", user_name="anna"))
    assert verdict(device) == (Stage.CONNECT, Code.UNSUPPORTED_PROTOCOL_VERSION)
    assert device.connect_facts is not None
    assert device.connect_facts.client_id == "pump-5"
    assert device.take_output() == b"\x20\x03\x00\x84\x00"
    assert device.reason


@pytest.mark.parametrize("code", [Code.SERVER_SHUTDOWN, Code.INTERNAL_ERROR])
def test_what_is_not_the_devices_fault_stays_where_the_attempt_was(code: Code) -> None:
    early, late = attempt(), attempt()
    early.receive(CONNECT[:5])
    late.receive(CONNECT)
    for device in (early, late):
        device.conclude(code)
    assert verdict(early) == (Stage.CONNECT, code)
    assert verdict(late) == (Stage.CREDENTIALS, code)
    assert (early.take_output(), early.connack) == (b"", None), "no answer to what was not asked yet"
    assert (late.take_output(), late.connack) == (b"\x20\x02\x00\x03", 3), "server unavailable: come back later"


# limits


def test_a_blocked_source() -> None:
    device = attempt({"blocked_networks": ["192.0.2.0/24"]})
    assert verdict(device) == (Stage.ACCEPT, Code.SOURCE_BLOCKED)


def test_a_crowded_source() -> None:
    rules = listener_rules(attempts_per_source=1)
    first, second = Attempt(rules, ("2001:db8::1", 1)), Attempt(rules, ("2001:db8::2", 2))
    assert first.code is None
    assert verdict(second) == (Stage.ACCEPT, Code.TOO_MANY_CONNECTIONS)
    assert second.reason
    assert "more than 1 connection" in second.reason
    second.release()
    first.release()
    first.release()
    assert Attempt(rules, ("2001:db8::3", 3)).code is None


# behind a load balancer


@each_size
@pytest.mark.parametrize("header", [mqtt.proxy_v1("10.0.0.9"), mqtt.proxy_v2("10.0.0.9")])
def test_a_device_behind_a_load_balancer(header: bytes, size: int) -> None:
    device = attempt(BEHIND_PROXY)
    for piece in pieces(header + CONNECT, size):
        device.receive(piece)
    assert verdict(device) == (Stage.CREDENTIALS, None)
    assert device.source == ("10.0.0.9", 50123)
    assert device.proxy == ProxyPart(ip=SOURCE[0], port=SOURCE[1])


def test_the_load_balancers_own_health_check() -> None:
    device = attempt(BEHIND_PROXY)
    device.receive(mqtt.proxy_v2_block(0x20, 0))
    device.end(Ending.FIN)
    assert verdict(device) == (Stage.CONNECT, Code.CLOSED_BEFORE_CONNECT)
    assert (device.source, device.proxy) == (SOURCE, ProxyPart(ip=SOURCE[0], port=SOURCE[1]))


def test_limits_and_blocks_are_for_the_device_and_not_for_its_proxy() -> None:
    rules = listener_rules({**BEHIND_PROXY, "blocked_networks": ["10.0.0.66/32"]}, attempts_per_source=1)

    def behind(ip: str) -> Code | None:
        device = Attempt(rules, SOURCE)
        device.receive(mqtt.proxy_v1(ip))
        return device.code

    assert behind("10.0.0.9") is None
    assert behind("10.0.0.10") is None
    assert behind("10.0.0.9") is Code.TOO_MANY_CONNECTIONS
    assert behind("10.0.0.66") is Code.SOURCE_BLOCKED


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"", Code.PROXY_HEADER_MISSING),
        (b"PROXY TCP4 10.", Code.PROXY_HEADER_MISSING),
        (CONNECT, Code.PROXY_HEADER_MISSING),
        (b"PROXY TCP4 here there 1 2\r\n", Code.PROXY_HEADER_INVALID),
    ],
)
def test_no_proxy_header(said: bytes, code: Code) -> None:
    device = attempt(BEHIND_PROXY)
    device.receive(said)
    device.end(Ending.TIMEOUT)
    assert verdict(device) == (Stage.PROXY, code)
    assert device.source == SOURCE
    assert device.reason


def test_a_proxy_that_nobody_trusts() -> None:
    device = attempt(BEHIND_PROXY, ("198.51.100.1", 1))
    device.receive(mqtt.proxy_v1("10.0.0.9"))
    assert verdict(device) == (Stage.PROXY, Code.PROXY_UNTRUSTED_SOURCE)
    assert device.source == ("198.51.100.1", 1)


# TLS


@each_size
def test_a_device_behind_tls(tls: ListenerRules, pki: Pki, size: int) -> None:
    device, client = Attempt(tls, SOURCE), MemoryDevice(only("1.3", Offer(cafile=pki.cafile)))
    assert verdict(device) == (Stage.HELLO, None)
    for piece in pieces(client.answer(), size):
        device.receive(piece)
    assert verdict(device) == (Stage.HANDSHAKE, None)
    for piece in pieces(client.answer(device.take_output()) + client.say(CONNECT + mqtt.PINGREQ), size):
        device.receive(piece)
    assert verdict(device) == (Stage.CREDENTIALS, None)
    assert bytes(device.early) == mqtt.PINGREQ
    device.conclude(Code.BAD_PASSWORD)
    device.say_goodbye()
    client.answer(device.take_output())
    assert client.plaintext == b"\x20\x02\x00\x04"
    assert client.ended


@pytest.mark.parametrize(
    ("ending", "code"), [(Ending.FIN, Code.CLOSED_BEFORE_HELLO), (Ending.TIMEOUT, Code.HELLO_TIMEOUT)]
)
@pytest.mark.parametrize("share", [0, 0.5])
def test_an_end_before_the_hello(tls: ListenerRules, share: float, ending: Ending, code: Code) -> None:
    device = Attempt(tls, SOURCE)
    hello = client_hello()
    device.receive(hello[: int(len(hello) * share)])
    device.end(ending)
    assert verdict(device) == (Stage.HELLO, code)


def test_a_device_that_refuses_us(tls: ListenerRules, pki: Pki) -> None:
    device, client = Attempt(tls, SOURCE), MemoryDevice(only("1.3", Offer(cafile=pki.other_cafile)))
    device.receive(client.answer())
    device.receive(client.answer(device.take_output()))
    assert verdict(device) == (Stage.HANDSHAKE, Code.SERVER_CERTIFICATE_UNKNOWN_CA)


@pytest.mark.parametrize("size", [1_000, 20])
def test_a_device_that_forgot_tls_wrote_its_name_all_the_same(tls: ListenerRules, size: int) -> None:
    plain = Attempt(tls, SOURCE)
    plain.receive(CONNECT[:size])

    assert verdict(plain) == (Stage.HELLO, Code.PLAINTEXT_MQTT)
    assert plain.connect is None
    assert plain.connect_facts is not None
    assert plain.connect_facts.client_id == ("pump-17" if size > len(CONNECT) else None)
    assert plain.take_output() == b"", "it could not be sure whose answer that is"


def test_the_first_byte_of_a_connect_may_come_alone(tls: ListenerRules) -> None:
    plain = Attempt(tls, SOURCE)
    plain.receive(CONNECT[:1])
    plain.receive(CONNECT[1:])

    assert plain.connect_facts is not None
    assert plain.connect_facts.client_id == "pump-17"


@pytest.mark.parametrize("ending", Ending)
def test_a_connect_that_ends_with_its_first_byte_names_nobody(tls: ListenerRules, ending: Ending) -> None:
    plain = Attempt(tls, SOURCE)
    plain.receive(CONNECT[:1])
    plain.end(ending)

    assert plain.code is not None
    assert plain.connect_facts is None


def test_close_notify_before_connect(tls: ListenerRules) -> None:
    device, client = Attempt(tls, SOURCE), MemoryDevice(only("1.3"))
    device.receive(client.answer())
    device.receive(client.answer(device.take_output()) + client.goodbye())
    assert verdict(device) == (Stage.CONNECT, Code.CLOSED_BEFORE_CONNECT)


def test_close_notify_and_garbage_while_it_is_judged_wait_for_the_verdict(tls: ListenerRules) -> None:
    for last_words in (lambda client: client.goodbye(), lambda _client: b"\x17\x03\x03\x00\x20" + bytes(32)):
        device, client = Attempt(tls, SOURCE), MemoryDevice(only("1.3"))
        device.receive(client.answer())
        device.receive(client.answer(device.take_output()) + client.say(CONNECT))
        device.receive(last_words(client))
        assert verdict(device) == (Stage.CREDENTIALS, None)


@each_size
@pytest.mark.parametrize("first", [b"\x16\x03\x01\x40\x00\x01\xff\xff\xff", b"\x16\x03\x01\x40\x00\x01\x00\xff\xff"])
def test_a_hello_without_end(tls: ListenerRules, first: bytes, size: int) -> None:
    device = Attempt(tls, SOURCE)
    endless = first + bytes(0x4000 - 4) + (b"\x16\x03\x01\x40\x00" + bytes(0x4000)) * 5
    for piece in pieces(endless, size * 50):
        device.receive(piece)
    assert verdict(device) == (Stage.HELLO, Code.MALFORMED_HELLO)
    assert device.bytes_received < 2 * 65_536


# WebSocket


@each_size
def test_a_device_behind_a_websocket(size: int) -> None:
    device = attempt({"websocket": True})
    for piece in pieces(UPGRADE + binary(CONNECT) + binary(mqtt.PINGREQ), size):
        device.receive(piece)
    assert verdict(device) == (Stage.CREDENTIALS, None)
    assert bytes(device.early) == mqtt.PINGREQ
    assert device.take_output().startswith(b"HTTP/1.1 101")
    device.conclude(Code.BAD_PASSWORD)
    device.say_goodbye()
    assert device.take_output() == b"\x82\x04\x20\x02\x00\x04\x88\x02\x03\xe8"


@pytest.mark.parametrize(
    "said",
    [b"GET / HTTP/1.1\r\n\r\n", CONNECT + b"\r\n", UPGRADE + Frame(Opcode.TEXT, b"hi").serialize(mask=True)],
    ids=["curl", "MQTT in the clear", "text frame"],
)
def test_a_websocket_that_is_refused(said: bytes) -> None:
    device = attempt({"websocket": True})
    device.receive(said)
    assert verdict(device) == (Stage.CONNECT, Code.WEBSOCKET_REJECTED)
    assert device.reason


def test_a_websocket_that_is_closed_before_connect() -> None:
    device = attempt({"websocket": True})
    device.receive(UPGRADE + Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=True))
    assert verdict(device) == (Stage.CONNECT, Code.CLOSED_BEFORE_CONNECT)


def test_a_text_frame_while_it_is_judged_waits_for_the_verdict() -> None:
    device = attempt({"websocket": True})
    device.receive(UPGRADE + binary(CONNECT))
    device.receive(Frame(Opcode.TEXT, b"hi").serialize(mask=True))
    assert verdict(device) == (Stage.CREDENTIALS, None)
    assert device.layers is not None
    assert device.layers.fault


def test_a_stranger_may_not_have_a_large_message_held() -> None:
    device = attempt({"websocket": True}, connect_max_bytes=1000)
    device.receive(UPGRADE + b"\x82\xff" + (900_000).to_bytes(8, "big") + bytes(4))
    for _ in range(70):
        device.receive(bytes(1000))
    assert verdict(device) == (Stage.CONNECT, Code.WEBSOCKET_REJECTED)
