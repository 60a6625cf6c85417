"""Numbers to names and OpenSSL's reasons to alerts, against what the local OpenSSL says itself."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Callable

import pytest
import trustme

from doorlog.door import tls_names
from doorlog.door.client_hello import GREASE
from doorlog.door.tls_names import (
    alert_name,
    alert_of_reason,
    cipher_suite_name,
    group_name,
    signature_scheme_name,
    version_name,
    version_protocol,
)
from test_door_client_hello import live_hello

NAMES = [version_name, cipher_suite_name, group_name, signature_scheme_name]


@pytest.mark.parametrize("name", NAMES)
def test_a_number_without_a_name_stays_a_number(name: Callable[[int], str]) -> None:
    assert name(0x7F1C) == "0x7f1c"
    assert {name(value) for value in GREASE} == {f"0x{value:04x}" for value in GREASE}


@pytest.mark.parametrize(
    "table",
    [tls_names._VERSIONS, tls_names._CIPHER_SUITES, tls_names._GROUPS, tls_names._SIGNATURE_SCHEMES, tls_names._ALERTS],
)
def test_no_two_numbers_share_a_name(table: dict[int, str]) -> None:
    assert len(set(table.values())) == len(table)


@pytest.mark.parametrize(
    ("number", "name", "protocol"),
    [
        (0x0304, "1.3", "tls"),
        (0x0303, "1.2", "tls"),
        (0x0302, "1.1", "tls"),
        (0x0301, "1.0", "tls"),
        (0x0300, "3.0", "ssl"),
        (0x0002, "2.0", "ssl"),
    ],
)
def test_versions_as_ecs_writes_them(number: int, name: str, protocol: str) -> None:
    assert (version_name(number), version_protocol(number)) == (name, protocol)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl command")
def test_openssl_calls_every_cipher_suite_by_the_same_name() -> None:
    command = ["openssl", "ciphers", "-V", "-stdname", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout
    suites = {}
    for line in listed.splitlines():
        number, _, name, *_ = line.split()
        high, low = number.split(",")
        suites[int(high, 16) << 8 | int(low, 16)] = name
    assert len(suites) > 30
    assert {number: cipher_suite_name(number) for number in suites} == suites


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (0x00FF, "TLS_EMPTY_RENEGOTIATION_INFO_SCSV"),
        (0x5600, "TLS_FALLBACK_SCSV"),
        (0x000A, "TLS_RSA_WITH_3DES_EDE_CBC_SHA"),
        (0x1304, "TLS_AES_128_CCM_SHA256"),
        (0xC0AE, "TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8"),
    ],
)
def test_suites_of_small_devices_have_names(number: int, name: str) -> None:
    assert cipher_suite_name(number) == name


def test_groups_and_signature_schemes_have_names() -> None:
    assert [group_name(number) for number in (23, 29, 256, 0x11EC)] == [
        "secp256r1",
        "x25519",
        "ffdhe2048",
        "X25519MLKEM768",
    ]
    assert [signature_scheme_name(number) for number in (0x0201, 0x0403, 0x0804, 0x0807)] == [
        "rsa_pkcs1_sha1",
        "ecdsa_secp256r1_sha256",
        "rsa_pss_rsae_sha256",
        "ed25519",
    ]


# sslerr.h of OpenSSL 3: SSL_R_..., less 1000.
RECEIVED = {
    "SSLV3_ALERT_UNEXPECTED_MESSAGE": 10,
    "SSLV3_ALERT_BAD_RECORD_MAC": 20,
    "TLSV1_ALERT_DECRYPTION_FAILED": 21,
    "TLSV1_ALERT_RECORD_OVERFLOW": 22,
    "SSLV3_ALERT_DECOMPRESSION_FAILURE": 30,
    "SSLV3_ALERT_HANDSHAKE_FAILURE": 40,
    "SSLV3_ALERT_NO_CERTIFICATE": 41,
    "SSLV3_ALERT_BAD_CERTIFICATE": 42,
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": 43,
    "SSLV3_ALERT_CERTIFICATE_REVOKED": 44,
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": 45,
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": 46,
    "SSLV3_ALERT_ILLEGAL_PARAMETER": 47,
    "TLSV1_ALERT_UNKNOWN_CA": 48,
    "TLSV1_ALERT_ACCESS_DENIED": 49,
    "TLSV1_ALERT_DECODE_ERROR": 50,
    "TLSV1_ALERT_DECRYPT_ERROR": 51,
    "TLSV1_ALERT_EXPORT_RESTRICTION": 60,
    "TLSV1_ALERT_PROTOCOL_VERSION": 70,
    "TLSV1_ALERT_INSUFFICIENT_SECURITY": 71,
    "TLSV1_ALERT_INTERNAL_ERROR": 80,
    "TLSV1_ALERT_INAPPROPRIATE_FALLBACK": 86,
    "TLSV1_ALERT_USER_CANCELLED": 90,
    "TLSV1_ALERT_NO_RENEGOTIATION": 100,
    "TLSV13_ALERT_MISSING_EXTENSION": 109,
    "TLSV1_UNSUPPORTED_EXTENSION": 110,
    "TLSV1_CERTIFICATE_UNOBTAINABLE": 111,
    "TLSV1_UNRECOGNIZED_NAME": 112,
    "TLSV1_BAD_CERTIFICATE_STATUS_RESPONSE": 113,
    "TLSV1_BAD_CERTIFICATE_HASH_VALUE": 114,
    "TLSV1_ALERT_UNKNOWN_PSK_IDENTITY": 115,
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": 116,
    "TLSV1_ALERT_NO_APPLICATION_PROTOCOL": 120,
}


@pytest.mark.parametrize(("reason", "alert"), RECEIVED.items())
def test_every_reason_of_openssl_for_a_received_alert_is_known(reason: str, alert: int) -> None:
    assert alert_of_reason(reason) == alert


@pytest.mark.parametrize(
    "reason",
    [
        None,
        "",
        "CERTIFICATE_VERIFY_FAILED",
        "UNSUPPORTED_PROTOCOL",
        "UNEXPECTED_MESSAGE",
        "DECRYPTION_FAILED_OR_BAD_RECORD_MAC",
        "TLS_INVALID_ECPOINTFORMAT_LIST",
        "TLSV1_ALERT_",
        "TLSV1_ALERT_UNKNOWN_CA_",
        "SSLV3_ALERT_LENGTH",
        "TLSV1_ALERT_UNKNOWN_CA\n",
    ],
)
def test_other_reasons_are_no_alert(reason: str | None) -> None:
    assert alert_of_reason(reason) is None


SERVER_CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
SERVER_CONTEXT.maximum_version = ssl.TLSVersion.TLSv1_2  # 1.3 takes user_canceled for a mere warning
trustme.CA().issue_cert("broker.example").configure_cert(SERVER_CONTEXT)


def reason_for(alert: int) -> str | None:
    """Refuse a server's certificate with an alert, and return what OpenSSL calls that."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = SERVER_CONTEXT.wrap_bio(incoming, outgoing, server_side=True)
    incoming.write(live_hello())
    with pytest.raises(ssl.SSLWantReadError):
        server.do_handshake()
    incoming.write(b"\x15\x03\x03\0\2\2" + bytes([alert]))
    with pytest.raises(ssl.SSLError) as refusal:
        server.do_handshake()
    reason: str | None = refusal.value.reason
    return reason


def test_a_live_server_gives_a_reason_for_every_alert_of_the_table() -> None:
    for alert in range(1, 256):
        reason = reason_for(alert)
        if reason in RECEIVED:
            assert alert_of_reason(reason) == alert
        else:  # this Python has no word for it
            assert alert_of_reason(reason) is None
            assert alert not in RECEIVED.values() or alert in {115, 120}


def test_alerts_have_the_names_of_rfc_8446() -> None:
    assert [alert_name(number) for number in (0, 40, 42, 45, 46, 48, 70, 80, 90, 116, 120)] == [
        "close_notify",
        "handshake_failure",
        "bad_certificate",
        "certificate_expired",
        "certificate_unknown",
        "unknown_ca",
        "protocol_version",
        "internal_error",
        "user_canceled",
        "certificate_required",
        "no_application_protocol",
    ]
    assert alert_name(200) == "alert_200"
