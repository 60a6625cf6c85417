"""JA4, the fingerprint of a TLS client's software (FoxIO, ``technical_details/JA4.md``, BSD-3-Clause)."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from doorlog.door.client_hello import ALPN, SERVER_NAME, ClientHello, without_grease

_VERSIONS: Final = {
    0x0304: "13",
    0x0303: "12",
    0x0302: "11",
    0x0301: "10",
    0x0300: "s3",
    0x0002: "s2",
    0xFEFF: "d1",
    0xFEFD: "d2",
    0xFEFC: "d3",
}
_SHOWN_IN_FRONT: Final = frozenset({SERVER_NAME, ALPN})
_NOTHING: Final = "000000000000"
_USUAL_ENTRIES: Final = 512


def ja4(hello: ClientHello) -> str:
    """Return the JA4 of a client that speaks TLS over TCP.

    It tells apart TLS libraries, their builds and their settings, not two devices with the same firmware.

    Args:
        hello: The client's first ClientHello.

    Returns:
        36 characters, such as ``t13d1516h2_8daaf6152771_e5627efa2ab1``.
    """
    entries = len(hello.cipher_suites) + len(hello.extensions) + len(hello.signature_algorithms) + len(hello.groups)
    return _remembered(hello) if entries <= _USUAL_ENTRIES else _computed(hello)


def _computed(hello: ClientHello) -> str:
    ciphers = sorted(without_grease(hello.cipher_suites))
    kinds = without_grease(hello.extensions)
    hashed_kinds = sorted([kind for kind in kinds if kind not in _SHOWN_IN_FRONT])
    return (
        f"t{_version(hello)}{'d' if SERVER_NAME in kinds else 'i'}"
        f"{min(len(ciphers), 99):02}{min(len(kinds), 99):02}{_first_protocol(hello.alpn)}"
        f"_{_hash(_codes(ciphers)) if ciphers else _NOTHING}"
        f"_{_extension_hash(hashed_kinds, without_grease(hello.signature_algorithms))}"
    )


# Devices of one build all send the same, but for what ClientHello leaves out; a hostile hello is not worth the memory.
_remembered = lru_cache(maxsize=512)(_computed)


def _version(hello: ClientHello) -> str:
    return _VERSIONS.get(max(without_grease(hello.versions), default=0), "00")


def _first_protocol(alpn: Sequence[bytes]) -> str:
    """Return the first and the last character of the first protocol, of its hexadecimal form if need be."""
    if not alpn or not alpn[0]:
        return "00"
    ends = alpn[0][:1] + alpn[0][-1:]
    if ends.isalnum():  # for bytes: ASCII letters and digits only
        return ends.decode("ascii")
    hexadecimal = ends.hex()
    return hexadecimal[0] + hexadecimal[-1]


def _extension_hash(kinds: Sequence[int], signature_algorithms: Sequence[int]) -> str:
    if not kinds:
        return _NOTHING
    if not signature_algorithms:
        return _hash(_codes(kinds))
    return _hash(f"{_codes(kinds)}_{_codes(signature_algorithms)}")


def _codes(values: Sequence[int]) -> str:
    return struct.pack(f">{len(values)}H", *values).hex(",", 2)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("ascii"), usedforsecurity=False).hexdigest()[:12]
