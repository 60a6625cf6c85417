from __future__ import annotations

import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from doorlog.certificates.facts import MAX_DER, CertificateFacts, certificate_facts
from doorlog.errors import CertificateError
from support.pki import Pki

NOW = datetime(2026, 3, 1, tzinfo=UTC)
KEY = ec.generate_private_key(ec.SECP256R1())
COMMON_NAME = NameOID.COMMON_NAME


def name(*attributes: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return x509.Name([x509.NameAttribute(oid, value, _validate=False) for oid, value in attributes])


PUMP_17 = name((COMMON_NAME, "pump-17"))


def certificate(
    subject: x509.Name = PUMP_17,
    *extensions: x509.ExtensionType,
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey = KEY,
    pss: bool = False,
) -> bytes:
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(name((NameOID.ORGANIZATION_NAME, "Example Trust"), (COMMON_NAME, "Example CA 2")))
        .public_key(key.public_key())
        .serial_number(0x0AB1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    scheme = padding.PSS(padding.MGF1(hashes.SHA256()), 32) if pss else None
    return builder.sign(key, digest, rsa_padding=scheme).public_bytes(Encoding.DER)


def altered(der: bytes, old: bytes, new: bytes) -> bytes:
    """Same length, so that every length field stays right."""
    assert old in der
    assert len(old) == len(new)
    return der.replace(old, new)


def unsafe(text: str) -> bool:
    return any(c in text for c in "\n\r\x00\x1b\u2028\u202e") or len(text) > 512


# hostile


@pytest.mark.parametrize(
    "junk", [b"", b"\x30", b"\x30\x00", b"\x30\x80", b"\x30\x84\xff\xff\xff\xff", b"\x00" * 500, b"GET / HTTP/1.1"]
)
def test_bytes_that_are_no_certificate_are_refused(junk: bytes) -> None:
    with pytest.raises(CertificateError, match="are no X"):
        certificate_facts(junk)


def test_a_certificate_of_absurd_size_is_not_even_looked_at() -> None:
    with pytest.raises(CertificateError, match="larger than 16384 bytes"):
        certificate_facts(certificate() + bytes(MAX_DER))


def test_a_certificate_with_something_behind_it_is_refused() -> None:
    with pytest.raises(CertificateError):
        certificate_facts(certificate() + b"\x00")


def test_every_cut_is_refused() -> None:
    der = certificate()
    for length in range(len(der)):
        with pytest.raises(CertificateError):
            certificate_facts(der[:length])


@settings(max_examples=400, deadline=None)
@given(
    flips=st.lists(st.tuples(st.integers(0, 700), st.integers(0, 255)), min_size=1, max_size=6), insert=st.booleans()
)
def test_flipped_bytes_raise_nothing_else_and_write_nothing_to_stderr(
    flips: list[tuple[int, int]], *, insert: bool
) -> None:
    der = bytearray(certificate(PUMP_17, x509.SubjectAlternativeName([x509.DNSName("a.b")])))
    for place, value in flips:
        if insert:
            der.insert(place % len(der), value)
        else:
            der[place % len(der)] = value
    try:
        facts = certificate_facts(bytes(der))
    except CertificateError:
        return
    texts = (facts.subject, facts.issuer, facts.serial_number, *facts.alternative_names)
    assert not any(unsafe(text) for text in texts)


def test_a_name_can_not_forge_a_line_or_hide_words() -> None:
    facts = certificate_facts(certificate(name((COMMON_NAME, 'a\n{"event"}\x1b[2J\u202e\u2028'))))
    assert facts.subject_common_name == 'a\\u000A{"event"}\\u001B[2J\\u202E\\u2028'
    assert not unsafe(facts.subject)


def test_endless_names_are_cut() -> None:
    names = [x509.DNSName("a" * 600), *(x509.DNSName(f"host-{number}") for number in range(200))]
    facts = certificate_facts(certificate(name((COMMON_NAME, "c" * 5000)), x509.SubjectAlternativeName(names)))
    assert facts.subject_common_name == "c" * 511 + "…"
    assert len(facts.subject) == 512
    assert len(facts.alternative_names) == 32
    assert facts.alternative_names[:2] == ("a" * 511 + "…", "host-0")


def test_a_country_of_three_letters_is_no_reason_to_warn_on_stderr() -> None:
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        facts = certificate_facts(
            altered(
                certificate(name((COMMON_NAME, "DEU"))),
                b"\x06\x03U\x04\x03\x0c\x03DEU",
                b"\x06\x03U\x04\x06\x0c\x03DEU",
            )
        )
    assert facts.subject == "C=DEU"
    assert heard == []


# sloppy: OpenSSL admits these, so devices carry them


@pytest.mark.parametrize(
    ("old", "new", "read"),
    [
        (b"\x0c\x07pump-17", b"\x13\x07pump_17", "pump_17"),  # PrintableString has no underscore
        (b"\x0c\x07pump-17", b"\x14\x07P\xfcmpe-7", "Pümpe-7"),  # TeletexString, used as Latin-1
        (b"\x0c\x07pump-17", b"\x0c\x07P\xfcmpe-7", "Pümpe-7"),  # Latin-1 that claims to be UTF-8
        (b"\x0c\x07pump-17", b"\x16\x07P\xfcmpe-7", "Pümpe-7"),  # IA5String
        (b"\x0c\x07pump-17", b"\x1e\x07pump-17", "pump-17"),  # BMPString of odd length
    ],
)
def test_a_sloppily_encoded_name_still_names_the_device(old: bytes, new: bytes, read: str) -> None:
    facts = certificate_facts(altered(certificate(), old, new))
    assert facts.subject_common_name == read
    assert facts.subject == f"CN={read}"
    assert facts.issuer == "CN=Example CA 2,O=Example Trust"
    assert facts.serial_number == "AB1"
    assert (facts.public_key_algorithm, facts.public_key_size) == ("ECDSA", 256)


def test_two_sloppy_names_stay_different() -> None:
    first = certificate_facts(altered(certificate(), b"pump-17", b"pump\xff17"))
    second = certificate_facts(altered(certificate(), b"pump-17", b"pump\xfe17"))
    assert first.subject != second.subject


def test_unreadable_extensions_cost_the_names_in_them_only() -> None:
    der = certificate(PUMP_17, x509.SubjectAlternativeName([x509.DNSName("broken.example")]))
    facts = certificate_facts(altered(der, b"broken.example", b"\xff\xfeoken.example"))
    assert facts.alternative_names == ()
    assert facts.subject == "CN=pump-17"


def test_a_negative_serial_number_is_shown() -> None:
    facts = certificate_facts(altered(certificate(), b"\x02\x02\x0a\xb1", b"\x02\x02\xff\x01"))
    assert facts.serial_number == "-FF"


def test_a_key_that_is_no_key_leaves_the_rest() -> None:
    der = certificate()
    point = KEY.public_key().public_numbers().x.to_bytes(32, "big")
    facts = certificate_facts(altered(der, point, b"\xff" * 32))
    assert (facts.public_key_algorithm, facts.public_key_size) == ("ECDSA", None)
    assert facts.subject == "CN=pump-17"


# honest


def test_a_device_certificate_in_the_words_of_ecs(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    files = pki.client_named(
        "pump-17", "pump-17.example", "10.0.0.9", "2001:db8::9", "urn:device:17", "pump@example.org"
    )
    assert certificate_facts(files.der) == CertificateFacts(
        subject="CN=pump-17,O=Example Pumps",
        subject_common_name="pump-17",
        subject_organization="Example Pumps",
        issuer="CN=Example Device CA 1,O=Example Pumps",
        issuer_common_name="Example Device CA 1",
        issuer_organization="Example Pumps",
        serial_number=files.serial_number,
        alternative_names=("pump-17.example", "10.0.0.9", "2001:db8::9", "urn:device:17", "pump@example.org"),
        not_before=pki.now - timedelta(days=1),
        not_after=pki.now + timedelta(days=90),
        sha256=files.sha256,
        public_key_algorithm="ECDSA",
        public_key_size=256,
        signature_algorithm="ECDSA-SHA256",
        version_number=3,
    )


def test_dates_are_aware() -> None:
    facts = certificate_facts(certificate())
    assert facts.not_before == NOW
    assert facts.not_before.tzinfo is UTC
    assert facts.not_after == NOW + timedelta(days=1)


def test_a_certificate_without_subject_has_no_common_name() -> None:
    facts = certificate_facts(certificate(x509.Name([])))
    assert (facts.subject, facts.subject_common_name, facts.subject_organization) == ("", None, None)


def test_the_first_of_several_common_names_counts() -> None:
    facts = certificate_facts(certificate(name((COMMON_NAME, "first"), (COMMON_NAME, "second"))))
    assert facts.subject_common_name == "first"
    assert facts.subject == "CN=second,CN=first"


def test_rsa_and_ed25519_have_the_names_that_go_gives_them() -> None:
    rsa_key = rsa.generate_private_key(65537, 2048)
    read = [
        certificate_facts(certificate(key=rsa_key)),
        certificate_facts(certificate(key=rsa_key, pss=True)),
        certificate_facts(certificate(key=ed25519.Ed25519PrivateKey.generate())),
    ]
    assert [(facts.public_key_algorithm, facts.public_key_size, facts.signature_algorithm) for facts in read] == [
        ("RSA", 2048, "SHA256-RSA"),
        ("RSA", 2048, "SHA256-RSAPSS"),
        ("Ed25519", None, "Ed25519"),
    ]


def test_an_unknown_signature_algorithm_shows_its_identifier() -> None:
    der = altered(certificate(), bytes.fromhex("06082a8648ce3d040302"), bytes.fromhex("06082a8648ce3d040309"))
    assert certificate_facts(der).signature_algorithm == "1.2.840.10045.4.3.9"


def test_what_was_read_lately_is_not_read_again() -> None:
    der = certificate()
    assert certificate_facts(der) is certificate_facts(bytes(bytearray(der)))
