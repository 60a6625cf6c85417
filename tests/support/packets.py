"""Builds MQTT packets and PROXY protocol headers, right or wrong, byte by byte and independent of the decoders."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address

PINGREQ = b"\xc0\x00"
DISCONNECT = b"\xe0\x00"
PROXY_V2_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def mqtt_bytes(value: str | bytes) -> bytes:
    """A length-prefixed field (MQTT 3.1.1, 1.5.3)."""
    raw = value.encode() if isinstance(value, str) else value
    return len(raw).to_bytes(2) + raw


def remaining_length(length: int, *, width: int = 1) -> bytes:
    """A remaining length (2.2.3), padded with zeros to ``width`` bytes, which the encoding allows."""
    out = bytearray()
    while length or len(out) < width:
        out.append(length & 0x7F | 0x80)
        length >>= 7
    out[-1] &= 0x7F
    return bytes(out)


def packet(first: int, body: bytes = b"") -> bytes:
    return bytes((first,)) + remaining_length(len(body)) + body


def connect(
    client_id: str | bytes = "pump-17",
    *,
    user_name: str | bytes | None = None,
    password: str | bytes | None = None,
    will: tuple[str, bytes, int, bool] | tuple[bytes, bytes, int, bool] | None = None,
    clean_session: bool = True,
    keep_alive: int = 60,
    protocol: tuple[str | bytes, int] = ("MQTT", 4),
    flags: int | None = None,
    tail: bytes = b"",
    properties: bytes | None = None,
    will_properties: bytes | None = None,
) -> bytes:
    """A CONNECT. ``will`` is topic, message, QoS, retain.

    ``flags`` and ``tail`` override the truth; the properties are those of MQTT 5.0, with their length.
    """
    body = bytearray(mqtt_bytes(protocol[0]) + bytes((protocol[1],)))
    truth = clean_session << 1 | (user_name is not None) << 7 | (password is not None) << 6
    if will is not None:
        truth |= 4 | will[2] << 3 | will[3] << 5
    body += bytes((truth if flags is None else flags,)) + keep_alive.to_bytes(2)
    body += properties or b""
    body += mqtt_bytes(client_id)
    if will is not None:
        body += (will_properties or b"") + mqtt_bytes(will[0]) + mqtt_bytes(will[1])
    for value in (user_name, password):
        body += b"" if value is None else mqtt_bytes(value)
    return packet(0x10, bytes(body + tail))


def connect_v5(
    client_id: str = "pump-17",
    *,
    user_name: str | None = None,
    password: str | None = None,
    will: tuple[str, bytes, int, bool] | tuple[bytes, bytes, int, bool] | None = None,
) -> bytes:
    """A CONNECT of MQTT 5.0 with a session expiry interval and a will delay interval."""
    return connect(
        client_id,
        user_name=user_name,
        password=password,
        will=will,
        protocol=("MQTT", 5),
        properties=b"\x05\x11\x00\x00\x00\x3c",
        will_properties=b"\x05\x18\x00\x00\x00\x0a",
    )


def publish(topic: str = "pumps/17/flow", payload: bytes = b"1.25", *, qos: int = 0, packet_id: int = 1) -> bytes:
    identifier = packet_id.to_bytes(2) if qos else b""
    return packet(0x30 | qos << 1, mqtt_bytes(topic) + identifier + payload)


def subscribe(topic_filter: str = "pumps/+/flow", *, qos: int = 0, packet_id: int = 1) -> bytes:
    return packet(0x82, packet_id.to_bytes(2) + mqtt_bytes(topic_filter) + bytes((qos,)))


def proxy_v1(
    source: str = "192.0.2.7", destination: str = "198.51.100.1", ports: tuple[int, int] = (50123, 8883)
) -> bytes:
    family = f"TCP{ip_address(source).version}"
    return f"PROXY {family} {source} {destination} {ports[0]} {ports[1]}\r\n".encode()


def proxy_v2(
    source: str = "192.0.2.7",
    destination: str = "198.51.100.1",
    ports: tuple[int, int] = (50123, 8883),
    *,
    tlvs: Iterable[bytes] = (),
    checksum: bool = False,
) -> bytes:
    """A header of version 2 for TCP with these extensions, the checksum last if there is one."""
    family = 0x11 if ip_address(source).version == 4 else 0x21
    body = ip_address(source).packed + ip_address(destination).packed
    body += ports[0].to_bytes(2) + ports[1].to_bytes(2) + b"".join(tlvs)
    if not checksum:
        return proxy_v2_block(0x21, family, body)
    header = proxy_v2_block(0x21, family, body + tlv(0x03, bytes(4)))
    return header[:-4] + crc32c(header).to_bytes(4)


def proxy_v2_block(version_and_command: int, family: int, body: bytes = b"") -> bytes:
    return PROXY_V2_SIGNATURE + bytes((version_and_command, family)) + len(body).to_bytes(2) + body


def tlv(kind: int, value: str | bytes) -> bytes:
    return bytes((kind,)) + mqtt_bytes(value)


def ssl_tlv(common_name: str | bytes | None, *, client: int = 0x07, verify: int = 0) -> bytes:
    """The SSL extension with TLS 1.3 and a cipher, and a common name if there is one."""
    inner = tlv(0x21, "TLSv1.3") + tlv(0x23, "TLS_AES_128_GCM_SHA256")
    inner += b"" if common_name is None else tlv(0x22, common_name)
    return tlv(0x20, bytes((client,)) + verify.to_bytes(4) + inner)


def crc32c(data: bytes) -> int:
    """CRC-32C bit by bit, as RFC 9260 appendix A defines it."""
    remainder = 0xFFFFFFFF
    for byte in data:
        remainder ^= byte
        for _ in range(8):
            remainder = remainder >> 1 ^ (0x82F63B78 if remainder & 1 else 0)
    return remainder ^ 0xFFFFFFFF
