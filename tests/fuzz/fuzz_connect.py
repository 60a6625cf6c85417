"""Fuzz target: any bytes as CONNECT and as the packets behind it. ``python tests/fuzz/fuzz_connect.py -runs=20000``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable

from doorlog.door.connect_packet import ConnectDecoder
from doorlog.door.packet_stream import PacketStream
from doorlog.errors import ConnectError, PacketError

MAX_BYTES = 4096
PREFIXES = (b"", b"\0\4MQTT\4", b"\0\4MQTT\4\xce\0\x3c\0\1a", b"\0\4MQTT\5", b"\0\6MQIsdp\3")


def decode(pieces: list[bytes]) -> object:
    """What comes of the pieces: the Connect and the bytes behind it, the refusal, or None for "not yet"."""
    decoder = ConnectDecoder(MAX_BYTES)
    for index, piece in enumerate(pieces):
        try:
            connect = decoder.receive(piece)
        except ConnectError as error:
            return type(error), str(error), error.connect
        assert decoder.received <= MAX_BYTES + 5
        if connect is not None:
            behind = decoder.trailing + b"".join(pieces[index + 1 :])
            assert decoder.packet + behind == b"".join(pieces)
            return connect, behind
    return None


def watch(pieces: list[bytes]) -> object:
    """What a PacketStream tells of the pieces."""
    stream = PacketStream(MAX_BYTES)
    fault = None
    try:
        for piece in pieces:
            stream.feed(piece)
    except PacketError as error:
        fault = type(error), str(error)
    return stream.packets, stream.last_packet_type, stream.disconnect_seen, stream.at_boundary, fault


def framed(body: bytes) -> bytes:
    """The bytes as a CONNECT's, with a fixed header that tells their length."""
    body = body[:MAX_BYTES]
    return bytes((0x10, len(body) & 0x7F | 0x80, len(body) >> 7)) + body


def one_input(data: bytes) -> None:
    """Only documented errors, and the same result for one segment, two, and a byte at a time."""
    choice, rest = data[0] if data else 0, data[1:]
    same(watch, rest, choice)
    same(decode, rest, choice)
    same(decode, framed(PREFIXES[choice % len(PREFIXES)] + rest), choice)


def same(read: Callable[[list[bytes]], object], sent: bytes, choice: int) -> None:
    cut = choice % (len(sent) + 1)
    result = read([sent])
    assert read([sent[:cut], sent[cut:]]) == result, "two segments changed the result"
    assert read([bytes((byte,)) for byte in sent[:64]] + [sent[64:]]) == result, "single bytes changed the result"


def main() -> None:
    """Hand the arguments to libFuzzer, with the coverage of doorlog alone."""
    atheris = importlib.import_module("atheris")  # only there where fuzzing is done
    for name in [name for name in sys.modules if name.partition(".")[0] == "doorlog"]:
        del sys.modules[name]  # so that it is imported once more, this time with coverage
    with atheris.instrument_imports(include=["doorlog"]):
        target = importlib.import_module("fuzz_connect")
    atheris.Setup(sys.argv, target.one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
