"""Reads the extensions (TLVs) of a PROXY protocol v2 header: checksum, host name, TLS on the proxy's side.

Source: "The PROXY protocol, versions 1 & 2" (haproxy, doc/proxy-protocol.txt), called PROXY in what follows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from doorlog.errors import ProxyHeaderInvalid
from doorlog.text import safe_text

AUTHORITY, CRC32C, UNIQUE_ID, SSL = 0x02, 0x03, 0x05, 0x20
_SSL_VERSION, _SSL_COMMON_NAME, _SSL_CIPHER = 0x21, 0x22, 0x23
_CAME_OVER_TLS, _CERTIFICATE_SHOWN = 0x01, 0x06  # the second: on this connection or in its TLS session
_POLYNOMIAL: Final = 0x82F63B78  # CRC-32C, bits reversed (RFC 9260, appendix A)


@dataclass(frozen=True, slots=True)
class Tlv:
    """One extension, and where in the header its value stands."""

    kind: int
    value: bytes
    start: int


@dataclass(frozen=True, slots=True)
class ProxySsl:
    """What the proxy saw of TLS between itself and the client (PROXY 2.2.6); texts are safe to show."""

    established: bool
    """Whether the client came over TLS."""
    certificate_presented: bool
    """Whether it showed a certificate, on this connection or before in its TLS session."""
    verified: bool
    """Whether the proxy verified that certificate; without this, ``common_name`` is only a claim."""
    version: str | None
    cipher: str | None
    common_name: str | None


def read_tlvs(data: bytes, position: int) -> Iterator[Tlv]:
    """Yield each extension from there to the end of the data.

    Raises:
        ProxyHeaderInvalid: one of them runs past the end.
    """
    while position < len(data):
        start = position + 3
        end = start + int.from_bytes(data[position + 1 : start])
        if end > len(data):  # also when the length itself is cut off: then start is past the end
            raise ProxyHeaderInvalid("an extension of the PROXY header runs past its end (PROXY 2.2)")
        yield Tlv(data[position], data[start:end], start)
        position = end


def verify_checksum(header: bytes, tlvs: tuple[Tlv, ...]) -> None:
    """Hold a header to its CRC-32C extension, if it has one (PROXY 2.2.3).

    Raises:
        ProxyHeaderInvalid: the checksum is wrong, is not four bytes or is there twice.
    """
    found = [tlv for tlv in tlvs if tlv.kind == CRC32C]
    if not found:
        return
    if len(found) > 1 or len(found[0].value) != 4:
        raise ProxyHeaderInvalid("the checksum of the PROXY header is not one field of four bytes (PROXY 2.2.3)")
    start = found[0].start
    if crc32c(header[:start] + bytes(4) + header[start + 4 :]) != int.from_bytes(found[0].value):
        raise ProxyHeaderInvalid("the checksum of the PROXY header is wrong (PROXY 2.2.3)")


def read_ssl(values: tuple[tuple[int, bytes], ...]) -> ProxySsl | None:
    """Return what the first SSL extension says, None without one.

    Raises:
        ProxyHeaderInvalid: it is shorter than its fixed part, or its own extensions run past its end.
    """
    value = next((value for kind, value in values if kind == SSL), None)
    if value is None:
        return None
    if len(value) < 5:
        raise ProxyHeaderInvalid("the SSL extension of the PROXY header is too short (PROXY 2.2.6)")
    presented = bool(value[0] & _CERTIFICATE_SHOWN)
    inner = tuple((tlv.kind, tlv.value) for tlv in read_tlvs(value, 5))
    return ProxySsl(
        established=bool(value[0] & _CAME_OVER_TLS),
        certificate_presented=presented,
        verified=presented and value[1:5] == bytes(4),  # without a certificate haproxy writes 0 too
        version=text_of(inner, _SSL_VERSION),
        cipher=text_of(inner, _SSL_CIPHER),
        common_name=text_of(inner, _SSL_COMMON_NAME),
    )


def text_of(values: tuple[tuple[int, bytes], ...], kind: int) -> str | None:
    r"""Return the first value of this type as text that is safe to show, bytes that are no UTF-8 as ``\xff``."""
    value = next((value for other, value in values if other == kind), None)
    return None if value is None else safe_text(value.decode(errors="backslashreplace"))


def crc32c(data: bytes) -> int:
    """Return the CRC-32C of the data (RFC 9260, appendix A), 0 to 2**32 - 1."""
    checksum = 0xFFFFFFFF
    for byte in data:
        checksum = _TABLE[(checksum ^ byte) & 0xFF] ^ (checksum >> 8)
    return checksum ^ 0xFFFFFFFF


def _table_entry(remainder: int) -> int:
    for _ in range(8):
        remainder = (remainder >> 1) ^ (_POLYNOMIAL if remainder & 1 else 0)
    return remainder


_TABLE: Final = tuple(_table_entry(byte) for byte in range(256))
