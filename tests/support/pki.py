"""A public key infrastructure for tests: every certificate that a device or a broker may show, good and bad.

``Pki(folder)`` makes each certificate when it is first asked for, writes it into the folder as PEM and
remembers it: one for a whole test session is enough. All keys are P-256 unless a test asks for RSA.

    root ─┬─ servers ── server leaves          served as leaf + intermediate; devices trust ``cafile``
          └─ devices ── client certificates    sent as leaf + intermediate; ``crlfile`` covers both levels
    other root ── other ── foreign certificates; ``other_cafile`` is for those who do not trust us
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from support.pki_certificates import CLIENT, SERVER, Authority, CertificateFiles, Leaf, PrivateKey, make_certificate

__all__ = ["CLIENT", "SERVER", "Authority", "CertificateFiles", "Pki"]

REVOKED_IN_ADVANCE: Final = 64  # so that the revocation list stays the same, whoever is revoked and when

_EXPIRED: Final = (-90, -2)
_NOT_YET_VALID: Final = (2, 90)


class Pki:
    """The authorities and every certificate of one test session."""

    __test__ = False  # whatever it is imported as, pytest has nothing to collect here

    def __init__(self, folder: Path, *, now: datetime | None = None) -> None:
        self.folder = folder
        self.now = (now or datetime.now(UTC)).replace(microsecond=0)
        self._made: dict[str, CertificateFiles] = {}
        self._revoked: list[str] = []
        self.root = self.authority("Example Root CA")
        self.servers = self.authority("Example Server CA 1", self.root)
        self.devices = self.authority("Example Device CA 1", self.root)
        self.other_root = self.authority("Other Root CA")
        self.other = self.authority("Other Intermediate CA", self.other_root)

    # authorities

    def authority(self, common_name: str, issuer: Authority | None = None, *, end: int = 3650) -> Authority:
        """Make a certificate authority that ends in so many days; a root if nobody issues it."""
        leaf = Leaf(common_name, names=(), usage=None, start=-365, end=end, is_authority=True)
        return Authority(*make_certificate(leaf, issuer, self.now))

    def write(self, name: str, *pieces: bytes | x509.Certificate) -> Path:
        """Write a PEM file from certificates and PEM texts."""
        path = self.folder / name
        path.write_bytes(b"".join(p if isinstance(p, bytes) else p.public_bytes(Encoding.PEM) for p in pieces))
        return path

    @cached_property
    def cafile(self) -> Path:
        """The root that everybody trusts."""
        return self.write("ca.pem", self.root.certificate)

    @cached_property
    def other_cafile(self) -> Path:
        """The root of those who do not trust us."""
        return self.write("other-ca.pem", self.other_root.certificate)

    @cached_property
    def crlfile(self) -> Path:
        """Every certificate of ``client_revoked``, past and future; an empty list for the root."""
        devices = self.devices.crl(*range(1, REVOKED_IN_ADVANCE + 1), now=self.now)
        return self.write("crl.pem", devices, self.root.crl(now=self.now))

    # servers

    def server(self, name: str = "server") -> CertificateFiles:
        """Leaf and intermediate for this machine; another name gives another leaf (and key)."""
        return self.issue(name, SERVER, self.servers)

    def server_expired(self) -> CertificateFiles:
        return self.issue("server-expired", _during(SERVER, _EXPIRED), self.servers)

    def server_not_yet_valid(self) -> CertificateFiles:
        return self.issue("server-not-yet-valid", _during(SERVER, _NOT_YET_VALID), self.servers)

    def server_wrong_host(self) -> CertificateFiles:
        leaf = replace(SERVER, common_name="broker.example.org", names=("broker.example.org",))
        return self.issue("server-wrong-host", leaf, self.servers)

    def server_incomplete(self) -> CertificateFiles:
        """The leaf alone, without the intermediate that issued it."""
        return self.issue("server-incomplete", SERVER, self.servers, chain=())

    def server_rsa(self, bits: int = 2048) -> CertificateFiles:
        return self.issue(f"server-rsa-{bits}", replace(SERVER, rsa_bits=bits), self.servers)

    def server_self_signed(self) -> CertificateFiles:
        return self.issue("server-self-signed", SERVER, None)

    def server_foreign(self) -> CertificateFiles:
        """Of the other root."""
        return self.issue("server-foreign", SERVER, self.other)

    # clients

    def client(self, common_name: str = "device-17") -> CertificateFiles:
        """A good one: leaf and intermediate."""
        return self._client("good", common_name, CLIENT, self.devices)

    def client_expired(self, common_name: str = "device-17") -> CertificateFiles:
        return self._client("expired", common_name, _during(CLIENT, _EXPIRED), self.devices)

    def client_not_yet_valid(self, common_name: str = "device-17") -> CertificateFiles:
        return self._client("not-yet-valid", common_name, _during(CLIENT, _NOT_YET_VALID), self.devices)

    def client_foreign(self, common_name: str = "device-17") -> CertificateFiles:
        """Of the other root."""
        return self._client("foreign", common_name, CLIENT, self.other)

    def client_self_signed(self, common_name: str = "device-17") -> CertificateFiles:
        return self._client("self-signed", common_name, CLIENT, None)

    def client_revoked(self, common_name: str = "device-17") -> CertificateFiles:
        """Good but for ``crlfile``, which lists it whenever that was written."""
        if common_name not in self._revoked:
            self._revoked.append(common_name)
        serial = self._revoked.index(common_name) + 1
        assert serial <= REVOKED_IN_ADVANCE, "raise REVOKED_IN_ADVANCE"
        return self._client("revoked", common_name, replace(CLIENT, serial=serial), self.devices)

    def client_wrong_usage(self, common_name: str = "device-17") -> CertificateFiles:
        """Its extended key usage is for servers only."""
        leaf = replace(CLIENT, usage=ExtendedKeyUsageOID.SERVER_AUTH)
        return self._client("wrong-usage", common_name, leaf, self.devices)

    def client_named(self, common_name: str, *names: str) -> CertificateFiles:
        """With subject alternative names; see ``Leaf.names``."""
        return self._client("named", common_name, replace(CLIENT, names=names), self.devices)

    def _client(self, kind: str, common_name: str, leaf: Leaf, issuer: Authority | None) -> CertificateFiles:
        who = hashlib.sha256("\n".join((common_name, *leaf.names)).encode()).hexdigest()[:12]
        return self.issue(f"client-{kind}-{who}", replace(leaf, common_name=common_name), issuer)

    # making them

    def issue(
        self, name: str, leaf: Leaf, issuer: Authority | None, *, chain: tuple[Authority, ...] | None = None
    ) -> CertificateFiles:
        """Make a certificate once for each name; without issuer it signs itself.

        ``chain`` are the authorities that are sent along, by default the issuer.
        """
        if name not in self._made:
            certificate, key = make_certificate(leaf, issuer, self.now)
            sent = ((issuer,) if issuer else ()) if chain is None else chain
            self._made[name] = CertificateFiles(
                certfile=self.write(f"{name}.pem", certificate, *(authority.certificate for authority in sent)),
                keyfile=self.write_key(f"{name}.key", key),
                certificate=certificate,
                key=key,
            )
        return self._made[name]

    def write_key(self, name: str, key: PrivateKey) -> Path:
        path = self.write(name, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        path.chmod(0o600)
        return path


def _during(leaf: Leaf, days: tuple[int, int]) -> Leaf:
    return replace(leaf, start=days[0], end=days[1])
