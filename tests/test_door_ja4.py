"""JA4 against the published fingerprints of known clients, and against a live OpenSSL."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import socket
import ssl
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doorlog.door.client_hello import ClientHello, parse_client_hello
from doorlog.door.ja4 import ja4
from doorlog.door.tls_records import RecordObserver
from doorlog.errors import MalformedHello
from test_door_client_hello import (
    alpn,
    build_hello,
    groups,
    key_share,
    live_hello,
    pre_shared_key,
    server_name,
    signature_algorithms,
    supported_versions,
    vector,
)

CHROME_SUITES = "1301,1302,1303,c02b,c02f,c02c,c030,cca9,cca8,c013,c014,009c,009d,002f,0035"
CHROME_SIGNATURES = "0403,0804,0401,0503,0805,0501,0806,0601"

# Name in FoxIO's test data: fingerprint, versions (None: no such extension), cipher suites, extensions, signature
# algorithms, first protocol; each list in the order in which the client sent it (their JA4_ro).
PUBLISHED = {
    "the worked example in JA4.md": (
        "t13d1516h2_8daaf6152771_e5627efa2ab1",
        (0x0304, 0x0303),
        CHROME_SUITES,
        "001b,0000,0033,0010,4469,0017,002d,000d,0005,0023,0012,002b,ff01,000b,000a,0015",
        CHROME_SIGNATURES,
        b"h2",
    ),
    "latest.pcapng, stream 5: resumption": (
        "t13d1516h2_8daaf6152771_9b887d9acb53",
        (0x0304, 0x0303),
        CHROME_SUITES,
        "000d,0010,0000,000b,0023,4469,ff01,0033,000a,002d,002b,0005,0017,0012,001b,0029",
        CHROME_SIGNATURES,
        b"h2",
    ),
    "badcurveball.pcap": (
        "t13d1615h2_46e7e9700bed_45f260be83e2",
        (0x0304, 0x0303, 0x0302, 0x0301),
        f"{CHROME_SUITES},000a",
        "0000,0017,ff01,000a,000b,0023,0010,0005,000d,0012,0033,002d,002b,001b,0015",
        f"{CHROME_SIGNATURES},0201",
        b"h2",
    ),
    "tls12.pcap": (
        "t13d1715h2_5b57614c22b0_3d5424432f57",
        (0x0304, 0x0303),
        "1301,1303,1302,c02b,c02f,cca9,cca8,c02c,c030,c00a,c009,c013,c014,009c,009d,002f,0035",
        "0000,0017,ff01,000a,000b,0023,0010,0005,0022,0033,002b,000d,002d,001c,0015",
        "0403,0503,0603,0804,0805,0806,0401,0501,0601,0203,0201",
        b"h2",
    ),
    "sigalg-grease.pcapng": (
        "t13d1517h2_8daaf6152771_cb7bf5808d99",
        (0x0304, 0x0303),
        CHROME_SUITES,
        "fe0d,0010,0017,0033,44cd,ff01,000a,000d,0023,002b,000b,ca34,002d,0000,0005,001b,0012",
        f"0904,0905,0906,{CHROME_SIGNATURES}",
        b"h2",
    ),
    "latest.pcapng, stream 3: TLS 1.2": (
        "t12d190800_d83cc789557e_7af1ed941c26",
        None,
        "c02c,c02b,c030,c02f,c024,c023,c028,c027,c00a,c009,c014,c013,009d,009c,003d,003c,0035,002f,000a",
        "0000,0005,000a,000b,000d,0023,0017,ff01",
        "0804,0805,0806,0401,0501,0201,0403,0503,0203,0202,0601,0603",
        None,
    ),
}
GREASE = 0x3A3A


def codes(text: str) -> list[int]:
    return [int(code, 16) for code in text.split(",")]


def hello_of(name: str, *, grease: bool) -> tuple[str, ClientHello]:
    """Build the hello of a published fingerprint, sprinkled with GREASE wherever a client may put it."""
    fingerprint, versions, suites, kinds, signatures, protocol = PUBLISHED[name]
    sprinkled = [GREASE] if grease else []
    known = dict(
        [
            server_name(b"broker.example"),
            groups(*sprinkled, 29, 23),
            signature_algorithms(*sprinkled, *codes(signatures)),
            alpn(protocol or b"-", b"http/1.1"),
            pre_shared_key(),
            supported_versions(*sprinkled, *(versions or ())),
            key_share(*sprinkled, 29),
        ]
    )
    extensions = [(kind, known.get(kind, b"")) for kind in [*sprinkled, *codes(kinds), *sprinkled]]
    message = build_hello(*extensions, cipher_suites=[*sprinkled, *codes(suites)], session_id=bytes(32))
    return fingerprint, parse_client_hello(message)


@pytest.mark.parametrize("grease", [False, True])
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_fingerprints(name: str, grease: bool) -> None:
    fingerprint, hello = hello_of(name, grease=grease)
    assert ja4(hello) == fingerprint


def test_published_fingerprint_of_a_tls_1_0_client_with_nothing_but_a_server_name() -> None:
    # socks-https-example.pcap: no extension is left to hash
    suites = codes(
        "0039,0038,0035,0016,0013,000a,0033,0032,002f,009a,0099,0096,0005,0004,0015,0012,0009,0014,0011,0008,0006,"
        "0003,00ff"
    )
    message = build_hello(server_name(b"www.example.com"), legacy_version=0x0301, cipher_suites=suites)
    assert ja4(parse_client_hello(message)) == "t10d230100_6a57a6f57151_000000000000"


def test_published_hash_of_extensions_without_signature_algorithms() -> None:
    kinds = codes("0005,000a,000b,000d,0012,0015,0017,001b,0023,002b,002d,0033,4469,ff01")
    hello = parse_client_hello(build_hello(signature_algorithms(GREASE)))
    stripped = dataclasses.replace(hello, extensions=tuple(kinds))
    assert ja4(stripped).endswith("_6d807ffa2a79")


def prefix(*extensions: tuple[int, bytes], legacy_version: int = 0x0303) -> str:
    return ja4(parse_client_hello(build_hello(*extensions, legacy_version=legacy_version)))[:10]


@pytest.mark.parametrize(
    ("legacy_version", "offered", "shown"),
    [
        (0x0303, (0x0304, 0x0303), "13"),
        (0x0303, (0x0302, 0x0303, 0x0301), "12"),
        (0x0303, (0x0302,), "11"),
        (0x0303, (GREASE, 0x0303), "12"),
        (0x0303, (0xFAFA, 0x0304), "13"),
        (0x0303, (GREASE,), "00"),
        (0x0303, (0x7F1C,), "00"),
        (0x0303, (), "12"),
        (0x0302, (), "11"),
        (0x0301, (), "10"),
        (0x0300, (), "s3"),
        (0x0002, (), "s2"),
        (0xFEFD, (), "d2"),
        (0x1234, (), "00"),
    ],
)
def test_the_version_is_the_highest_that_is_offered(legacy_version: int, offered: tuple[int, ...], shown: str) -> None:
    extensions = [supported_versions(*offered)] if offered else []
    assert prefix(*extensions, legacy_version=legacy_version)[1:3] == shown


@pytest.mark.parametrize(
    ("protocol", "shown"),
    [
        (b"h2", "h2"),
        (b"http/1.1", "h1"),
        (b"mqtt", "mt"),
        (b"x-amzn-mqtt-ca", "xa"),
        (b"x", "xx"),
        (b"\xab", "ab"),
        (b"\xab\xcd", "ad"),
        (b"\x30\xab", "3b"),
        (b"\x30\x31\xab\xcd", "3d"),
        (b"\x30\xab\xcd\x31", "01"),
        (b"_", "5f"),
        (b"\xc3\xa9x", "c8"),
        (b"\0\x1b", "0b"),
    ],
)
def test_the_first_protocol_shows_its_ends(protocol: bytes, shown: str) -> None:
    assert prefix(alpn(protocol, b"h2")) == f"t12i0201{shown}"


def test_without_a_server_name_or_a_protocol() -> None:
    assert prefix((23, b"")) == "t12i020100"
    assert prefix((23, b""), server_name(b"localhost")) == "t12d020200"
    assert prefix((23, b""), server_name(b"")) == "t12d020200"


def test_without_any_extension() -> None:
    message = build_hello(legacy_version=0x0303, tail=b"")
    assert ja4(parse_client_hello(message)).endswith("_000000000000")
    assert ja4(parse_client_hello(message)).startswith("t12i020000_")


def test_with_nothing_but_grease() -> None:
    message = build_hello((GREASE, b""), cipher_suites=[GREASE])
    assert ja4(parse_client_hello(message)) == "t12i000000_000000000000_000000000000"


def test_counts_end_at_99() -> None:
    many = [(kind, b"") for kind in range(1000, 1150)]
    message = build_hello(*many, cipher_suites=range(0xC000, 0xC0A0))
    assert ja4(parse_client_hello(message)).startswith("t12i999900_")


@settings(max_examples=25)
@given(st.permutations(range(8)), st.permutations(codes(CHROME_SUITES)))
def test_order_of_suites_and_extensions_does_not_matter(order: list[int], suites: list[int]) -> None:
    extensions = [
        server_name(b"localhost"),
        groups(29),
        signature_algorithms(0x0403, 0x0804),
        alpn(b"mqtt"),
        supported_versions(0x0304),
        key_share(29),
        (23, b""),
        (0xFF01, b"\0"),
    ]
    straight = build_hello(*extensions, cipher_suites=codes(CHROME_SUITES))
    shuffled = build_hello(*(extensions[index] for index in order), cipher_suites=suites)
    assert ja4(parse_client_hello(straight)) == ja4(parse_client_hello(shuffled))


@given(st.binary(max_size=200).map(lambda tail: build_hello(tail=vector(tail, 2))))
def test_whatever_can_be_read_has_36_characters(message: bytes) -> None:
    with contextlib.suppress(MalformedHello):
        assert len(ja4(parse_client_hello(message))) == 36


def test_a_name_and_a_protocol_change_nothing_but_the_front() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    plain = ja4(parse_client_hello(live_hello(context)[5:]))
    context.set_alpn_protocols(["mqtt"])
    with_protocol = ja4(parse_client_hello(live_hello(context)[5:]))
    context.check_hostname = False
    without_name = ja4(parse_client_hello(live_hello(context, server_hostname=None)[5:]))
    assert plain[10:] == with_protocol[10:] == without_name[10:]
    assert (plain[3], plain[8:10]) == ("d", "00")
    assert (with_protocol[3], with_protocol[8:10]) == ("d", "mt")
    assert without_name[3] == "i"


def openssl_3_0() -> bool:
    if shutil.which("openssl") is None:
        return False
    version = subprocess.run(["openssl", "version"], capture_output=True, text=True, check=True, timeout=10)
    return version.stdout.startswith("OpenSSL 3.0.")


@pytest.mark.skipif(not openssl_3_0(), reason="the fingerprint is that of OpenSSL 3.0")
def test_openssl_s_client_3_0_is_the_client_that_was_measured() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)
        where = f"127.0.0.1:{listener.getsockname()[1]}"
        command = ["openssl", "s_client", "-connect", where, "-servername", "localhost"]
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as client:
            device, _ = listener.accept()
            observer = RecordObserver()
            with device:
                device.settimeout(20)
                while observer.client_hello is None:
                    data = device.recv(4096)
                    assert data
                    observer.feed(data)
            assert client.wait(20) == 1
    hello = parse_client_hello(observer.client_hello)
    assert ja4(hello) == "t13d311000_e8f1e7e78f70_1f22a2ca17c4"
    assert hello.server_name == "localhost"
