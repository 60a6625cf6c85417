"""What a TLS listener serves: loaded from files, with every fault named."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from doorlog.certificates.facts import certificate_facts
from doorlog.door import tls_context
from doorlog.door.tls_context import Overheard, load_served_chain, x509_part
from doorlog.errors import CertificateError
from doorlog.settings.models import TlsSettings
from support.clients.raw_tls import Offer
from support.memory_tls import MemoryDevice, connected, mutual, served
from support.pki import Pki


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


def test_a_chain_knows_what_it_serves(pki: Pki) -> None:
    files = pki.server()
    chain = load_served_chain(TlsSettings(certfile=files.certfile, keyfile=files.keyfile), 7)
    assert (chain.generation, chain.part.generation) == (7, 7)
    assert chain.leaf.sha256 == files.sha256
    assert chain.part.hash is not None
    assert chain.part.hash.sha256 == files.sha256
    assert chain.part.x509 is not None
    assert chain.part.x509.issuer.common_name == (pki.servers.common_name,)
    assert chain.part.supported_versions == ("1.2", "1.3")
    assert not chain.asks_for_certificate
    assert chain.revocations is None


def test_a_chain_with_all_that_there_is(pki: Pki) -> None:
    chain = mutual(pki, crlfile=pki.crlfile, alpn=("mqtt", "x"), minimum_version="1.3", client_certificate="optional")
    assert chain.asks_for_certificate
    assert chain.context.verify_mode is ssl.CERT_OPTIONAL
    assert chain.context.verify_flags & ssl.VERIFY_CRL_CHECK_LEAF
    assert chain.alpn == (b"mqtt", b"x")
    assert chain.part.supported_versions == ("1.3",)
    assert chain.revocations is not None


def test_the_settings_of_a_door_are_safe(pki: Pki) -> None:
    context = served(pki.server()).context
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert context.options & ssl.OP_NO_COMPRESSION
    assert context.verify_mode is ssl.CERT_NONE
    weak = {"RC4", "3DES", "NULL", "EXPORT", "MD5", "CBC", "SHA384)", "anon"}
    for cipher in context.get_ciphers():
        assert not any(word in cipher["description"] for word in weak), cipher["description"]
        assert cipher["aead"] or cipher["protocol"] == "TLSv1.3", cipher["name"]
        assert cipher["kea"] != "kx-rsa", "each session has its own keys"


def test_an_empty_file_of_authorities_is_a_fault_and_not_an_open_door(pki: Pki) -> None:
    empty = pki.write("empty.pem")
    with pytest.raises(CertificateError, match=r"cafile: .*empty\.pem can not be used"):
        mutual(pki, cafile=empty)


@pytest.mark.parametrize("key", ["certfile", "keyfile", "cafile", "crlfile"])
@pytest.mark.parametrize("content", [None, b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nnonsense\n"])
def test_a_file_that_can_not_be_used_is_named(pki: Pki, key: str, content: bytes | None) -> None:
    files = pki.server()
    path = pki.folder / "no such file.pem" if content is None else pki.write("bad.pem", content)
    settings = TlsSettings(
        certfile=files.certfile,
        keyfile=files.keyfile,
        cafile=pki.cafile,
        crlfile=pki.crlfile,
        client_certificate="required",
    ).model_copy(update={key: path})
    with pytest.raises(CertificateError) as fault:
        load_served_chain(settings)
    assert str(path) in str(fault.value)
    assert key in str(fault.value)


def test_a_key_of_another_certificate(pki: Pki) -> None:
    settings = TlsSettings(certfile=pki.server().certfile, keyfile=pki.server("other").keyfile)
    with pytest.raises(CertificateError, match="KEY_VALUES_MISMATCH"):
        load_served_chain(settings)


def test_an_encrypted_key_fails_and_asks_nobody(pki: Pki) -> None:
    files = pki.server()
    locked = files.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    settings = TlsSettings(certfile=files.certfile, keyfile=pki.write("locked.key", locked))
    with pytest.raises(CertificateError, match=r"locked\.key can not be used"):
        load_served_chain(settings)


def test_ciphers_that_nobody_has(pki: Pki) -> None:
    with pytest.raises(CertificateError, match="ciphers: NONSENSE can not be used"):
        served(pki.server(), ciphers="NONSENSE")


def test_text_in_front_of_a_certificate_is_passed_over(pki: Pki) -> None:
    files = pki.server()
    commented = pki.write("commented.pem", "subject=Pümpen GmbH\n".encode(), files.certfile.read_bytes())
    chain = load_served_chain(TlsSettings(certfile=commented, keyfile=files.keyfile))
    assert chain.leaf.sha256 == files.sha256


def test_a_python_without_the_private_callback_records_a_little_less(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    class Frozen:
        """A context without it."""

        __slots__ = ()

    tls_context._listen_in(Frozen(), Overheard().hear)  # type: ignore[arg-type] # all that it needs
    chain = mutual(pki, overhear=False)
    files = pki.client_expired()
    device = MemoryDevice(Offer(certfile=files.certfile, keyfile=files.keyfile))
    assert connected(chain, device).presented_certificates == ()
    assert device.alerts == [45]


def test_only_what_matters_is_heard() -> None:
    heard = Overheard()
    heard.hear(None, "read", 0, 22, 1, b"ClientHello")
    heard.hear(None, "write", 0, 22, 11, b"our own Certificate")
    heard.hear(None, "read", 0, 21, 0, b"\x02\x30")
    heard.hear(None, "write", 0, 21, 0, b"\x02")
    assert heard.take() == Overheard()
    heard.hear(None, "read", 0, 22, 11, b"Certificate")
    heard.hear(None, "write", 0, 21, 0, b"\x02\x2d")
    assert heard.take() == Overheard(b"Certificate", 45)
    assert heard.take() == Overheard()


def test_a_certificate_is_shaped_as_ecs_has_it(pki: Pki) -> None:
    part = x509_part(certificate_facts(pki.client_named("device-17", "pump-17.example.org").der))
    assert part.subject.distinguished_name == "CN=device-17,O=Example Pumps"
    assert part.subject.common_name == ("device-17",)
    assert part.subject.organization == ("Example Pumps",)
    assert part.issuer.common_name == (pki.devices.common_name,)
    assert part.alternative_names == ("pump-17.example.org",)
    assert part.public_key_algorithm == "ECDSA"
    assert part.signature_algorithm == "ECDSA-SHA256"
    assert x509_part(certificate_facts(pki.client("device-18").der)).alternative_names is None


def test_relative_paths_are_as_the_process_sees_them(pki: Pki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = pki.server()
    monkeypatch.chdir(files.certfile.parent)
    settings = TlsSettings(certfile=Path(files.certfile.name), keyfile=Path(files.keyfile.name))
    assert load_served_chain(settings).leaf.sha256 == files.sha256
