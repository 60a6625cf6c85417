"""Fuzz target: any bytes as a PROXY protocol header. ``python tests/fuzz/fuzz_proxy.py -runs=20000``."""

from __future__ import annotations

import importlib
import sys
from ipaddress import ip_address

from doorlog.door.proxy_header import ProxyHeader, ProxyHeaderDecoder
from doorlog.errors import ProxyHeaderError

MAX_BYTES = 536
PREFIXES = (b"", b"PROXY ", b"PROXY TCP4 192.0.2.7 ", b"PROXY TCP6 2001:db8::7 ", b"\r\n\r\n\0\r\nQUIT\n")
ADDRESSES = bytes(12)


def decode(pieces: list[bytes]) -> object:
    """What comes of the pieces: the header and the bytes behind it, the refusal, or None for "not yet"."""
    decoder = ProxyHeaderDecoder(MAX_BYTES)
    for index, piece in enumerate(pieces):
        try:
            header = decoder.receive(piece)
        except ProxyHeaderError as error:
            return type(error), str(error)
        assert decoder.received <= MAX_BYTES
        if header is not None:
            check(header)
            return header, decoder.trailing + b"".join(pieces[index + 1 :])
    return None


def check(header: ProxyHeader) -> None:
    """Addresses are addresses in their one way of writing, and no text could forge a line."""
    for ip, port in ((header.source_ip, header.source_port), (header.destination_ip, header.destination_port)):
        assert (ip is None) == header.local == (port is None)
        if ip is not None and port is not None:
            assert str(ip_address(ip)) == ip
            assert 0 <= port <= 65535
    texts = [header.authority, header.unique_id]
    if header.ssl is not None:
        texts += [header.ssl.version, header.ssl.cipher, header.ssl.common_name]
    for text in texts:
        assert text is None or not set(text) & set("\0\r\n\x1b\x7f\x85\u2028")


def framed(body: bytes) -> bytes:
    """The bytes as the extensions of a header of version 2."""
    body = (ADDRESSES + body)[: MAX_BYTES - 16]
    return PREFIXES[-1] + b"\x21\x11" + len(body).to_bytes(2) + body


def one_input(data: bytes) -> None:
    """Only documented errors, and the same result for one segment, two, and a byte at a time."""
    choice, rest = data[0] if data else 0, data[1:]
    for sent in (framed(rest), PREFIXES[choice % len(PREFIXES)] + rest):
        cut = choice % (len(sent) + 1)
        result = decode([sent])
        assert decode([sent[:cut], sent[cut:]]) == result, "two segments changed the result"
        assert decode([bytes((byte,)) for byte in sent[:64]] + [sent[64:]]) == result, "single bytes changed the result"


def main() -> None:
    """Hand the arguments to libFuzzer, with the coverage of doorlog alone."""
    atheris = importlib.import_module("atheris")  # only there where fuzzing is done
    for name in [name for name in sys.modules if name.partition(".")[0] == "doorlog"]:
        del sys.modules[name]  # so that it is imported once more, this time with coverage
    with atheris.instrument_imports(include=["doorlog"]):
        target = importlib.import_module("fuzz_proxy")
    atheris.Setup(sys.argv, target.one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
