from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorlog.door.proxy_extensions import crc32c
from doorlog.door.proxy_header import ProxyHeader, ProxyHeaderDecoder, ProxySsl
from doorlog.errors import ProxyHeaderError, ProxyHeaderInvalid, ProxyHeaderMissing
from support.packets import (
    PROXY_V2_SIGNATURE,
    connect,
    proxy_v1,
    proxy_v2,
    proxy_v2_block,
    ssl_tlv,
    tlv,
)

LOCAL_1 = ProxyHeader(version=1, local=True)
LOCAL_2 = ProxyHeader(version=2, local=True)
ADDRESSES_4 = bytes((192, 0, 2, 7, 198, 51, 100, 1, 0xC3, 0xCB, 0x22, 0xB3))


def decode(data: bytes, max_bytes: int = 536) -> ProxyHeader:
    header = ProxyHeaderDecoder(max_bytes).receive(data)
    assert header is not None
    return header


def refusal(data: bytes, max_bytes: int = 536) -> ProxyHeaderError:
    with pytest.raises(ProxyHeaderError) as caught:
        ProxyHeaderDecoder(max_bytes).receive(data)
    return caught.value


def bytewise(data: bytes, max_bytes: int = 536) -> tuple[ProxyHeaderError | None, int]:
    """Send one byte after the other; return the refusal and after how many bytes it came."""
    decoder = ProxyHeaderDecoder(max_bytes)
    for sent, byte in enumerate(data, 1):
        try:
            decoder.receive(bytes((byte,)))
        except ProxyHeaderError as error:
            return error, sent
    return None, len(data)


# no header at all


@pytest.mark.parametrize(
    ("sent", "after", "sentence"),
    [
        (connect(), 1, "the connection begins with an MQTT CONNECT, not with a PROXY protocol header"),
        (b"\x16\x03\x01", 1, "the connection begins with a TLS handshake, not with a PROXY protocol header"),
        (b"GET / HTTP/1.1", 1, "the connection does not begin with a PROXY protocol header"),
        (b"PUT / HTTP/1.1", 2, "the connection does not begin with a PROXY protocol header"),
        (b"PROXY\tTCP4", 6, "the connection does not begin with a PROXY protocol header"),
        (b"proxy TCP4", 1, "the connection does not begin with a PROXY protocol header"),
        (b"\r\n\r\n\r\n", 5, "the connection does not begin with a PROXY protocol header"),
        (PROXY_V2_SIGNATURE[:-1] + b"\r", 12, "the connection does not begin with a PROXY protocol header"),
    ],
)
def test_a_missing_header_is_seen_at_the_first_byte_that_differs(sent: bytes, after: int, sentence: str) -> None:
    error, needed = bytewise(sent)

    assert isinstance(error, ProxyHeaderMissing)
    assert str(error) == sentence
    assert needed == after
    assert str(refusal(sent)) == sentence


# version 1


@pytest.mark.parametrize(
    "line",
    [
        "TCP4 192.0.2.7 198.51.100.1 50123",
        "TCP4 192.0.2.7 198.51.100.1 50123 8883 1",
        "TCP4  192.0.2.7 198.51.100.1 50123 8883",
        "TCP4 192.0.2.7 198.51.100.1 50123 8883 ",
        "TCP4 192.0.2.7 198.51.100.1 +5012 8883",
        "TCP4 192.0.2.7 198.51.100.1 5_012 8883",
        "TCP4 192.0.2.7 198.51.100.1 50123 65536",
        "TCP4 192.0.2.7 198.51.100.1 050123 8883",
        "TCP4 192.0.2.7 198.51.100.1 05012 8883",
        "TCP4 192.0.2.7 198.51.100.1 50123 00",
        "TCP4 192.0.2.256 198.51.100.1 50123 8883",
        "TCP4 192.0.2.07 198.51.100.1 50123 8883",
        "TCP4 192.0.2 198.51.100.1 50123 8883",
        "TCP4 2001:db8::7 2001:db8::1 50123 8883",
        "TCP6 192.0.2.7 198.51.100.1 50123 8883",
        "TCP6 fe80::1%eth0 fe80::2%eth0 50123 8883",
        "TCP6 2001:db8::7::1 2001:db8::1 50123 8883",
        "TCP6 2001:db8::fffff 2001:db8::1 50123 8883",
        "TCP5 192.0.2.7 198.51.100.1 50123 8883",
        "tcp4 192.0.2.7 198.51.100.1 50123 8883",
        "UNKNOWNS",
        "UNKNOW",
        "",
        "\x00",
        "TCP4 192.0.2.7 198.51.100.1 50123 8883\r",
        "TCP4 ١٩٢.0.2.7 198.51.100.1 50123 8883",
    ],
)
def test_a_line_that_is_not_exactly_right_is_invalid(line: str) -> None:
    assert isinstance(refusal(f"PROXY {line}\r\n".encode()), ProxyHeaderInvalid)


def test_a_bare_line_feed_is_refused_at_once() -> None:
    error, needed = bytewise(b"PROXY TCP4 192.0.2.7 198.51.100.1 50123 8883\n" + connect())

    assert isinstance(error, ProxyHeaderInvalid)
    assert "CR LF" in str(error)
    assert needed == 45


def test_a_line_may_be_107_bytes_long_and_no_longer() -> None:
    longest = b"PROXY UNKNOWN " + b"f" * 91 + b"\r\n"
    assert len(longest) == 107
    assert decode(longest) == LOCAL_1

    error, needed = bytewise(b"PROXY UNKNOWN " + b"f" * 1000)
    assert isinstance(error, ProxyHeaderInvalid)
    assert "107 bytes" in str(error)
    assert needed == 107
    assert isinstance(refusal(b"PROXY UNKNOWN " + b"f" * 92 + b"\r\n"), ProxyHeaderInvalid)


def test_ipv4() -> None:
    assert decode(proxy_v1()) == ProxyHeader(1, False, "192.0.2.7", 50123, "198.51.100.1", 8883)


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("2001:0DB8:0000:0000:0000:0000:0000:0007", "2001:db8::7"),
        ("2001:db8::7", "2001:db8::7"),
        ("::", "::"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("::FFFF:c000:207", "192.0.2.7"),
    ],
)
def test_ipv6_is_written_in_one_way_only_and_mapped_ipv4_as_ipv4(written: str, canonical: str) -> None:
    header = decode(proxy_v1(written, "2001:db8::1", (0, 65535)))

    assert header == ProxyHeader(1, False, canonical, 0, "2001:db8::1", 65535)


@pytest.mark.parametrize("line", [b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN ffff::1 \xff\x00 anything\r\n"])
def test_unknown_names_nobody(line: bytes) -> None:
    assert decode(line) == LOCAL_1


# version 2


@pytest.mark.parametrize("version_and_command", [0x11, 0x22, 0x2F, 0x31, 0x01, 0xFF, 0x00])
def test_another_version_or_command_is_refused_at_its_byte(version_and_command: int) -> None:
    error, needed = bytewise(proxy_v2_block(version_and_command, 0x11, ADDRESSES_4))

    assert isinstance(error, ProxyHeaderInvalid)
    assert needed == 13


@pytest.mark.parametrize("family", [0x13, 0x41, 0x1F, 0xF1, 0xFF, 0x03])
def test_a_family_that_does_not_exist_is_refused_at_its_byte(family: int) -> None:
    error, needed = bytewise(proxy_v2_block(0x21, family, ADDRESSES_4))

    assert isinstance(error, ProxyHeaderInvalid)
    assert needed == 14


def test_a_header_that_announces_too_much_is_refused_before_it_comes() -> None:
    sent = proxy_v2(tlvs=[tlv(0xE0, bytes(536 - 28 - 3))])
    assert len(sent) == 536
    assert decode(sent).source_ip == "192.0.2.7"

    error, needed = bytewise(proxy_v2(tlvs=[tlv(0xE0, bytes(536 - 28 - 3 + 1))]))
    assert isinstance(error, ProxyHeaderInvalid)
    assert str(error) == "the PROXY header has 537 bytes, more than the 536 that are accepted"
    assert needed == 16


def test_the_bound_can_be_raised_for_proxies_that_send_certificates() -> None:
    assert len(decode(proxy_v2(tlvs=[tlv(0xE0, bytes(4000))]), max_bytes=65551).tlvs[0][1]) == 4000


@pytest.mark.parametrize("size", range(12))
def test_addresses_that_are_cut_off_are_invalid(size: int) -> None:
    assert isinstance(refusal(proxy_v2_block(0x21, 0x11, ADDRESSES_4[:size])), ProxyHeaderInvalid)
    assert isinstance(refusal(proxy_v2_block(0x21, 0x21, bytes(24 + size))), ProxyHeaderInvalid)


@pytest.mark.parametrize("extension", [b"\x02", b"\x02\x00", b"\x02\x00\x05host", b"\x02\xff\xff", b"\x02\x00\x00\x05"])
def test_extensions_that_are_cut_off_are_invalid(extension: bytes) -> None:
    assert isinstance(refusal(proxy_v2(tlvs=[extension])), ProxyHeaderInvalid)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\x07\x00\x00\x00",
        b"\x07\x00\x00\x00\x00\x22",
        b"\x07\x00\x00\x00\x00\x22\x00\x09pump-17",
    ],
)
def test_an_ssl_extension_that_is_cut_off_is_invalid(value: bytes) -> None:
    assert isinstance(refusal(proxy_v2(tlvs=[tlv(0x20, value)])), ProxyHeaderInvalid)


def test_a_wrong_checksum_is_invalid() -> None:
    right = proxy_v2(tlvs=[tlv(0x02, "broker.example")], checksum=True)
    assert decode(right).authority == "broker.example"

    for place in (17, 27, 31, len(right) - 1):
        wrong = bytearray(right)
        wrong[place] ^= 1
        error = refusal(bytes(wrong))
        assert isinstance(error, ProxyHeaderInvalid)
        assert "checksum" in str(error)


def test_a_checksum_that_is_there_twice_or_too_short_is_invalid() -> None:
    for extensions in ([tlv(3, bytes(4)), tlv(3, bytes(4))], [tlv(3, bytes(3))], [tlv(3, b"")]):
        error = refusal(proxy_v2(tlvs=extensions))
        assert isinstance(error, ProxyHeaderInvalid)
        assert "2.2.3" in str(error)


def test_the_checksum_is_crc_32c() -> None:
    """The check value of CRC-32C, and the first three vectors of RFC 3720 B.4, as numbers."""
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E


def test_tcp_over_ipv4_and_ipv6() -> None:
    assert decode(proxy_v2()) == ProxyHeader(2, False, "192.0.2.7", 50123, "198.51.100.1", 8883)
    assert decode(proxy_v2("2001:db8::7", "2001:db8::1")) == ProxyHeader(
        2, False, "2001:db8::7", 50123, "2001:db8::1", 8883
    )
    assert decode(proxy_v2("::ffff:192.0.2.7", "::1")).source_ip == "192.0.2.7"


def test_a_client_that_came_over_quic_is_named_too() -> None:
    assert decode(proxy_v2_block(0x21, 0x12, ADDRESSES_4)).source_ip == "192.0.2.7"


@pytest.mark.parametrize(
    "block",
    [
        proxy_v2_block(0x20, 0x00),
        proxy_v2_block(0x20, 0x11, ADDRESSES_4),
        proxy_v2_block(0x20, 0xFF, b"anything"),
        proxy_v2_block(0x21, 0x00),
        proxy_v2_block(0x21, 0x00, tlv(0x02, "host")),
        proxy_v2_block(0x21, 0x10),
        proxy_v2_block(0x21, 0x01),
        proxy_v2_block(0x21, 0x31, bytes(216)),
        proxy_v2_block(0x21, 0x32, bytes(216)),
    ],
)
def test_health_checks_and_unsupported_families_name_nobody(block: bytes) -> None:
    decoder = ProxyHeaderDecoder()

    assert decoder.receive(block + connect()) == LOCAL_2
    assert decoder.trailing == connect()


def test_extensions_are_kept_in_their_order() -> None:
    header = decode(
        proxy_v2(tlvs=[tlv(0x01, "mqtt"), tlv(0x02, "broker.example"), tlv(0x05, "7F:01"), tlv(0x04, bytes(3))])
    )

    assert header.tlvs == ((1, b"mqtt"), (2, b"broker.example"), (5, b"7F:01"), (4, bytes(3)))
    assert header.authority == "broker.example"
    assert header.unique_id == "7F:01"
    assert header.ssl is None


def test_texts_of_extensions_are_safe_to_show() -> None:
    header = decode(proxy_v2(tlvs=[tlv(0x02, "evil\r\nhost\x1b[2J"), tlv(0x05, b"\xff\x00id"), ssl_tlv("\u202epump")]))

    assert header.authority == r"evil\u000D\u000Ahost\u001B[2J"
    assert header.unique_id == r"\xff\u0000id"
    assert header.ssl is not None
    assert header.ssl.common_name == r"\u202Epump"


def test_the_device_s_certificate_is_named_and_whether_it_was_verified() -> None:
    verified = decode(proxy_v2(tlvs=[ssl_tlv("pump-17")])).ssl
    expired = decode(proxy_v2(tlvs=[ssl_tlv("pump-17", verify=10)])).ssl
    resumed = decode(proxy_v2(tlvs=[ssl_tlv("pump-17", client=0x05)])).ssl

    assert verified == ProxySsl(True, True, True, "TLSv1.3", "TLS_AES_128_GCM_SHA256", "pump-17")
    assert expired == ProxySsl(True, True, False, "TLSv1.3", "TLS_AES_128_GCM_SHA256", "pump-17")
    assert resumed == verified


def test_without_a_certificate_nothing_was_verified_whatever_the_proxy_writes() -> None:
    assert decode(proxy_v2(tlvs=[ssl_tlv(None, client=0x01, verify=0)])).ssl == ProxySsl(
        True, False, False, "TLSv1.3", "TLS_AES_128_GCM_SHA256", None
    )
    assert decode(proxy_v2(tlvs=[tlv(0x20, bytes(5))])).ssl == ProxySsl(False, False, False, None, None, None)


@pytest.mark.parametrize("header", [proxy_v1(), proxy_v2(), proxy_v2(tlvs=[ssl_tlv("pump-17")], checksum=True)])
def test_what_follows_the_header_is_handed_on(header: bytes) -> None:
    decoder = ProxyHeaderDecoder()

    assert decoder.receive(header[:7]) is None
    assert decoder.receive(b"") is None
    assert decoder.received == 7
    assert decoder.receive(header[7:] + connect() * 50) is not None
    assert decoder.trailing == connect() * 50
    assert decoder.received == 0


# any bytes, any segmentation


def outcome(pieces: list[bytes], max_bytes: int) -> object:
    decoder = ProxyHeaderDecoder(max_bytes)
    for index, piece in enumerate(pieces):
        try:
            header = decoder.receive(piece)
        except ProxyHeaderError as error:
            return type(error), str(error)
        assert decoder.received <= max(max_bytes, 107)
        if header is not None:
            return header, decoder.trailing + b"".join(pieces[index + 1 :])
    return None


ports = st.integers(0, 65535)
extensions = st.lists(
    st.builds(tlv, st.sampled_from([1, 2, 4, 5, 0x20, 0x30, 0xEA, 0xFF]), st.binary(max_size=20))
    | st.builds(ssl_tlv, st.text(max_size=10), client=st.integers(0, 255), verify=st.integers(0, 2**32 - 1)),
    max_size=4,
)
pairs = st.tuples(st.ip_addresses(v=4), st.ip_addresses(v=4)) | st.tuples(st.ip_addresses(v=6), st.ip_addresses(v=6))
good_headers = st.one_of(
    st.builds(lambda pair, port: proxy_v1(str(pair[0]), str(pair[1]), (port, port)), pairs, ports),
    st.builds(
        lambda pair, tlvs, checksum: proxy_v2(str(pair[0]), str(pair[1]), tlvs=tlvs, checksum=checksum),
        pairs,
        extensions,
        st.booleans(),
    ),
)
hostile = st.one_of(
    st.binary(max_size=200),
    st.binary(max_size=120).map(lambda rest: b"PROXY " + rest),
    st.text("TCP46UNKOW0123456789abcdef:. \r\n", max_size=120).map(lambda rest: b"PROXY " + rest.encode()),
    st.builds(proxy_v2_block, st.integers(0x1F, 0x22), st.integers(0, 0x33), st.binary(max_size=300)),
    st.tuples(good_headers, st.integers(0, 120), st.binary(max_size=2)).map(
        lambda parts: parts[0][: parts[1]] + parts[2] + parts[0][parts[1] + len(parts[2]) :]
    ),
)


@given(hostile | good_headers, st.sampled_from([64, 536]))
def test_any_bytes_give_a_header_a_documented_refusal_or_nothing_yet(data: bytes, max_bytes: int) -> None:
    outcome([data], max_bytes)


@given(hostile | good_headers, st.lists(st.integers(0, 200), max_size=6), st.sampled_from([64, 536]))
def test_segmentation_changes_nothing(data: bytes, cuts: list[int], max_bytes: int) -> None:
    ends = sorted({min(cut, len(data)) for cut in cuts} | {len(data)})
    pieces = [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]

    assert outcome(pieces, max_bytes) == outcome([data], max_bytes)
    assert outcome([bytes((byte,)) for byte in data], max_bytes) == outcome([data], max_bytes)


def canonical(address: IPv4Address | IPv6Address) -> str:
    return str(getattr(address, "ipv4_mapped", None) or address)


@given(pairs, ports, ports, extensions, st.booleans(), st.binary(max_size=20))
def test_what_was_built_is_what_is_decoded(
    pair: tuple[IPv4Address, IPv4Address] | tuple[IPv6Address, IPv6Address],
    source_port: int,
    destination_port: int,
    tlvs: list[bytes],
    checksum: bool,
    behind: bytes,
) -> None:
    source, destination = map(str, pair)
    addresses = (canonical(pair[0]), source_port, canonical(pair[1]), destination_port)
    decoder = ProxyHeaderDecoder()
    assert decoder.receive(proxy_v1(source, destination, (source_port, destination_port)) + behind) == ProxyHeader(
        1, False, *addresses
    )
    assert decoder.trailing == behind

    tlvs = [extension for extension in tlvs if extension[0] != 0x20]
    header = decode(
        proxy_v2(source, destination, (source_port, destination_port), tlvs=tlvs, checksum=checksum), max_bytes=4096
    )
    assert (header.source_ip, header.source_port, header.destination_ip, header.destination_port) == addresses
    assert [tlv(kind, value) for kind, value in header.tlvs if kind != 3] == tlvs
