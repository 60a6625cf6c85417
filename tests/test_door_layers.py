"""TLS and WebSocket on top of each other, both or neither."""

from __future__ import annotations

import pytest
from websockets.frames import Frame, Opcode

from doorlog.door.layers import Layers
from doorlog.door.tls_engine import TlsEngine
from doorlog.door.websocket_layer import WebSocketLayer
from doorlog.errors import WebSocketRejected
from support.clients.raw_tls import Offer, only
from support.memory_tls import MemoryDevice, served
from support.pki import Pki

UPGRADE = (
    b"GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


def binary(data: bytes) -> bytes:
    return Frame(Opcode.BINARY, data).serialize(mask=True)


def shake_hands(layers: Layers, device: MemoryDevice) -> None:
    for _ in range(4):
        layers.receive(device.answer(layers.take_output()))


def test_neither() -> None:
    layers = Layers(None, None)
    assert layers.receive(b"in") == b"in"
    layers.send(b"out")
    layers.close()
    layers.trust()
    assert layers.take_output() == b"out"
    assert layers.take_output() == b""
    assert (layers.closed, layers.failed, layers.fault) == (False, False, None)


def test_tls_alone(pki: Pki) -> None:
    chain = served(pki.server())
    layers = Layers(TlsEngine(lambda _hello: chain), None)
    device = MemoryDevice(only("1.3", Offer(cafile=pki.cafile)))
    shake_hands(layers, device)
    assert layers.receive(device.say(b"in")) == b"in"
    layers.send(b"out")
    device.answer(layers.take_output())
    assert device.plaintext == b"out"
    layers.receive(device.goodbye())
    assert layers.closed
    assert not layers.failed


def test_websocket_alone() -> None:
    layers = Layers(None, WebSocketLayer((), 1000, 100))
    assert layers.receive(UPGRADE + binary(b"in")) == b"in"
    assert layers.take_output().startswith(b"HTTP/1.1 101")
    layers.send(b"out")
    assert layers.take_output() == b"\x82\x03out"
    layers.trust()
    assert layers.receive(binary(bytes(1000))) == bytes(1000)
    layers.receive(Frame(Opcode.TEXT, b"text").serialize(mask=True))
    assert layers.fault is not None
    assert layers.closed


def test_both(pki: Pki) -> None:
    chain = served(pki.server())
    layers = Layers(TlsEngine(lambda _hello: chain), WebSocketLayer((), 1000, 100))
    device = MemoryDevice(only("1.3"))
    shake_hands(layers, device)
    layers.receive(device.say(UPGRADE))
    device.answer(layers.take_output())
    assert device.plaintext.startswith(b"HTTP/1.1 101")
    device.plaintext = b""
    assert layers.receive(device.say(binary(b"in"))) == b"in"
    layers.send(b"out")
    layers.close()
    device.answer(layers.take_output())
    assert device.plaintext == b"\x82\x03out\x88\x02\x03\xe8", "goodbye on each layer, the uppermost first"
    assert device.ended


def test_a_refused_websocket_is_answered_through_tls(pki: Pki) -> None:
    chain = served(pki.server())
    layers = Layers(TlsEngine(lambda _hello: chain), WebSocketLayer((), 1000, 100))
    device = MemoryDevice(only("1.3"))
    shake_hands(layers, device)
    with pytest.raises(WebSocketRejected):
        layers.receive(device.say(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
    device.answer(layers.take_output())
    assert device.plaintext.startswith(b"HTTP/1.1 426")


def test_broken_tls(pki: Pki) -> None:
    chain = served(pki.server())
    layers = Layers(TlsEngine(lambda _hello: chain), WebSocketLayer((), 1000, 100))
    assert layers.receive(b"GET / HTTP/1.1\r\n\r\n") == b""
    assert layers.failed
    layers.send(b"nothing")
    layers.close()
    assert layers.take_output() == b""
