from __future__ import annotations

import ssl
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.serialization import Encoding

from doorlog.certificates.facts import certificate_facts
from doorlog.certificates.revocation import RevocationList, inspect_crl
from doorlog.errors import CertificateError
from support.inspection import codes, only, rsa_authority
from support.pki import Pki
from support.pki_certificates import with_sha1
from support.pki_tls import Handshake, client_context, handshake, server_context


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def flat(pki: Pki) -> Path:
    """The file of both authorities above a device."""
    return pki.write("crl-authorities.pem", pki.devices.certificate, pki.root.certificate)


def knock_with_crl(pki: Pki, crlfile: Path) -> Handshake:
    server = server_context(pki.server(), client_cafile=pki.cafile, crlfile=crlfile)
    return handshake(server, client_context(pki.cafile, pki.client()))


def test_good_revocation_lists_have_no_findings(pki: Pki, flat: Path) -> None:
    assert inspect_crl(pki.crlfile, flat, pki.now) == ()
    assert knock_with_crl(pki, pki.crlfile).done


def test_an_expired_revocation_list_refuses_every_device(pki: Pki, flat: Path) -> None:
    crlfile = pki.write("crl-expired.pem", pki.devices.crl(now=pki.now, days=-1))
    found = only(inspect_crl(crlfile, flat, pki.now))
    assert (found.severity, found.code, found.index) == ("warning", "crl_expired", 0)
    assert not knock_with_crl(pki, crlfile).done


def test_a_revocation_list_from_the_future_is_a_warning(pki: Pki, flat: Path) -> None:
    crlfile = pki.write("crl-future.pem", pki.devices.crl(now=pki.now + timedelta(days=9)))
    assert codes(inspect_crl(crlfile, flat, pki.now)) == ["crl_not_yet_valid"]
    assert not knock_with_crl(pki, crlfile).done


def test_a_revocation_list_by_somebody_else_is_a_warning(pki: Pki, flat: Path) -> None:
    crlfile = pki.write("crl-foreign.pem", pki.other.crl(now=pki.now))
    found = only(inspect_crl(crlfile, flat, pki.now))
    assert (found.severity, found.code) == ("warning", "crl_issuer_unknown")
    assert "Other Intermediate CA" in found.sentence
    assert not knock_with_crl(pki, crlfile).done


def test_a_forged_revocation_list_is_a_warning(pki: Pki, flat: Path) -> None:
    crlfile = pki.write("crl-forged.pem", pki.devices.crl(now=pki.now, key=pki.other.key))
    assert codes(inspect_crl(crlfile, flat, pki.now)) == ["crl_signature_mismatch"]
    assert not knock_with_crl(pki, crlfile).done


def test_a_revocation_list_by_a_key_that_can_not_sign_is_a_warning(pki: Pki) -> None:
    key = x25519.X25519PrivateKey.generate().public_key()
    builder = x509.CertificateBuilder().subject_name(pki.devices.certificate.subject).public_key(key)
    builder = builder.issuer_name(pki.root.certificate.subject).serial_number(7)
    builder = builder.not_valid_before(pki.now).not_valid_after(pki.now + timedelta(days=9))
    cafile = pki.write("crl-x25519.pem", builder.sign(pki.root.key, hashes.SHA256()))
    assert "crl_signature_mismatch" in codes(inspect_crl(pki.crlfile, cafile, pki.now))


def test_a_revocation_list_with_sha1_is_not_called_a_forgery(pki: Pki) -> None:
    issuer = rsa_authority(pki)
    crl = x509.load_pem_x509_crl(issuer.crl(1, now=pki.now))
    crlfile = pki.write("crl-sha1.pem", with_sha1(crl, issuer))
    assert inspect_crl(crlfile, pki.write("crl-sha1-ca.pem", issuer.certificate), pki.now) == ()


def test_an_authority_without_revocation_list_refuses_its_devices(pki: Pki, flat: Path) -> None:
    crlfile = pki.write("crl-root-only.pem", pki.root.crl(now=pki.now))
    found = only(inspect_crl(crlfile, flat, pki.now))
    assert (found.severity, found.code) == ("warning", "crl_missing")
    assert '"Example Device CA 1"' in found.sentence
    assert not knock_with_crl(pki, crlfile).done


def test_revocation_files_that_can_not_be_read_are_errors(pki: Pki, flat: Path, tmp_path: Path) -> None:
    junk = pki.write("crl-junk.pem", b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n")
    for path, code in ((tmp_path / "no.pem", "file_unreadable"), (pki.cafile, "not_pem"), (junk, "crl_invalid")):
        found = only(inspect_crl(path, flat, pki.now))
        assert (found.severity, found.code) == ("error", code)
        with pytest.raises(CertificateError) as refused:
            RevocationList.load(path)
        assert str(path) in str(refused.value)


def test_a_revocation_list_of_a_future_version_is_an_error(pki: Pki, flat: Path) -> None:
    der = x509.load_pem_x509_crl(pki.devices.crl(now=pki.now)).public_bytes(Encoding.DER)
    pem = ssl.DER_cert_to_PEM_cert(der.replace(b"\x02\x01\x01", b"\x02\x01\x07", 1)).replace("CERTIFICATE", "X509 CRL")
    assert codes(inspect_crl(pki.write("crl-version.pem", pem.encode()), flat, pki.now)) == ["crl_invalid"]


def test_revoked_certificates_are_known_by_issuer_and_serial_number(pki: Pki) -> None:
    revoked = RevocationList.load(pki.crlfile)
    victim = certificate_facts(pki.client_revoked("stolen").der)
    assert revoked.is_revoked(victim.issuer, victim.serial_number)
    good = certificate_facts(pki.client().der)
    assert not revoked.is_revoked(good.issuer, good.serial_number)
    assert not revoked.is_revoked("CN=Another CA", victim.serial_number)
    assert not revoked.is_revoked(victim.issuer, "no number")


def test_several_lists_of_one_issuer_add_up(pki: Pki) -> None:
    first = pki.write("crl-first.pem", pki.devices.crl(0xA1, now=pki.now), pki.devices.crl(0xA2, now=pki.now))
    second = pki.write("crl-second.pem", pki.devices.crl(0xB1, now=pki.now))
    revoked = RevocationList.load(first, second)
    issuer = certificate_facts(pki.client().der).issuer
    assert [revoked.is_revoked(issuer, serial) for serial in ("A1", "A2", "B1", "B2")] == [True, True, True, False]
