"""A self-check of the chain that the broker serves and its key, and of the client authorities that it trusts."""

from __future__ import annotations

import ssl
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from doorlog.certificates import Finding, finding
from doorlog.certificates.facts import CertificateFacts
from doorlog.certificates.pem import LinkedCertificate, PemCertificates, read_certificates

EXPIRES_SOON: Final = timedelta(days=30)
"""So long before its end a certificate becomes a finding."""

_MIN_BITS: Final = {"RSA": 2048, "DSA": 2048, "ECDSA": 224}
_OTHERS: Final = stat.S_IROTH | stat.S_IWOTH
_FOR_SERVERS: Final = frozenset({ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE})
_DEVICES_REFUSE: Final = "The broker starts all the same, but devices that look at dates refuse it"
_WE_REFUSE: Final = "Every device certificate that it issued is refused"


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What a served chain is, and what is wrong with it."""

    leaf: CertificateFacts | None
    """What the broker presents as itself; None if there is nothing to present."""
    chain: tuple[CertificateFacts, ...]
    """The certificates in the order of the file, the leaf among them."""
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether a listener can start with it; devices may refuse it all the same."""
        return not _errors(self.findings)


def inspect_chain(certfile: Path, keyfile: Path, *, cafile: Path | None = None, now: datetime) -> ChainReport:
    """Look at a chain as a device will, and at its key; nothing is raised.

    Args:
        certfile: PEM: the leaf, then its intermediates, as they will be served (RFC 8446, 4.4.2).
        keyfile: PEM: the private key of the leaf.
        cafile: PEM: the root that devices trust, if it is at hand. Without it, a chain that ends at an unknown
            issuer is taken as complete unless it is the leaf alone.
        now: Aware.
    """
    facts, links, faults = read_certificates(certfile)
    anchors = read_certificates(cafile) if cafile else PemCertificates()
    leaf = facts[0] if facts else None
    findings = [*faults, *_key_findings(certfile, keyfile, links)]
    if leaf and not _errors(findings):
        findings += _loading_findings(certfile, keyfile)
    findings += anchors.findings
    for link in links:
        findings += _date_findings(link, now, _DEVICES_REFUSE)
        findings += _strength_findings(link)
    if links and len(links) == len(facts):  # else it has been said that something can not be checked
        findings += _leaf_findings(links[0])
        findings += _order_findings(links, anchors.links)
    return ChainReport(leaf, facts, tuple(findings))


def inspect_client_ca(cafile: Path, *, now: datetime | None = None) -> tuple[Finding, ...]:
    """Look at the authorities whose device certificates are accepted.

    Args:
        cafile: PEM: the roots, and intermediates if need be.
        now: Aware; None leaves the dates unchecked.
    """
    _, links, faults = read_certificates(cafile)
    findings = list(faults)
    for link in links:
        findings += _date_findings(link, now, _WE_REFUSE) if now else ()
        findings += _strength_findings(link)
        if not link.is_ca and link.facts.version_number == 3:
            findings.append(finding("client_ca_no_ca", link.index, name=link.name))
        elif not any(link.names_as_issuer(other) for other in links):  # a root names itself
            words = {"name": link.name, "issuer": link.issuer, "path": cafile}
            findings.append(finding("client_ca_without_root", link.index, **words))
    return tuple(findings)


def _errors(findings: Sequence[Finding]) -> bool:
    return any(found.severity == "error" for found in findings)


def _key_findings(certfile: Path, keyfile: Path, links: Sequence[LinkedCertificate]) -> Iterator[Finding]:
    try:
        if keyfile.stat().st_mode & _OTHERS:
            yield finding("key_readable_by_others", path=keyfile)
        key = load_pem_private_key(keyfile.read_bytes(), None)
    except OSError as error:
        yield finding("file_unreadable", path=keyfile, why=error.strerror)
    except TypeError:  # encrypted, says the library this way
        yield finding("key_encrypted", path=keyfile)
    except (ValueError, UnsupportedAlgorithm):
        yield finding("not_pem", path=keyfile, what="private key", what_label="PRIVATE KEY")
    else:
        owners = [link for link in links if link.parsed.public_key() == key.public_key()]
        if links and not any(link.index == 0 for link in owners):
            remedy = f"move {owners[0].name}, whose key it is, to the front" if owners else "name the other key"
            yield finding("key_mismatch", path=keyfile, certfile=certfile, remedy=remedy)


def _loading_findings(certfile: Path, keyfile: Path) -> Iterator[Finding]:
    """Ask OpenSSL itself, which has the last word (a key that is too small, say)."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certfile, keyfile, password=lambda: b"")
    except (OSError, ssl.SSLError) as error:
        why = getattr(error, "reason", None) or error
        yield finding("not_loadable", path=certfile, keyfile=keyfile, why=why)


def _date_findings(link: LinkedCertificate, now: datetime, effect: str) -> Iterator[Finding]:
    facts = link.facts
    words = {"name": link.name, "effect": effect, "date": f"{facts.not_after:%Y-%m-%d}"}
    if now < facts.not_before:
        words["date"] = f"{facts.not_before:%Y-%m-%d}"
        yield finding("certificate_not_yet_valid", link.index, **words)
    elif now > facts.not_after:
        yield finding("certificate_expired", link.index, **words)
    elif now > facts.not_after - EXPIRES_SOON:
        yield finding("certificate_expiring", link.index, days=(facts.not_after - now).days, **words)


def _strength_findings(link: LinkedCertificate) -> Iterator[Finding]:
    facts = link.facts
    size = facts.public_key_size
    if size and size < _MIN_BITS.get(facts.public_key_algorithm, 0):
        algorithm = facts.public_key_algorithm
        yield finding("weak_key", link.index, name=link.name, algorithm=algorithm, bits=size)
    digest = facts.signature_algorithm
    if not link.is_root and ("SHA1" in digest or "MD5" in digest or "MD2" in digest):
        yield finding("weak_signature", link.index, name=link.name, algorithm=digest)


def _leaf_findings(leaf: LinkedCertificate) -> Iterator[Finding]:
    usage = leaf.extension(x509.ExtendedKeyUsage)
    faults = {
        "leaf_is_ca": leaf.is_ca,
        "leaf_without_names": leaf.extension(x509.SubjectAlternativeName) is None,
        "leaf_not_for_servers": usage is not None and _FOR_SERVERS.isdisjoint(usage),
    }
    for code in (code for code, found in faults.items() if found):
        yield finding(code, leaf.index, name=leaf.name)


def _order_findings(links: Sequence[LinkedCertificate], anchors: Sequence[LinkedCertificate]) -> Iterator[Finding]:
    path = _path(links)
    for link, issuer in pairwise(path):
        if not link.is_signed_by(issuer):
            yield finding("signature_mismatch", link.index, name=link.name, issuer=issuer.name)
        if not issuer.is_ca:
            yield finding("issuer_no_ca", issuer.index, name=issuer.name)
    order = [link.index for link in path]
    if order != sorted(order):
        words = {"path": links[0].path, "order": ", ".join(str(index + 1) for index in order)}
        yield finding("chain_out_of_order", **words)
    for link in links:
        if link not in path:
            repeated = link.parsed in [other.parsed for other in path]
            code = "certificate_repeated" if repeated else "certificate_foreign"
            yield finding(code, link.index, name=link.name)
    yield from _end_findings(path, anchors)


def _path(links: Sequence[LinkedCertificate]) -> list[LinkedCertificate]:
    """Climb from the leaf as far as the file goes."""
    path = [links[0]]
    while not path[-1].is_root:
        issuers = [link for link in links if link not in path and path[-1].names_as_issuer(link)]
        if not issuers:
            break
        path.append(next((issuer for issuer in issuers if path[-1].is_signed_by(issuer)), issuers[0]))
    return path


def _end_findings(path: Sequence[LinkedCertificate], anchors: Sequence[LinkedCertificate]) -> Iterator[Finding]:
    last = path[-1]
    words = {"name": last.name, "issuer": last.issuer}
    namesakes = [anchor for anchor in anchors if last.names_as_issuer(anchor)]
    issuers = [anchor for anchor in namesakes if last.is_signed_by(anchor)]
    if last.is_root:
        yield finding("self_signed_leaf" if len(path) == 1 else "root_included", last.index, **words)
    elif namesakes and not issuers:
        yield finding("signature_mismatch", last.index, name=last.name, issuer=namesakes[0].name)
    elif issuers and not any(issuer.is_root for issuer in issuers):
        yield finding("chain_incomplete", last.index, unless="", **words)
    elif not issuers and len(path) == 1:
        unless = f" (if {last.issuer} is the root itself, all is well: name its file as cafile)"
        yield finding("chain_incomplete", last.index, unless=unless, **words)
    elif not issuers and anchors:
        yield finding("root_unknown", last.index, path=anchors[0].path, **words)
