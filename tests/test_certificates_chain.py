from __future__ import annotations

import os
import ssl
import string
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from doorlog.certificates import FINDINGS
from doorlog.certificates.chain import inspect_chain, inspect_client_ca
from doorlog.certificates.facts import certificate_facts
from support.inspection import codes, inspect, only, rewritten, rsa_authority
from support.pki import CLIENT, SERVER, Authority, Pki
from support.pki_certificates import with_sha1
from support.pki_tls import (
    EXPIRED,
    HOST_MISMATCH,
    PURPOSE,
    client_context,
    handshake,
    knock,
    server_context,
    verify_code,
)

CA = replace(SERVER, names=(), usage=None, is_authority=True)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


# a chain that is as it should be


@pytest.mark.parametrize("trusted", [True, False])
def test_a_good_chain_has_no_findings(pki: Pki, trusted: bool) -> None:
    report = inspect(pki, pki.server(), trusted=trusted)
    assert report.findings == ()
    assert report.ok
    assert report.leaf == certificate_facts(pki.server().der)
    assert [facts.subject_common_name for facts in report.chain] == ["localhost", "Example Server CA 1"]


def test_what_can_not_be_read_is_not_judged(pki: Pki) -> None:
    report = inspect(pki, rewritten(pki, "nothing", pki.server(), b"nothing"))
    assert codes(report.findings) == ["not_pem"]
    assert (report.leaf, report.chain, report.ok) == (None, (), False)


# the key


def test_the_key_of_somebody_else_is_an_error(pki: Pki) -> None:
    files = replace(pki.server(), keyfile=pki.client().keyfile)
    found = only(inspect(pki, files).findings)
    assert (found.severity, found.code) == ("error", "key_mismatch")
    assert str(files.keyfile) in found.sentence
    with pytest.raises(ssl.SSLError):
        server_context(files)


def test_a_leaf_that_is_not_first_is_named(pki: Pki) -> None:
    server = pki.server()
    files = rewritten(pki, "leaf-last", server, pki.servers.certificate, server.certificate)
    report = inspect(pki, files)
    assert report.findings[0].code == "key_mismatch"
    assert 'move "localhost" (certificate 2 in leaf-last.pem)' in report.findings[0].sentence


def test_an_encrypted_key_is_an_error_and_nobody_is_asked_for_a_password(pki: Pki) -> None:
    server = pki.server()
    encryption = BestAvailableEncryption(b"secret")
    pem = server.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    path = pki.write("encrypted.key", pem)
    path.chmod(0o600)
    found = only(inspect(pki, replace(server, keyfile=path)).findings)
    assert (found.severity, found.code) == ("error", "key_encrypted")


def test_a_key_file_that_is_not_there_is_an_error_with_its_path(pki: Pki, tmp_path: Path) -> None:
    found = only(inspect(pki, replace(pki.server(), keyfile=tmp_path / "no.key")).findings)
    assert (found.severity, found.code) == ("error", "file_unreadable")
    assert str(tmp_path / "no.key") in found.sentence


@pytest.mark.parametrize(
    "content", [b"", b"\x00\x01", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_key_file_without_key_is_an_error(pki: Pki, content: bytes) -> None:
    path = pki.write("empty.key", content)
    path.chmod(0o600)
    found = only(inspect(pki, replace(pki.server(), keyfile=path)).findings)
    assert (found.severity, found.code) == ("error", "not_pem")
    assert "private key" in found.sentence


def test_a_key_that_everybody_can_read_is_a_warning(pki: Pki) -> None:
    server = pki.server()
    path = pki.write_key("open.key", server.key)
    for mode, expected in ((0o644, ["key_readable_by_others"]), (0o640, []), (0o600, [])):
        path.chmod(mode)
        report = inspect(pki, replace(server, keyfile=path))
        assert codes(report.findings) == expected
        assert report.ok


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_key_that_may_not_be_read_is_an_error(pki: Pki) -> None:
    path = pki.write_key("closed.key", pki.server().key)
    path.chmod(0)
    found = only(inspect(pki, replace(pki.server(), keyfile=path)).findings)
    assert (found.severity, found.code) == ("error", "file_unreadable")


# dates


def test_an_expired_leaf_warns_and_does_not_stop_the_broker(pki: Pki) -> None:
    report = inspect(pki, pki.server_expired())
    found = only(report.findings)
    assert (found.severity, found.code, found.index) == ("warning", "certificate_expired", 0)
    assert f"{pki.now - timedelta(days=2):%Y-%m-%d}" in found.sentence
    assert "The broker starts all the same" in found.sentence
    assert report.ok


def test_a_leaf_from_the_future_is_a_warning(pki: Pki) -> None:
    found = only(inspect(pki, pki.server_not_yet_valid()).findings)
    assert (found.severity, found.code, found.index) == ("warning", "certificate_not_yet_valid", 0)


def test_a_leaf_near_its_end_is_a_warning_with_days(pki: Pki) -> None:
    files = pki.server()  # ends in 90 days
    for days, expected in ((59, []), (61, ["certificate_expiring"]), (91, ["certificate_expired"])):
        report = inspect_chain(files.certfile, files.keyfile, now=pki.now + timedelta(days=days))
        assert codes(report.findings) == expected
    report = inspect_chain(files.certfile, files.keyfile, now=pki.now + timedelta(days=61))
    assert "in 29 days" in report.findings[0].sentence


def test_an_expired_intermediate_is_found_behind_a_good_leaf(pki: Pki) -> None:
    old = pki.authority("Example Server CA 0", pki.root, end=-1)
    files = pki.issue("of-old-intermediate", SERVER, old)
    found = only(inspect(pki, files).findings)
    assert (found.code, found.index) == ("certificate_expired", 1)
    assert verify_code(knock(pki, files).client_error) == EXPIRED


# the links of the chain


@pytest.mark.parametrize("trusted", [True, False])
def test_a_missing_intermediate_is_named_with_what_devices_will_say(pki: Pki, trusted: bool) -> None:
    report = inspect(pki, pki.server_incomplete(), trusted=trusted)
    found = only(report.findings)
    assert (found.severity, found.code) == ("warning", "chain_incomplete")
    assert '"Example Server CA 1"' in found.sentence
    assert "unknown_ca" in found.sentence
    assert report.ok


def test_a_missing_intermediate_that_the_cafile_has_does_not_help_devices(pki: Pki) -> None:
    files = pki.server_incomplete()
    bundle = pki.write("bundle.pem", pki.root.certificate, pki.servers.certificate)
    report = inspect_chain(files.certfile, files.keyfile, cafile=bundle, now=pki.now)
    found = only(report.findings)
    assert found.code == "chain_incomplete"
    assert found.sentence.endswith("append that certificate.")


def test_a_leaf_that_the_root_itself_issued_is_complete(pki: Pki) -> None:
    files = pki.issue("of-root", SERVER, pki.root, chain=())
    assert inspect(pki, files).findings == ()
    assert knock(pki, files).done
    assert codes(inspect(pki, files, trusted=False).findings) == ["chain_incomplete"]


def test_the_second_of_two_intermediates_is_missed_if_the_root_is_at_hand(pki: Pki) -> None:
    deep = pki.authority("Example Server CA 1.1", pki.servers)
    files = pki.issue("deep-incomplete", SERVER, deep)
    found = only(inspect(pki, files).findings)
    assert (found.severity, found.code) == ("info", "root_unknown")
    assert '"Example Server CA 1"' in found.sentence
    assert inspect(pki, pki.issue("deep", SERVER, deep, chain=(deep, pki.servers))).findings == ()


def test_a_self_signed_leaf_is_a_warning(pki: Pki) -> None:
    found = only(inspect(pki, pki.server_self_signed()).findings)
    assert (found.severity, found.code, found.index) == ("warning", "self_signed_leaf", 0)


def test_a_root_in_the_file_is_not_needed(pki: Pki) -> None:
    files = pki.issue("with-root", SERVER, pki.servers, chain=(pki.servers, pki.root))
    report = inspect(pki, files)
    found = only(report.findings)
    assert (found.severity, found.code, found.index) == ("info", "root_included", 2)
    assert report.ok
    assert knock(pki, files).done


def test_certificates_out_of_order_get_the_right_order(pki: Pki) -> None:
    deep = pki.authority("Example Server CA 1.2", pki.servers)
    files = pki.issue("out-of-order", SERVER, deep, chain=(pki.servers, deep))
    found = only(inspect(pki, files).findings)
    assert (found.severity, found.code) == ("warning", "chain_out_of_order")
    assert "1, 3, 2" in found.sentence


def test_a_foreign_certificate_in_the_file_is_named(pki: Pki) -> None:
    files = pki.issue("with-foreign", SERVER, pki.servers, chain=(pki.other, pki.servers))
    found = only(inspect(pki, files).findings)
    assert (found.severity, found.code, found.index) == ("warning", "certificate_foreign", 1)
    assert '"Other Intermediate CA"' in found.sentence


def test_a_certificate_that_is_there_twice_is_named(pki: Pki) -> None:
    files = pki.issue("twice", SERVER, pki.servers, chain=(pki.servers, pki.servers))
    found = only(inspect(pki, files).findings)
    assert (found.code, found.index) == ("certificate_repeated", 2)


def test_an_intermediate_with_a_new_key_did_not_sign_the_old_leaf(pki: Pki) -> None:
    renewed = pki.authority("Example Server CA 1", pki.root)
    files = pki.issue("renewed-intermediate", SERVER, pki.servers, chain=(renewed,))
    found = only(inspect(pki, files).findings)
    assert (found.severity, found.code, found.index) == ("warning", "signature_mismatch", 0)
    assert not knock(pki, files).done
    both = pki.issue("both-intermediates", SERVER, pki.servers, chain=(renewed, pki.servers))
    found = only(inspect(pki, both).findings)
    assert (found.code, found.index) == ("certificate_foreign", 1)


def test_an_intermediate_with_a_key_of_another_kind_did_not_sign_the_leaf(pki: Pki) -> None:
    renewed = pki.issue("rsa-intermediate", replace(CA, common_name="Example Server CA 1", rsa_bits=2048), pki.root)
    authority = Authority(renewed.certificate, renewed.key)
    files = pki.issue("of-another-kind", SERVER, pki.servers, chain=(authority,))
    assert codes(inspect(pki, files).findings) == ["signature_mismatch"]


def test_a_root_with_a_new_key_did_not_sign_the_old_intermediate(pki: Pki) -> None:
    renewed = pki.write("renewed-root.pem", pki.authority("Example Root CA").certificate)
    files = pki.server()
    found = only(inspect_chain(files.certfile, files.keyfile, cafile=renewed, now=pki.now).findings)
    assert (found.code, found.index) == ("signature_mismatch", 1)


def test_a_leaf_that_issues_certificates_is_no_ca(pki: Pki) -> None:
    server = pki.server()
    files = pki.issue("of-leaf", replace(SERVER, common_name="under-a-leaf"), Authority(server.certificate, server.key))
    report = inspect(pki, files)
    assert "issuer_no_ca" in codes(report.findings)
    assert not knock(pki, files).done


# the leaf


def test_a_leaf_that_is_a_ca_is_a_warning(pki: Pki) -> None:
    files = pki.issue("leaf-ca", replace(SERVER, is_authority=True), pki.servers)
    assert codes(inspect(pki, files).findings) == ["leaf_is_ca"]


def test_a_leaf_without_names_is_a_warning(pki: Pki) -> None:
    files = pki.issue("leaf-nameless", replace(SERVER, names=()), pki.servers)
    found = only(inspect(pki, files).findings)
    assert (found.severity, found.code) == ("warning", "leaf_without_names")
    strict = client_context(pki.cafile)
    strict.hostname_checks_common_name = False  # as Go, browsers and RFC 9525 have it
    assert verify_code(handshake(server_context(files), strict).client_error) == HOST_MISMATCH


def test_a_leaf_that_is_not_for_servers_is_a_warning(pki: Pki) -> None:
    files = pki.issue("leaf-client", replace(SERVER, usage=ExtendedKeyUsageOID.CLIENT_AUTH), pki.servers)
    assert codes(inspect(pki, files).findings) == ["leaf_not_for_servers"]
    assert verify_code(knock(pki, files).client_error) == PURPOSE
    for number, usage in enumerate((None, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)):
        files = pki.issue(f"leaf-any-{number}", replace(SERVER, usage=usage), pki.servers)
        assert inspect(pki, files).findings == ()


def test_a_short_rsa_key_is_weak_and_openssl_has_the_last_word(pki: Pki) -> None:
    files = pki.server_rsa(1024)
    report = inspect(pki, files)
    assert "weak_key" in codes(report.findings)
    assert "(RSA, 1024 bits)" in next(found.sentence for found in report.findings if found.code == "weak_key")
    try:
        server_context(files)
    except ssl.SSLError:
        assert "not_loadable" in codes(report.findings)  # security level 2, as Debian has it
        assert not report.ok
    else:
        assert report.ok


def test_sha1_is_weak_but_no_forgery(pki: Pki) -> None:
    issuer = rsa_authority(pki)
    leaf = pki.issue("sha1", SERVER, issuer)
    files = rewritten(pki, "sha1-chain", leaf, with_sha1(leaf.certificate, issuer), issuer.certificate)
    findings = inspect(pki, files, trusted=False).findings
    found = next(found for found in findings if found.code == "weak_signature")
    assert found.index == 0
    assert "SHA1-RSA" in found.sentence
    assert "signature_mismatch" not in codes(findings)


def test_an_algorithm_that_nobody_knows_is_not_called_a_forgery(pki: Pki) -> None:
    server = pki.server()
    known, unknown = bytes.fromhex("06082a8648ce3d040302"), bytes.fromhex("06082a8648ce3d040309")
    leaf = ssl.DER_cert_to_PEM_cert(server.der.replace(known, unknown)).encode()
    report = inspect(pki, rewritten(pki, "unknown-algorithm", server, leaf, pki.servers.certificate))
    assert "signature_mismatch" not in codes(report.findings)


# the authorities of devices


def test_a_good_client_ca_has_no_findings(pki: Pki) -> None:
    assert inspect_client_ca(pki.cafile, now=pki.now) == ()
    bundle = pki.write("client-bundle.pem", pki.devices.certificate, pki.root.certificate)
    assert inspect_client_ca(bundle) == ()


def test_a_client_ca_that_can_not_be_read_is_an_error(pki: Pki, tmp_path: Path) -> None:
    assert codes(inspect_client_ca(tmp_path / "no.pem")) == ["file_unreadable"]
    assert codes(inspect_client_ca(pki.server().keyfile)) == ["not_pem"]


def test_an_intermediate_without_its_root_refuses_every_device(pki: Pki) -> None:
    cafile = pki.write("client-intermediate.pem", pki.devices.certificate)
    found = only(inspect_client_ca(cafile, now=pki.now))
    assert (found.severity, found.code, found.index) == ("warning", "client_ca_without_root", 0)
    assert '"Example Root CA"' in found.sentence
    server = server_context(pki.server(), client_cafile=cafile)
    server.verify_flags &= ~ssl.VERIFY_X509_PARTIAL_CHAIN
    assert not handshake(server, client_context(pki.cafile, pki.client())).done


def test_a_device_certificate_as_client_ca_is_a_warning(pki: Pki) -> None:
    cafile = pki.write("client-leaf.pem", pki.client().certificate)
    assert codes(inspect_client_ca(cafile)) == ["client_ca_no_ca"]


def test_an_expired_client_ca_refuses_every_device(pki: Pki) -> None:
    old = pki.authority("Old Device Root", end=-1)
    cafile = pki.write("client-old.pem", old.certificate)
    assert inspect_client_ca(cafile) == ()
    found = only(inspect_client_ca(cafile, now=pki.now))
    assert found.code == "certificate_expired"
    assert "Every device certificate that it issued is refused" in found.sentence
    device = pki.issue("client-of-old", CLIENT, old)
    server = server_context(pki.server(), client_cafile=cafile)
    assert verify_code(handshake(server, client_context(pki.cafile, device)).server_error) == EXPIRED


# the table


def test_every_sentence_is_one_and_says_what_to_do() -> None:
    for severity, sentence in FINDINGS.values():
        assert severity in {"error", "warning", "info"}
        assert sentence.endswith(".")
        assert "\n" not in sentence
        assert all(name is None or name.isidentifier() for _, name, _, _ in string.Formatter().parse(sentence))
