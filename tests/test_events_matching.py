"""From what a developer pastes to the code that the broker recorded: lines as devices print them, cut and decorated."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorlog.events.codes import Code
from doorlog.events.device_texts import DeviceText, device_texts
from doorlog.events.matching import LONGEST, code_named, codes_of, did_not_reach, matches_of

LINES = {
    "The certificate is not correctly signed by the trusted CA": Code.SERVER_CERTIFICATE_UNKNOWN_CA,
    "  ! The certificate is not correctly signed by the trusted CA  ": Code.SERVER_CERTIFICATE_UNKNOWN_CA,
    "not correctly signed by the trusted": Code.SERVER_CERTIFICATE_UNKNOWN_CA,
    "E (4821) esp-tls-mbedtls: mbedtls_ssl_handshake returned -0x2700": Code.SERVER_CERTIFICATE_UNKNOWN_CA,
    "[E][ssl_client.cpp:37] _handle_error(): (-9984) X509 - Certificate verification failed, e.g. CRL, CA or signature"
    " check failed": Code.SERVER_CERTIFICATE_UNKNOWN_CA,
    "E (8032) MQTT_CLIENT: Connection refused, not authorized": Code.NO_CREDENTIALS,
    "00:00:12.345 MQT: TLS connection error: 62": Code.SERVER_CERTIFICATE_UNKNOWN_CA,
    "00:00:12.345 MQT: Connect failed to broker:8883, rc 5. Retry in 10 sec": Code.NOT_AUTHORIZED,
    "Attempting MQTT connection...failed, rc=-2 try again in 5 seconds": Code.SERVER_CERTIFICATE_UNKNOWN_CA,
    "Attempting MQTT connection...failed, rc=5 try again in 5 seconds": Code.NOT_AUTHORIZED,
    "ssl.SSLCertVerificationError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: unable to get local"
    " issuer certificate (_ssl.c:1006)": Code.SERVER_CERTIFICATE_UNKNOWN_CA,
    "ssl.SSLCertVerificationError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired"
    " (_ssl.c:1129)": Code.SERVER_CERTIFICATE_EXPIRED,
    "ssl.SSLError: [SSL: TLSV1_ALERT_UNKNOWN_CA] tlsv1 alert unknown ca (_ssl.c:2578)"
    "": Code.CLIENT_CERTIFICATE_UNTRUSTED,
    "network Error : tls: failed to verify certificate: x509: certificate signed by unknown"
    " authority": Code.SERVER_CERTIFICATE_BAD,
    "javax.net.ssl.SSLHandshakeException: PKIX path building failed: sun.security.provider.certpath."
    "SunCertPathBuilderException: unable to find valid certification path": Code.SERVER_CERTIFICATE_UNKNOWN,
    "Error: self-signed certificate in certificate chain\n    at TLSSocket.onConnectSecure (node:_tls_wrap:1539:34) {\n"
    "  code: 'SELF_SIGNED_CERT_IN_CHAIN'\n}": Code.CLOSED_AFTER_SERVER_CERTIFICATE,
    "System.Security.Authentication.AuthenticationException: The remote certificate is invalid because of errors in the"
    " certificate chain: PartialChain": Code.SERVER_CERTIFICATE_UNKNOWN_CA,
    "schannel: SEC_E_UNTRUSTED_ROOT (0x80090325)": Code.SERVER_CERTIFICATE_UNKNOWN_CA,
    "wolfSSL_connect error -188": Code.SERVER_CERTIFICATE_UNKNOWN_CA,
    "140735:error:14094418:SSL routines:ssl3_read_bytes:tlsv1 alert unknown ca:s3_pkt.c"
    "": Code.CLIENT_CERTIFICATE_UNTRUSTED,
    "<err> net_sock_tls: TLS handshake error: -2700": Code.SERVER_CERTIFICATE_UNKNOWN_CA,
    "Connection Refused: not authorised.": Code.NO_CREDENTIALS,
    "aws-c-io: AWS_IO_TLS_ERROR_NEGOTIATION_FAILURE, TLS (SSL) negotiation failed.": Code.SERVER_CERTIFICATE_UNKNOWN_CA,
    "curl: (60) SSL certificate problem: unable to get local issuer certificate": Code.SERVER_CERTIFICATE_UNKNOWN_CA,
    "-0x7780": Code.CLIENT_CERTIFICATE_UNTRUSTED,
    "alert 48": Code.SERVER_CERTIFICATE_UNKNOWN_CA,
    "alert number 45": Code.SERVER_CERTIFICATE_EXPIRED,
    "tls: first record does not look like a TLS handshake": Code.NOT_MQTT,
    "E (6021) MQTT_CLIENT: Error transport connect": Code.SERVER_CERTIFICATE_UNKNOWN_CA,
    "E (71) transport_base: Failed to open a new connection: 32774": Code.SERVER_CERTIFICATE_UNKNOWN_CA,
    "E (9) esp-tls-mbedtls: mbedtls_ssl_handshake returned -0x3000": Code.CLIENT_ALERT,
    "I/O: invalid peer certificate: UnknownIssuer": Code.SERVER_CERTIFICATE_UNKNOWN_CA,
    "invalid peer certificate: certificate expired: verification time 1786516761 (UNIX), but certificate is not valid"
    " after 1786516687 (74 seconds ago)": Code.SERVER_CERTIFICATE_EXPIRED,
    'invalid peer certificate: certificate not valid for name "mqtt.example.com"; certificate is only valid for'
    ' DnsName("localhost")': Code.SERVER_CERTIFICATE_BAD,
    "received fatal alert: CertificateRequired": Code.CLIENT_CERTIFICATE_MISSING,
    "Connection refused, return code: `BadUserNamePassword`": Code.BAD_PASSWORD,
    "CFNetwork SSLHandshake failed (-9807)": Code.SERVER_CERTIFICATE_UNKNOWN_CA,
    "+CMQTTCONNECT: 0,31": Code.NOT_AUTHORIZED,
    "+CMQTTCONNECT: 0,32": Code.SERVER_CERTIFICATE_UNKNOWN_CA,
    "AT+QMTCONN=0,pump-17\r\nOK\r\n\r\n+QMTCONN: 0,0,4": Code.BAD_PASSWORD,
    "+QMTOPEN: 0,5": Code.SERVER_CERTIFICATE_UNKNOWN_CA,
    "Connection refused, return code 5": Code.NOT_AUTHORIZED,
    "connection refused (rc=4)": Code.BAD_PASSWORD,
    "MQTT connect failed: Connection refused (5)": Code.NOT_AUTHORIZED,
}  # fmt: skip


@pytest.mark.parametrize(("line", "code"), LINES.items(), ids=range(len(LINES)))
def test_a_line_of_a_devices_log_leads_to_the_code(line: str, code: Code) -> None:
    assert codes_of(matches_of(line))[0] == code


@pytest.mark.parametrize("one", device_texts(), ids=lambda one: f"{one.stack}: {one.text}"[:60])
def test_every_text_is_recognised_within_a_line_and_in_other_letters(one: DeviceText) -> None:
    found = matches_of(f"[2026-03-01 15:02:11] WARN ({one.stack}) >>> {one.text.upper()} <<<")

    assert one in [match.text for match in found]


@pytest.mark.parametrize("notation", ["-0x2700", "0x2700", "-9984", "9984", "error: -0X2700", "rc=-9984", " (-9984) "])
def test_a_number_is_recognised_in_every_notation(notation: str) -> None:
    assert "MBEDTLS_ERR_X509_CERT_VERIFY_FAILED" in [match.text.text for match in matches_of(notation)]


def test_a_number_that_stands_alone_lists_every_stack_that_has_it() -> None:
    assert {match.text.stack for match in matches_of("62")} == {"BearSSL and ESP8266", "OpenSSL"}
    assert {"lwIP", "CONNACK of MQTT 3.1.1", "Paho"} <= {match.text.stack for match in matches_of("5")}


@pytest.mark.parametrize(
    "line",
    [
        "", "-", "hello world", "12:01:33 I (5433) MQTT: 62 messages", "temperature 48", "-1.62", "1.62.5",
        "OSError: [Errno 113] EHOSTUNREACH",
        "esp-tls: couldn't get hostname for :mqtt.example.com: getaddrinfo() returns 202",
        "MQTT client connects over TLS: status ok",
        "mqtt connected, tls verified, certificate valid",
        "MQTT connect failed again",
        "+CMQTTCONNECT: 0,0",
        "+QMTCONN: 0,0,0",
        "+QMTOPEN: 0,0",
    ],
)  # fmt: skip
def test_what_is_no_error_is_taken_for_none(line: str) -> None:
    assert matches_of(line) == []
    assert codes_of([]) == []


UNREACHED = {
    "connect ECONNREFUSED 127.0.0.1:8883": "ECONNREFUSED",
    "ConnectionRefusedError: [Errno 111] Connection refused": "Connection refused",
    "java.net.ConnectException: Connection refused (Connection refused)": "Connection refused",
    "dial tcp 10.0.0.1:8883: i/o timeout": "i/o timeout",
    "dial tcp: lookup mqtt.example.com: no such host": "No such host",
    "E (4030) esp-tls: couldn't get hostname for :mqtt.example.com: getaddrinfo() returns 202": "couldn't get hostname",
    "E (5) esp-tls: [sock=54] select() timeout": "select() timeout",
    "Error: Lookup error.": "Lookup error",
    "[Errno 111] Connection refused": "Connection refused",
    "socket.gaierror: [Errno -2] Name or service not known": "Name or service not known",
    "+CMQTTCONNECT: 0,25": "+CMQTTCONNECT: 0,25",
    "OSError: [Errno 113] EHOSTUNREACH": "EHOSTUNREACH",
}


@pytest.mark.parametrize(("line", "text"), UNREACHED.items(), ids=range(len(UNREACHED)))
def test_a_device_that_did_not_reach_the_broker_is_told_so(line: str, text: str) -> None:
    assert did_not_reach(line, matches_of(line)) == text


@pytest.mark.parametrize(
    "line", ["", "Connection refused, not authorized", "Connection Refused: not authorised.", *LINES]
)
def test_what_the_broker_answered_did_reach_it(line: str) -> None:
    assert did_not_reach(line, matches_of(line)) is None


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("bad_password", Code.BAD_PASSWORD),
        (" Bad Password ", Code.BAD_PASSWORD),
        ("NO-SHARED-CIPHER", Code.NO_SHARED_CIPHER),
        ("bad_pasword", None),
        ("", None),
    ],
)
def test_a_code_is_known_however_its_name_is_written(name: str, code: Code | None) -> None:
    assert code_named(name) == code


@pytest.mark.hypothesis
@given(st.text(max_size=300), st.sampled_from(device_texts()), st.text(max_size=300))
def test_whatever_is_pasted_around_it_a_text_is_looked_for_in_bounded_time(
    before: str, one: DeviceText, after: str
) -> None:
    found = matches_of(f"{before}\n{one.text}\n{after}")

    assert len(found) <= 12
    assert all(0 < match.score <= 1 for match in found)
    assert found == sorted(found, key=lambda match: -match.score)
    assert found


def test_a_long_log_is_looked_at_up_to_a_bound() -> None:
    noise = "I (12) wifi: connected\n" * 100_000

    assert matches_of("The certificate has been revoked (is on a CRL)\n" + noise)
    assert not matches_of(noise[:LONGEST] + "The certificate has been revoked (is on a CRL)")
