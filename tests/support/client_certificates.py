"""Client certificates of all kinds, and TLS handshakes in memory that verify them."""

from __future__ import annotations

import ssl
import tempfile
import warnings
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_ECDSA_WITH_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")


@cache
def authority() -> trustme.CA:
    """The CA that signs the devices, and the server."""
    return trustme.CA()


def issue(
    subject: list[tuple[x509.ObjectIdentifier, str]],
    san: list[x509.GeneralName],
    issuer: trustme.CA | None = None,
) -> bytes:
    """Issue a client certificate with any names, also such as no sane CA signs; give certificate and key as PEM."""
    ca = issuer or authority()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that are too long
        name = x509.Name([x509.NameAttribute(oid, text, _validate=False) for oid, text in subject])
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(x509.load_pem_x509_certificate(ca.cert_pem.bytes()).subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(hours=1))
        .not_valid_after(datetime.now(UTC) + timedelta(hours=1))
    )
    if san:
        builder = builder.add_extension(x509.SubjectAlternativeName(san), critical=False)
    return builder.sign(_key_of(ca), hashes.SHA256()).public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def rewritten(pem: bytes, old: bytes, new: bytes) -> bytes:
    """Change bytes of a certificate and let the authority sign what comes out; both are of the same length."""
    certificate, key = x509.load_pem_x509_certificate(pem), pem[pem.index(b"-----BEGIN PRIVATE KEY") :]
    tbs = certificate.tbs_certificate_bytes.replace(old, new)
    assert len(tbs) == len(certificate.tbs_certificate_bytes)
    assert tbs != certificate.tbs_certificate_bytes
    signature = b"\0" + _key_of(authority()).sign(tbs, ec.ECDSA(hashes.SHA256()))
    content = tbs + _ECDSA_WITH_SHA256 + bytes([0x03, len(signature)]) + signature
    der = b"\x30\x82" + len(content).to_bytes(2, "big") + content
    return ssl.DER_cert_to_PEM_cert(der).encode() + key


def named(common_name: str) -> bytes:
    """Issue a plain client certificate."""
    return issue([(NameOID.COMMON_NAME, common_name)], [])


def _key_of(ca: trustme.CA) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(ca.private_key_pem.bytes(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


@cache
def _server_context(verify_mode: ssl.VerifyMode) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert("localhost").configure_cert(context)
    authority().configure_trust(context)
    context.verify_mode = verify_mode
    return context


def handshake(client_pem: bytes | None = None, verify_mode: ssl.VerifyMode = ssl.CERT_OPTIONAL) -> ssl.SSLObject:
    """Shake hands in memory; give the server's side, as amqtt puts it into the session."""
    context = ssl.create_default_context()
    authority().configure_trust(context)
    if client_pem is not None:
        with tempfile.TemporaryDirectory() as folder:
            pem = Path(folder, "client.pem")
            pem.write_bytes(client_pem)
            context.load_cert_chain(pem)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(to_client, to_server, server_hostname="localhost")
    server = _server_context(verify_mode).wrap_bio(to_server, to_client, server_side=True)
    waiting = [client, server]
    while waiting:
        for side in tuple(waiting):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(side)
    return server
