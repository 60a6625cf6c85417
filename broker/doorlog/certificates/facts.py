"""What a certificate says about itself, read from bytes that may be hostile."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import islice
from typing import Final, TypeVar

from cryptography import x509
from cryptography.x509.oid import NameOID, ObjectIdentifier, SignatureAlgorithmOID

from doorlog.errors import CertificateError
from doorlog.text import safe_text

MAX_DER: Final = 16_384
"""Bytes. Real certificates have 400 to 8,000; a hostile one of this size costs 15 ms, and more the longer."""
MAX_NAMES: Final = 32
"""As many alternative names are kept, in the order of the certificate."""
MAX_TEXT: Final = 512
"""Characters of each text, escapes included."""

_CACHED_DER: Final = 4096
_CACHED_FACTS: Final = 512  # with _CACHED_DER: 2 MB of DER at most, and about as much again of facts

_Part = TypeVar("_Part")

_PUBLIC_KEYS: Final = {
    "1.2.840.113549.1.1.1": "RSA",
    "1.2.840.113549.1.1.10": "RSA",  # RSASSA-PSS
    "1.2.840.10040.4.1": "DSA",
    "1.2.840.10045.2.1": "ECDSA",
    "1.3.101.112": "Ed25519",
    "1.3.101.113": "Ed448",
}
_SIGNATURES: Final = {
    "1.2.840.113549.1.1.2": "MD2-RSA",
    "1.2.840.113549.1.1.4": "MD5-RSA",
    "1.2.840.113549.1.1.5": "SHA1-RSA",
    "1.2.840.113549.1.1.11": "SHA256-RSA",
    "1.2.840.113549.1.1.12": "SHA384-RSA",
    "1.2.840.113549.1.1.13": "SHA512-RSA",
    "1.2.840.10040.4.3": "DSA-SHA1",
    "2.16.840.1.101.3.4.3.2": "DSA-SHA256",
    "1.2.840.10045.4.1": "ECDSA-SHA1",
    "1.2.840.10045.4.3.2": "ECDSA-SHA256",
    "1.2.840.10045.4.3.3": "ECDSA-SHA384",
    "1.2.840.10045.4.3.4": "ECDSA-SHA512",
    "1.3.101.112": "Ed25519",
    "1.3.101.113": "Ed448",
}

_VERSION: Final = 0xA0
_UTF8_STRING: Final = 0x0C
_ENCODINGS: Final = {_UTF8_STRING: "utf-8", 0x1C: "utf-32-be", 0x1E: "utf-16-be"}  # the rest as Latin-1


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """One certificate in the words of ECS ``x509.*``; every text is escaped, 512 characters at most."""

    subject: str
    """RFC 4514, most specific first; empty if the certificate names none."""
    subject_common_name: str | None
    """The first, if there are several."""
    subject_organization: str | None
    issuer: str
    issuer_common_name: str | None
    issuer_organization: str | None
    serial_number: str
    """Upper-case hexadecimal without leading zeros, as ECS ``x509.serial_number``."""
    alternative_names: tuple[str, ...]
    """DNS names, IP addresses, URIs and e-mail addresses, 32 at most; empty if unreadable."""
    not_before: datetime
    """Aware, UTC."""
    not_after: datetime
    """Aware, UTC."""
    sha256: str
    """Of the DER, upper-case hexadecimal, as ECS ``tls.*.hash.sha256``."""
    public_key_algorithm: str
    """The name that ECS takes from Go (``RSA``, ``ECDSA``, ``Ed25519``), or a dotted object identifier."""
    public_key_size: int | None
    """Bits; None if the key is of an unknown kind or broken."""
    signature_algorithm: str
    """The name that ECS takes from Go (``ECDSA-SHA256``), or a dotted object identifier."""
    version_number: int
    """1 or 3."""


def certificate_facts(der: bytes) -> CertificateFacts:
    """Read one certificate (RFC 5280, 4.1); what was read lately is remembered.

    Device certificates are often sloppy where OpenSSL does not mind: names in a wrong encoding are mended,
    extensions or a key that can not be read are left out, so that the rest still names the device.

    Args:
        der: One certificate in DER, 16,384 bytes at most; nothing about it is trusted.

    Raises:
        CertificateError: This is no X.509 certificate.
    """
    return _remembered(der) if len(der) <= _CACHED_DER else _read(der)


def name_text(name: x509.Name) -> str:
    """Return a name as RFC 4514 string, escaped and at most 512 characters long."""
    return safe_text(name.rfc4514_string(), MAX_TEXT)


def serial_text(serial_number: int) -> str:
    """Return a serial number in upper-case hexadecimal without leading zeros."""
    return safe_text(f"{serial_number:X}", MAX_TEXT)


def _read(der: bytes) -> CertificateFacts:
    if len(der) > MAX_DER:
        raise CertificateError(f"the certificate is larger than {MAX_DER} bytes")
    with warnings.catch_warnings():
        # Of hostile content (a country of three letters) the library warns on stderr: no place for it.
        warnings.simplefilter("ignore")
        try:
            certificate = _readable(lambda: _load(der)) or _load(_mended(der))
            return _facts(certificate, der)
        except Exception as error:  # hostile bytes, and the library promises no closed list
            raise CertificateError("these bytes are no X.509 certificate") from error


_remembered = lru_cache(maxsize=_CACHED_FACTS)(_read)


def _load(der: bytes) -> x509.Certificate:
    certificate = x509.load_der_x509_certificate(der)
    _ = certificate.subject, certificate.issuer  # read late by the library, and both are needed
    return certificate


def _facts(certificate: x509.Certificate, der: bytes) -> CertificateFacts:
    subject, issuer = certificate.subject, certificate.issuer
    return CertificateFacts(
        subject=name_text(subject),
        subject_common_name=_attribute(subject, NameOID.COMMON_NAME),
        subject_organization=_attribute(subject, NameOID.ORGANIZATION_NAME),
        issuer=name_text(issuer),
        issuer_common_name=_attribute(issuer, NameOID.COMMON_NAME),
        issuer_organization=_attribute(issuer, NameOID.ORGANIZATION_NAME),
        serial_number=serial_text(certificate.serial_number),
        alternative_names=_readable(lambda: _alternative_names(certificate)) or (),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        sha256=hashlib.sha256(der).hexdigest().upper(),
        public_key_algorithm=_go_name(_PUBLIC_KEYS, certificate.public_key_algorithm_oid),
        public_key_size=_readable(lambda: _key_size(certificate)),
        signature_algorithm=_signature_algorithm(certificate),
        version_number=certificate.version.value + 1,
    )


def _readable(read: Callable[[], _Part]) -> _Part | None:
    """Return what can be read, else None."""
    try:
        return read()
    except Exception:  # noqa: BLE001 - hostile bytes, and the library promises no closed list
        return None


def _attribute(name: x509.Name, oid: ObjectIdentifier) -> str | None:
    value = next((attribute.value for attribute in name if attribute.oid == oid), None)
    if not value:
        return None
    return safe_text(value if isinstance(value, str) else value.hex(), MAX_TEXT)


def _alternative_names(certificate: x509.Certificate) -> tuple[str, ...]:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    kinds = (x509.DNSName, x509.IPAddress, x509.UniformResourceIdentifier, x509.RFC822Name)
    wanted = (str(name.value) for name in names if isinstance(name, kinds))
    return tuple(safe_text(name, MAX_TEXT) for name in islice(wanted, MAX_NAMES))


def _key_size(certificate: x509.Certificate) -> int | None:
    size = getattr(certificate.public_key(), "key_size", None)
    return size if isinstance(size, int) else None


def _signature_algorithm(certificate: x509.Certificate) -> str:
    if certificate.signature_algorithm_oid != SignatureAlgorithmOID.RSASSA_PSS:
        return _go_name(_SIGNATURES, certificate.signature_algorithm_oid)
    digest = _readable(lambda: certificate.signature_hash_algorithm)
    return f"{digest.name.upper()}-RSAPSS" if digest else "RSAPSS"


def _go_name(names: dict[str, str], oid: ObjectIdentifier) -> str:
    return names.get(oid.dotted_string) or safe_text(oid.dotted_string, MAX_TEXT)


def _mended(der: bytes) -> bytes:
    """Return the certificate with every value of its issuer and subject written anew as UTF8String.

    The library refuses a whole certificate for an underscore in a PrintableString or for Latin-1 in a
    TeletexString; OpenSSL admits both, and devices carry them.

    Raises:
        ValueError, IndexError: This is no certificate.
    """
    ((tag, content),) = _elements(der)
    (tbs_tag, tbs), *signature = _elements(content)
    parts = _elements(tbs)
    issuer = 3 if parts[0][0] == _VERSION else 2  # RFC 5280, 4.1: version (optional), serial, algorithm, issuer
    for place in (issuer, issuer + 2):
        parts[place] = (parts[place][0], _mended_name(parts[place][1]))
    return _encoded(tag, _joined([(tbs_tag, _joined(parts)), *signature]))


def _mended_name(name: bytes) -> bytes:
    relative_names = []
    for set_tag, members in _elements(name):
        attributes = []
        for tag, attribute in _elements(members):
            kind, value = _elements(attribute)
            attributes.append(_encoded(tag, _joined([kind, (_UTF8_STRING, _utf8(*value))])))
        relative_names.append((set_tag, b"".join(sorted(attributes))))
    return _joined(relative_names)


def _utf8(tag: int, value: bytes) -> bytes:
    try:
        return value.decode(_ENCODINGS.get(tag, "latin-1")).encode()
    except UnicodeError:
        return value.decode("latin-1").encode()  # unlike U+FFFD, this keeps different names different


def _elements(data: bytes) -> list[tuple[int, bytes]]:
    """Split DER (X.690, 8.1) into tags and contents; ValueError or IndexError if it is none."""
    elements = []
    place = 0
    while place < len(data):
        tag, length, place = data[place], data[place + 1], place + 2
        if length & 0x80:
            start = place + (length & 0x7F)
            length, place = int.from_bytes(data[place:start], "big"), start
        if length > len(data) - place:
            raise ValueError("an element is cut off")
        elements.append((tag, data[place : place + length]))
        place += length
    return elements


def _joined(elements: list[tuple[int, bytes]]) -> bytes:
    return b"".join(_encoded(tag, content) for tag, content in elements)


def _encoded(tag: int, content: bytes) -> bytes:
    if len(content) < 0x80:
        return bytes((tag, len(content))) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content
