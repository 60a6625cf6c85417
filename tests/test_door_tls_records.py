"""What is seen of a TLS stream that goes by: hostile streams first, then live handshakes."""

from __future__ import annotations

import copy
import ssl
import tracemalloc
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from doorlog.door.tls_records import (
    MAX_CERTIFICATES,
    MAX_MESSAGE_BYTES,
    RecordObserver,
    ServerHello,
    certificates_of,
)
from test_door_client_hello import build_hello, live_hello, numbers, server_name, vector

HELLO = build_hello(server_name(b"broker.example"))
RETRY_RANDOM = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")


def record(content_type: int, payload: bytes) -> bytes:
    return bytes([content_type]) + b"\3\3" + vector(payload, 2)


def message(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + vector(body, 3)


def server_hello(*extensions: tuple[int, bytes], random: bytes = bytes(32), tail: bytes | None = None) -> bytes:
    if tail is None:
        tail = vector(b"".join(numbers(kind) + vector(body, 2) for kind, body in extensions), 2)
    return message(2, numbers(0x0303) + random + vector(b"id", 1) + numbers(0xC02B) + b"\0" + tail)


def seen(*pieces: bytes | memoryview) -> RecordObserver:
    observer = RecordObserver()
    for piece in pieces:
        observer.feed(piece)
    return observer


CHANGE_CIPHER_SPEC = record(20, b"\1")
SEALED = record(23, b"nobody can read this")


@pytest.mark.parametrize(
    "stream",
    [
        b"GET / HTTP/1.1\r\nHost: broker.example\r\n\r\n",
        b"\x10\x16\x00\x04MQTT\x04\x02\x00\x3c\x00\x0acontroller",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\0",
        b"\x16\x02",
        b"\x16\x03\x01\x48\x01",
        b"\x19\x03\x03\x00\x01",
        b"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10",  # a ClientHello in the form of SSL 2.0
    ],
)
def test_what_is_no_tls_is_known_by_its_first_bytes(stream: bytes) -> None:
    observer = seen(stream)
    assert observer.broken
    assert observer.hello_ruled_out
    assert observer.first_bytes == stream[:16]
    assert observer.total_bytes == len(stream)
    assert observer.client_hello is None
    assert not observer.hello_started


def test_silence_is_not_broken() -> None:
    assert seen(b"") == RecordObserver()
    assert not RecordObserver().hello_ruled_out


def test_nothing_is_kept_of_a_stream_once_it_is_broken() -> None:
    observer = seen(record(22, HELLO[:20]), b"garbage", record(22, HELLO[20:]), record(21, b"\2\x30"))
    assert observer.broken
    assert observer.hello_started
    assert observer.client_hello is None
    assert observer.alert is None
    assert observer.total_bytes == len(HELLO) + 3 * 5 + 2 + 7


def test_what_was_seen_before_stays() -> None:
    observer = seen(record(22, HELLO), b"garbage")
    assert observer.broken
    assert observer.client_hello == HELLO
    assert not observer.hello_ruled_out


@pytest.mark.parametrize(
    "stream",
    [
        record(22, message(99, b"?")),
        record(22, message(1, b"")),
        record(22, b"\1" + (MAX_MESSAGE_BYTES + 1).to_bytes(3, "big")),
        CHANGE_CIPHER_SPEC,
        SEALED,
        record(24, b"a heartbeat"),
        record(22, HELLO[:10]) + SEALED,
        record(22, HELLO[:10]) + CHANGE_CIPHER_SPEC,
    ],
)
def test_nobody_waits_for_a_hello_that_can_not_come(stream: bytes) -> None:
    assert not seen(record(21, b"\1\0")).hello_ruled_out
    assert seen(stream, record(22, HELLO)).hello_ruled_out


def test_nor_for_one_that_never_ends() -> None:
    trickle = b"".join(record(22, bytes([byte])) for byte in b"\1\0\xff\xff" + bytes(MAX_MESSAGE_BYTES // 3))
    observer = seen(trickle)
    assert observer.hello_started
    assert observer.client_hello is None
    assert observer.hello_ruled_out


def test_the_longest_message_is_kept_and_a_longer_one_is_passed_over() -> None:
    longest = message(11, bytes(MAX_MESSAGE_BYTES))
    longer = message(11, bytes(MAX_MESSAGE_BYTES + 1))
    stream = longer + longest + message(14, b"")
    observer = seen(*(record(22, stream[at : at + 16_384]) for at in range(0, len(stream), 16_384)))
    assert observer.certificate_message == longest
    assert observer.handshake_types == [11, 11, 14]


@pytest.mark.parametrize(
    "piece",
    [
        b"".join(record(22, message(1, bytes(0xFF00))[at : at + 0x4000]) for at in range(0, 0xFF04, 0x4000)),
        record(22, message(2, b"\0" * 1000)),
        record(22, message(11, b"\0" * 1000)),
        record(22, message(0, b"") * 1000),
        record(22, b"\2\xff\xff\xff" + bytes(16_000)),
        record(21, b"\1\x5a") * 1000,
        record(22, b"") * 1000,
        record(23, bytes(16_384)),
    ],
)
def test_memory_is_bounded_whatever_comes(piece: bytes) -> None:
    observer = RecordObserver()
    tracemalloc.start()
    try:
        for _ in range(10):
            observer.feed(piece)
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert observer.total_bytes == 10 * len(piece)
    assert kept < 150_000
    assert peak < 250_000
    assert len(observer.handshake_types) <= 32


def test_a_hello_may_come_in_single_bytes_in_single_records() -> None:
    observer = RecordObserver()
    for byte in b"".join(record(22, bytes([byte])) for byte in HELLO):
        assert observer.client_hello is None
        observer.feed(bytes([byte]))
    assert observer.client_hello == HELLO
    assert observer.handshake_types == [1]


def test_a_hello_begins_with_its_first_byte() -> None:
    assert not seen(record(22, HELLO)[:5]).hello_started
    assert seen(record(22, HELLO)[:6]).hello_started
    assert not seen(record(22, message(2, b""))).hello_started


def test_several_messages_share_a_record_and_records_share_a_message() -> None:
    certificate = message(11, bytes(3))
    flight = server_hello() + certificate + message(12, bytes(100)) + message(14, b"")
    together = seen(record(22, flight))
    apart = seen(record(22, flight[:70]), record(22, flight[70:75]), record(22, flight[75:]))
    assert together.handshake_types == apart.handshake_types == [2, 11, 12, 14]
    assert together.certificate_message == apart.certificate_message == certificate
    assert together.server_hello == apart.server_hello


def test_the_first_hello_and_the_first_certificate_are_kept() -> None:
    second = build_hello(server_name(b"other.example"))
    observer = seen(record(22, HELLO + second + message(11, b"first") + message(11, b"second")))
    assert observer.client_hello == HELLO
    assert observer.certificate_message == message(11, b"first")
    assert observer.handshake_types == [1, 1, 11, 11]


def test_what_is_encrypted_is_not_taken_for_a_message() -> None:
    finished = record(22, b"\x01\x00\x00\x05" + bytes(36))
    observer = seen(record(22, HELLO), CHANGE_CIPHER_SPEC, finished, record(22, server_hello()))
    assert observer.change_cipher_spec
    assert observer.handshake_types == [1]
    assert observer.server_hello is None


def test_a_second_hello_comes_after_a_change_cipher_spec_that_means_nothing() -> None:
    device = seen(record(22, HELLO), CHANGE_CIPHER_SPEC, record(22, HELLO), SEALED)
    assert device.handshake_types == [1, 1]
    broker = seen(record(22, server_hello(random=RETRY_RANDOM)), CHANGE_CIPHER_SPEC)
    assert broker.server_hello
    assert broker.server_hello.is_hello_retry_request
    broker.feed(record(22, server_hello()) + SEALED)
    assert broker.handshake_types == [2, 2]
    assert not broker.server_hello.is_hello_retry_request


def test_once_encryption_began_there_are_no_messages_in_the_clear() -> None:
    observer = seen(record(22, HELLO[:9]), SEALED, SEALED, record(22, HELLO[9:] + HELLO))
    assert observer.encrypted_records == 2
    assert observer.client_hello is None
    assert observer.handshake_types == [1]


@pytest.mark.parametrize(
    ("stream", "alert"),
    [
        (record(21, b"\2\x30"), (2, 48)),
        (record(21, b"\2\x30") + record(21, b"\1\0"), (2, 48)),
        (record(21, b"\1\x5a") + record(21, b"\2\x30"), (2, 48)),
        (record(21, b"\1\x5a") + record(21, b"\1\0"), (1, 90)),
        (record(21, b"\2\x2a") + record(21, b"\2\x30"), (2, 42)),
        (record(22, HELLO) + CHANGE_CIPHER_SPEC + record(21, b"\2\x30"), (2, 48)),
        (record(22, HELLO) + SEALED + record(21, b"\2\x30"), (2, 48)),
        (CHANGE_CIPHER_SPEC + record(21, bytes(26)), None),
        (record(21, b"\2"), None),
        (record(21, b""), None),
        (record(21, b"\2\x30")[:-1], None),
    ],
)
def test_alerts_in_the_clear_are_seen(stream: bytes, alert: tuple[int, int] | None) -> None:
    assert seen(stream).alert == alert


@pytest.mark.parametrize("length", range(40))
def test_a_server_hello_cut_short_tells_nothing(length: int) -> None:
    body = server_hello(tail=b"")[4:][:length]
    observer = seen(record(22, message(2, body)))
    assert observer.server_hello is None
    assert observer.handshake_types == [2]


@pytest.mark.parametrize(
    ("tail", "group", "resumed", "version"),
    [
        (b"", None, False, 0x0303),
        (b"\0", None, False, 0x0303),
        (vector(b"\0\x33\0\2\0\x1d\0\x2b\0\2\3\4", 2), 29, False, 0x0304),
        (vector(b"\0\x29\0\2\0\0\0\x33\0\1\0", 2), None, True, 0x0303),
        (vector(b"\0\x29\0\2\0\0\0\x33\0\xff\0\x1d", 2), None, True, 0x0303),
    ],
)
def test_a_server_hello_is_read_as_far_as_it_goes(tail: bytes, group: int | None, resumed: bool, version: int) -> None:
    assert seen(record(22, server_hello(tail=tail))).server_hello == ServerHello(
        version=version, cipher_suite=0xC02B, group=group, resumed_psk=resumed, is_hello_retry_request=False
    )


def certificate_list(certificates: Iterable[bytes], *, tls13: bool) -> bytes:
    entries = b"".join(vector(one, 3) + (vector(b"ext", 2) if tls13 else b"") for one in certificates)
    return message(11, (vector(b"context", 1) if tls13 else b"") + vector(entries, 3))


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=MAX_CERTIFICATES), st.booleans())
def test_certificates_are_found_in_both_forms(certificates: list[bytes], tls13: bool) -> None:
    assert certificates_of(certificate_list(certificates, tls13=tls13), tls13=tls13) == tuple(certificates)


def test_a_chain_is_cut_at_sixteen() -> None:
    assert certificates_of(certificate_list([b"x"] * 5000, tls13=False), tls13=False) == (b"x",) * 16


@pytest.mark.parametrize("tls13", [False, True])
def test_a_broken_chain_gives_what_comes_before_the_fault(tls13: bool) -> None:
    whole = certificate_list([b"leaf", b"intermediate"], tls13=tls13)
    for length in range(len(whole)):
        assert certificates_of(whole[:length], tls13=tls13) in {(), (b"leaf",), (b"leaf", b"intermediate")}
    assert certificates_of(certificate_list([b"leaf", b"", b"more"], tls13=tls13), tls13=tls13) == (b"leaf",)
    assert certificates_of(b"\x0c" + whole[1:], tls13=tls13) == ()


@given(st.binary(max_size=60), st.booleans())
def test_no_bytes_make_certificates_of_raise(body: bytes, tls13: bool) -> None:
    assert all(certificates_of(b"\x0b" + body, tls13=tls13))
    assert certificates_of(body, tls13=tls13) == () or body[0] == 11


handshake_bytes = st.one_of(
    st.just(HELLO),
    st.just(server_hello((43, b"\3\4"))),
    st.binary(max_size=30),
    st.tuples(st.sampled_from([0, 1, 2, 4, 11, 14]), st.binary(max_size=80)).map(lambda m: message(*m)),
)
pieces_of_a_stream = st.one_of(
    st.tuples(st.sampled_from([20, 21, 22, 23, 24]), st.binary(max_size=60)).map(lambda r: record(*r)),
    handshake_bytes.map(lambda payload: record(22, payload)),
    st.sampled_from([record(22, HELLO[:7]), record(22, HELLO[7:]), CHANGE_CIPHER_SPEC, record(21, b"\2\x30")]),
    st.binary(max_size=8),
)


@given(stream=st.lists(pieces_of_a_stream, max_size=8).map(b"".join), data=st.data())
def test_how_a_stream_is_cut_does_not_matter(stream: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    parts = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    whole = seen(stream)
    assert seen(*parts) == whole
    assert seen(*(bytes([byte]) for byte in stream)) == whole
    assert seen(*(memoryview(bytearray(part)) for part in parts)) == whole


@given(st.binary(max_size=200))
def test_no_stream_makes_it_raise(stream: bytes) -> None:
    assert seen(stream).total_bytes == len(stream)


CA = trustme.CA()
BROKER = CA.issue_cert("broker.example")
DEVICE = CA.issue_cert("pump-17.example")


def broker_context(*, version: ssl.TLSVersion, device_certificate: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    BROKER.configure_cert(context)
    CA.configure_trust(context)
    context.minimum_version = context.maximum_version = version
    if device_certificate:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def device_context(*, trusts: trustme.CA | None = CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if trusts:
        trusts.configure_trust(context)
    return context


@dataclass
class Talk:
    """A device and a broker that shake hands, and what two observers see of it."""

    device_context: ssl.SSLContext
    broker_context: ssl.SSLContext
    session: ssl.SSLSession | None = None
    from_device: RecordObserver = field(default_factory=RecordObserver)
    from_broker: RecordObserver = field(default_factory=RecordObserver)
    errors: dict[ssl.SSLObject, ssl.SSLError] = field(default_factory=dict)

    def __post_init__(self) -> None:
        up, up_in, down, down_in = (ssl.MemoryBIO() for _ in range(4))
        self.broker = self.broker_context.wrap_bio(up_in, down, server_side=True)
        self.device = self.device_context.wrap_bio(down_in, up, server_hostname="broker.example", session=self.session)
        for _ in range(4):
            self._step(self.device, self.device.do_handshake)
            self._carry(up, up_in, self.from_device)
            self._step(self.broker, self.broker.do_handshake)
            self._carry(down, down_in, self.from_broker)
        self._step(self.device, lambda: self.device.read(1))  # in TLS 1.3, session tickets come last

    def _step(self, side: ssl.SSLObject, move: Callable[[], object]) -> None:
        if side in self.errors:
            return
        try:
            move()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self.errors[side] = error

    def _carry(self, source: ssl.MemoryBIO, sink: ssl.MemoryBIO, observer: RecordObserver) -> None:
        data = source.read()
        observer.feed(data)
        sink.write(data)


BOTH = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])


def test_tls_1_3_is_seen_up_to_its_server_hello() -> None:
    talk = Talk(device_context(), broker_context(version=ssl.TLSVersion.TLSv1_3))
    assert not talk.errors
    device, broker = talk.from_device, talk.from_broker
    assert device.client_hello
    assert device.handshake_types == [1]
    assert device.encrypted_records == 1
    assert broker.server_hello == ServerHello(
        version=0x0304, cipher_suite=0x1302, group=29, resumed_psk=False, is_hello_retry_request=False
    )
    assert broker.handshake_types == [2]
    assert broker.encrypted_records > 3
    assert broker.certificate_message is None
    assert device.change_cipher_spec
    assert broker.change_cipher_spec


def test_tls_1_2_shows_the_certificate() -> None:
    talk = Talk(device_context(), broker_context(version=ssl.TLSVersion.TLSv1_2))
    assert not talk.errors
    device, broker = talk.from_device, talk.from_broker
    assert device.handshake_types == [1, 16]
    assert broker.handshake_types == [2, 11, 12, 14, 4]
    assert broker.server_hello
    assert (broker.server_hello.version, broker.server_hello.group) == (0x0303, None)
    assert broker.certificate_message
    assert certificates_of(broker.certificate_message, tls13=False)[0] == talk.device.getpeercert(binary_form=True)
    assert device.encrypted_records == broker.encrypted_records == 0
    assert not device.broken
    assert not broker.broken


def test_tls_1_2_shows_the_certificate_of_a_refused_device() -> None:
    context = device_context()
    stranger = trustme.CA().issue_cert("stranger.example")
    stranger.configure_cert(context)
    talk = Talk(context, broker_context(version=ssl.TLSVersion.TLSv1_2, device_certificate=True))
    assert talk.from_device.certificate_message
    (shown,) = certificates_of(talk.from_device.certificate_message, tls13=False)
    assert ssl.DER_cert_to_PEM_cert(shown).strip() == stranger.cert_chain_pems[0].bytes().decode().strip()
    assert talk.from_device.handshake_types == [1, 11, 16, 15]
    assert talk.from_broker.alert == (2, 48)


def test_tls_1_3_certificates_are_read_once_decrypted() -> None:
    messages: list[bytes] = []

    def overhear(connection: object, direction: str, version: object, content: object, kind: int, data: bytes) -> None:
        if kind == 11 and direction == "read":
            messages.append(data)

    context = device_context()
    context._msg_callback = overhear  # type: ignore[attr-defined]  # private to ssl, where else to get one from
    talk = Talk(context, broker_context(version=ssl.TLSVersion.TLSv1_3))
    (certificate,) = messages
    assert certificates_of(certificate, tls13=True)[0] == talk.device.getpeercert(binary_form=True)


@BOTH
def test_a_resumed_session_shows_no_certificate(version: ssl.TLSVersion) -> None:
    device, broker = device_context(), broker_context(version=version)
    first = Talk(device, broker)
    again = Talk(device, broker, session=first.device.session)
    assert not again.errors
    assert again.device.session_reused
    assert again.from_broker.server_hello
    assert again.from_broker.server_hello.resumed_psk is (version is ssl.TLSVersion.TLSv1_3)
    assert again.from_broker.certificate_message is None
    assert again.from_device.handshake_types == [1]


def test_a_device_is_asked_for_another_hello() -> None:
    broker = broker_context(version=ssl.TLSVersion.TLSv1_3)
    broker.set_ecdh_curve("secp384r1")
    talk = Talk(device_context(), broker)
    assert not talk.errors
    assert talk.from_device.handshake_types == [1, 1]
    assert talk.from_broker.handshake_types == [2, 2]
    assert talk.from_broker.server_hello
    assert talk.from_broker.server_hello.group == 24
    assert not talk.from_broker.server_hello.is_hello_retry_request


@BOTH
def test_a_device_that_does_not_trust_our_issuer_says_so_in_the_clear(version: ssl.TLSVersion) -> None:
    talk = Talk(device_context(trusts=None), broker_context(version=version))
    assert talk.from_device.alert == (2, 48)
    assert talk.from_broker.alert is None
    assert talk.errors[talk.broker].reason == "TLSV1_ALERT_UNKNOWN_CA"


def test_our_own_alert_is_seen_in_the_other_direction() -> None:
    device = device_context()
    device.maximum_version = ssl.TLSVersion.TLSv1_2
    talk = Talk(device, broker_context(version=ssl.TLSVersion.TLSv1_3))
    assert talk.from_broker.alert == (2, 70)
    assert talk.from_broker.server_hello is None
    assert talk.from_device.alert is None


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(0, 517), max_size=20).map(sorted))
def test_a_live_hello_is_seen_however_it_is_cut(cuts: list[int]) -> None:
    stream = live_hello()
    observer = seen(*(stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)))
    assert observer == copy.deepcopy(seen(stream))
    assert observer.client_hello == stream[5:]
