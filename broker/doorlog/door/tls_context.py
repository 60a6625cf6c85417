"""A served chain as the TLS engine needs it: the SSLContext, and what records say about it."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from doorlog.certificates.facts import CertificateFacts, certificate_facts
from doorlog.certificates.revocation import RevocationList
from doorlog.door.tls_sessions import SessionKeeper
from doorlog.errors import CertificateError
from doorlog.events.parts import HashPart, NamePart, TlsServerPart, X509Part
from doorlog.settings.models import TlsSettings

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_VERIFY_MODES = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}
_CERTIFICATE_MESSAGE = 11  # RFC 8446, 4: HandshakeType certificate
_HANDSHAKE_CONTENT = 22
_ALERT_CONTENT = 21


@lru_cache(maxsize=1024)
def x509_part(facts: CertificateFacts) -> X509Part:
    """Shape a certificate's facts as ECS ``x509``."""
    return X509Part(
        subject=_name_part(facts.subject, facts.subject_common_name, facts.subject_organization),
        issuer=_name_part(facts.issuer, facts.issuer_common_name, facts.issuer_organization),
        serial_number=facts.serial_number,
        alternative_names=facts.alternative_names or None,
        not_before=facts.not_before,
        not_after=facts.not_after,
        public_key_algorithm=facts.public_key_algorithm,
        signature_algorithm=facts.signature_algorithm,
    )


def _name_part(name: str, common_name: str | None, organization: str | None) -> NamePart:
    return NamePart(
        distinguished_name=name,
        common_name=(common_name,) if common_name else None,
        organization=(organization,) if organization else None,
    )


@dataclass(slots=True)
class Overheard:
    """What OpenSSL told through its message callback during one call of ``do_handshake``.

    The callback is private API of ``ssl`` (present in CPython 3.8 to 3.14). It alone can tell which
    client certificate failed in TLS 1.3, and which alert we sent under encryption; without it, both
    are simply absent from the record.
    """

    certificate_message: bytes | None = None
    sent_alert: int | None = None

    def hear(self, _connection: Any, direction: str, _version: Any, content: Any, kind: Any, data: bytes) -> None:
        """Take one message (the signature is that of ``SSLContext._msg_callback``)."""
        if content == _HANDSHAKE_CONTENT and kind == _CERTIFICATE_MESSAGE and direction == "read":
            self.certificate_message = data
        elif content == _ALERT_CONTENT and direction == "write" and len(data) == 2:
            self.sent_alert = data[1]

    def take(self) -> Overheard:
        """Hand over what was heard and begin anew."""
        taken = Overheard(self.certificate_message, self.sent_alert)
        self.certificate_message = self.sent_alert = None
        return taken


@dataclass(frozen=True, slots=True)
class ServedChain:
    """One generation of what a listener serves, and whom it trusts."""

    context: ssl.SSLContext
    part: TlsServerPart
    leaf: CertificateFacts
    generation: int
    asks_for_certificate: bool
    sessions: SessionKeeper
    alpn: tuple[bytes, ...] = ()
    revocations: RevocationList | None = None
    overheard: Overheard = field(default_factory=Overheard)

    def refuses_again(self, certificate: CertificateFacts, now: datetime | None = None) -> str | None:
        """Judge the certificate of a resumed session, which OpenSSL does not verify a second time.

        Returns:
            ``expired``, ``not_yet_valid`` or ``revoked``, or None if it is still good.
        """
        now = now or datetime.now(UTC)
        if certificate.not_after < now:
            return "expired"
        if certificate.not_before > now:
            return "not_yet_valid"
        if self.revocations and self.revocations.is_revoked(certificate.issuer, certificate.serial_number):
            return "revoked"
        return None


def load_served_chain(settings: TlsSettings, generation: int = 1, *, overhear: bool = True) -> ServedChain:
    """Load what a TLS listener serves.

    Args:
        settings: The ``tls`` group of a listener.
        generation: The number of this chain, from 1.
        overhear: Whether the private message callback may be used (see ``Overheard``).

    Raises:
        CertificateError: If a file can not be used, with its path and the remedy.
    """
    context = _context(settings)
    leaf = certificate_facts(_leaf_der(settings))
    chain = ServedChain(
        context=context,
        part=TlsServerPart(
            x509=x509_part(leaf),
            hash=HashPart(sha256=leaf.sha256),
            generation=generation,
            supported_versions=tuple(v for v in _VERSIONS if settings.minimum_version <= v <= settings.maximum_version),
        ),
        leaf=leaf,
        generation=generation,
        asks_for_certificate=settings.client_certificate != "none",
        sessions=SessionKeeper(context),
        alpn=tuple(name.encode() for name in settings.alpn),
        revocations=RevocationList.load(settings.crlfile) if settings.crlfile else None,
    )
    if overhear and chain.asks_for_certificate:
        _listen_in(context, chain.overheard.hear)
    return chain


def _context(settings: TlsSettings) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[settings.minimum_version]
    context.maximum_version = _VERSIONS[settings.maximum_version]
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    _attempt("ciphers", settings.ciphers, lambda: context.set_ciphers(settings.ciphers))
    _attempt(
        "certfile and keyfile",
        f"{settings.certfile}, {settings.keyfile}",
        # A password callback that answers nothing, so that an encrypted key fails instead of prompting.
        lambda: context.load_cert_chain(settings.certfile, settings.keyfile, password=lambda: b""),
    )
    context.verify_mode = _VERIFY_MODES[settings.client_certificate]
    if settings.cafile:
        cafile = settings.cafile
        _attempt("cafile", cafile, lambda: context.load_verify_locations(cafile))
    if settings.crlfile:
        crlfile = settings.crlfile
        _attempt("crlfile", crlfile, lambda: context.load_verify_locations(crlfile))
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    if settings.alpn:
        context.set_alpn_protocols(list(settings.alpn))
    return context


def _attempt(key: str, value: object, load: Callable[[], None]) -> None:
    try:
        load()
    except (OSError, ssl.SSLError) as error:
        cause = error.strerror or getattr(error, "reason", None) or type(error).__name__
        raise CertificateError(f"{key}: {value} can not be used: {cause}") from error


def _leaf_der(settings: TlsSettings) -> bytes:
    pem = settings.certfile.read_text(encoding="ascii", errors="replace")
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    start = pem.find(begin)
    stop = pem.find(end, start)
    return ssl.PEM_cert_to_DER_cert(pem[start : stop + len(end)])


def _listen_in(context: ssl.SSLContext, hear: Callable[..., None]) -> None:
    with suppress(AttributeError):  # private API: a Python without it records a little less
        context._msg_callback = hear  # type: ignore[attr-defined]  # noqa: SLF001 - see Overheard
