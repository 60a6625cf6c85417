"""What stands in a test certificate, who signs it, and the making of both; every kind that tests need is in ``pki``."""

from __future__ import annotations

import hashlib
import ipaddress
import ssl
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LOCALHOST: Final = ("localhost", "127.0.0.1", "::1")

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """A certificate with its key, in memory and as PEM files."""

    certfile: Path
    """The leaf first, then what is sent along."""
    keyfile: Path
    certificate: x509.Certificate
    key: PrivateKey

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def sha256(self) -> str:
        """Upper-case hexadecimal, as in a record."""
        return hashlib.sha256(self.der).hexdigest().upper()

    @property
    def serial_number(self) -> str:
        """Upper-case hexadecimal without leading zeros, as in a record."""
        return f"{self.certificate.serial_number:X}"


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority; it signs whatever it is told to."""

    certificate: x509.Certificate
    key: PrivateKey

    @property
    def common_name(self) -> str:
        (attribute,) = self.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return str(attribute.value)

    def crl(self, *serials: int, now: datetime, days: int = 30, key: PrivateKey | None = None) -> bytes:
        """A revocation list in PEM that ends so many days from ``now``; ``key`` forges its signature."""
        end = now + timedelta(days=days)
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.certificate.subject)
        builder = builder.last_update(min(now, end) - timedelta(days=1)).next_update(end)
        for serial in serials:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(key or self.key, hashes.SHA256()).public_bytes(Encoding.PEM)


@dataclass(frozen=True, slots=True)
class Leaf:
    """What stands in a leaf; the default is a server certificate for this machine, valid today."""

    common_name: str = "localhost"
    names: tuple[str, ...] = LOCALHOST
    """Subject alternative names: IP addresses, e-mail addresses (``@``), URIs (``:``), else DNS names."""
    usage: x509.ObjectIdentifier | None = ExtendedKeyUsageOID.SERVER_AUTH
    start: int = -1
    """Days from now."""
    end: int = 90
    """Days from now."""
    serial: int | None = None
    rsa_bits: int | None = None
    is_authority: bool = False


SERVER: Final = Leaf()
CLIENT: Final = Leaf(names=(), usage=ExtendedKeyUsageOID.CLIENT_AUTH)


def make_certificate(leaf: Leaf, issuer: Authority | None, now: datetime) -> tuple[x509.Certificate, PrivateKey]:
    """Make a certificate and its key; without issuer it signs itself."""
    key = _private_key(leaf.rsa_bits)
    subject = _subject(leaf.common_name)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(leaf.serial or x509.random_serial_number())
        .not_valid_before(now + timedelta(days=leaf.start))
        .not_valid_after(now + timedelta(days=leaf.end))
        .add_extension(x509.BasicConstraints(leaf.is_authority, None), critical=True)
    )
    for extension in _extensions(leaf, key, issuer):
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(issuer.key if issuer else key, hashes.SHA256()), key


def with_sha1(signed: x509.Certificate | x509.CertificateRevocationList, issuer: Authority) -> bytes:
    """Make what no library makes any more: the same in PEM, with sha1WithRSAEncryption."""
    assert isinstance(issuer.key, rsa.RSAPrivateKey)
    if isinstance(signed, x509.Certificate):
        tbs, label = signed.tbs_certificate_bytes, "CERTIFICATE"
    else:
        tbs, label = signed.tbs_certlist_bytes, "X509 CRL"
    sha256, sha1 = bytes.fromhex("06092a864886f70d01010b"), bytes.fromhex("06092a864886f70d010105")
    signature = issuer.key.sign(tbs.replace(sha256, sha1), padding.PKCS1v15(), hashes.SHA1())
    der = signed.public_bytes(Encoding.DER).replace(sha256, sha1).replace(signed.signature, signature)
    return ssl.DER_cert_to_PEM_cert(der).replace("CERTIFICATE", label).encode()


def _private_key(rsa_bits: int | None) -> PrivateKey:
    if rsa_bits:
        return rsa.generate_private_key(65537, rsa_bits)
    return ec.generate_private_key(ec.SECP256R1())


def _subject(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example Pumps"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _extensions(leaf: Leaf, key: PrivateKey, issuer: Authority | None) -> list[x509.ExtensionType]:
    extensions: list[x509.ExtensionType] = [
        x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
        _key_usage(is_authority=leaf.is_authority),
    ]
    if issuer:
        public_key = issuer.certificate.public_key()
        assert isinstance(public_key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey)
        extensions.append(x509.AuthorityKeyIdentifier.from_issuer_public_key(public_key))
    if leaf.usage:
        extensions.append(x509.ExtendedKeyUsage([leaf.usage]))
    if leaf.names:
        extensions.append(x509.SubjectAlternativeName([_general_name(name) for name in leaf.names]))
    return extensions


def _key_usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        if "@" in name:
            return x509.RFC822Name(name)
        return x509.UniformResourceIdentifier(name) if ":" in name else x509.DNSName(name)
