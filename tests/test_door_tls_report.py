"""What a record shows of TLS: everything that is known, nothing that a device could use to flood or forge it."""

from __future__ import annotations

import ssl
import warnings
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from doorlog.door.tls_engine import TlsEngine
from doorlog.door.tls_report import tls_part
from doorlog.events.parts import TlsPart
from support.clients.base import TlsVersion
from support.clients.raw_tls import Offer, client_hello, only
from support.memory_tls import MemoryDevice, connected, mutual, served
from support.pki import CertificateFiles, Pki

each_version = pytest.mark.parametrize("version", ["1.2", "1.3"])


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


def showing(files: CertificateFiles, version: TlsVersion = "1.3") -> MemoryDevice:
    return MemoryDevice(only(version, Offer(certfile=files.certfile, keyfile=files.keyfile)))


def hello_of(
    suites: tuple[int, ...] = (0x1301,), alpn: tuple[bytes, ...] = (), server_name: bytes = b"localhost"
) -> bytes:
    """Return a ClientHello as no library writes it."""

    def vector(width: int, body: bytes) -> bytes:
        return len(body).to_bytes(width, "big") + body

    names = vector(2, b"\x00" + vector(2, server_name))
    extensions = b"\x00\x00" + vector(2, names)
    if alpn:
        extensions += b"\x00\x10" + vector(2, vector(2, b"".join(vector(1, name) for name in alpn)))
    body = b"\x03\x03" + bytes(32) + b"\x00" + vector(2, b"".join(n.to_bytes(2, "big") for n in suites))
    body += b"\x01\x00" + vector(2, extensions)
    message = b"\x01" + vector(3, body)
    pieces = [message[at : at + 16_000] for at in range(0, len(message), 16_000)]
    return b"".join(b"\x16\x03\x01" + vector(2, piece) for piece in pieces)


@each_version
def test_our_certificate_is_told_only_where_the_device_got_it(pki: Pki, version: TlsVersion) -> None:
    chain = served(pki.server())
    got = tls_part(connected(chain, MemoryDevice(only(version, Offer(cafile=pki.other_cafile)))))
    too_old = after(hello_of(suites=(0x002F,)), pki)

    assert got.server == chain.part
    assert too_old.server is not None
    assert too_old.server.supported_versions == chain.part.supported_versions
    assert (too_old.server.x509, too_old.server.hash, too_old.server.generation) == (None, None, None)


def after(hello: bytes, pki: Pki) -> TlsPart:
    chain = served(pki.server())
    engine = TlsEngine(lambda _hello: chain)
    engine.receive(hello)
    assert engine.hello is not None
    return tls_part(engine)


@each_version
def test_an_established_connection(pki: Pki, version: TlsVersion) -> None:
    files = pki.client("pump-17")
    offer = only(version, Offer(certfile=files.certfile, keyfile=files.keyfile, alpn=("mqtt",)))
    part = tls_part(connected(mutual(pki, alpn=("mqtt",)), MemoryDevice(offer)))
    assert (part.established, part.version, part.version_protocol, part.resumed) == (True, version, "tls", False)
    assert part.next_protocol == "mqtt"
    assert part.alert is None
    assert part.cipher is not None
    assert part.cipher.startswith("TLS_")
    assert part.client is not None
    assert part.client.server_name == "localhost"
    assert part.client.alpn == ("mqtt",)
    assert part.client.supported_versions == (version,)
    assert part.cipher in (part.client.supported_ciphers or ())
    assert part.client.ja4 is not None
    assert part.client.x509 is not None
    assert part.client.x509.subject.common_name == ("pump-17",)
    assert part.client.hash is not None
    assert part.client.hash.sha256 == files.sha256
    assert part.server is not None
    assert part.server.generation == 1
    assert part.server.hash is not None
    assert part.server.hash.sha256 == pki.server().sha256


@each_version
@pytest.mark.parametrize("overhear", [True, False], ids=["overhearing", "deaf"])
@pytest.mark.parametrize(
    ("shown", "alert", "description"),
    [
        ("client_expired", 45, "certificate_expired"),
        ("client_not_yet_valid", 42, "bad_certificate"),
        ("client_foreign", 48, "unknown_ca"),
        ("client_self_signed", 48, "unknown_ca"),
        ("client_revoked", 44, "certificate_revoked"),
        ("client_wrong_usage", 43, "unsupported_certificate"),
        (None, None, None),
    ],
)
def test_our_alert_is_known_even_where_nobody_told_of_it(
    pki: Pki, version: TlsVersion, overhear: bool, shown: str | None, alert: int | None, description: str | None
) -> None:
    device = showing(getattr(pki, shown)("pump-17"), version) if shown else MemoryDevice(only(version))
    part = tls_part(connected(mutual(pki, overhear=overhear, crlfile=pki.crlfile), device))
    if shown is None:
        alert, description = (40, "handshake_failure") if version == "1.2" else (116, "certificate_required")
    assert part.alert is not None
    assert (part.alert.code, part.alert.description, part.alert.direction) == (alert, description, "sent")
    assert device.alerts == [alert], "the record must not say anything else than the device saw"
    assert part.client is not None
    named = part.client.x509.subject.common_name if part.client.x509 else None
    if shown and (overhear or version == "1.2"):
        assert named == ("pump-17",)
    else:
        assert named is None


def test_a_received_alert_is_never_blamed_on_us(pki: Pki) -> None:
    part = tls_part(connected(served(pki.server()), MemoryDevice(Offer(cafile=pki.other_cafile))))
    assert part.alert is not None
    assert (part.alert.code, part.alert.description, part.alert.direction) == (48, "unknown_ca", "received")


def test_before_the_hello_there_is_nothing_to_show(pki: Pki) -> None:
    chain = served(pki.server())
    engine = TlsEngine(lambda _hello: chain)
    assert tls_part(engine) == TlsPart(established=False)
    engine.receive(client_hello()[:50])
    assert tls_part(engine) == TlsPart(established=False)


def test_offers_are_named_without_grease(pki: Pki) -> None:
    part = after(hello_of((0x0A0A, 0x1301, 0xC02B, 0xFFFE)), pki)
    assert part.client is not None
    assert part.client.supported_ciphers is not None
    assert part.client.supported_ciphers[:2] == (
        "TLS_AES_128_GCM_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    )
    assert len(part.client.supported_ciphers) == 3


def test_a_flood_of_offers_stays_small_in_the_record(pki: Pki) -> None:
    part = after(hello_of(tuple(range(0x1000, 0x6000)), tuple(b"%d" % n for n in range(2000))), pki)
    assert part.client is not None
    assert len(part.client.supported_ciphers or ()) == 256
    assert len(part.client.alpn or ()) == 32
    assert len(part.model_dump_json()) < 20_000
    assert part.client.ja4 is not None


def test_hostile_names_can_not_forge_a_line(pki: Pki) -> None:
    part = after(hello_of(alpn=(b"mqtt\r\n", b"\xe2\x80\xae", b"\x85" * 255), server_name=b"evil\r\n\x1b[2J\xff"), pki)
    assert part.client is not None
    assert part.client.server_name == "evil\\x0d\\x0a\\x1b[2J\\xff"
    for name in part.client.alpn or ():
        assert name.isprintable()
        assert len(name) <= 255


def hostile(pki: Pki, name: str, common_name: str) -> CertificateFiles:
    """Return a device certificate of our authority with any subject."""
    plain = pki.client(name)
    certificate = plain.certificate
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name, _validate=False)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(certificate.issuer)
        .public_key(certificate.public_key())
        .serial_number(certificate.serial_number)
        .not_valid_before(certificate.not_valid_before_utc)
        .not_valid_after(certificate.not_valid_after_utc)
    )
    for extension in certificate.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    signed = builder.sign(pki.devices.key, hashes.SHA256())
    certfile = pki.write(f"{name}.hostile.pem", signed, pki.devices.certificate)
    return replace(plain, certfile=certfile, certificate=signed)


@pytest.mark.parametrize(
    "common_name",
    [
        "pump\r\n{}",
        "pump\u202e71",
        "p" * 10_000,
        "\x1b[31mred",
        'pump", "admin": "yes',
        "\U0001f600",
    ],
    ids=["lines", "right to left", "10 KB", "escape", "quotes", "emoji"],
)
@each_version
def test_a_hostile_subject_is_shown_safely(pki: Pki, version: TlsVersion, common_name: str) -> None:
    files = hostile(pki, f"hostile-{len(common_name)}-{version}", common_name)
    part = tls_part(connected(mutual(pki), showing(files, version)))
    assert part.established
    assert part.client is not None
    assert part.client.x509 is not None
    (shown,) = part.client.x509.subject.common_name or ()
    assert shown.isprintable()
    assert len(shown) <= 512
    assert part.client.hash is not None
    assert part.client.hash.sha256 == files.certificate.fingerprint(hashes.SHA256()).hex().upper()


def test_a_certificate_that_names_nobody_is_left_out(pki: Pki) -> None:
    """OpenSSL was content with it, and we can not read it: the rest is shown all the same."""
    engine = connected(mutual(pki), showing(pki.client("pump-17")))
    engine.presented = b"\x0b\x00\x00\x0e\x00\x00\x00\x0a\x00\x00\x05nonse\x00\x00"
    assert engine.presented_certificates == (b"nonse",)
    part = tls_part(engine)
    assert part.client is not None
    assert (part.client.x509, part.client.hash) == (None, None)
    assert part.client.ja4 is not None


def test_a_certificate_without_a_hello_is_shown(pki: Pki) -> None:
    engine = connected(mutual(pki), showing(pki.client("pump-17")))
    engine.hello = None
    part = tls_part(engine)
    assert part.client is not None
    assert part.client.x509 is not None
    assert part.client.supported_ciphers is None


def test_nobody_is_asked_for_a_certificate_and_none_is_shown(pki: Pki) -> None:
    """An empty listener must not show what OpenSSL did not verify."""
    part = tls_part(connected(served(pki.server()), showing(pki.client("pump-17"), "1.2")))
    assert part.client is not None
    assert part.client.x509 is None


def test_the_certificate_as_it_is_shown_is_the_one_that_was_verified(pki: Pki) -> None:
    files = pki.client("pump-17")
    engine = connected(mutual(pki), showing(files, "1.2"))
    assert engine.ssl_object is not None
    assert engine.ssl_object.getpeercert(binary_form=True) == files.certificate.public_bytes(Encoding.DER)
    assert isinstance(engine.ssl_object, ssl.SSLObject)
