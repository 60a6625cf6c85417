"""Certificates: what is presented, what is served, and those that a laptop needs.

    facts           what one certificate says about itself, read from hostile bytes
    pem             PEM files, read into certificates that know their neighbours
    chain           a self-check of the served chain, its key and the client authorities
    revocation      a self-check of revocation lists, and whether a certificate is on one
    development     a certificate authority, server chain, demo device and demo user of one's own

Here stands what a self-check may find: each finding with its severity and its sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about certificates that an operator should know."""

    severity: Severity
    """``error``: the listener can not start. ``warning``: devices are, or will be, refused. ``info``: no harm."""
    code: str
    """A key of ``FINDINGS``."""
    sentence: str
    """What is wrong, what it does, and the remedy."""
    index: int | None = None
    """Which certificate or revocation list of the file, counted from 0; None if it is the file or the key."""


_ERRORS: Final = {
    "file_unreadable": "{path} can not be read ({why}): correct the path or the file's permissions.",
    "not_pem": "{path} holds no {what} in PEM form (-----BEGIN {what_label}-----): convert it, or correct the path.",
    "certificate_invalid": "Certificate {number} in {path} can not be read at all: replace it.",
    "key_encrypted": '{path} is encrypted and there is no password for it: decrypt it with "openssl pkey".',
    "key_mismatch": "{path} is not the key of the first certificate in {certfile}: {remedy}.",
    "not_loadable": "OpenSSL refuses {path} with {keyfile} ({why}): no listener can start with them.",
    "crl_invalid": "Revocation list {number} in {path} can not be read: fetch it anew.",
}
_WARNINGS: Final = {
    "key_readable_by_others": "{path} is open to every user of this machine: chmod o-rwx it.",
    "certificate_malformed": (
        "Certificate {number} in {path} can not be checked ({why}): strict devices may refuse it too. Have it "
        "issued anew."
    ),
    "certificate_expired": "{name} expired on {date}. {effect} (alert certificate_expired): renew it.",
    "certificate_not_yet_valid": "{name} is not valid before {date}. {effect}: check the clock, or wait.",
    "certificate_expiring": "{name} expires in {days} days, on {date}: renew it, and tell devices that pin it.",
    "self_signed_leaf": (
        "{name} is signed by itself: only devices that hold this very certificate accept it, and all of them must "
        "be changed to renew it. Serve one that a CA issued."
    ),
    "chain_incomplete": (
        "The chain is incomplete: the file lacks the certificate of {issuer}, which issued {name}. Devices that "
        "trust only the root CA refuse it (alert unknown_ca): append that certificate{unless}."
    ),
    "chain_out_of_order": (
        "The certificates in {path} are out of order: many devices accept a chain only if each certificate is "
        "followed by its issuer. Write them in the order {order}."
    ),
    "certificate_foreign": "{name} issued neither the leaf nor its issuers: remove it from the file.",
    "certificate_repeated": "{name} is in the file more than once: remove the repetition.",
    "signature_mismatch": (
        "{name} was not signed with the key of {issuer}, though the names agree (an issuer that has a new key?): "
        "devices refuse it. Put the issuer's certificate that signed it in the other's place."
    ),
    "issuer_no_ca": "{name} issues certificates but is no CA: devices refuse what it issued. Use a CA.",
    "leaf_is_ca": "{name} is a CA certificate: serve one that was issued for this server only.",
    "leaf_without_names": (
        "{name} has no subject alternative name: many devices look for the host name nowhere else (RFC 9525) and "
        "refuse it. Have it issued with the names that devices connect to."
    ),
    "leaf_not_for_servers": (
        "{name} is limited to other uses than serverAuth: devices refuse it. Have it issued with serverAuth."
    ),
    "weak_key": "{name} has a weak key ({algorithm}, {bits} bits): have it issued for ECDSA P-256 or RSA 2048.",
    "weak_signature": "{name} is signed with {algorithm}, which devices refuse: have it issued with SHA-256.",
    "client_ca_no_ca": "{name} is no CA certificate, so no device certificate is accepted because of it: remove it.",
    "client_ca_without_root": (
        "{name} was issued by {issuer}, which {path} lacks: device certificates are refused unless the file goes "
        "up to the root. Append the certificate of {issuer}."
    ),
    "crl_expired": "{name} expired on {date}: every certificate of its issuer is refused. Fetch it anew.",
    "crl_not_yet_valid": "{name} is not valid before {date}: every certificate of its issuer is refused until then.",
    "crl_issuer_unknown": (
        "{name} is by an issuer that is not in {path}, so it counts only for devices that send that issuer's "
        "certificate: append it to {path}, or correct the list."
    ),
    "crl_signature_mismatch": "{name} was not signed by the issuer in {path}: it is not used. Fetch it anew.",
    "crl_missing": "There is no revocation list of {name}: every certificate that it issued is refused. Add one.",
}
_INFOS: Final = {
    "root_included": "{name} is a root, which devices do not need to be sent: it may be removed from the file.",
    "root_unknown": (
        "The chain ends at {issuer}, which is not in {path}: it is complete if that is the root that devices trust."
    ),
}

FINDINGS: Final[Mapping[str, tuple[Severity, str]]] = {
    **{code: ("error", sentence) for code, sentence in _ERRORS.items()},
    **{code: ("warning", sentence) for code, sentence in _WARNINGS.items()},
    **{code: ("info", sentence) for code, sentence in _INFOS.items()},
}
"""Every finding that there can be: its code with severity and sentence."""


def finding(code: str, index: int | None = None, /, **words: object) -> Finding:
    """Make one finding; ``words`` fill its sentence."""
    severity, sentence = FINDINGS[code]
    return Finding(severity, code, sentence.format(**words), index)
