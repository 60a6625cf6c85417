"""What knocks at an open port: thirty-odd kinds of clients, most of them bad, each with one or more connections."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from bench import clients
from bench.clients import connect_packet
from bench.crowd import Crowd, reset
from bench.plugins import WRONG_PASSWORD

_CROWD = 30
_THREADS = 96
_UPGRADE = (
    b"GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n"
)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of client, and how many connections it makes."""

    act: Callable[[Crowd], None]
    connections: int = 1


# TCP


def _open_and_close(crowd: Crowd) -> None:
    with crowd.knock("tls"):
        pass


def _open_and_reset(crowd: Crowd) -> None:
    with crowd.knock("tls") as sock:
        reset(sock)


def _wait_for_the_deadline(crowd: Crowd) -> None:
    with crowd.knock("tls") as sock:
        clients.drain(sock)


def _crowd_at_once(crowd: Crowd) -> None:
    source = "127.77.77.77"
    socks = []
    with suppress(OSError):
        socks += [crowd.dial("plain", source) for _ in range(_CROWD)]
    for sock in socks:
        sock.close()


# TLS


def _garbage(crowd: Crowd) -> None:
    with crowd.knock("tls", crowd.junk(200)) as sock:
        clients.drain(sock)


def _plaintext_mqtt(crowd: Crowd) -> None:
    with crowd.knock("tls", connect_packet(crowd.name())) as sock:
        clients.drain(sock)


def _plaintext_http(crowd: Crowd) -> None:
    with crowd.knock("tls", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") as sock:
        clients.drain(sock)


def _half_hello(crowd: Crowd) -> None:
    with crowd.knock("tls", crowd.hello[: len(crowd.hello) // 2]):
        pass


def _half_hello_and_reset(crowd: Crowd) -> None:
    with crowd.knock("tls", crowd.hello[:7]) as sock:
        reset(sock)


def _damaged_hello(crowd: Crowd) -> None:
    with crowd.knock("tls", crowd.hello[:60] + b"\xff" * (len(crowd.hello) - 60)) as sock:
        clients.drain(sock)


def _hello_and_reset_at_once(crowd: Crowd) -> None:
    with crowd.knock("tls", crowd.hello) as sock:
        reset(sock)


def _reset_after_certificate(crowd: Crowd) -> None:
    with crowd.knock("tls", crowd.hello) as sock:
        sock.recv(65_536)
        reset(sock)


def _close_after_certificate(crowd: Crowd) -> None:
    with crowd.knock("tls", crowd.hello) as sock:
        sock.recv(65_536)


def _old_version(crowd: Crowd) -> None:
    with crowd.knock("tls", old_hello(crowd.junk(32))) as sock:
        clients.drain(sock)


def old_hello(nonce: bytes) -> bytes:
    """Build a ClientHello of TLS 1.1 (RFC 4346, 7.4.1.2)."""
    body = b"\x03\x02" + nonce + b"\x00" + b"\x00\x04\xc0\x14\x00\x2f" + b"\x01\x00"
    message = b"\x01" + len(body).to_bytes(3) + body
    return b"\x16\x03\x01" + len(message).to_bytes(2) + message


def _unknown_ca(crowd: Crowd) -> None:
    with crowd.tunnel(crowd.foreign):
        pass


def _unknown_ca_12(crowd: Crowd) -> None:
    with crowd.tunnel(crowd.foreign12):
        pass


# MQTT


def _no_connect(crowd: Crowd) -> None:
    with crowd.tunnel(crowd.trusting):
        pass


def _no_connect_until_the_deadline(crowd: Crowd) -> None:
    with crowd.tunnel(crowd.trusting12) as sock:
        clients.drain(sock)


def _malformed_connect(crowd: Crowd) -> None:
    packet = bytearray(connect_packet(crowd.name()))
    packet[9] |= 1  # the reserved flag (MQTT 3.1.1, 3.1.2-3)
    with crowd.tunnel(crowd.trusting, bytes(packet)) as sock:
        clients.drain(sock)


def _endless_connect(crowd: Crowd) -> None:
    with crowd.knock("plain", b"\x10\xff\xff\xff\x7f", crowd.junk(64)) as sock:
        clients.drain(sock)


def _no_mqtt(crowd: Crowd) -> None:
    with crowd.knock("plain", crowd.junk(100)) as sock:
        sock.shutdown(socket.SHUT_WR)
        clients.drain(sock)


def _half_connect_and_reset(crowd: Crowd) -> None:
    with crowd.knock("plain", connect_packet(crowd.name())[:9]) as sock:
        reset(sock)


def _wrong_password(crowd: Crowd) -> None:
    with crowd.knock("plain", connect_packet(crowd.name(), password=WRONG_PASSWORD)) as sock:
        clients.drain(sock)


def _wrong_password_and_reset(crowd: Crowd) -> None:
    with crowd.tunnel(crowd.trusting, connect_packet(crowd.name(), password=WRONG_PASSWORD)) as sock:
        reset(sock)


def _good_login(crowd: Crowd) -> None:
    with crowd.tunnel(crowd.trusting, connect_packet(crowd.name())) as sock:
        clients.receive(sock, 4)
        sock.sendall(clients.DISCONNECT)
        clients.drain(sock)


def _good_login_and_reset(crowd: Crowd) -> None:
    with crowd.knock("plain", connect_packet(crowd.name())) as sock:
        clients.receive(sock, 4)
        reset(sock)


# WebSocket and PROXY


def _websocket_junk(crowd: Crowd) -> None:
    with crowd.knock("ws", crowd.junk(120), b"\r\n\r\n") as sock:
        clients.drain(sock)


def _websocket_from_elsewhere(crowd: Crowd) -> None:
    with crowd.knock("ws", _UPGRADE + b"Origin: https://example.org\r\n\r\n") as sock:
        clients.drain(sock)


def _junk_in_websocket(crowd: Crowd) -> None:
    with crowd.knock("ws", _UPGRADE + b"\r\n") as sock:
        sock.recv(4096)
        sock.sendall(b"\x82\x85\x00\x00\x00\x00hello" + crowd.junk(40))
        clients.drain(sock)


def _mqtt_without_websocket(crowd: Crowd) -> None:
    with crowd.knock("ws", connect_packet(crowd.name())) as sock:
        sock.shutdown(socket.SHUT_WR)
        clients.drain(sock)


def _proxy_junk(crowd: Crowd) -> None:
    with crowd.knock("lb", b"PROXY TCP4 300.1.1.1 10.0.0.1 1 2\r\n") as sock:
        clients.drain(sock)


def _proxy_missing(crowd: Crowd) -> None:
    with crowd.knock("lb", connect_packet(crowd.name())) as sock:
        clients.drain(sock)


def _proxied_login(crowd: Crowd) -> None:
    header = b"PROXY TCP4 192.0.2.7 198.51.100.1 50123 1883\r\n"
    with crowd.knock("lb", header, connect_packet(crowd.name())) as sock:
        clients.receive(sock, 4)


KINDS: Sequence[Kind] = (
    *(Kind(act) for act in (_open_and_close, _open_and_reset, _wait_for_the_deadline)),
    Kind(_crowd_at_once, _CROWD),
    *(Kind(act) for act in (_garbage, _plaintext_mqtt, _plaintext_http, _half_hello, _half_hello_and_reset)),
    *(Kind(act) for act in (_damaged_hello, _hello_and_reset_at_once, _reset_after_certificate)),
    *(Kind(act) for act in (_close_after_certificate, _old_version, _unknown_ca, _unknown_ca_12)),
    *(Kind(act) for act in (_no_connect, _no_connect_until_the_deadline, _malformed_connect, _endless_connect)),
    *(Kind(act) for act in (_no_mqtt, _half_connect_and_reset, _wrong_password, _wrong_password_and_reset)),
    *(Kind(act) for act in (_good_login, _good_login_and_reset)),
    *(Kind(act) for act in (_websocket_junk, _websocket_from_elsewhere, _junk_in_websocket, _mqtt_without_websocket)),
    *(Kind(act) for act in (_proxy_junk, _proxy_missing, _proxied_login)),
)


def attack(crowd: Crowd, attempts: int) -> None:
    """Make so many connections, many at a time; kinds take turns in random order."""
    with ThreadPoolExecutor(_THREADS) as threads:
        list(threads.map(lambda kind: _act(kind, crowd), list(_turns(crowd, attempts))))


def _turns(crowd: Crowd, attempts: int) -> Iterator[Kind]:
    made = 0
    while made < attempts:
        for kind in crowd.random.sample(KINDS, len(KINDS)):
            if made < attempts:
                made += kind.connections
                yield kind


def _act(kind: Kind, crowd: Crowd) -> None:
    with suppress(OSError, RuntimeError):  # what the server does to it is the server's business
        kind.act(crowd)
