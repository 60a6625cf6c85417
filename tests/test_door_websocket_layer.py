"""MQTT over WebSocket in memory: a real client's frames, and those of clients that break every rule."""

from __future__ import annotations

from collections import deque

import pytest
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

import support.packets as mqtt
from doorlog.door.websocket_layer import WebSocketLayer
from doorlog.errors import WebSocketRejected

CONNECT = mqtt.connect("pump-17")
EACH_SIZE = pytest.mark.parametrize("size", [1, 7, 1 << 20])
GOOD = {
    "Host": "broker.example.org:8083",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Protocol": "mqtt",
}


def request(first_line: str = "GET /mqtt HTTP/1.1", /, *more: tuple[str, str], **changes: str | None) -> bytes:
    """Return a request; a header is changed by its name with underscores, or left out with None."""
    headers = GOOD | {name.replace("_", "-"): value for name, value in changes.items()}
    lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    lines += [f"{name}: {value}" for name, value in more]
    return "\r\n".join([first_line, *lines, "", ""]).encode("latin-1")


def layer(*origins: str, max_bytes: int = 1 << 20, strange: int | None = 1 << 17) -> WebSocketLayer:
    return WebSocketLayer(origins, max_bytes, strange)


def opened(*origins: str, max_bytes: int = 1 << 20, strange: int | None = 1 << 17) -> WebSocketLayer:
    websocket = layer(*origins, max_bytes=max_bytes, strange=strange)
    assert websocket.receive(request()) == b""
    assert websocket.take_output().startswith(b"HTTP/1.1 101")
    return websocket


def frame(opcode: Opcode, data: bytes = b"", *, fin: bool = True, mask: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=mask)


def refused(websocket: WebSocketLayer, data: bytes, status: bytes, match: str) -> None:
    with pytest.raises(WebSocketRejected, match=match):
        websocket.receive(data)
    assert websocket.take_output().startswith(b"HTTP/1.1 " + status)
    assert not websocket.opened
    websocket.send(b"nobody hears this")
    websocket.close()
    assert websocket.take_output() == b""


# the opening handshake


@EACH_SIZE
def test_a_real_client_talks_to_us(size: int) -> None:
    client = ClientProtocol(parse_uri("ws://broker.example.org/mqtt"), subprotocols=[Subprotocol("mqtt")])
    client.send_request(client.connect())
    websocket = layer()

    def cross(data: bytes) -> bytes:
        heard = b"".join(websocket.receive(data[at : at + size]) for at in range(0, len(data), size))
        answer = websocket.take_output()
        if answer:
            client.receive_data(answer)
        return heard

    assert cross(b"".join(client.data_to_send())) == b""
    (response,) = client.events_received()
    assert isinstance(response, Response)
    assert response.headers["Sec-WebSocket-Protocol"] == "mqtt"
    assert websocket.opened

    client.send_binary(CONNECT)
    assert cross(b"".join(client.data_to_send())) == CONNECT
    websocket.send(b"\x20\x02\x00\x00")
    client.receive_data(websocket.take_output())
    (answer,) = client.events_received()
    assert isinstance(answer, Frame)
    assert (answer.opcode, bytes(answer.data)) == (Opcode.BINARY, b"\x20\x02\x00\x00")

    websocket.close()
    client.receive_data(websocket.take_output())
    assert client.close_rcvd is not None
    assert client.close_rcvd.code == 1000
    assert client.state is State.CLOSING
    assert websocket.closed


@EACH_SIZE
def test_what_is_no_websocket_gets_an_http_error(size: int) -> None:
    websocket = layer()
    data = b"GET / HTTP/1.1\r\nHost: broker\r\nUser-Agent: curl/8\r\nAccept: */*\r\n\r\n"
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    for piece in pieces[:-1]:
        assert websocket.receive(piece) == b""
    refused(websocket, pieces[-1], b"426", "plain HTTP")


@pytest.mark.parametrize(
    "data",
    [
        b"\x00" + bytes(20) + b"\r\n\r\n",
        b"POST /mqtt HTTP/1.1\r\n",
        b"GET /mqtt HTTP/1.0\r\n",
        b"GET\r\n",
        b"GET /mqtt HTTP/1.1\nHost: no carriage return\n",
        request(Content_Length="5"),
        request(Transfer_Encoding="chunked"),
        request("GET /mqtt HTTP/1.1", ("Bad header", "x")),
    ],
)
def test_what_is_no_request_is_refused(data: bytes) -> None:
    websocket = layer()
    with pytest.raises(WebSocketRejected, match="does not begin with a WebSocket handshake"):
        websocket.receive(data)
    assert websocket.take_output() == b""


@pytest.mark.parametrize(
    ("data", "what"),
    [(CONNECT, "speaks MQTT without WebSocket"), (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "speaks TLS")],
    ids=["MQTT", "TLS"],
)
@pytest.mark.parametrize("size", [1, 100], ids=["byte by byte", "at once"])
def test_another_protocol_is_known_by_its_first_byte(data: bytes, what: str, size: int) -> None:
    with pytest.raises(WebSocketRejected, match=what):
        layer().receive(data[:size])


def test_a_method_that_turns_out_to_be_another() -> None:
    websocket = layer()
    assert websocket.receive(b"GE") == b""
    with pytest.raises(WebSocketRejected, match="does not begin with a WebSocket handshake"):
        websocket.receive(b"NERATE / HTTP/1.1")


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({"Sec_WebSocket_Protocol": None}, b"400", "does not offer the subprotocol"),
        ({"Sec_WebSocket_Protocol": "chat, mqttv3.1"}, b"400", "does not offer the subprotocol"),
        ({"Upgrade": None}, b"426", "plain HTTP"),
        ({"Connection": "close"}, b"426", "plain HTTP"),
        ({"Sec_WebSocket_Key": None}, b"400", "breaks RFC 6455"),
        ({"Sec_WebSocket_Key": "short"}, b"400", "breaks RFC 6455"),
        ({"Sec_WebSocket_Version": "8"}, b"400", "breaks RFC 6455"),
    ],
)
def test_a_handshake_that_breaks_the_rules(changes: dict[str, str | None], status: bytes, reason: str) -> None:
    refused(layer(), request("GET / HTTP/1.1", **changes), status, reason)


def test_one_subprotocol_among_others() -> None:
    websocket = layer()
    websocket.receive(request(Sec_WebSocket_Protocol="mqttv3.1, mqtt"))
    assert b"Sec-WebSocket-Protocol: mqtt\r\n" in websocket.take_output()


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://broker.example.org:8083", ()),  # the page comes from the same host and port
        ("https://broker.example.org:8083", ()),
        ("https://shop.example.org", ("https://shop.example.org",)),
        ("https://anywhere.example", ("*",)),
        ("null", ("*",)),
    ],
)
def test_origins_that_are_let_in(origin: str, allowed: tuple[str, ...]) -> None:
    websocket = layer(*allowed)
    websocket.receive(request(Origin=origin))
    assert websocket.opened


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://broker.example.org",  # another port
        "http://broker.example.org:8083.evil.example",
        "http://broker.example.org:8083/",
        "null",
        "",
        "http://[::1",  # no URL at all
        "http://evil@broker.example.org:8083",
        "file://broker.example.org:8083",
    ],
)
def test_origins_that_are_kept_out(origin: str) -> None:
    refused(layer("https://shop.example.org"), request(Origin=origin), b"403", "is not among the origins")


def test_two_origins_are_one_too_many() -> None:
    twice = request("GET / HTTP/1.1", ("Origin", "http://broker.example.org:8083"), ("Origin", "https://evil.example"))
    refused(layer(), twice, b"403", "is not among the origins")


def test_two_hosts_are_nobodys_own() -> None:
    twice = request("GET / HTTP/1.1", ("Host", "evil.example"), ("Origin", "http://broker.example.org:8083"))
    refused(layer(), twice, b"403", "is not among the origins")


def test_a_hostile_origin_can_not_forge_a_line() -> None:
    with pytest.raises(WebSocketRejected) as refusal:
        layer().receive(request(Origin="https://evil\x85.example" + "x" * 500))
    assert str(refusal.value).isprintable()
    assert len(str(refusal.value)) < 200


@pytest.mark.parametrize("size", [100, 1 << 20])
def test_an_endless_request_is_bounded(size: int) -> None:
    websocket = layer()
    endless = request()[:-2] + b"".join(b"X-%d: %s\r\n" % (n, b"y" * 1000) for n in range(1000))
    pieces = (endless[at : at + size] for at in range(0, len(endless), size))
    with pytest.raises(WebSocketRejected, match="longer than 16384 bytes"):
        deque(map(websocket.receive, pieces))
    assert len(websocket._protocol.reader.buffer) <= 16_384
    assert websocket.take_output().startswith(b"HTTP/1.1 431")


@EACH_SIZE
@pytest.mark.parametrize(
    "behind",
    [frame(Opcode.PING, b"hurry"), frame(Opcode.CLOSE, b"\x03\xe8"), frame(Opcode.TEXT, b"hi"), b"\xff" * 10],
    ids=["ping", "close", "text", "nonsense"],
)
@pytest.mark.parametrize("origin", ["http://broker.example.org:8083", "https://evil.example"])
def test_frames_behind_the_request_are_answered_behind_it(origin: str, behind: bytes, size: int) -> None:
    websocket = layer()
    data = request(Origin=origin) + behind
    answer = b""
    rejected = False
    for at in range(0, len(data), size):
        if not rejected:
            try:
                websocket.receive(data[at : at + size])
            except WebSocketRejected:
                rejected = True
        answer += websocket.take_output()
    assert answer.startswith(b"HTTP/1.1 403" if rejected else b"HTTP/1.1 101")
    assert rejected == ("evil" in origin)


# frames


@EACH_SIZE
def test_packets_and_frames_need_not_match(size: int) -> None:
    """MQTT 3.1.1, 6.0.0-2: a packet may be spread over frames, and a frame may hold several."""
    websocket = opened()
    data = frame(Opcode.BINARY, CONNECT[:5], fin=False)
    data += frame(Opcode.PING, b"in between")
    data += frame(Opcode.CONT, CONNECT[5:], fin=False) + frame(Opcode.CONT, b"")
    data += frame(Opcode.BINARY, mqtt.PINGREQ + mqtt.PINGREQ) + frame(Opcode.BINARY, b"")
    heard = b"".join(websocket.receive(data[at : at + size]) for at in range(0, len(data), size))
    assert heard == CONNECT + mqtt.PINGREQ * 2
    assert websocket.take_output() == frame(Opcode.PONG, b"in between", mask=False)
    assert websocket.fault is None


@EACH_SIZE
def test_a_text_frame_is_refused(size: int) -> None:
    websocket = opened()
    data = frame(Opcode.BINARY, b"good") + frame(Opcode.TEXT, b"bad", fin=False)
    data += frame(Opcode.CONT, b"worse") + frame(Opcode.BINARY, b"never")
    heard = b"".join(websocket.receive(data[at : at + size]) for at in range(0, len(data), size))
    assert heard == b"good"
    assert websocket.fault is not None
    assert "binary" in websocket.fault
    assert websocket.closed
    output = websocket.take_output()
    assert output[:4] == b"\x88" + bytes((len(output) - 2,)) + (1003).to_bytes(2, "big")


@pytest.mark.parametrize(
    ("bad", "close_code"),
    [
        (frame(Opcode.BINARY, b"not masked", mask=False), 1002),
        (b"\xf2\x80" + bytes(4), 1002),  # reserved bits
        (b"\x83\x80" + bytes(4), 1002),  # reserved opcode
        (frame(Opcode.CONT, b"of nothing"), 1002),
        (frame(Opcode.BINARY, b"begun", fin=False) + frame(Opcode.BINARY, b"and begun"), 1002),
        (b"\x89\xfe\x00\x7e" + bytes(4 + 126), 1002),  # a ping that is too long
        (b"\x82\xff" + (1 << 40).to_bytes(8, "big"), 1009),
    ],
    ids=["unmasked", "reserved-bits", "reserved-opcode", "continues-nothing", "begun-twice", "long-ping", "too-large"],
)
def test_a_frame_that_breaks_the_rules(bad: bytes, close_code: int) -> None:
    websocket = opened()
    assert websocket.receive(frame(Opcode.BINARY, b"good") + bad).startswith(b"good")
    assert websocket.fault is not None
    assert websocket.fault.isprintable()
    assert websocket.closed
    output = websocket.take_output()
    assert output[0] == 0x88
    assert int.from_bytes(output[2:4], "big") == close_code
    assert websocket.receive(frame(Opcode.BINARY, b"more")) == b""
    assert websocket.take_output() == b""


def test_a_goodbye_is_returned_and_ends_it() -> None:
    websocket = opened()
    goodbye = frame(Opcode.CLOSE, (1001).to_bytes(2, "big") + b"tab closed")
    assert websocket.receive(frame(Opcode.BINARY, b"last") + goodbye + frame(Opcode.BINARY, b"late")) == b"last"
    assert websocket.closed
    assert websocket.fault is None
    assert websocket.take_output() == frame(Opcode.CLOSE, (1001).to_bytes(2, "big") + b"tab closed", mask=False)
    websocket.send(b"nobody hears this")
    websocket.close()
    assert websocket.take_output() == b""


def test_a_stranger_may_not_have_a_large_message_held() -> None:
    websocket = opened(strange=1000)
    large = frame(Opcode.BINARY, bytes(5000))
    for at in range(0, 900, 100):
        websocket.receive(large[at : at + 100])
    assert websocket.fault is None
    websocket.receive(large[900:1100])
    assert websocket.fault == "a WebSocket frame is larger than 1000 bytes"
    assert websocket.receive(large[1100:]) == b""
    assert websocket.closed


def test_many_small_frames_are_no_large_one() -> None:
    websocket = opened(strange=1000)
    heard = b"".join(websocket.receive(frame(Opcode.BINARY, bytes(100))) for _ in range(100))
    assert len(heard) == 10_000
    assert websocket.fault is None


def test_an_admitted_device_may_send_large_messages() -> None:
    websocket = opened(max_bytes=10_000, strange=1000)
    websocket.trust()
    large = frame(Opcode.BINARY, bytes(10_000))
    assert websocket.receive(large[:5000]) == b""
    assert websocket.receive(large[5000:]) == bytes(10_000)
    websocket.receive(frame(Opcode.BINARY, bytes(10_001)))
    assert websocket.fault is not None


def test_fragments_do_not_add_up_to_more_than_the_bound() -> None:
    websocket = opened(max_bytes=10_000)
    websocket.receive(frame(Opcode.BINARY, bytes(6000), fin=False))
    websocket.receive(frame(Opcode.CONT, bytes(6000), fin=False))
    assert websocket.fault is not None
