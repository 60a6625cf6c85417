from __future__ import annotations

import ssl
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from doorlog.certificates import Finding
from doorlog.certificates.chain import inspect_chain
from doorlog.certificates.pem import (
    LinkedCertificate,
    PemCertificates,
    can_be_verified,
    pem_blocks,
    read_certificates,
)
from support.inspection import codes, inspect, rewritten, rsa_authority
from support.pki import SERVER, Pki
from support.pki_certificates import with_sha1


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


# files


def test_a_file_that_is_not_there_is_an_error_with_its_path(pki: Pki, tmp_path: Path) -> None:
    report = inspect_chain(tmp_path / "no.pem", tmp_path / "no.key", now=pki.now)
    assert codes(report.findings) == ["file_unreadable", "file_unreadable"]
    assert str(tmp_path / "no.pem") in report.findings[0].sentence
    assert "No such file" in report.findings[0].sentence
    assert (report.leaf, report.chain, report.ok) == (None, (), False)


def test_der_is_not_pem(pki: Pki) -> None:
    server = pki.server()
    report = inspect(pki, rewritten(pki, "der", server, server.der))
    assert codes(report.findings) == ["not_pem"]
    assert "BEGIN CERTIFICATE" in report.findings[0].sentence
    assert not report.ok


@pytest.mark.parametrize("body", [b"AAAA", b"not base64!", b"A", b""])
def test_a_block_that_is_no_certificate_is_an_error(pki: Pki, body: bytes) -> None:
    server = pki.server()
    block = b"-----BEGIN CERTIFICATE-----\n" + body + b"\n-----END CERTIFICATE-----\n"
    report = inspect(pki, rewritten(pki, "broken", server, server.certificate, block))
    assert report.findings[0] == Finding("error", "certificate_invalid", report.findings[0].sentence, index=1)
    assert not report.ok


def test_a_sloppy_certificate_is_served_with_a_warning(pki: Pki) -> None:
    der = pki.server().der.replace(b"\x0c\x0dExample Pumps", b"\x13\x0dExample_Pumps")
    files = rewritten(pki, "sloppy", pki.server(), ssl.DER_cert_to_PEM_cert(der).encode())
    report = inspect(pki, files)
    assert codes(report.findings) == ["certificate_malformed"]
    assert report.ok
    assert report.leaf is not None
    assert report.leaf.subject_organization == "Example_Pumps"


def test_text_and_a_key_around_the_certificates_do_no_harm(pki: Pki) -> None:
    server = pki.server()
    chain = server.certfile.read_bytes()
    files = rewritten(pki, "combined", server, b"subject=CN\r\n", server.keyfile.read_bytes(), chain)
    assert inspect(pki, files).findings == ()


# certificates among each other


def link(pki: Pki, name: str, *pieces: bytes | x509.Certificate) -> LinkedCertificate:
    """The one certificate of a file."""
    read = read_certificates(pki.write(f"{name}.pem", *pieces))
    assert read.findings == ()
    (found,) = read.links
    return found


def test_certificates_keep_their_order_and_know_their_neighbours(pki: Pki) -> None:
    path = pki.write("three.pem", pki.server().certificate, pki.servers.certificate, pki.root.certificate)
    read = read_certificates(path)
    leaf, intermediate, root = read.links
    assert [(each.path, each.index) for each in read.links] == [(path, 0), (path, 1), (path, 2)]
    assert tuple(each.facts for each in read.links) == read.facts
    assert leaf.facts.sha256 == pki.server().sha256
    assert [each.is_ca for each in read.links] == [False, True, True]
    assert [each.is_root for each in read.links] == [False, False, True]
    assert [leaf.names_as_issuer(each) for each in read.links] == [False, True, False]
    assert [leaf.is_signed_by(each) for each in read.links] == [False, True, False]
    assert intermediate.is_signed_by(root)
    assert root.is_signed_by(root)


def test_a_finding_names_a_certificate_by_name_and_place(pki: Pki) -> None:
    leaf, _ = read_certificates(pki.server().certfile).links
    assert leaf.name == '"localhost" (certificate 1 in server.pem)'
    assert leaf.issuer == '"Example Server CA 1"'


def test_an_extension_is_there_or_none(pki: Pki) -> None:
    leaf, intermediate = read_certificates(pki.server().certfile).links
    usage = leaf.extension(x509.ExtendedKeyUsage)
    assert usage is not None
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert intermediate.extension(x509.ExtendedKeyUsage) is None


def test_an_issuer_with_a_new_key_has_the_name_but_did_not_sign(pki: Pki) -> None:
    leaf = link(pki, "leaf", pki.server().certificate)
    same_kind = link(pki, "renewed", pki.authority("Example Server CA 1", pki.root).certificate)
    of_rsa = pki.issue("renewed-rsa", replace(SERVER, common_name="Example Server CA 1", rsa_bits=2048), pki.root)
    for issuer in (same_kind, link(pki, "renewed-rsa-alone", of_rsa.certificate)):
        assert leaf.names_as_issuer(issuer)
        assert not leaf.is_signed_by(issuer)


def test_what_is_not_verified_any_more_is_taken_as_signed(pki: Pki) -> None:
    known, unknown = bytes.fromhex("06082a8648ce3d040302"), bytes.fromhex("06082a8648ce3d040309")
    strange = link(pki, "strange", ssl.DER_cert_to_PEM_cert(pki.server().der.replace(known, unknown)).encode())
    authority = rsa_authority(pki)
    old = link(pki, "old", with_sha1(pki.issue("sha1", SERVER, authority).certificate, authority))
    stranger = link(pki, "stranger", pki.other.certificate)
    for each in (strange, old):
        assert not can_be_verified(each.parsed)
        assert each.is_signed_by(stranger)
    assert can_be_verified(pki.server().certificate)


def test_a_certificate_signed_with_ed25519_can_be_verified(pki: Pki) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Edwards")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(7)
    builder = builder.not_valid_before(pki.now).not_valid_after(pki.now + timedelta(days=9))
    made = builder.public_key(key.public_key()).sign(key, None)
    root = link(pki, "edwards", made)
    assert can_be_verified(made)
    assert root.is_signed_by(root)
    assert not root.is_ca


def test_a_broken_certificate_leaves_its_neighbours_where_they_are(pki: Pki) -> None:
    broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    read = read_certificates(pki.write("neighbours.pem", pki.server().certificate, broken, pki.servers.certificate))
    assert [each.index for each in read.links] == [0, 2]
    assert [(found.code, found.index) for found in read.findings] == [("certificate_invalid", 1)]


def test_a_sloppy_certificate_has_facts_but_no_link(pki: Pki) -> None:
    der = pki.server().der.replace(b"\x0c\x0dExample Pumps", b"\x13\x0dExample_Pumps")
    read = read_certificates(pki.write("facts-only.pem", ssl.DER_cert_to_PEM_cert(der).encode()))
    assert [facts.subject_organization for facts in read.facts] == ["Example_Pumps"]
    assert read.links == ()
    assert codes(read.findings) == ["certificate_malformed"]


# blocks


def test_blocks_are_those_of_one_label_in_order(pki: Pki) -> None:
    server = pki.server()
    path = pki.write(
        "mixed.pem", pki.root.certificate, server.keyfile.read_bytes(), pki.devices.crl(now=pki.now), server.certificate
    )
    ders, findings = pem_blocks(path, "CERTIFICATE", "certificate")
    assert ders == [pki.root.certificate.public_bytes(Encoding.DER), server.der]
    assert findings == []
    assert len(pem_blocks(path, "X509 CRL", "revocation list")[0]) == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\xff\x30\x82",
        b"-----BEGIN CERTIFICATE-----\nAAAA",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END X509 CRL-----\n",
        b"-----END CERTIFICATE-----\nAAAA\n-----BEGIN CERTIFICATE-----\n",
        b"----- BEGIN CERTIFICATE -----\nAAAA\n----- END CERTIFICATE -----\n",
    ],
)
def test_a_file_without_a_whole_block_holds_none(pki: Pki, content: bytes) -> None:
    path = pki.write("no-block.pem", content)
    ders, findings = pem_blocks(path, "CERTIFICATE", "certificate")
    assert ders == []
    assert codes(findings) == ["not_pem"]
    assert str(path) in findings[0].sentence
    assert read_certificates(path) == PemCertificates(findings=tuple(findings))


def test_a_block_that_is_no_base64_is_empty_and_counted(pki: Pki) -> None:
    broken = b"-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n"
    path = pki.write("no-base64.pem", broken, pki.server().certificate)
    assert pem_blocks(path, "CERTIFICATE", "certificate") == ([b"", pki.server().der], [])


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    ders, findings = pem_blocks(tmp_path, "CERTIFICATE", "certificate")
    assert ders == []
    assert codes(findings) == ["file_unreadable"]
    assert str(tmp_path) in findings[0].sentence
