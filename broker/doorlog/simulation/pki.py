"""The certificates of a simulated rotation, as files: one root, the old and the new chain, and devices' own.

root ─┬─ servers 1 ── leaf 1     served before the rotation, and after a rollback
      └─ servers 2 ── leaf 2     served after the rotation
devices old, devices new ── client certificates; the rotation ends the trust in the old authority
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path

    from doorlog.simulation.fleet import CertificateFate
    from doorlog.simulation.models import Pin
    from doorlog.simulation.plan import Plan

_HOSTS: Final = ("mqtt.example.com", "broker.example.com")
_LIFE: Final = timedelta(days=400)


@dataclass(frozen=True, slots=True)
class _Issued:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


class Pki:
    """Makes the authorities and both chains at once, and a device's certificate when it is asked for.

    OpenSSL compares certificates with the machine's clock, not with the simulated one. So all of them are valid in
    both, and one that expires exists twice: with the same key and serial number, and with an end that is over.

    Args:
        folder: Where files are written; it exists.
        plan: The time that they are for.

    Attributes:
        root: What devices trust that have pinned nothing.
        stranger: What a technician's laptop trusts: others than us.
    """

    def __init__(self, folder: Path, plan: Plan) -> None:
        self._folder = folder
        self._clients: dict[str, _Issued] = {}
        now = datetime.now(UTC).replace(microsecond=0)
        self._begin, self._end = min(plan.begin, now) - _LIFE, max(plan.moment(plan.end), now) + _LIFE
        self._past = min(plan.moment(plan.rotation), now - timedelta(minutes=1))
        root = self._issue("Simulated Root CA")
        self.root = self._write("root.pem", root.pem)
        self._pins: dict[Pin, Path] = {}
        for number in (1, 2):
            servers = self._issue(f"Simulated Server CA {number}", root)
            leaf = self._issue(_HOSTS[0], servers, hosts=_HOSTS)
            self._write(f"server-{number}.pem", leaf.pem + servers.pem)
            self._write(f"server-{number}.key", leaf.key_pem)
            if number == 1:
                self._pins["leaf"] = self._write("pinned-leaf.pem", leaf.pem)
                self._pins["intermediate"] = self._write("pinned-intermediate.pem", servers.pem)
        self.stranger = self._write("stranger.pem", self._issue("Simulated Public CA").pem)
        self._old, self._new = self._issue("Simulated Device CA old"), self._issue("Simulated Device CA new")
        self._write("devices-1.pem", self._old.pem + self._new.pem)
        self._write("devices-2.pem", self._new.pem)

    def server(self, chain: int) -> tuple[Path, Path, Path]:
        """Return the chain that is served, its key, and the authorities of devices that are trusted beside it."""
        return tuple(
            self._folder / name for name in (f"server-{chain}.pem", f"server-{chain}.key", f"devices-{chain}.pem")
        )  # type: ignore[return-value] # three of them

    def trusted(self, pin: Pin | None) -> Path:
        """Return what a device trusts: what it has pinned of the old chain, or the root."""
        return self._pins[pin] if pin else self.root

    def client(self, device: str, fate: CertificateFate, *, expired: bool) -> tuple[Path, Path]:
        """Return a device's own certificate and key.

        Args:
            device: Its id, which is the common name.
            fate: What becomes of the certificate.
            expired: Whether it is too old by now.
        """
        certificate, key = self._folder / f"{device}{'-expired' * expired}.pem", self._folder / f"{device}.key"
        if not certificate.exists():
            issuer = self._old if fate == "distrusted" else self._new
            issued = self._issue(device, issuer, again=self._clients.get(device), end=self._past if expired else None)
            self._clients.setdefault(device, issued)
            self._write(certificate.name, issued.pem)
            self._write(key.name, issued.key_pem)
        return certificate, key

    def _issue(
        self,
        name: str,
        issuer: _Issued | None = None,
        *,
        hosts: tuple[str, ...] | None = None,
        again: _Issued | None = None,
        end: datetime | None = None,
    ) -> _Issued:
        key = again.key if again else ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.certificate.subject if issuer else subject)
            .public_key(key.public_key())
            .serial_number(again.certificate.serial_number if again else x509.random_serial_number())
            .not_valid_before(self._begin)
            .not_valid_after(end or self._end)
            .add_extension(x509.BasicConstraints(ca=_is_authority(name), path_length=None), critical=True)
        )
        if hosts:
            names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
            builder = builder.add_extension(names, critical=False)
        return _Issued(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)

    def _write(self, name: str, content: bytes) -> Path:
        path = self._folder / name
        path.touch(mode=0o600)
        path.write_bytes(content)
        return path


def _is_authority(name: str) -> bool:
    return name.startswith("Simulated ")
