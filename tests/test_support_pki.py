from __future__ import annotations

import ssl
from collections.abc import Callable

import pytest

from support.pki import CertificateFiles, Pki
from support.pki_tls import (
    EXPIRED,
    HOST_MISMATCH,
    NO_ISSUER,
    NOT_YET_VALID,
    PURPOSE,
    REVOKED,
    SELF_SIGNED,
    client_context,
    handshake,
    knock,
    server_context,
    verify_code,
)

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.mark.parametrize("version", VERSIONS)
def test_good_chains_are_accepted(pki: Pki, version: ssl.TLSVersion) -> None:
    for files in (pki.server(), pki.server_rsa()):
        assert knock(pki, files, version).done


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("make", "code", "alert"),
    [
        (Pki.server_expired, EXPIRED, "SSLV3_ALERT_CERTIFICATE_EXPIRED"),
        (Pki.server_not_yet_valid, NOT_YET_VALID, "SSLV3_ALERT_BAD_CERTIFICATE"),
        (Pki.server_wrong_host, HOST_MISMATCH, "SSLV3_ALERT_BAD_CERTIFICATE"),
        (Pki.server_incomplete, NO_ISSUER, "TLSV1_ALERT_UNKNOWN_CA"),
        (Pki.server_self_signed, SELF_SIGNED, "TLSV1_ALERT_UNKNOWN_CA"),
        (Pki.server_foreign, NO_ISSUER, "TLSV1_ALERT_UNKNOWN_CA"),
    ],
)
def test_bad_server_certificates_are_refused_for_their_fault(
    pki: Pki, version: ssl.TLSVersion, make: Callable[[Pki], CertificateFiles], code: int, alert: str
) -> None:
    end = knock(pki, make(pki), version)
    assert verify_code(end.client_error) == code
    assert end.server_error is not None
    assert end.server_error.reason == alert


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("make", "code", "alert"),
    [
        (Pki.client_expired, EXPIRED, "SSLV3_ALERT_CERTIFICATE_EXPIRED"),
        (Pki.client_not_yet_valid, NOT_YET_VALID, "SSLV3_ALERT_BAD_CERTIFICATE"),
        (Pki.client_foreign, NO_ISSUER, "TLSV1_ALERT_UNKNOWN_CA"),
        (Pki.client_self_signed, SELF_SIGNED, "TLSV1_ALERT_UNKNOWN_CA"),
        (Pki.client_revoked, REVOKED, "SSLV3_ALERT_CERTIFICATE_REVOKED"),
        (Pki.client_wrong_usage, PURPOSE, "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE"),
    ],
)
def test_bad_client_certificates_are_refused_for_their_fault(
    pki: Pki, version: ssl.TLSVersion, make: Callable[[Pki, str], CertificateFiles], code: int, alert: str
) -> None:
    server = server_context(pki.server(), client_cafile=pki.cafile, crlfile=pki.crlfile)
    end = handshake(server, client_context(pki.cafile, make(pki, "pump-17"), version=version))
    assert verify_code(end.server_error) == code
    assert end.client_error is not None
    assert end.client_error.reason == alert


@pytest.mark.parametrize("version", VERSIONS)
def test_good_clients_are_accepted_and_known(pki: Pki, version: ssl.TLSVersion) -> None:
    server = server_context(pki.server(), client_cafile=pki.cafile, crlfile=pki.crlfile)
    for files in (pki.client("pump-17"), pki.client_named("pump-18", "urn:pump:18", "pump@example.org")):
        end = handshake(server, client_context(pki.cafile, files, version=version))
        assert end.done
        assert end.server.getpeercert(binary_form=True) == files.der


def test_a_client_that_trusts_another_root_refuses_us(pki: Pki) -> None:
    end = handshake(server_context(pki.server()), client_context(pki.other_cafile))
    assert verify_code(end.client_error) == NO_ISSUER


def test_certificates_are_made_once(pki: Pki) -> None:
    assert pki.client("a") is pki.client("a")
    assert pki.client("a").der != pki.client("b").der
    assert pki.client_revoked("a").serial_number != pki.client_revoked("b").serial_number
