"""Handshakes in memory, good and bad, in one piece and byte by byte, in TLS 1.2 and TLS 1.3."""

from __future__ import annotations

import pytest

from doorlog.door.classify import Ending, classify_tls
from doorlog.door.client_hello import ClientHello
from doorlog.door.tls_context import ServedChain
from doorlog.door.tls_engine import TlsEngine
from doorlog.door.tls_witness import TlsState
from doorlog.events.codes import Code
from support.clients.base import TlsVersion
from support.clients.raw_tls import Offer, client_hello, only
from support.memory_tls import MemoryDevice, connected, mutual, pieces, served, visited
from support.pki import CertificateFiles, Pki

WHOLE, BYTE_BY_BYTE = 1 << 20, 1
CONTENT_ALERT, CONTENT_HANDSHAKE, CONTENT_DATA = 21, 22, 23
WIRE_VERSION = {"1.2": 0x0303, "1.3": 0x0304}

each_version = pytest.mark.parametrize("version", ["1.2", "1.3"])
each_size = pytest.mark.parametrize("size", [WHOLE, BYTE_BY_BYTE], ids=["whole", "byte by byte"])
each_hearing = pytest.mark.parametrize("overhear", [True, False], ids=["overhearing", "deaf"])


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def chain(pki: Pki) -> ServedChain:
    return served(pki.server())


def record(content: int, body: bytes) -> bytes:
    return bytes((content, 3, 3)) + len(body).to_bytes(2, "big") + body


def showing(files: CertificateFiles, version: TlsVersion) -> MemoryDevice:
    return MemoryDevice(only(version, Offer(certfile=files.certfile, keyfile=files.keyfile)))


def why(engine: TlsEngine, ending: Ending | None = None) -> Code:
    return classify_tls(engine.evidence(ending))


# good ones


@each_version
@each_size
def test_a_device_talks_to_us(pki: Pki, chain: ServedChain, version: TlsVersion, size: int) -> None:
    device = MemoryDevice(only(version, Offer(cafile=pki.cafile)))
    engine = connected(chain, device, size=size)
    assert engine.state is TlsState.ESTABLISHED
    assert engine.established
    assert engine.handshake_duration is not None
    assert 0 < engine.handshake_duration < 60_000_000_000  # of a minute
    assert engine.version == WIRE_VERSION[version]
    assert engine.cipher
    assert engine.hello is not None
    assert engine.hello.server_name == "localhost"
    assert engine.certificate_sent
    assert not engine.resumed
    assert engine.presented_certificates == ()

    said = b"".join(engine.receive(piece) for piece in pieces(device.say(b"knock knock"), size))
    assert said == b"knock knock"
    engine.send(b"who is there?")
    device.answer(engine.take_output())
    assert device.plaintext == b"who is there?"
    assert (engine.received_alert, engine.sent_alert, device.alerts) == (None, None, [])


@each_version
def test_the_segmentation_changes_no_evidence(chain: ServedChain, version: TlsVersion) -> None:
    whole = connected(chain, MemoryDevice(only(version)))
    bytewise = connected(chain, MemoryDevice(only(version)), size=BYTE_BY_BYTE)
    assert whole.ja4 == bytewise.ja4
    assert whole.client.handshake_types == bytewise.client.handshake_types
    assert whole.server.handshake_types == bytewise.server.handshake_types


def test_what_to_serve_is_chosen_once_and_after_the_hello(chain: ServedChain) -> None:
    seen: list[ClientHello | None] = []

    def policy(hello: ClientHello | None) -> ServedChain:
        seen.append(hello)
        return chain

    engine = TlsEngine(policy)
    hello = client_hello(Offer(server_name="pumps.example.org"))
    for piece in pieces(hello[:-1], 1):
        engine.receive(piece)
    assert (seen, engine.chain, engine.ssl_object) == ([], None, None)
    engine.receive(hello[-1:])
    assert [hello.server_name for hello in seen if hello] == ["pumps.example.org"]
    assert engine.chain is chain


def test_application_data_may_come_with_the_last_flight(chain: ServedChain) -> None:
    device = MemoryDevice(only("1.3"))
    engine = TlsEngine(lambda _hello: chain)
    engine.receive(device.answer())
    finished = device.answer(engine.take_output())
    assert engine.receive(finished + device.say(b"at once")) == b"at once"


def test_a_large_message_goes_both_ways(chain: ServedChain) -> None:
    device = MemoryDevice(only("1.3"))
    engine = connected(chain, device)
    much = bytes(range(256)) * 4000
    assert engine.receive(device.say(much)) == much
    engine.send(much)
    device.answer(engine.take_output())
    assert device.plaintext == much


@each_version
def test_a_session_is_resumed(chain: ServedChain, version: TlsVersion) -> None:
    first = MemoryDevice(only(version))
    visited(chain, first)
    session = first.tls.session
    again = connected(chain, MemoryDevice(only(version), context=first.context, session=session))
    assert again.established
    assert again.resumed
    assert not again.certificate_sent


# the device refuses us


@each_version
@each_size
def test_the_device_does_not_trust_us(pki: Pki, chain: ServedChain, version: TlsVersion, size: int) -> None:
    engine = connected(chain, MemoryDevice(only(version, Offer(cafile=pki.other_cafile))), size=size)
    assert engine.state is TlsState.FAILED
    assert not engine.established
    assert engine.handshake_duration is None
    assert engine.received_alert == 48
    assert engine.certificate_sent
    assert engine.version == WIRE_VERSION[version]
    assert why(engine) is Code.SERVER_CERTIFICATE_UNKNOWN_CA


@each_version
def test_an_alert_after_the_handshake(chain: ServedChain, version: TlsVersion) -> None:
    """Some stacks judge our certificate when all is done."""
    device = MemoryDevice(only(version))
    engine = connected(chain, device)
    engine.receive(record(CONTENT_ALERT, b"\x02\x30"))
    assert engine.state is TlsState.FAILED
    if version == "1.2":  # in TLS 1.3 an alert in the clear is a forgery by now
        assert engine.error is not None
    assert engine.established


@pytest.mark.parametrize("alert", [0, 90])
@each_version
def test_a_device_that_changes_its_mind(chain: ServedChain, version: TlsVersion, alert: int) -> None:
    """close_notify or user_canceled instead of the next flight."""
    device = MemoryDevice(only(version))
    engine = TlsEngine(lambda _hello: chain)
    engine.receive(device.answer())
    engine.receive(record(CONTENT_ALERT, bytes((1, alert))))
    engine.receive(record(CONTENT_ALERT, b"\x01\x00"))
    code = why(engine, Ending.FIN)
    assert code in {Code.CLOSED_AFTER_SERVER_CERTIFICATE, Code.CLIENT_ALERT}
    assert engine.certificate_sent


# we refuse the device


@each_version
@each_size
@each_hearing
@pytest.mark.parametrize(
    ("shown", "code", "alert"),
    [
        ("client_expired", Code.CLIENT_CERTIFICATE_EXPIRED, 45),
        ("client_foreign", Code.CLIENT_CERTIFICATE_UNTRUSTED, 48),
    ],
)
def test_a_certificate_is_refused(
    pki: Pki, version: TlsVersion, size: int, overhear: bool, shown: str, code: Code, alert: int
) -> None:
    files: CertificateFiles = getattr(pki, shown)()
    device = showing(files, version)
    engine = connected(mutual(pki, overhear=overhear), device, size=size)
    assert why(engine) is code
    assert device.alerts == [alert], "the device must read why"
    named = engine.presented_certificates
    if version == "1.3" and not overhear:  # encrypted, and nobody told: absent, and nothing breaks
        assert (named, engine.sent_alert) == ((), None)
    else:
        assert named[0] == files.der
        assert engine.sent_alert == alert


@each_version
@each_hearing
def test_no_certificate_is_refused(pki: Pki, version: TlsVersion, overhear: bool) -> None:
    device = MemoryDevice(only(version))
    engine = connected(mutual(pki, overhear=overhear), device)
    assert why(engine) is Code.CLIENT_CERTIFICATE_MISSING
    assert device.alerts == [{"1.2": 40, "1.3": 116}[version]]


@each_version
@each_hearing
def test_a_good_certificate_is_known(pki: Pki, version: TlsVersion, overhear: bool) -> None:
    files = pki.client()
    engine = connected(mutual(pki, overhear=overhear), showing(files, version))
    assert engine.established
    assert engine.presented_certificates[0] == files.der


@each_version
def test_what_was_said_to_one_device_is_not_told_of_another(pki: Pki, version: TlsVersion) -> None:
    """All connections of a chain share OpenSSL's one callback."""
    shared = mutual(pki)
    leaving = connected(shared, showing(pki.client("pump-1"), version))
    refused = connected(shared, showing(pki.client_expired("pump-2"), version))
    leaving.close()  # our close_notify is alert 0
    other = connected(shared, showing(pki.client("pump-3"), version))
    assert other.sent_alert is None
    assert other.presented_certificates[0] == pki.client("pump-3").der
    assert refused.sent_alert == 45
    silent = TlsEngine(lambda _hello: shared)
    silent.receive(client_hello())
    assert silent.presented_certificates == ()


def test_two_handshakes_at_the_same_time(pki: Pki) -> None:
    shared = mutual(pki)
    files = pki.client("pump-1"), pki.client_expired("pump-2")
    devices = [showing(shown, "1.3") for shown in files]
    engines = [TlsEngine(lambda _hello: shared) for _ in files]
    for _ in range(5):
        for engine, device in zip(engines, devices, strict=True):
            engine.receive(device.answer(engine.take_output()))
    assert [engine.presented_certificates[0] for engine in engines] == [shown.der for shown in files]
    assert [engine.sent_alert for engine in engines] == [None, 45]


# no agreement


def test_no_application_protocol_in_common(pki: Pki) -> None:
    device = MemoryDevice(Offer(alpn=("h2",)))
    engine = connected(served(pki.server(), alpn=("mqtt",)), device)
    assert why(engine) is Code.ALPN_MISMATCH
    assert (engine.sent_alert, device.alerts) == (120, [120])
    assert engine.ssl_object is None


def test_a_version_that_we_do_not_speak(pki: Pki) -> None:
    device = MemoryDevice(only("1.2"))
    engine = connected(served(pki.server(), minimum_version="1.3"), device)
    assert why(engine) is Code.NO_SHARED_VERSION
    assert device.alerts == [70]
    assert engine.sent_alert == 70
    assert engine.version is None


# what is no ClientHello


@each_size
@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", Code.PLAINTEXT_HTTP),
        (b"\x10\x14\x00\x04MQTT\x04\x02\x00\x3c\x00\x08pump-17", Code.PLAINTEXT_MQTT),
        (bytes(100), Code.NOT_TLS),
        (b"\x16\x02\x00\x00\x10" + bytes(16), Code.NOT_TLS),
        (b"\x80\x2e\x01\x00\x02" + bytes(44), Code.NOT_TLS),  # a ClientHello in the form of SSL 2.0
    ],
)
def test_no_tls_at_all(chain: ServedChain, said: bytes, code: Code, size: int) -> None:
    engine = TlsEngine(lambda _hello: chain)
    for piece in pieces(said, size):
        assert engine.receive(piece) == b""
    assert engine.not_tls
    assert why(engine) is code
    assert engine.take_output() == b"", "not a word to those who do not speak TLS"
    assert engine.ssl_object is None


@each_size
@pytest.mark.parametrize(
    "said",
    [
        record(CONTENT_DATA, bytes(40)),
        record(CONTENT_HANDSHAKE, b"\x02\x00\x00\x26" + bytes(38)),  # ServerHello
        record(CONTENT_HANDSHAKE, b"\x01\x00\x00\x02\x03\x03"),
        record(CONTENT_HANDSHAKE, b"\x01\xff\xff\xff" + bytes(16_000)),
        record(20, b"\x01"),
    ],
    ids=["application data", "ServerHello", "stub", "endless ClientHello", "ChangeCipherSpec"],
)
def test_records_that_begin_no_handshake(chain: ServedChain, said: bytes, size: int) -> None:
    engine = TlsEngine(lambda _hello: chain)
    for piece in pieces(said, size):
        engine.receive(piece)
    assert engine.hello is None
    assert why(engine, Ending.FIN) in {Code.MALFORMED_HELLO, Code.CLOSED_BEFORE_HELLO}
    assert len(engine.take_output()) <= 7  # an alert at most


def test_an_alert_instead_of_a_hello(chain: ServedChain) -> None:
    engine = TlsEngine(lambda _hello: chain)
    engine.receive(record(CONTENT_ALERT, b"\x02\x30"))
    assert why(engine) is Code.MALFORMED_HELLO
    assert engine.sent_alert == 10  # unexpected_message


@pytest.mark.parametrize("said", [b"\x10", b"\x10\x14\x00\x04MQT", b"POS", b"OPTIONS"])
def test_the_beginning_of_what_may_be_plaintext_is_waited_for(chain: ServedChain, said: bytes) -> None:
    engine = TlsEngine(lambda _hello: chain)
    engine.receive(said)
    assert engine.state.name == "HELLO"  # a word, so that the type checker does not take the state for settled
    assert why(engine, Ending.TIMEOUT) is Code.NOT_TLS
    engine.receive(b"\x00 whatever it is")
    assert engine.state is TlsState.FAILED


@pytest.mark.parametrize("kind", [1, 2, 11, 99])
def test_endless_handshake_messages_cost_a_bounded_amount_of_memory(chain: ServedChain, kind: int) -> None:
    engine = TlsEngine(lambda _hello: chain)
    message = bytes((kind, 0, 0x3F, 0xF0)) + bytes(0x3FF0)
    for _ in range(64):
        engine.receive(record(CONTENT_HANDSHAKE, message))
        assert len(engine._undecided) <= 2 * 65_536 + len(message)
        pending = engine._incoming.pending if engine._incoming else 0
        assert pending <= 2 * 65_536 + len(message)
    assert engine.state is TlsState.FAILED


def test_a_client_hello_of_many_records_is_bounded(chain: ServedChain) -> None:
    """As large as it can be, one byte in each record."""
    engine = TlsEngine(lambda _hello: chain)
    message = b"\x01\x01\x00\x00" + bytes(65_536)
    most = 0
    for byte in message[:60_000]:
        engine.receive(record(CONTENT_HANDSHAKE, bytes((byte,))))
        most = max(most, len(engine._undecided))
    assert most <= 6 * 65_536
    assert why(engine, Ending.TIMEOUT) in {Code.HELLO_TIMEOUT, Code.MALFORMED_HELLO}


# afterwards


@each_version
def test_we_say_goodbye(chain: ServedChain, version: TlsVersion) -> None:
    device = MemoryDevice(only(version))
    engine = connected(chain, device)
    engine.close()
    device.answer(engine.take_output())
    assert device.ended
    assert device.alerts == [0]
    engine.close()
    assert engine.take_output() == b""


@each_version
def test_a_device_that_said_goodbye_can_still_be_answered(chain: ServedChain, version: TlsVersion) -> None:
    """RFC 8446, 6.1: close_notify ends one direction."""
    device = MemoryDevice(only(version))
    engine = connected(chain, device)
    assert engine.receive(device.say(b"and then no more") + device.goodbye()) == b"and then no more"
    assert engine.closed
    assert engine.state is TlsState.ESTABLISHED
    engine.send(b"all right")
    engine.close()
    device.answer(engine.take_output())
    assert device.plaintext == b"all right"


@each_version
def test_garbage_after_the_handshake(chain: ServedChain, version: TlsVersion) -> None:
    device = MemoryDevice(only(version))
    engine = connected(chain, device)
    good, more = device.say(b"good"), device.say(b"more")
    assert engine.receive(good + record(CONTENT_DATA, bytes(40))) == b"good", "what came before it counts"
    assert engine.state is TlsState.FAILED
    device.answer(engine.take_output())
    assert device.alerts == [20]  # bad_record_mac
    assert engine.receive(more) == b""
    engine.send(b"nothing")
    engine.close()
    assert engine.take_output() == b""


def test_nobody_renegotiates(chain: ServedChain) -> None:
    """TLS 1.2: a ClientHello under encryption gets no_renegotiation, and the connection goes on (RFC 5746, 4.5)."""
    device = MemoryDevice(only("1.2"))
    engine = connected(chain, device)
    plain_hello = client_hello(only("1.2"))
    engine.receive(plain_hello)  # in the clear, it is a forgery
    assert engine.state is TlsState.FAILED


def test_before_the_handshake_there_is_nothing_to_say(chain: ServedChain) -> None:
    engine = TlsEngine(lambda _hello: chain)
    engine.send(b"anybody there?")
    engine.close()
    assert engine.take_output() == b""
    assert engine.evidence(Ending.FIN).ending is Ending.FIN
    assert (engine.version, engine.cipher, engine.resumed, engine.certificate_sent) == (None, None, False, False)


def test_a_policy_that_fails_is_not_hidden() -> None:
    def fails(hello: ClientHello | None) -> ServedChain:
        raise LookupError(hello)

    engine = TlsEngine(fails)
    with pytest.raises(LookupError):
        engine.receive(client_hello())


def test_early_data_is_thrown_away(chain: ServedChain) -> None:
    """TLS 1.3, 0-RTT: we never offered any; whatever comes as such is skipped or refused, and never read."""
    first = MemoryDevice(only("1.3"))
    visited(chain, first)
    again = MemoryDevice(only("1.3"), context=first.context, session=first.tls.session)
    engine = TlsEngine(lambda _hello: chain)
    hello = again.answer()
    assert engine.receive(hello + record(CONTENT_DATA, bytes(64))) == b""
    assert not engine.established
    assert why(engine, Ending.FIN) in {Code.HANDSHAKE_FAILED, Code.CLIENT_ALERT}


def test_a_pre_shared_key_of_nobody(pki: Pki, chain: ServedChain) -> None:
    """A ticket of the same server before it was started anew: the handshake is a full one."""
    first = MemoryDevice(only("1.3"))
    visited(served(pki.server()), first)
    engine = connected(chain, MemoryDevice(only("1.3"), context=first.context, session=first.tls.session))
    assert engine.hello is not None
    assert engine.hello.offers_psk
    assert engine.established
    assert not engine.resumed
