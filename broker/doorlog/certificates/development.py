"""The certificates, the user and the device of a broker on one's own machine: made once, then kept."""

from __future__ import annotations

import fcntl
import ipaddress
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from argon2 import PasswordHasher
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from doorlog.errors import CertificateError
from doorlog.files import replace_file

DEMO_USER: Final = "demo"
DEMO_DEVICE: Final = "demo-device"

_AUTHORITY_LIFE: Final = timedelta(days=3650)
_LEAF_LIFE: Final = timedelta(days=397)
_RENEW_BEFORE: Final = timedelta(days=1)
_BACKDATED: Final = timedelta(days=1)  # a device's clock may be behind
_PRIVATE: Final = 0o600
_PUBLIC: Final = 0o644
_NO_OTHER_USES: Final = dict.fromkeys(
    ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only"),
    False,
)
_UNUSABLE: Final = (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, x509.ExtensionNotFound)


@dataclass(frozen=True, slots=True)
class DevelopmentPki:
    """Where everything is. Private files are readable by their owner only."""

    folder: Path
    ca_certificate: Path
    """The root: what devices trust."""
    ca_key: Path
    intermediate_certificate: Path
    intermediate_key: Path
    server_chain: Path
    """The server's leaf, then the intermediate."""
    server_key: Path
    """Survives a renewal of the leaf."""
    device_certificate: Path
    """The leaf of the client ``demo-device``, then the intermediate."""
    device_key: Path
    users_file: Path
    """One ``name:argon2-hash`` a line; other users may be added."""
    password_file: Path
    """The password of the user ``demo``, and nothing else."""


_FILES: Final = (
    *("ca.crt", "ca.key", "intermediate.crt", "intermediate.key", "server.crt", "server.key"),
    *(f"{DEMO_DEVICE}.crt", f"{DEMO_DEVICE}.key", "users.txt", f"{DEMO_USER}.password"),
)  # in the order of the fields


@dataclass(frozen=True, slots=True)
class _Authority:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class _Leaf:
    """What a leaf is to say."""

    common_name: str
    names: tuple[x509.GeneralName, ...]
    usage: x509.ObjectIdentifier


def create_development_pki(
    folder: Path, *, hostnames: Sequence[str] = ("localhost", "127.0.0.1", "::1"), now: datetime
) -> DevelopmentPki:
    """Make what is missing, renew what is about to expire, leave the rest; two at once do it one after the other.

    The authorities are never replaced, since devices trust them; the server's leaf is, when it ends within a day
    or the host names are others.

    Args:
        folder: Made if need be, and closed to other users (0700).
        hostnames: DNS names and IP addresses that devices connect to; at least one.
        now: Aware.

    Raises:
        CertificateError: A file can not be read, written or used, or a host name is none; with the remedy.
    """
    pki = DevelopmentPki(folder, *(folder / name for name in _FILES))
    names = tuple(_general_name(hostname) for hostname in hostnames)
    if not names:
        raise CertificateError("The server needs a host name: give at least one, such as localhost.")
    server = _Leaf(hostnames[0][:64], names, ExtendedKeyUsageOID.SERVER_AUTH)
    device = _Leaf(DEMO_DEVICE, (x509.DNSName(DEMO_DEVICE),), ExtendedKeyUsageOID.CLIENT_AUTH)
    try:
        with _locked(folder):
            if not pki.ca_certificate.exists():
                _create_authorities(pki, now)
            issuer = _issuer(pki, now)
            _keep_leaf(pki.server_chain, pki.server_key, server, issuer, now)
            _keep_leaf(pki.device_certificate, pki.device_key, device, issuer, now)
            _keep_user(pki)
    except OSError as error:
        place = error.filename or folder
        raise CertificateError(f"{place}: {error.strerror}. Make it writable, or use another folder.") from error
    return pki


def _general_name(hostname: str) -> x509.GeneralName:
    with suppress(ValueError):
        return x509.IPAddress(ipaddress.ip_address(hostname.partition("%")[0]))  # without an IPv6 zone
    if not hostname or not hostname.isascii() or not hostname.isprintable() or " " in hostname:
        raise CertificateError(f"{hostname!r} is no host name: write it in letters, digits, hyphens and dots (xn--).")
    return x509.DNSName(hostname)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_mode & 0o077:
        folder.chmod(0o700)
    lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)  # and so unlocks


def _create_authorities(pki: DevelopmentPki, now: datetime) -> None:
    """Write the root's certificate last: as long as it is missing, nobody can trust what was made so far."""
    mark = secrets.token_hex(3)  # two machines' roots must not look alike
    root = _authority(f"doorlog development root {mark}", None, now)
    intermediate = _authority(f"doorlog development intermediate {mark}", root, now)
    replace_file(pki.ca_key, _pem_key(root.key), _PRIVATE)
    replace_file(pki.intermediate_key, _pem_key(intermediate.key), _PRIVATE)
    replace_file(pki.intermediate_certificate, _pem(intermediate.certificate), _PUBLIC)
    replace_file(pki.ca_certificate, _pem(root.certificate), _PUBLIC)


def _authority(common_name: str, issuer: _Authority | None, now: datetime) -> _Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    constraints = x509.BasicConstraints(ca=True, path_length=0 if issuer else 1)
    until = now + _AUTHORITY_LIFE
    return _Authority(_signed(common_name, key, issuer, now, until, constraints, _key_usage(is_authority=True)), key)


def _issuer(pki: DevelopmentPki, now: datetime) -> _Authority:
    """Load the intermediate, and see that a device which trusts the root will accept what it issues."""
    try:
        root = x509.load_pem_x509_certificate(pki.ca_certificate.read_bytes())
        certificate = x509.load_pem_x509_certificate(pki.intermediate_certificate.read_bytes())
        key = load_pem_private_key(pki.intermediate_key.read_bytes(), None)
        certificate.verify_directly_issued_by(root)
    except FileNotFoundError as error:
        raise _unusable(pki, f"{error.filename} is missing") from error
    except _UNUSABLE as error:
        raise _unusable(pki, "A file can not be used") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise _unusable(pki, f"{pki.intermediate_key} is another key")
    for authority in (root, certificate):
        end = authority.not_valid_after_utc
        if not authority.not_valid_before_utc <= now < end - _RENEW_BEFORE:
            raise _unusable(pki, f"By the clock of this machine it is not valid now; it ends on {end:%Y-%m-%d}")
    return _Authority(certificate, key)


def _unusable(pki: DevelopmentPki, fault: str) -> CertificateError:
    return CertificateError(
        f"The development authority in {pki.folder} can not be used. {fault}. Restore the file, or start anew: "
        f"remove {pki.ca_certificate}, and let devices trust the one that is made in its place."
    )


def _keep_leaf(certfile: Path, keyfile: Path, leaf: _Leaf, issuer: _Authority, now: datetime) -> None:
    key = _kept_key(keyfile)
    if key and _is_current(certfile, key, leaf, issuer, now):
        return
    if not key:
        key = ec.generate_private_key(ec.SECP256R1())
        replace_file(keyfile, _pem_key(key), _PRIVATE)
    replace_file(certfile, _pem(_issue(leaf, key, issuer, now)) + _pem(issuer.certificate), _PUBLIC)


def _kept_key(keyfile: Path) -> ec.EllipticCurvePrivateKey | None:
    try:
        key = load_pem_private_key(keyfile.read_bytes(), None)
    except (FileNotFoundError, *_UNUSABLE):
        return None
    return key if isinstance(key, ec.EllipticCurvePrivateKey) else None


def _is_current(
    certfile: Path, key: ec.EllipticCurvePrivateKey, leaf: _Leaf, issuer: _Authority, now: datetime
) -> bool:
    try:
        certificate, *above = x509.load_pem_x509_certificates(certfile.read_bytes())
        certificate.verify_directly_issued_by(issuer.certificate)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return (
            above == [issuer.certificate]
            and certificate.public_key() == key.public_key()
            and certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc - _RENEW_BEFORE
            and set(names) == set(leaf.names)
        )
    except (FileNotFoundError, *_UNUSABLE):
        return False


def _issue(leaf: _Leaf, key: ec.EllipticCurvePrivateKey, issuer: _Authority, now: datetime) -> x509.Certificate:
    until = min(now + _LEAF_LIFE, issuer.certificate.not_valid_after_utc)
    extensions = (
        x509.BasicConstraints(ca=False, path_length=None),
        _key_usage(is_authority=False),
        x509.ExtendedKeyUsage([leaf.usage]),
        x509.SubjectAlternativeName(leaf.names),
    )
    return _signed(leaf.common_name, key, issuer, now, until, *extensions)


def _keep_user(pki: DevelopmentPki) -> None:
    """Write the password last: as long as it is missing, a hash of nobody's password may stand in the other file."""
    users = pki.users_file.read_bytes().splitlines() if pki.users_file.exists() else []
    others = [line for line in users if not line.startswith(f"{DEMO_USER}:".encode())]
    if pki.password_file.exists() and len(others) < len(users):
        return
    password = secrets.token_urlsafe(12)
    demo = f"{DEMO_USER}:{PasswordHasher().hash(password)}".encode()
    pki.password_file.unlink(missing_ok=True)
    replace_file(pki.users_file, b"\n".join([*others, demo, b""]), _PRIVATE)
    replace_file(pki.password_file, password.encode(), _PRIVATE)


def _signed(
    common_name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: _Authority | None,
    now: datetime,
    until: datetime,
    *extensions: x509.ExtensionType,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if issuer:
        extensions += (x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()),)
    for extension in extensions:
        builder = builder.add_extension(extension, isinstance(extension, x509.BasicConstraints | x509.KeyUsage))
    return builder.sign(issuer.key if issuer else key, hashes.SHA256())


def _key_usage(*, is_authority: bool) -> x509.KeyUsage:
    signs = {"digital_signature": not is_authority, "key_cert_sign": is_authority, "crl_sign": is_authority}
    return x509.KeyUsage(**signs, **_NO_OTHER_USES)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def _pem_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
