"""A public key infrastructure for tests: every certificate that a device or a broker may show, good and bad.

``Pki(folder)`` makes each certificate when it is first asked for, writes it into the folder as PEM and
remembers it: one for a whole test session is enough. All keys are P-256 unless a test asks for RSA.

    root ─┬─ servers ── server leaves          served as leaf + intermediate; devices trust ``cafile``
          └─ devices ── client certificates    sent as leaf + intermediate; ``crlfile`` covers both levels
    other root ── other ── foreign certificates; ``other_cafile`` is for those who do not trust us
"""

from __future__ import annotations

import hashlib
import ipaddress
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LOCALHOST: Final = ("localhost", "127.0.0.1", "::1")
REVOKED_IN_ADVANCE: Final = 64  # so that the revocation list stays the same, whoever is revoked and when

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
        return Authority(*self._signed(leaf, issuer))

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
            certificate, key = self._signed(leaf, issuer)
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

    def _signed(self, leaf: Leaf, issuer: Authority | None) -> tuple[x509.Certificate, PrivateKey]:
        key = _private_key(leaf.rsa_bits)
        subject = _subject(leaf.common_name)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.certificate.subject if issuer else subject)
            .public_key(key.public_key())
            .serial_number(leaf.serial or x509.random_serial_number())
            .not_valid_before(self.now + timedelta(days=leaf.start))
            .not_valid_after(self.now + timedelta(days=leaf.end))
            .add_extension(x509.BasicConstraints(leaf.is_authority, None), critical=True)
        )
        for extension in _extensions(leaf, key, issuer):
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(issuer.key if issuer else key, hashes.SHA256()), key


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


def _during(leaf: Leaf, days: tuple[int, int]) -> Leaf:
    return replace(leaf, start=days[0], end=days[1])


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


# handshakes without sockets


@dataclass(frozen=True, slots=True)
class Handshake:
    """How a handshake in memory ended on either side; None where that side was content."""

    client_error: ssl.SSLError | None
    server_error: ssl.SSLError | None
    server: ssl.SSLObject

    @property
    def done(self) -> bool:
        return self.client_error is None and self.server_error is None


def server_context(
    files: CertificateFiles, *, client_cafile: Path | None = None, crlfile: Path | None = None
) -> ssl.SSLContext:
    """A server; it requires a client certificate if it is told whom to trust."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certfile, files.keyfile)
    if client_cafile:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_cafile)
    if crlfile:
        context.load_verify_locations(crlfile)
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    return context


def client_context(
    cafile: Path, files: CertificateFiles | None = None, *, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> ssl.SSLContext:
    """A client of one TLS version that trusts this file only, and checks the host name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = context.maximum_version = version
    context.load_verify_locations(cafile)
    if files:
        context.load_cert_chain(files.certfile, files.keyfile)
    return context


def handshake(
    server: ssl.SSLContext,
    client: ssl.SSLContext,
    *,
    host: str = "localhost",
    session: ssl.SSLSession | None = None,
) -> Handshake:
    """Shake hands in memory, then read: in TLS 1.3 a client learns of its refusal only then."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client_side = client.wrap_bio(to_client, to_server, server_hostname=host, session=session)
    server_side = server.wrap_bio(to_server, to_client, server_side=True)
    client_step, server_step = _Side(client_side), _Side(server_side)
    for _ in range(5):
        client_step.move()
        server_step.move()
    return Handshake(client_step.error, server_step.error, server_side)


class _Side:
    """One end: moves as far as what it received allows."""

    def __init__(self, tls: ssl.SSLObject) -> None:
        self.error: ssl.SSLError | None = None
        self._tls = tls
        self._steps: list[Callable[[], object]] = [tls.do_handshake, lambda: tls.read(1)]

    def move(self) -> None:
        while self._steps and self.error is None:
            try:
                self._steps[0]()
            except ssl.SSLWantReadError:
                return
            except ssl.SSLError as error:
                self.error = error
            self._steps.pop(0)
