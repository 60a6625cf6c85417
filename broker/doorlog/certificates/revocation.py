"""A self-check of revocation lists, and the same lists for sessions on which OpenSSL does not look at them again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Self

from cryptography import x509

from doorlog.certificates import Finding, finding
from doorlog.certificates.facts import name_text
from doorlog.certificates.pem import LinkedCertificate, can_be_verified, pem_blocks, read_certificates
from doorlog.errors import CertificateError

_CRL: Final = "X509 CRL"


def inspect_crl(crlfile: Path, cafile: Path, now: datetime) -> tuple[Finding, ...]:
    """Look at revocation lists (RFC 5280, 5), and whether any authority lacks one.

    Args:
        crlfile: PEM: one list or more.
        cafile: PEM: the authorities whose device certificates are accepted.
        now: Aware.
    """
    lists, findings = _revocation_lists(crlfile)
    _, anchors, faults = read_certificates(cafile)
    findings += faults
    for index, crl in enumerate(lists):
        name = f'Revocation list {index + 1} in {crlfile.name} (of "{name_text(crl.issuer)}")'
        for code, words in _crl_faults(crl, anchors, now):
            findings.append(finding(code, index, name=name, path=cafile, **words))
    if lists and all(any(anchor.parsed.subject == crl.issuer for anchor in anchors) for crl in lists):
        findings += _missing_lists([crl.issuer for crl in lists], anchors)
    return tuple(findings)


@dataclass(frozen=True, slots=True)
class RevocationList:
    """Which certificates were revoked, for sessions that are resumed without OpenSSL looking again."""

    _serials: Mapping[str, frozenset[int]]

    @classmethod
    def load(cls, *crlfiles: Path) -> Self:
        """Read revocation lists in PEM.

        Raises:
            CertificateError: A file can not be read or holds no such list.
        """
        serials: dict[str, frozenset[int]] = {}
        for path in crlfiles:
            lists, findings = _revocation_lists(path)
            if findings:
                raise CertificateError(findings[0].sentence)
            for crl in lists:
                issuer = name_text(crl.issuer)
                serials[issuer] = serials.get(issuer, frozenset()).union(entry.serial_number for entry in crl)
        return cls(serials)

    def is_revoked(self, issuer: str, serial_number: str) -> bool:
        """Whether a certificate is on a list, by ``CertificateFacts.issuer`` and ``.serial_number``."""
        try:
            return int(serial_number, 16) in self._serials.get(issuer, ())
        except ValueError:
            return False


def _revocation_lists(path: Path) -> tuple[list[x509.CertificateRevocationList], list[Finding]]:
    lists: list[x509.CertificateRevocationList] = []
    ders, findings = pem_blocks(path, _CRL, "revocation list")
    for index, der in enumerate(ders):
        try:
            crl = x509.load_der_x509_crl(der)
            _ = crl.issuer, crl.last_update_utc, crl.next_update_utc, len(crl)  # read late by the library
            lists.append(crl)
        except (ValueError, x509.InvalidVersion):
            findings.append(finding("crl_invalid", index, number=index + 1, path=path))
    return lists, findings


def _crl_faults(
    crl: x509.CertificateRevocationList, anchors: Sequence[LinkedCertificate], now: datetime
) -> Iterator[tuple[str, dict[str, str]]]:
    issuers = [anchor for anchor in anchors if anchor.parsed.subject == crl.issuer]
    if anchors and not issuers:
        yield "crl_issuer_unknown", {}
    elif issuers and not any(_is_by(crl, issuer) for issuer in issuers):
        yield "crl_signature_mismatch", {}
    if crl.next_update_utc and now > crl.next_update_utc:
        yield "crl_expired", {"date": f"{crl.next_update_utc:%Y-%m-%d}"}
    if now < crl.last_update_utc:
        yield "crl_not_yet_valid", {"date": f"{crl.last_update_utc:%Y-%m-%d}"}


def _is_by(crl: x509.CertificateRevocationList, issuer: LinkedCertificate) -> bool:
    if not can_be_verified(crl):
        return True
    try:
        return crl.is_signature_valid(issuer.parsed.public_key())  # type: ignore[arg-type] # says TypeError if not
    except TypeError:
        return False


def _missing_lists(listed: Sequence[x509.Name], anchors: Sequence[LinkedCertificate]) -> Iterator[Finding]:
    """Name the authorities that issue devices (no other authority) and have no list (VERIFY_CRL_CHECK_LEAF)."""
    for anchor in anchors:
        issues_others = any(other.names_as_issuer(anchor) for other in anchors if other is not anchor)
        if anchor.parsed.subject not in listed and not issues_others:
            yield finding("crl_missing", anchor.index, name=anchor.name)
