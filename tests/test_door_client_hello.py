"""What a ClientHello says, and what it can not make us do. Other tests borrow the builder at the top."""

from __future__ import annotations

import contextlib
import hashlib
import ssl
from collections.abc import Iterable

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from doorlog.door.client_hello import GREASE, ClientHello, parse_client_hello, without_grease
from doorlog.door.tls_records import RecordObserver
from doorlog.door.tls_sessions import session_digest
from doorlog.errors import MalformedHello

Extension = tuple[int, bytes]


def vector(data: bytes, width: int) -> bytes:
    return len(data).to_bytes(width, "big") + data


def numbers(*values: int) -> bytes:
    return b"".join(value.to_bytes(2, "big") for value in values)


def server_name(name: bytes) -> Extension:
    return 0, vector(b"\0" + vector(name, 2), 2)


def groups(*values: int) -> Extension:
    return 10, vector(numbers(*values), 2)


def signature_algorithms(*values: int) -> Extension:
    return 13, vector(numbers(*values), 2)


def alpn(*names: bytes) -> Extension:
    return 16, vector(b"".join(vector(name, 1) for name in names), 2)


def pre_shared_key(*identities: bytes) -> Extension:
    offered = b"".join(vector(identity, 2) + bytes(4) for identity in identities or (b"a session ticket",))
    return 41, vector(offered, 2) + vector(vector(bytes(32), 1) * max(len(identities), 1), 2)


def supported_versions(*values: int) -> Extension:
    return 43, vector(numbers(*values), 1)


def key_share(*values: int) -> Extension:
    return 51, vector(b"".join(numbers(value) + vector(bytes(32), 2) for value in values), 2)


def build_hello(
    *extensions: Extension,
    legacy_version: int = 0x0303,
    session_id: bytes = b"",
    cipher_suites: Iterable[int] = (0x1301, 0xC02B),
    compression_methods: bytes = b"\0",
    tail: bytes | None = None,
) -> bytes:
    """Return a handshake message; ``tail`` stands for the whole extension block."""
    if tail is None:
        tail = vector(b"".join(numbers(kind) + vector(body, 2) for kind, body in extensions), 2)
    body = numbers(legacy_version) + bytes(range(32)) + vector(session_id, 1)
    body += vector(numbers(*cipher_suites), 2) + vector(compression_methods, 1) + tail
    return b"\1" + vector(body, 3)


def live_hello(context: ssl.SSLContext | None = None, server_hostname: str | None = "broker.example") -> bytes:
    """Return the record in which OpenSSL says hello."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = context or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client = context.wrap_bio(incoming, outgoing, server_hostname=server_hostname)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


FULL = build_hello(
    server_name(b"broker.example"),
    groups(0x2A2A, 29, 23),
    signature_algorithms(0x0403, 0x0804),
    alpn(b"mqtt", b"x-amzn-mqtt-ca"),
    supported_versions(0x0304, 0x0303),
    key_share(0x2A2A, 29),
    (0xABCD, b"nobody knows this one"),
    pre_shared_key(),
    session_id=bytes(32),
    cipher_suites=(0x1A1A, 0x1301, 0xC02B, 0x00FF),
)


def test_a_hello_cut_anywhere_is_malformed() -> None:
    for length in range(len(FULL)):
        with pytest.raises(MalformedHello):
            parse_client_hello(FULL[:length])


def test_so_it_is_if_its_header_fits_what_is_left() -> None:
    without_extensions = len(build_hello(session_id=bytes(32), cipher_suites=range(4), tail=b""))
    for length in set(range(4, len(FULL))) - {without_extensions}:
        with pytest.raises(MalformedHello):
            parse_client_hello(b"\1" + vector(FULL[4:length], 3))


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("nothing at all", b""),
        ("another handshake message", b"\2" + FULL[1:]),
        ("a byte behind the end", FULL + b"\0"),
        ("a length beyond the end", b"\1\xff\xff\xff" + FULL[4:]),
        ("more than 64 KiB", build_hello((21, bytes(0xFF00)), cipher_suites=[0x1301] * 512)),
        ("a session id of 33 bytes", build_hello(session_id=bytes(33))),
        ("no cipher suite", build_hello(cipher_suites=())),
        ("no compression method", build_hello(compression_methods=b"")),
        ("an odd list of cipher suites", build_hello()[:39] + b"\0\3\0\0\0" + build_hello()[43:]),
        ("a byte instead of extensions", build_hello(tail=b"\0")),
        ("an extension without its length", build_hello(tail=vector(b"\0\x17\0", 2))),
        ("an extension beyond the end", build_hello(tail=vector(b"\0\x17\0\1", 2))),
        ("extensions beyond the end", build_hello(tail=b"\0\5\0\x17\0\0")),
        ("bytes behind the extensions", build_hello(tail=b"\0\4\0\x17\0\0\0")),
        ("two server names", build_hello(server_name(b"a"), server_name(b"b"))),
        ("two lists of versions", build_hello(supported_versions(0x0304), supported_versions(0x0303))),
    ],
)
def test_a_hello_that_breaks_the_form_is_malformed(fault: str, message: bytes) -> None:
    with pytest.raises(MalformedHello):
        parse_client_hello(message)


@pytest.mark.parametrize("kind", [10, 13])
@pytest.mark.parametrize("body", [b"", b"\0", b"\0\0", b"\0\1\0", b"\0\3\0\0\0", b"\0\4\0\0", b"\0\2\0\0\0"])
def test_a_list_that_breaks_the_form_is_malformed(kind: int, body: bytes) -> None:
    with pytest.raises(MalformedHello):
        parse_client_hello(build_hello((kind, body)))


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (43, b""),
        (43, b"\0"),
        (43, b"\1\3"),
        (43, b"\3\3\4\3"),
        (43, b"\2\3\4\3"),
        (16, b""),
        (16, b"\0\0"),
        (16, b"\0\1\0"),
        (16, b"\0\3\1a\0"),
        (16, b"\0\2\2a"),
        (16, b"\0\2\1ab"),
        (0, b""),
        (0, b"\0\0"),
        (0, b"\0\1\0"),
        (0, b"\0\3\0\0\1"),
        (0, b"\0\4\0\0\1ab"),
        (0, b"\0\5\0\0\1ab"),
        server_name(b"a" * 256),
    ],
)
def test_an_extension_that_breaks_the_form_is_malformed(kind: int, body: bytes) -> None:
    with pytest.raises(MalformedHello):
        parse_client_hello(build_hello((kind, body)))


@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda tail: build_hello(tail=vector(tail, 2))))
def test_no_bytes_raise_anything_else(message: bytes) -> None:
    with contextlib.suppress(MalformedHello):
        assert parse_client_hello(message).cipher_suites


@given(st.integers(4, len(FULL) - 1), st.binary(min_size=1, max_size=4))
def test_no_bytes_written_over_a_good_hello_raise_anything_else(position: int, written: bytes) -> None:
    message = (FULL[:position] + written + FULL[position + len(written) :])[: len(FULL)]
    with contextlib.suppress(MalformedHello):
        assert parse_client_hello(message).cipher_suites


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (b"broker.example", "broker.example"),
        (b"BROKER.example.", "BROKER.example."),
        (b"line\r\nbreak", r"line\x0d\x0abreak"),
        (b"\x1b[2Jgone", r"\x1b[2Jgone"),
        (b"nul\0", r"nul\x00"),
        (b"del\x7f", r"del\x7f"),
        ("münchen".encode(), r"m\xc3\xbcnchen"),
        (b"c:\\x0a", r"c:\x5cx0a"),
        (b"", None),
    ],
)
def test_a_server_name_is_safe_to_print(sent: bytes, read: str | None) -> None:
    assert parse_client_hello(build_hello(server_name(sent))).server_name == read


@given(st.binary(min_size=1, max_size=255))
def test_no_server_name_is_unsafe_to_print(sent: bytes) -> None:
    name = parse_client_hello(build_hello(server_name(sent))).server_name
    assert name
    assert name.isascii()
    assert name.isprintable()
    assert len(name) <= 255


def test_the_first_host_name_counts_and_other_kinds_do_not() -> None:
    names = b"\7" + vector(b"other", 2) + b"\0" + vector(b"first", 2) + b"\0" + vector(b"second", 2)
    assert parse_client_hello(build_hello((0, vector(names, 2)))).server_name == "first"
    assert parse_client_hello(build_hello((0, vector(b"\7" + vector(b"other", 2), 2)))).server_name is None


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (b"", ()),
        (b"\0\0", ()),
        (b"\0\4\0\x1d\0", ()),
        (b"\0\x04\0\x1d\0\x20", ()),
        (b"\0\5\0\x1d\0\1k", (29,)),
        (b"\0\5\0\x1d\0\1k\0\x17", (29,)),
    ],
)
def test_key_shares_are_read_as_far_as_they_are_well_formed(body: bytes, read: tuple[int, ...]) -> None:
    assert parse_client_hello(build_hello((51, body))).key_share_groups == read


def test_an_old_session_is_known_by_its_id() -> None:
    hello = parse_client_hello(build_hello(session_id=b"from TLS 1.2"))
    assert hello.tickets == (hashlib.sha256(b"from TLS 1.2").hexdigest()[:16],)
    assert parse_client_hello(build_hello()).tickets == ()


def test_sessions_of_tls_1_3_are_known_by_their_identities() -> None:
    """Beside them the session id is made up (RFC 8446, D.4)."""
    hello = parse_client_hello(build_hello(pre_shared_key(b"one", b"two"), session_id=bytes(32)))
    assert hello.tickets == (session_digest(b"one"), session_digest(b"two"))


def test_no_more_than_four_sessions_are_read() -> None:
    identities = [f"ticket {number}".encode() for number in range(9)]
    hello = parse_client_hello(build_hello(pre_shared_key(*identities)))
    assert hello.tickets == tuple(map(session_digest, identities[:4]))


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (b"", ()),
        (b"\0", ()),
        (b"\0\0", ()),
        (b"\0\6\0\0\0\0\0\0", ()),  # an identity of no bytes
        (b"\0\7\0\1k\0\0\0\0", (b"k",)),
        (b"\xff\xff\0\1k\0\0\0\0", (b"k",)),
        (b"\0\7\0\1k\0\0\0", ()),  # without all of its age
        (b"\0\7\0\2k\0\0\0\0", ()),
        (b"\0\7\xff\xffk\0\0\0\0", ()),
        (b"\0\3\0\1k\0\0\0\0", ()),
        (b"\0\x0e\0\1k\0\0\0\0\0\1", (b"k",)),
    ],
)
def test_identities_are_read_as_far_as_they_are_well_formed(body: bytes, read: tuple[bytes, ...]) -> None:
    hello = parse_client_hello(build_hello((41, body), session_id=b"made up"))
    assert hello.tickets == tuple(map(session_digest, read))


def test_an_extension_that_nobody_reads_may_come_twice() -> None:
    assert parse_client_hello(build_hello((0xABCD, b""), (0xABCD, b""))).extensions == (0xABCD, 0xABCD)


def test_a_full_hello_is_read_with_its_grease() -> None:
    assert parse_client_hello(FULL) == ClientHello(
        legacy_version=0x0303,
        versions=(0x0304, 0x0303),
        cipher_suites=(0x1A1A, 0x1301, 0xC02B, 0x00FF),
        groups=(0x2A2A, 29, 23),
        signature_algorithms=(0x0403, 0x0804),
        extensions=(0, 10, 13, 16, 43, 51, 0xABCD, 41),
        alpn=(b"mqtt", b"x-amzn-mqtt-ca"),
        server_name="broker.example",
        offers_psk=True,
        key_share_groups=(0x2A2A, 29),
        tickets=(),
    )


def test_devices_of_one_build_say_the_same_whatever_they_resume() -> None:
    """What is worked out of a hello is remembered for all of them."""
    fresh, again = (parse_client_hello(build_hello(session_id=session_id)) for session_id in (b"", b"from TLS 1.2"))
    assert fresh.tickets != again.tickets
    assert fresh == again
    assert hash(fresh) == hash(again)


@pytest.mark.parametrize("tail", [b"", b"\0\0"])
def test_an_old_client_sends_no_extensions(tail: bytes) -> None:
    hello = parse_client_hello(build_hello(legacy_version=0x0301, tail=tail))
    assert hello.versions == (0x0301,)
    assert hello.extensions == hello.groups == hello.signature_algorithms == ()
    assert hello.alpn == ()
    assert hello.server_name is None
    assert not hello.offers_psk


def test_grease_is_the_sixteen_values_of_rfc_8701() -> None:
    assert sorted(GREASE)[:2] == [0x0A0A, 0x1A1A]
    assert max(GREASE) == 0xFAFA
    assert len(GREASE) == 16
    assert without_grease((0x1301, 0x0A0A, 0x0A1A, 0xFAFA, 0x1302)) == (0x1301, 0x0A1A, 0x1302)
    assert without_grease((0x1301,)) == (0x1301,)


u16 = st.integers(0, 0xFFFF)
some_numbers = st.lists(u16, min_size=1, max_size=40).map(tuple)


@settings(max_examples=40)
@given(
    versions=st.lists(u16, min_size=1, max_size=127).map(tuple),
    cipher_suites=some_numbers,
    offered_groups=some_numbers,
    signatures=some_numbers,
    protocols=st.lists(st.binary(min_size=1, max_size=255), min_size=1, max_size=5).map(tuple),
    name=st.from_regex(rb"[a-z0-9.-]{1,255}", fullmatch=True),
    unknown=st.lists(st.tuples(st.integers(1000, 0xFFFF), st.binary(max_size=20)), max_size=5),
)
def test_what_is_built_is_read(
    versions: tuple[int, ...],
    cipher_suites: tuple[int, ...],
    offered_groups: tuple[int, ...],
    signatures: tuple[int, ...],
    protocols: tuple[bytes, ...],
    name: bytes,
    unknown: list[Extension],
) -> None:
    message = build_hello(
        *unknown,
        supported_versions(*versions),
        groups(*offered_groups),
        signature_algorithms(*signatures),
        alpn(*protocols),
        server_name(name),
        key_share(*offered_groups),
        cipher_suites=cipher_suites,
    )
    hello = parse_client_hello(message)
    assert hello.versions == versions
    assert hello.cipher_suites == cipher_suites
    assert hello.groups == hello.key_share_groups == offered_groups
    assert hello.signature_algorithms == signatures
    assert hello.alpn == protocols
    assert hello.server_name == name.decode()
    assert hello.extensions == (*(kind for kind, _ in unknown), 43, 10, 13, 16, 0, 51)
    assert not hello.offers_psk


def test_openssl_says_what_it_was_told_to() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["mqtt"])
    context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    hello = parse_client_hello(live_hello(context)[5:])
    assert hello.server_name == "broker.example"
    assert hello.alpn == (b"mqtt",)
    assert hello.versions == (0x0304, 0x0303)
    assert hello.cipher_suites == (0x1302, 0x1303, 0x1301, 0xC02B, 0x00FF)
    assert 29 in hello.groups
    assert hello.key_share_groups == (29,)
    assert 0x0403 in hello.signature_algorithms


SERVER_CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
trustme.CA().issue_cert("broker.example").configure_cert(SERVER_CONTEXT)
LIVE = live_hello()


@settings(max_examples=150, deadline=None)
@given(
    positions=st.lists(st.integers(9, len(LIVE) - 1), min_size=1, max_size=4),
    written=st.binary(min_size=4, max_size=4),
    cut=st.sampled_from([0, 0, 0, 1, 2, 5]),
)
def test_whatever_openssl_answers_can_be_read(positions: list[int], written: bytes, cut: int) -> None:
    body = bytearray(LIVE[9 : len(LIVE) - cut])
    for position, value in zip(positions, written, strict=False):
        if position - 9 < len(body):
            body[position - 9] = value
    message = b"\1" + vector(bytes(body), 3)

    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = SERVER_CONTEXT.wrap_bio(incoming, outgoing, server_side=True)
    incoming.write(LIVE[:3] + vector(message, 2))
    with pytest.raises(ssl.SSLError):  # it wants the client's answer, or refuses
        server.do_handshake()
    answer = RecordObserver()
    answer.feed(outgoing.read())

    if answer.server_hello is not None:
        parse_client_hello(message)
