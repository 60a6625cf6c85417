"""From a TLS connection's evidence to the part of a record that shows it."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

from doorlog.certificates.facts import CertificateFacts, certificate_facts
from doorlog.door.client_hello import GREASE, ClientHello
from doorlog.door.tls_context import x509_part
from doorlog.door.tls_names import alert_name, cipher_suite_name, version_name
from doorlog.door.tls_witness import TlsWitness
from doorlog.errors import CertificateError
from doorlog.events.parts import AlertPart, HashPart, TlsClientPart, TlsPart, TlsServerPart
from doorlog.text import safe_text

_ALERTS_OF_VERIFICATION = {9: 42, 10: 45, 23: 44, 26: 43} | dict.fromkeys((2, 18, 19, 20, 21, 22, 24), 48)
_CERTIFICATE_UNKNOWN = 46
_MAX_SUITES = 256  # all that there are in practice: OpenSSL offers 30, and 160 if it is told to offer everything
_MAX_PROTOCOLS = 32
_MISSING_CERTIFICATE = {0x0304: 116}  # certificate_required (RFC 8446, 6.2); handshake_failure before


def tls_part(tls: TlsWitness) -> TlsPart:
    """Shape the evidence of a TLS connection as ECS ``tls``."""
    version = tls.version
    return TlsPart(
        established=tls.established,
        version=version_name(version) if version else None,
        version_protocol="tls" if version else None,
        cipher=tls.cipher,
        resumed=tls.resumed if version else None,
        next_protocol=tls.ssl_object.selected_alpn_protocol() if tls.ssl_object and tls.established else None,
        ticket=tls.ticket,
        handshake_duration=tls.handshake_duration,
        alert=_alert_part(tls),
        client=_client_part(tls),
        server=_server_part(tls),
    )


def _server_part(tls: TlsWitness) -> TlsServerPart | None:
    """Tell our certificate where the device got it, now or in the session that it resumed; else only what we speak."""
    if tls.chain is None:
        return None
    if tls.established or tls.certificate_sent or tls.resumed:
        return tls.chain.part
    return TlsServerPart(supported_versions=tls.chain.part.supported_versions)


def _alert_part(tls: TlsWitness) -> AlertPart | None:
    received = tls.received_alert
    if received is not None:
        return _alert(received, "received")
    sent = tls.sent_alert if tls.sent_alert is not None else _alert_we_must_have_sent(tls)
    return _alert(sent, "sent") if sent is not None else None


@lru_cache(maxsize=512)
def _alert(code: int, direction: Literal["received", "sent"]) -> AlertPart:
    return AlertPart(code=code, description=alert_name(code), direction=direction)


def _alert_we_must_have_sent(tls: TlsWitness) -> int | None:
    # TLS 1.3 encrypts our alert; OpenSSL derives it from the verification result, and so do we.
    error = tls.error
    if error is None:
        return None
    verify_code = getattr(error, "verify_code", 0)
    if verify_code:
        return _ALERTS_OF_VERIFICATION.get(verify_code, _CERTIFICATE_UNKNOWN)
    if error.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return _MISSING_CERTIFICATE.get(tls.version or 0, 40)
    return None


def _client_part(tls: TlsWitness) -> TlsClientPart | None:
    hello, certificate = tls.hello, _presented(tls)
    if hello is None and certificate is None:
        return None
    offered = _offer_of(hello, tls.ja4) if hello else TlsClientPart()
    own: dict[str, object] = {}  # what devices of one build do not have in common
    if tickets := tls.offered_tickets:
        own["tickets"] = tickets
    if certificate is not None:
        own |= {"x509": x509_part(certificate), "hash": HashPart(sha256=certificate.sha256)}
    return offered.model_copy(update=own) if own else offered


def _offer_of(hello: ClientHello, ja4: str | None) -> TlsClientPart:
    # Cut before it is remembered and shown: a hostile ClientHello holds 30,000 suites, each a word in the record.
    suites, protocols = hello.cipher_suites[:_MAX_SUITES], hello.alpn[:_MAX_PROTOCOLS]
    return _offered(hello.server_name, suites, hello.versions, protocols, ja4)


@lru_cache(maxsize=1024)
def _offered(
    server_name: str | None,
    cipher_suites: tuple[int, ...],
    versions: tuple[int, ...],
    alpn: tuple[bytes, ...],
    ja4: str | None,
) -> TlsClientPart:
    """Shape what a ClientHello offers; devices of one build all offer the same."""
    return TlsClientPart(
        server_name=server_name,
        supported_ciphers=tuple(cipher_suite_name(suite) for suite in cipher_suites if suite not in GREASE),
        supported_versions=tuple(version_name(version) for version in versions if version not in GREASE),
        alpn=tuple(safe_text(name.decode("latin-1"), 255) for name in alpn) or None,
        ja4=ja4,
    )


def _presented(tls: TlsWitness) -> CertificateFacts | None:
    if tls.chain is None or not tls.chain.asks_for_certificate:
        return None
    presented = tls.presented_certificates
    try:
        return certificate_facts(presented[0]) if presented else None
    except CertificateError:
        return None  # so broken that it names nobody
