"""PEM files, read into certificates that know their neighbours: what a self-check of any such file begins with."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from doorlog.certificates import Finding, finding
from doorlog.certificates.facts import CertificateFacts, certificate_facts
from doorlog.errors import CertificateError

_PEM: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)
_CERTIFICATE: Final = "CERTIFICATE"

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)


@dataclass(frozen=True, slots=True)
class LinkedCertificate:
    """One certificate of a file, as it relates to the others (RFC 5280, 6.1)."""

    path: Path
    """The file."""
    index: int
    """Its place in the file, counted from 0."""
    facts: CertificateFacts
    parsed: x509.Certificate

    @property
    def name(self) -> str:
        """What a finding calls it: its common name, and where it stands."""
        who = self.facts.subject_common_name or self.facts.subject
        return f'"{who}" (certificate {self.index + 1} in {self.path.name})'

    @property
    def issuer(self) -> str:
        """What a finding calls its issuer."""
        return f'"{self.facts.issuer_common_name or self.facts.issuer}"'

    @property
    def is_root(self) -> bool:
        """Whether it names itself as its issuer."""
        return self.parsed.subject == self.parsed.issuer

    @property
    def is_ca(self) -> bool:
        """Whether it says that it may issue others (RFC 5280, 4.2.1.9); version 1 can not say so."""
        constraints = self.extension(x509.BasicConstraints)
        return constraints is not None and constraints.ca

    def extension(self, kind: type[_Extension]) -> _Extension | None:
        """Return its extension of this kind, None if it has none."""
        try:
            return self.parsed.extensions.get_extension_for_class(kind).value
        except x509.ExtensionNotFound:
            return None

    def names_as_issuer(self, other: LinkedCertificate) -> bool:
        """Whether the other has the name of its issuer; a key of that name may be another."""
        return self.parsed.issuer == other.parsed.subject

    def is_signed_by(self, issuer: LinkedCertificate) -> bool:
        """Whether the key of ``issuer`` signed it; so taken where the algorithm is not verified any more."""
        if not can_be_verified(self.parsed):
            return True
        try:
            self.parsed.verify_directly_issued_by(issuer.parsed)
        except (InvalidSignature, TypeError, ValueError):  # the latter two: a key of another kind
            return False
        return True


class PemCertificates(NamedTuple):
    """What a file of certificates holds, in its order."""

    facts: tuple[CertificateFacts, ...] = ()
    """What each certificate says, but for those that can not be read at all."""
    links: tuple[LinkedCertificate, ...] = ()
    """Those among them that can be checked."""
    findings: tuple[Finding, ...] = ()
    """What is wrong with the file, or with certificates that are not among the links."""


def read_certificates(path: Path) -> PemCertificates:
    """Read certificates in PEM; nothing is raised, what is wrong becomes a finding.

    Args:
        path: A file, in which text and keys may stand around the certificates (RFC 7468, 2).
    """
    facts: list[CertificateFacts] = []
    links: list[LinkedCertificate] = []
    ders, findings = pem_blocks(path, _CERTIFICATE, "certificate")
    for index, der in enumerate(ders):
        try:
            facts.append(certificate_facts(der))
            parsed = x509.load_der_x509_certificate(der)
            _ = parsed.subject, parsed.issuer, parsed.extensions, parsed.public_key()  # read late by the library
            links.append(LinkedCertificate(path, index, facts[-1], parsed))
        except CertificateError:
            findings.append(finding("certificate_invalid", index, number=index + 1, path=path))
        except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
            findings.append(finding("certificate_malformed", index, number=index + 1, path=path, why=error))
    return PemCertificates(tuple(facts), tuple(links), tuple(findings))


def pem_blocks(path: Path, label: str, what: str) -> tuple[list[bytes], list[Finding]]:
    """Read the blocks with one label from a PEM file (RFC 7468); nothing is raised.

    Args:
        path: The file.
        label: As in ``-----BEGIN label-----``.
        what: What a finding calls that which is missing.

    Returns:
        The DER of each block in order, empty where it is no base64, and what is wrong with the file.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        return [], [finding("file_unreadable", path=path, why=error.strerror)]
    bodies = [body for kind, body in _PEM.findall(data) if kind == label.encode()]
    if not bodies:
        return [], [finding("not_pem", path=path, what=what, what_label=label)]
    return [_decoded(body) for body in bodies], []


def can_be_verified(signed: x509.Certificate | x509.CertificateRevocationList) -> bool:
    """Whether the library still verifies its signature algorithm: no SHA-1, which is a finding of its own."""
    try:
        digest = signed.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return False
    return digest is None or digest.name not in {"sha1", "md5"}  # None: Ed25519


def _decoded(body: bytes) -> bytes:
    try:
        return base64.b64decode(body)
    except ValueError:
        return b""
