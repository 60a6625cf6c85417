"""What a line says of TLS, word for word: alerts with their direction, offers, and the certificates of both sides."""

from __future__ import annotations

import pytest

from doorlog.events.codes import Code
from doorlog.events.parts import (
    FindingPart,
    X509Part,
)
from doorlog.events.sentences import message_of, reason_of
from support.sample_events import (
    EXPIRED,
    OURS,
    attempt,
    certificate,
    device,
    tls,
)

UNKNOWN_CA = (48, "unknown_ca", "received")
PUMP = certificate("device-17", "Example Devices CA")


def test_a_device_does_not_trust_our_issuer() -> None:
    event = attempt(Code.SERVER_CERTIFICATE_UNKNOWN_CA, tls=tls("1.3", UNKNOWN_CA), **device("likely"))

    assert message_of(event) == (
        "device likely pump-17 (10.0.0.9) refused our certificate: "
        'it does not trust its issuer "Example CA 2" (alert unknown_ca)'
    )
    assert reason_of(event) == ('it does not trust the issuer of our certificate, "Example CA 2" (alert unknown_ca)')


def test_an_unfinished_chain_is_said_where_it_is_known() -> None:
    missing = FindingPart(severity="error", code="chain_incomplete", sentence="the intermediate is not served.")
    other = FindingPart(severity="warning", code="expires_soon", sentence="It expires soon.")
    event = attempt(
        Code.SERVER_CERTIFICATE_UNKNOWN_CA, tls=tls("1.2", UNKNOWN_CA), doorlog={"findings": (other, missing)}
    )

    assert message_of(event).endswith("(alert unknown_ca); error: the intermediate is not served (and 1 more)")


def test_our_own_alert_is_never_put_into_the_devices_mouth() -> None:
    ours = (50, "decode_error", "sent")  # OpenSSL writes it after a silent close
    event = attempt(Code.CLOSED_AFTER_SERVER_CERTIFICATE, tls=tls("1.3", ours))

    assert message_of(event) == (
        '10.0.0.9 closed the connection after our certificate (issuer "Example CA 2", TLS 1.3) without an alert: '
        "some clients refuse a certificate this way"
    )
    for code in Code:
        said = message_of(attempt(code, tls=tls("1.3", ours))) + reason_of(attempt(code, tls=tls("1.3", ours)))
        assert "decode_error" not in said.replace("(we sent alert decode_error)", "")


@pytest.mark.parametrize(
    ("not_after", "said"),
    [
        (EXPIRED, "refused our certificate: it expired on 2026-05-01 (alert certificate_expired)"),
        (
            OURS.not_after,
            (
                "refused our certificate: it takes it for expired, but by our clock it is valid until 2027-01-31"
                " (alert certificate_expired)"
            ),
        ),
    ],
)
def test_an_expired_certificate_is_told_from_a_wrong_clock(not_after: object, said: str) -> None:
    ours = certificate("mqtt.example.com", "Example CA 2", not_after=not_after)
    event = attempt(Code.SERVER_CERTIFICATE_EXPIRED, tls=tls("1.2", (45, "certificate_expired", "received"), ours=ours))

    assert message_of(event) == f"10.0.0.9 {said}"


@pytest.mark.parametrize(
    ("asked", "ours", "said"),
    [
        (
            "old.example.com",
            OURS,
            '; it asked for "old.example.com", our certificate names "mqtt.example.com", "*.iot.example.com"',
        ),
        (
            "a.b.iot.example.com",
            OURS,
            '; it asked for "a.b.iot.example.com", our certificate names "mqtt.example.com", "*.iot.example.com"',
        ),
        ("a.example", certificate("a", "b"), '; it asked for "a.example", our certificate names no host'),
        (None, OURS, ""),
        ("a.example", None, ""),
    ],
)
def test_the_name_that_the_device_asked_for_stands_beside_ours(
    asked: str | None, ours: X509Part | None, said: str
) -> None:
    bad = tls("1.3", (42, "bad_certificate", "received"), ours=ours, server_name=asked)

    assert message_of(attempt(Code.SERVER_CERTIFICATE_BAD, tls=bad)) == (
        f"10.0.0.9 refused our certificate: the host name does not match, or another check failed{said}"
        " (alert bad_certificate)"
    )


@pytest.mark.parametrize("asked", ["MQTT.example.com", "a.iot.example.com"])
def test_a_right_name_is_not_what_is_bad(asked: str) -> None:
    bad = tls("1.3", (42, "bad_certificate", "received"), server_name=asked)

    assert message_of(attempt(Code.SERVER_CERTIFICATE_BAD, tls=bad)) == (
        f'10.0.0.9 refused our certificate and does not say why: the host name "{asked}" is right,'
        ' but it may not trust the issuer "Example CA 2", or have a wrong clock (alert bad_certificate)'
    )


def test_mosquittos_alert_for_a_wrong_name_gets_the_names_too() -> None:
    internal_error = tls("1.3", (80, "internal_error", "received"), server_name="old.example.com")
    other = tls("1.2", (47, "illegal_parameter", "received"), server_name="old.example.com")

    assert message_of(attempt(Code.CLIENT_ALERT, tls=internal_error)) == (
        "10.0.0.9 ended the handshake at listener tls with alert internal_error (TLS 1.3); "
        'it asked for "old.example.com", our certificate names "mqtt.example.com", "*.iot.example.com"'
    )
    assert message_of(attempt(Code.CLIENT_ALERT, tls=other)) == (
        "10.0.0.9 ended the handshake at listener tls with alert illegal_parameter (TLS 1.2)"
    )


@pytest.mark.parametrize(
    ("code", "theirs", "said"),
    [
        (
            Code.CLIENT_CERTIFICATE_EXPIRED,
            certificate("device-17", "Example Devices CA", not_after=EXPIRED),
            'client certificate of "device-17" (serial A12, from 10.0.0.9) expired on 2026-05-01: refused',
        ),
        (Code.CLIENT_CERTIFICATE_EXPIRED, None, "client certificate from 10.0.0.9 has expired: refused"),
        (
            Code.CLIENT_CERTIFICATE_NOT_YET_VALID,
            PUMP.model_copy(update={"not_before": OURS.not_after}),
            'client certificate of "device-17" (serial A12, from 10.0.0.9) is not valid before 2027-01-31: refused',
        ),
        (
            Code.CLIENT_CERTIFICATE_UNTRUSTED,
            PUMP,
            (
                'client certificate of "device-17" (serial A12, from 10.0.0.9) does not come from an authority that'
                ' listener tls trusts (issuer "Example Devices CA"): refused'
            ),
        ),
        (
            Code.CLIENT_CERTIFICATE_REVOKED,
            PUMP,
            'client certificate of "device-17" (serial A12, from 10.0.0.9) is revoked: refused',
        ),
    ],
)
def test_a_refused_client_certificate_is_named(code: Code, theirs: X509Part | None, said: str) -> None:
    assert message_of(attempt(code, tls=tls("1.3", theirs=theirs))) == said


def test_a_missing_client_certificate_says_what_we_answered() -> None:
    event = attempt(Code.CLIENT_CERTIFICATE_MISSING, tls=tls("1.3", (116, "certificate_required", "sent")))

    assert message_of(event) == (
        "10.0.0.9 showed no client certificate, which listener tls requires (we sent alert certificate_required)"
    )


def test_offered_versions_stand_beside_allowed_ones() -> None:
    alert = (70, "protocol_version", "sent")
    old = tls(None, alert, supported_versions=("3.0", "1.0", "1.1"), server={"supported_versions": ("1.2", "1.3")})

    assert message_of(attempt(Code.NO_SHARED_VERSION, tls=old)) == (
        "10.0.0.9 offers SSL 3.0, TLS 1.0, TLS 1.1; listener tls allows TLS 1.2, TLS 1.3"
        " (we sent alert protocol_version)"
    )
    assert message_of(attempt(Code.NO_SHARED_VERSION, tls=tls(None, alert, supported_versions=("1.1",)))) == (
        "10.0.0.9 offers TLS 1.1; listener tls allows none of them (we sent alert protocol_version)"
    )


def test_offered_ciphers_and_protocols_are_named() -> None:
    offers = tls(
        "1.2",
        supported_ciphers=("TLS_RSA_WITH_AES_128_CBC_SHA", "TLS_RSA_WITH_NULL_MD5", "0x1234"),
        alpn=("h2", "http/1.1"),
    )

    assert message_of(attempt(Code.NO_SHARED_CIPHER, tls=offers)) == (
        "10.0.0.9 offers no cipher suite that listener tls can use"
        " (offered: TLS_RSA_WITH_AES_128_CBC_SHA, TLS_RSA_WITH_NULL_MD5 and 1 more); our key is ECDSA"
    )
    assert message_of(attempt(Code.ALPN_MISMATCH, tls=offers)) == (
        '10.0.0.9 offers no application protocol of listener tls (offered: "h2", "http/1.1")'
    )
