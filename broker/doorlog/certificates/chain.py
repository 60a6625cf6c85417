"""A self-check of what the broker serves and trusts: the chain and its key, client authorities, revocation lists."""

from __future__ import annotations

import base64
import re
import ssl
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Final, Self, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from doorlog.certificates import Finding, finding
from doorlog.certificates.facts import CertificateFacts, certificate_facts, name_text
from doorlog.errors import CertificateError

__all__ = [
    "EXPIRES_SOON",
    "ChainReport",
    "Finding",
    "RevocationList",
    "inspect_chain",
    "inspect_client_ca",
    "inspect_crl",
]

EXPIRES_SOON: Final = timedelta(days=30)
"""So long before its end a certificate becomes a finding."""

_PEM: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)
_CERTIFICATE: Final = "CERTIFICATE"
_CRL: Final = "X509 CRL"
_MIN_BITS: Final = {"RSA": 2048, "DSA": 2048, "ECDSA": 224}
_OTHERS: Final = stat.S_IROTH | stat.S_IWOTH
_FOR_SERVERS: Final = frozenset({ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE})
_DEVICES_REFUSE: Final = "The broker starts all the same, but devices that look at dates refuse it"
_WE_REFUSE: Final = "Every device certificate that it issued is refused"

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)


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


@dataclass(frozen=True, slots=True)
class _Link:
    """One certificate of a file."""

    path: Path
    index: int
    facts: CertificateFacts
    parsed: x509.Certificate

    @property
    def name(self) -> str:
        who = self.facts.subject_common_name or self.facts.subject
        return f'"{who}" (certificate {self.index + 1} in {self.path.name})'

    @property
    def issuer(self) -> str:
        return f'"{self.facts.issuer_common_name or self.facts.issuer}"'

    @property
    def is_root(self) -> bool:
        return self.parsed.subject == self.parsed.issuer

    @property
    def is_ca(self) -> bool:
        constraints = self.extension(x509.BasicConstraints)
        return constraints is not None and constraints.ca

    def extension(self, kind: type[_Extension]) -> _Extension | None:
        try:
            return self.parsed.extensions.get_extension_for_class(kind).value
        except x509.ExtensionNotFound:
            return None

    def names_as_issuer(self, other: _Link) -> bool:
        return self.parsed.issuer == other.parsed.subject

    def is_signed_by(self, issuer: _Link) -> bool:
        if not _can_be_verified(self.parsed):
            return True
        try:
            self.parsed.verify_directly_issued_by(issuer.parsed)
        except (InvalidSignature, TypeError, ValueError):  # the latter two: a key of another kind
            return False
        return True


def inspect_chain(certfile: Path, keyfile: Path, *, cafile: Path | None = None, now: datetime) -> ChainReport:
    """Look at a chain as a device will, and at its key; nothing is raised.

    Args:
        certfile: PEM: the leaf, then its intermediates, as they will be served (RFC 8446, 4.4.2).
        keyfile: PEM: the private key of the leaf.
        cafile: PEM: the root that devices trust, if it is at hand. Without it, a chain that ends at an unknown
            issuer is taken as complete unless it is the leaf alone.
        now: Aware.
    """
    facts, links, findings = _read(certfile)
    leaf = facts[0] if facts else None
    findings += _key_findings(certfile, keyfile, links)
    if leaf and not _errors(findings):
        findings += _loading_findings(certfile, keyfile)
    _, anchors, more = _read(cafile) if cafile else ([], [], [])
    findings += more
    for link in links:
        findings += _date_findings(link, now, _DEVICES_REFUSE)
        findings += _strength_findings(link)
    if links and len(links) == len(facts):  # else it has been said that something can not be checked
        findings += _leaf_findings(links[0])
        findings += _order_findings(links, anchors)
    return ChainReport(leaf, tuple(facts), tuple(findings))


def inspect_client_ca(cafile: Path, *, now: datetime | None = None) -> tuple[Finding, ...]:
    """Look at the authorities whose device certificates are accepted.

    Args:
        cafile: PEM: the roots, and intermediates if need be.
        now: Aware; None leaves the dates unchecked.
    """
    _, links, findings = _read(cafile)
    for link in links:
        findings += _date_findings(link, now, _WE_REFUSE) if now else ()
        findings += _strength_findings(link)
        if not link.is_ca and link.facts.version_number == 3:
            findings.append(finding("client_ca_no_ca", link.index, name=link.name))
        elif not any(link.names_as_issuer(other) for other in links):  # a root names itself
            words = {"name": link.name, "issuer": link.issuer, "path": cafile}
            findings.append(finding("client_ca_without_root", link.index, **words))
    return tuple(findings)


def inspect_crl(crlfile: Path, cafile: Path, now: datetime) -> tuple[Finding, ...]:
    """Look at revocation lists (RFC 5280, 5), and whether any authority lacks one.

    Args:
        crlfile: PEM: one list or more.
        cafile: PEM: the authorities whose device certificates are accepted.
        now: Aware.
    """
    lists, findings = _revocation_lists(crlfile)
    _, anchors, more = _read(cafile)
    findings += more
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


def _errors(findings: Sequence[Finding]) -> bool:
    return any(found.severity == "error" for found in findings)


def _blocks(path: Path, label: str, what: str) -> tuple[list[bytes], list[Finding]]:
    """Read the PEM blocks (RFC 7468) with this label; one that is no base64 becomes empty."""
    try:
        data = path.read_bytes()
    except OSError as error:
        return [], [finding("file_unreadable", path=path, why=error.strerror)]
    bodies = [body for kind, body in _PEM.findall(data) if kind == label.encode()]
    if not bodies:
        return [], [finding("not_pem", path=path, what=what, what_label=label)]
    return [_decoded(body) for body in bodies], []


def _decoded(body: bytes) -> bytes:
    try:
        return base64.b64decode(body)
    except ValueError:
        return b""


def _read(path: Path) -> tuple[list[CertificateFacts], list[_Link], list[Finding]]:
    """Read a file of certificates: what they say, those among them that can be checked, and what is wrong."""
    facts: list[CertificateFacts] = []
    links: list[_Link] = []
    ders, findings = _blocks(path, _CERTIFICATE, "certificate")
    for index, der in enumerate(ders):
        try:
            facts.append(certificate_facts(der))
            parsed = x509.load_der_x509_certificate(der)
            _ = parsed.subject, parsed.issuer, parsed.extensions, parsed.public_key()  # read late by the library
            links.append(_Link(path, index, facts[-1], parsed))
        except CertificateError:
            findings.append(finding("certificate_invalid", index, number=index + 1, path=path))
        except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
            findings.append(finding("certificate_malformed", index, number=index + 1, path=path, why=error))
    return facts, links, findings


def _key_findings(certfile: Path, keyfile: Path, links: list[_Link]) -> Iterator[Finding]:
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


def _date_findings(link: _Link, now: datetime, effect: str) -> Iterator[Finding]:
    facts = link.facts
    words = {"name": link.name, "effect": effect, "date": f"{facts.not_after:%Y-%m-%d}"}
    if now < facts.not_before:
        words["date"] = f"{facts.not_before:%Y-%m-%d}"
        yield finding("certificate_not_yet_valid", link.index, **words)
    elif now > facts.not_after:
        yield finding("certificate_expired", link.index, **words)
    elif now > facts.not_after - EXPIRES_SOON:
        yield finding("certificate_expiring", link.index, days=(facts.not_after - now).days, **words)


def _strength_findings(link: _Link) -> Iterator[Finding]:
    facts = link.facts
    size = facts.public_key_size
    if size and size < _MIN_BITS.get(facts.public_key_algorithm, 0):
        algorithm = facts.public_key_algorithm
        yield finding("weak_key", link.index, name=link.name, algorithm=algorithm, bits=size)
    digest = facts.signature_algorithm
    if not link.is_root and ("SHA1" in digest or "MD5" in digest or "MD2" in digest):
        yield finding("weak_signature", link.index, name=link.name, algorithm=digest)


def _leaf_findings(leaf: _Link) -> Iterator[Finding]:
    usage = leaf.extension(x509.ExtendedKeyUsage)
    faults = {
        "leaf_is_ca": leaf.is_ca,
        "leaf_without_names": leaf.extension(x509.SubjectAlternativeName) is None,
        "leaf_not_for_servers": usage is not None and _FOR_SERVERS.isdisjoint(usage),
    }
    for code in (code for code, found in faults.items() if found):
        yield finding(code, leaf.index, name=leaf.name)


def _order_findings(links: list[_Link], anchors: list[_Link]) -> Iterator[Finding]:
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


def _path(links: list[_Link]) -> list[_Link]:
    """Climb from the leaf as far as the file goes."""
    path = [links[0]]
    while not path[-1].is_root:
        issuers = [link for link in links if link not in path and path[-1].names_as_issuer(link)]
        if not issuers:
            break
        path.append(next((issuer for issuer in issuers if path[-1].is_signed_by(issuer)), issuers[0]))
    return path


def _end_findings(path: list[_Link], anchors: list[_Link]) -> Iterator[Finding]:
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


def _revocation_lists(path: Path) -> tuple[list[x509.CertificateRevocationList], list[Finding]]:
    lists: list[x509.CertificateRevocationList] = []
    ders, findings = _blocks(path, _CRL, "revocation list")
    for index, der in enumerate(ders):
        try:
            crl = x509.load_der_x509_crl(der)
            _ = crl.issuer, crl.last_update_utc, crl.next_update_utc, len(crl)  # read late by the library
            lists.append(crl)
        except (ValueError, x509.InvalidVersion):
            findings.append(finding("crl_invalid", index, number=index + 1, path=path))
    return lists, findings


def _crl_faults(
    crl: x509.CertificateRevocationList, anchors: list[_Link], now: datetime
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


def _is_by(crl: x509.CertificateRevocationList, issuer: _Link) -> bool:
    if not _can_be_verified(crl):
        return True
    try:
        return crl.is_signature_valid(issuer.parsed.public_key())  # type: ignore[arg-type] # says TypeError if not
    except TypeError:
        return False


def _can_be_verified(signed: x509.Certificate | x509.CertificateRevocationList) -> bool:
    """Whether the library still verifies this algorithm: no SHA-1, which is a finding of its own."""
    try:
        digest = signed.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return False
    return digest is None or digest.name not in {"sha1", "md5"}  # None: Ed25519


def _missing_lists(listed: list[x509.Name], anchors: list[_Link]) -> Iterator[Finding]:
    """Name the authorities that issue devices (no other authority) and have no list (VERIFY_CRL_CHECK_LEAF)."""
    for anchor in anchors:
        issues_others = any(other.names_as_issuer(anchor) for other in anchors if other is not anchor)
        if anchor.parsed.subject not in listed and not issues_others:
            yield finding("crl_missing", anchor.index, name=anchor.name)
