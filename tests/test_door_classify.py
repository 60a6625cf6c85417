"""The table that says why: each row is one kind of evidence."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorlog import errors
from doorlog.door.classify import (
    Ending,
    TlsEvidence,
    classify_connect,
    classify_plaintext,
    classify_tls,
    is_cut_short,
)
from doorlog.door.client_hello import ClientHello, parse_client_hello
from doorlog.events.codes import STAGE_OF, Code, Stage
from support.clients.raw_tls import client_hello

HELLO = parse_client_hello(client_hello()[5:])
FIN, RESET, TIMEOUT = Ending.FIN, Ending.RESET, Ending.TIMEOUT
OPENED = TlsEvidence(first_bytes=b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", hello=HELLO)
ANSWERED = replace(OPENED, server_hello_sent=True, certificate_sent=True)
RESUMING = replace(OPENED, server_hello_sent=True)


def hello(*, groups: tuple[int, ...] = (29,), signatures: tuple[int, ...] = (0x0403,)) -> ClientHello:
    return replace(HELLO, groups=groups, signature_algorithms=signatures)


def no_cipher(server_key: str, **offered: tuple[int, ...]) -> TlsEvidence:
    return TlsEvidence(hello=hello(**offered), error_reason="NO_SHARED_CIPHER", server_key=server_key)


TABLE: list[tuple[TlsEvidence, Code]] = [
    # nothing, or no TLS
    (TlsEvidence(ending=FIN), Code.CLOSED_BEFORE_HELLO),
    (TlsEvidence(ending=RESET), Code.CLOSED_BEFORE_HELLO),
    (TlsEvidence(ending=TIMEOUT), Code.HELLO_TIMEOUT),
    (TlsEvidence(first_bytes=b"\x16\x03\x01", ending=FIN), Code.CLOSED_BEFORE_HELLO),
    (TlsEvidence(first_bytes=b"\x16\x03\x01", ending=TIMEOUT), Code.HELLO_TIMEOUT),
    (TlsEvidence(first_bytes=b"\x10\x14\x00\x04MQTT\x04", not_tls=True), Code.PLAINTEXT_MQTT),
    (TlsEvidence(first_bytes=b"\x10\xff\x01\x00\x06MQIsdp", not_tls=True), Code.PLAINTEXT_MQTT),
    (TlsEvidence(first_bytes=b"GET / HTTP/1.1\r\n", not_tls=True), Code.PLAINTEXT_HTTP),
    (TlsEvidence(first_bytes=b"PRI * HTTP/2.0\r\n", not_tls=True), Code.PLAINTEXT_HTTP),
    (TlsEvidence(first_bytes=b"SSH-2.0-x", not_tls=True, ending=FIN), Code.NOT_TLS),
    (TlsEvidence(first_bytes=b"\x10", not_tls=True, ending=TIMEOUT), Code.NOT_TLS),
    (TlsEvidence(hello_malformed=True, error_reason="LENGTH_MISMATCH"), Code.MALFORMED_HELLO),
    (TlsEvidence(hello_malformed=True, ending=FIN), Code.MALFORMED_HELLO),
    (replace(OPENED, error_reason="BAD_EXTENSION"), Code.MALFORMED_HELLO),
    (TlsEvidence(error_reason="UNEXPECTED_MESSAGE"), Code.MALFORMED_HELLO),
    # the device refuses us
    (replace(ANSWERED, received_alert=42), Code.SERVER_CERTIFICATE_BAD),
    (replace(ANSWERED, received_alert=43), Code.SERVER_CERTIFICATE_UNSUPPORTED),
    (replace(ANSWERED, received_alert=44), Code.SERVER_CERTIFICATE_REVOKED),
    (replace(ANSWERED, received_alert=45), Code.SERVER_CERTIFICATE_EXPIRED),
    (replace(ANSWERED, received_alert=46), Code.SERVER_CERTIFICATE_UNKNOWN),
    (replace(ANSWERED, received_alert=48), Code.SERVER_CERTIFICATE_UNKNOWN_CA),
    (replace(ANSWERED, received_alert=48, ending=RESET), Code.SERVER_CERTIFICATE_UNKNOWN_CA),
    (replace(ANSWERED, received_alert=80), Code.CLIENT_ALERT),
    (replace(ANSWERED, received_alert=40), Code.CLIENT_ALERT),
    (replace(ANSWERED, received_alert=0), Code.CLOSED_AFTER_SERVER_CERTIFICATE),
    (replace(RESUMING, received_alert=0), Code.CLIENT_ALERT),
    (replace(RESUMING, received_alert=48), Code.CLIENT_ALERT),  # it saw no certificate of ours
    (TlsEvidence(received_alert=48, ending=FIN), Code.CLIENT_ALERT),
    (replace(ANSWERED, ending=FIN), Code.CLOSED_AFTER_SERVER_CERTIFICATE),
    (replace(ANSWERED, ending=RESET), Code.RESET_AFTER_SERVER_CERTIFICATE),
    (replace(ANSWERED, ending=TIMEOUT), Code.TIMEOUT_AFTER_SERVER_CERTIFICATE),
    # we refuse the device
    *[
        (replace(ANSWERED, error_reason="CERTIFICATE_VERIFY_FAILED", verify_code=number), code)
        for number, code in {
            2: Code.CLIENT_CERTIFICATE_UNTRUSTED,
            7: Code.CLIENT_CERTIFICATE_INVALID,
            9: Code.CLIENT_CERTIFICATE_NOT_YET_VALID,
            10: Code.CLIENT_CERTIFICATE_EXPIRED,
            18: Code.CLIENT_CERTIFICATE_UNTRUSTED,
            19: Code.CLIENT_CERTIFICATE_UNTRUSTED,
            20: Code.CLIENT_CERTIFICATE_UNTRUSTED,
            21: Code.CLIENT_CERTIFICATE_UNTRUSTED,
            23: Code.CLIENT_CERTIFICATE_REVOKED,
            26: Code.CLIENT_CERTIFICATE_INVALID,
            999: Code.CLIENT_CERTIFICATE_INVALID,
        }.items()
    ],
    (replace(ANSWERED, error_reason="PEER_DID_NOT_RETURN_A_CERTIFICATE"), Code.CLIENT_CERTIFICATE_MISSING),
    (replace(ANSWERED, error_reason="CERTIFICATE_VERIFY_FAILED"), Code.CLIENT_CERTIFICATE_INVALID),
    (replace(ANSWERED, error_reason="BAD_SIGNATURE"), Code.CLIENT_CERTIFICATE_INVALID),
    (replace(ANSWERED, error_reason="EE_KEY_TOO_SMALL"), Code.CLIENT_CERTIFICATE_INVALID),
    # no agreement
    (replace(OPENED, error_reason="UNSUPPORTED_PROTOCOL"), Code.NO_SHARED_VERSION),
    (replace(OPENED, error_reason="VERSION_TOO_LOW"), Code.NO_SHARED_VERSION),
    (replace(OPENED, error_reason="INAPPROPRIATE_FALLBACK"), Code.NO_SHARED_VERSION),
    (replace(OPENED, error_reason="NO_SUITABLE_KEY_SHARE"), Code.NO_SHARED_GROUP),
    (replace(OPENED, error_reason="NO_SUITABLE_SIGNATURE_ALGORITHM"), Code.NO_SHARED_SIGNATURE_ALGORITHM),
    (replace(OPENED, alpn_mismatch=True), Code.ALPN_MISMATCH),
    (replace(OPENED, alpn_mismatch=True, ending=FIN), Code.ALPN_MISMATCH),
    (TlsEvidence(error_reason="NO_SHARED_CIPHER"), Code.NO_SHARED_CIPHER),
    (no_cipher("ECDSA"), Code.NO_SHARED_CIPHER),
    (no_cipher("ECDSA", groups=(0x11EC,)), Code.NO_SHARED_GROUP),
    (no_cipher("ECDSA", groups=()), Code.NO_SHARED_CIPHER),
    (no_cipher("ECDSA", signatures=(0x0401, 0x0804)), Code.NO_SHARED_SIGNATURE_ALGORITHM),
    (no_cipher("ECDSA", signatures=()), Code.NO_SHARED_CIPHER),
    (no_cipher("RSA", signatures=(0x0403,)), Code.NO_SHARED_SIGNATURE_ALGORITHM),
    (no_cipher("RSA", signatures=(0x0804,)), Code.NO_SHARED_CIPHER),
    (no_cipher("Ed25519", signatures=(0x0403,)), Code.NO_SHARED_CIPHER),
    # the rest
    (replace(ANSWERED, error_reason="DECRYPTION_FAILED_OR_BAD_RECORD_MAC"), Code.HANDSHAKE_FAILED),
    (replace(RESUMING, ending=FIN), Code.HANDSHAKE_FAILED),
    (replace(OPENED, ending=FIN), Code.HANDSHAKE_FAILED),
    (TlsEvidence(), Code.HANDSHAKE_FAILED),
]


@pytest.mark.parametrize(("evidence", "code"), TABLE, ids=[f"{n}-{code}" for n, (_, code) in enumerate(TABLE)])
def test_the_evidence_says_why(evidence: TlsEvidence, code: Code) -> None:
    assert classify_tls(evidence) is code


def test_every_code_of_hello_and_handshake_stands_in_the_table() -> None:
    told = {code for _, code in TABLE}
    assert {code for code, stage in STAGE_OF.items() if stage in (Stage.HELLO, Stage.HANDSHAKE)} == told


def test_every_piece_of_evidence_stands_in_the_table() -> None:
    for field in fields(TlsEvidence):
        assert len({repr(getattr(evidence, field.name)) for evidence, _ in TABLE}) > 1, field.name


@given(
    st.builds(
        TlsEvidence,
        first_bytes=st.binary(max_size=16),
        hello=st.sampled_from([None, HELLO, hello(groups=(), signatures=())]),
        received_alert=st.none() | st.integers(0, 255),
        error_reason=st.none() | st.text(max_size=20),
        verify_code=st.none() | st.integers(0, 100),
        ending=st.none() | st.sampled_from(Ending),
        server_key=st.text(max_size=10),
    )
)
def test_any_evidence_gets_a_code_of_its_stage(evidence: TlsEvidence) -> None:
    assert STAGE_OF[classify_tls(evidence)] in {Stage.HELLO, Stage.HANDSHAKE}


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c", Code.PLAINTEXT_MQTT),
        (b"\x10\xff\xff\xff\x7f\x00\x04MQTT\x05", Code.PLAINTEXT_MQTT),
        (b"\x10\xff\xff\xff\xff\x7f\x00\x04MQTT", Code.NOT_TLS),
        (b"\x10\x0e\x00\x04HTTP", Code.NOT_TLS),
        (b"\x30\x0e\x00\x04MQTT", Code.NOT_TLS),
        (b"HEAD / HTTP/1.0", Code.PLAINTEXT_HTTP),
        (b"CONNECT x:443 ", Code.PLAINTEXT_HTTP),
        (b"get / http/1.1", Code.NOT_TLS),
        (b"GETTING", Code.NOT_TLS),
        (b"", Code.NOT_TLS),
    ],
)
def test_what_a_peer_speaks_that_speaks_no_tls(said: bytes, code: Code) -> None:
    assert classify_plaintext(said) is code


@pytest.mark.parametrize("whole", [b"\x10\xff\xff\xff\x7f\x00\x06MQIsdp", b"\x10\x0e\x00\x04MQTT", b"OPTIONS * HTTP"])
def test_a_first_segment_of_any_length_is_waited_for(whole: bytes) -> None:
    told = next(n for n in range(1, len(whole) + 1) if classify_plaintext(whole[:n]) is not Code.NOT_TLS)
    assert all(is_cut_short(whole[:n]) for n in range(1, told))
    assert not is_cut_short(whole[:told])


@given(st.binary(min_size=13, max_size=16))
def test_nobody_is_waited_for_for_long(said: bytes) -> None:
    assert not is_cut_short(said)


@pytest.mark.parametrize("said", [b"\x00", b"SSH-", b"\x11", b"g", b"ABCDEFGH"])
def test_what_can_become_nothing_is_not_waited_for(said: bytes) -> None:
    assert not is_cut_short(said)


@pytest.mark.parametrize("error", errors.ConnectError.__subclasses__())
def test_every_refused_first_packet_has_a_code(error: type[errors.ConnectError]) -> None:
    assert STAGE_OF[classify_connect(error("because"))] is Stage.CONNECT
