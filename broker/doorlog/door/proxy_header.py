"""Decodes the PROXY protocol header, v1 and v2, with which a load balancer names the client it speaks for.

Source: "The PROXY protocol, versions 1 & 2" (haproxy, doc/proxy-protocol.txt), called PROXY in what follows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from doorlog.door.proxy_extensions import (
    AUTHORITY,
    UNIQUE_ID,
    ProxySsl,
    read_ssl,
    read_tlvs,
    text_of,
    verify_checksum,
)
from doorlog.errors import ProxyHeaderInvalid, ProxyHeaderMissing

__all__ = ["ProxyHeader", "ProxyHeaderDecoder", "ProxySsl"]

_SIGNATURE_V1: Final = b"PROXY "
_SIGNATURE_V2: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_LINE_MAX_BYTES: Final = 107  # PROXY 2.1: the longest line, CRLF included
_FIXED_V2_BYTES: Final = 16
_LINE: Final = re.compile(rb"PROXY (TCP[46]) ([0-9a-fA-F:.]+) ([0-9a-fA-F:.]+) ([0-9]{1,5}) ([0-9]{1,5})\r\n")
_OTHER_FIRST_BYTES: Final = {
    0x10: "the connection begins with an MQTT CONNECT, not with a PROXY protocol header",
    0x16: "the connection begins with a TLS handshake, not with a PROXY protocol header",
}
_LOCAL, _PROXY = 0x20, 0x21
_ADDRESS_BYTES: Final = {1: 12, 2: 36}  # PROXY 2.2: IPv4 and IPv6, each over TCP or UDP


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """A valid header. Addresses are in canonical form, IPv4-mapped ones as IPv4; ports are 0 to 65,535.

    ``local`` means that the header names nobody (health checks, UNKNOWN, Unix sockets): the proxy itself is the
    peer, addresses and ports are None and there are no ``tlvs``.
    """

    version: int
    local: bool
    source_ip: str | None = None
    source_port: int | None = None
    destination_ip: str | None = None
    destination_port: int | None = None
    tlvs: tuple[tuple[int, bytes], ...] = ()
    """Type and value of each extension, in order (PROXY 2.2)."""
    ssl: ProxySsl | None = None

    @property
    def authority(self) -> str | None:
        """The host name that the client asked for, safe to show: the SNI if it came over TLS (PROXY 2.2.2)."""
        return text_of(self.tlvs, AUTHORITY)

    @property
    def unique_id(self) -> str | None:
        """The proxy's id of the connection, safe to show (PROXY 2.2.5)."""
        return text_of(self.tlvs, UNIQUE_ID)


class ProxyHeaderDecoder:
    """Reads one header from bytes in any segmentation; the result does not depend on the segmentation.

    Holds at most ``max_bytes``, or 107 for version 1. Feed it no more once it has returned a header or raised.

    Attributes:
        trailing: after success, what came behind the header in the last bytes received.
    """

    __slots__ = ("_held", "_max_bytes", "trailing")

    def __init__(self, max_bytes: int = 536) -> None:
        """Wait for a header.

        Args:
            max_bytes: the longest version 2 header accepted, in bytes, at least 16; version 1 has its own bound.
        """
        self.trailing = b""
        self._max_bytes = max_bytes
        self._held = bytearray()

    @property
    def received(self) -> int:
        """How many bytes of an unfinished header are held."""
        return len(self._held)

    def receive(self, data: bytes) -> ProxyHeader | None:
        """Take the next bytes of the connection.

        Args:
            data: bytes as they arrived, of any number.

        Returns:
            The header, or None while it is incomplete and still can become one.

        Raises:
            ProxyHeaderMissing: the first bytes are not those of a header; raised at the first that differs.
            ProxyHeaderInvalid: the header breaks PROXY 2.1 or 2.2, is too long, or its checksum is wrong.
        """
        room = max(self._max_bytes, _LINE_MAX_BYTES) - len(self._held)
        self._held += data[:room]
        version = _version(self._held)
        if version is None:
            return None
        end = _line_end(self._held) if version == 1 else _block_end(self._held, self._max_bytes)
        if end is None or end > len(self._held):
            return None
        header = bytes(self._held[:end])
        self.trailing = bytes(self._held[end:]) + data[room:]
        self._held.clear()
        return _decode_line(header) if version == 1 else _decode_block(header)


def _version(held: bytearray) -> int | None:
    """Tell the version by the signature, None while it is incomplete."""
    for version, signature in ((1, _SIGNATURE_V1), (2, _SIGNATURE_V2)):
        if held.startswith(signature):
            return version
        if signature.startswith(held):
            return None
    raise ProxyHeaderMissing(
        _OTHER_FIRST_BYTES.get(held[0], "the connection does not begin with a PROXY protocol header")
    )


def _line_end(held: bytearray) -> int | None:
    newline = held.find(b"\n", 0, _LINE_MAX_BYTES)
    if newline < 0:
        if len(held) >= _LINE_MAX_BYTES:
            raise ProxyHeaderInvalid("the PROXY line does not end within 107 bytes (PROXY 2.1)")
        return None
    if held[newline - 1] != 0x0D:
        raise ProxyHeaderInvalid("the PROXY line does not end with CR LF (PROXY 2.1)")
    return newline + 1


def _decode_line(line: bytes) -> ProxyHeader:
    """Decode version 1, a line of text (PROXY 2.1)."""
    if line.startswith((b"PROXY UNKNOWN ", b"PROXY UNKNOWN\r\n")):
        return ProxyHeader(version=1, local=True)
    match = _LINE.fullmatch(line)
    if match is None:
        raise ProxyHeaderInvalid("the PROXY line is not: protocol, two addresses, two ports (PROXY 2.1)")
    family, source, destination, source_port, destination_port = (part.decode() for part in match.groups())
    parse = IPv4Address if family == "TCP4" else IPv6Address
    try:
        source, destination = _canonical(parse(source)), _canonical(parse(destination))
    except ValueError:
        raise ProxyHeaderInvalid(f"an address in the PROXY line is not one of {family} (PROXY 2.1)") from None
    return ProxyHeader(
        version=1,
        local=False,
        source_ip=source,
        source_port=_port(source_port),
        destination_ip=destination,
        destination_port=_port(destination_port),
    )


def _port(text: str) -> int:
    port = int(text)
    if port > 0xFFFF or text != str(port):
        raise ProxyHeaderInvalid("a port in the PROXY line is above 65535 or begins with 0 (PROXY 2.1)")
    return port


def _canonical(address: IPv4Address | IPv6Address) -> str:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)


def _block_end(held: bytearray, max_bytes: int) -> int | None:
    """Check the fixed part of version 2 as far as it is there; return where the header ends, None if unknown yet."""
    if len(held) > 12 and held[12] not in {_LOCAL, _PROXY}:
        raise ProxyHeaderInvalid(f"the PROXY version and command 0x{held[12]:02x} do not exist (PROXY 2.2)")
    if len(held) > 13 and held[12] == _PROXY and (held[13] >> 4 > 3 or held[13] & 15 > 2):
        raise ProxyHeaderInvalid(f"the PROXY address family 0x{held[13]:02x} does not exist (PROXY 2.2)")
    if len(held) < _FIXED_V2_BYTES:
        return None
    end = _FIXED_V2_BYTES + int.from_bytes(held[14:16])
    if end > max_bytes:
        raise ProxyHeaderInvalid(f"the PROXY header has {end} bytes, more than the {max_bytes} that are accepted")
    return end


def _decode_block(block: bytes) -> ProxyHeader:
    """Decode version 2, a binary block (PROXY 2.2), whose fixed part has been checked."""
    family, transport = block[13] >> 4, block[13] & 15
    if block[12] == _LOCAL or not transport or family not in _ADDRESS_BYTES:
        return ProxyHeader(version=2, local=True)
    start = _FIXED_V2_BYTES + _ADDRESS_BYTES[family]
    if start > len(block):
        raise ProxyHeaderInvalid("the PROXY header is too short for its address family (PROXY 2.2)")
    tlvs = tuple(read_tlvs(block, start))
    verify_checksum(block, tlvs)
    values = tuple((tlv.kind, tlv.value) for tlv in tlvs)
    parse, width = (IPv4Address, 4) if family == 1 else (IPv6Address, 16)
    addresses = block[_FIXED_V2_BYTES : start - 4]
    return ProxyHeader(
        version=2,
        local=False,
        source_ip=_canonical(parse(addresses[:width])),
        source_port=int.from_bytes(block[start - 4 : start - 2]),
        destination_ip=_canonical(parse(addresses[width:])),
        destination_port=int.from_bytes(block[start - 2 : start]),
        tlvs=values,
        ssl=read_ssl(values),
    )
