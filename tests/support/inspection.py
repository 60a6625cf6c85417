"""Asking a self-check about the files of a test ``Pki``, and reading what it found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cryptography import x509

from doorlog.certificates import Finding
from doorlog.certificates.chain import ChainReport, inspect_chain
from support.pki import SERVER, Authority, CertificateFiles, Pki


def inspect(pki: Pki, files: CertificateFiles, *, trusted: bool = True) -> ChainReport:
    """Look at files as a broker would that serves them; devices trust the root, if they are ``trusted``."""
    return inspect_chain(files.certfile, files.keyfile, cafile=pki.cafile if trusted else None, now=pki.now)


def rewritten(pki: Pki, name: str, files: CertificateFiles, *pieces: bytes | x509.Certificate) -> CertificateFiles:
    """The same leaf and key, with other certificates around them."""
    return replace(files, certfile=pki.write(f"{name}.pem", *pieces))


def codes(findings: Sequence[Finding]) -> list[str]:
    return [found.code for found in findings]


def only(findings: Sequence[Finding]) -> Finding:
    assert len(findings) == 1, findings
    return findings[0]


def rsa_authority(pki: Pki) -> Authority:
    """A root that can sign as nobody should any more; see ``with_sha1``."""
    made = pki.issue(
        "rsa-authority",
        replace(SERVER, common_name="Old RSA Root", names=(), usage=None, rsa_bits=2048, is_authority=True),
        None,
    )
    return Authority(made.certificate, made.key)
