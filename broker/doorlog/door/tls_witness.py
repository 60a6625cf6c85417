"""What is known of one TLS connection: what went by in the clear, what OpenSSL said, what was agreed on.

A failure is told from the wire and not from an exception's text (RFC 8446, 4 and 6; RFC 5246, 7).
"""

from __future__ import annotations

import ssl
from enum import Enum

from doorlog.certificates.facts import certificate_facts
from doorlog.door.classify import Ending, TlsEvidence
from doorlog.door.client_hello import ClientHello
from doorlog.door.tls_context import ServedChain
from doorlog.door.tls_names import alert_of_reason, cipher_suite_name
from doorlog.door.tls_records import RecordObserver, certificates_of
from doorlog.errors import CertificateError, MalformedHello

_TLS12, _TLS13 = 0x0303, 0x0304


class TlsState(Enum):
    """How far the handshake got."""

    HELLO = "hello"
    HANDSHAKE = "handshake"
    ESTABLISHED = "established"
    FAILED = "failed"


class TlsWitness:
    """The evidence of one TLS connection; the engine that drives it fills it in.

    Attributes:
        state: How far the handshake got.
        chain: What we serve, once that was chosen.
        client: The records that came.
        server: The records that went.
        hello: The parsed ClientHello, once it was complete and well formed.
        hello_error: Why it could not be parsed.
        ja4: The fingerprint of the ClientHello.
        ssl_object: OpenSSL's side of it, once the ClientHello was there.
        error: The error that OpenSSL ended with.
        established: Whether the handshake was completed.
        alpn_mismatch: Whether the device offered application protocols, but none of ours.
        presented: The device's Certificate message, as OpenSSL told of it.
        alert_written: The alert that we sent, as OpenSSL told of it.
        ticket: Digest of what the device may resume this session with, once it was given that.
        handshake_duration: Nanoseconds from the complete ClientHello until the handshake was completed.
    """

    __slots__ = (
        "alert_written",
        "alpn_mismatch",
        "chain",
        "client",
        "error",
        "established",
        "handshake_duration",
        "hello",
        "hello_error",
        "ja4",
        "presented",
        "server",
        "ssl_object",
        "state",
        "ticket",
    )

    def __init__(self) -> None:
        self.state = TlsState.HELLO
        self.chain: ServedChain | None = None
        self.client = RecordObserver()
        self.server = RecordObserver()
        self.hello: ClientHello | None = None
        self.hello_error: MalformedHello | None = None
        self.ja4: str | None = None
        self.ssl_object: ssl.SSLObject | None = None
        self.error: ssl.SSLError | None = None
        self.established = False
        self.alpn_mismatch = False
        self.presented: bytes | None = None
        self.alert_written: int | None = None
        self.ticket: str | None = None
        self.handshake_duration: int | None = None

    @property
    def not_tls(self) -> bool:
        """Whether the peer's first bytes are no TLS record."""
        return self.client.broken and self.ssl_object is None

    @property
    def certificate_sent(self) -> bool:
        """Whether our certificate went out, also where TLS 1.3 encrypts it (RFC 8446, 4.4.2)."""
        hello = self.server.server_hello
        if hello is None or hello.is_hello_retry_request or hello.resumed_psk:
            return False
        return self.server.certificate_message is not None or self.server.encrypted_records > 0

    @property
    def presented_certificates(self) -> tuple[bytes, ...]:
        """The device's certificates in DER, leaf first, also those that were refused."""
        if self.presented is not None:
            return certificates_of(self.presented, tls13=self.version == _TLS13)
        if self.client.certificate_message is not None:
            return certificates_of(self.client.certificate_message, tls13=False)
        peer = self._verified_peer()
        return (peer,) if peer else ()

    @property
    def version(self) -> int | None:
        """The version that was agreed on, as on the wire (0x0303 is TLS 1.2), None before ServerHello."""
        hello = self.server.server_hello
        return hello.version if hello else None

    @property
    def cipher(self) -> str | None:
        """The IANA name of the cipher suite that was agreed on."""
        hello = self.server.server_hello
        return cipher_suite_name(hello.cipher_suite) if hello else None

    @property
    def resumed(self) -> bool:
        """Whether the session goes on from an earlier one (RFC 8446, 2.2; RFC 5077)."""
        if self.ssl_object is not None and self.established:
            return bool(self.ssl_object.session_reused)
        hello = self.server.server_hello
        return hello is not None and hello.resumed_psk

    @property
    def offered_tickets(self) -> tuple[str, ...]:
        """Digests of the sessions that the device offered to resume.

        A client of TLS 1.3 without any makes up a session id (RFC 8446, D.4). Where it then has to do with TLS 1.2, it
        may be the id of a session, as well.
        """
        hello = self.hello
        if hello is None or (not hello.offers_psk and _TLS13 in hello.versions and self.version != _TLS12):
            return ()
        return hello.tickets

    @property
    def received_alert(self) -> int | None:
        """The alert with which the device refused us (RFC 8446, 6), None if it sent none."""
        if self.error is not None:
            known = alert_of_reason(self.error.reason)
            if known is not None or self.error.reason is not None:
                return known
            # CPython has no word for some alerts that OpenSSL receives: the number may have gone by in the clear.
            return self.client.alert[1] if self.client.alert else None
        if self.client.alert is not None and self.state is not TlsState.ESTABLISHED:
            return self.client.alert[1]
        return None

    @property
    def sent_alert(self) -> int | None:
        """The alert with which we refused the device, where it could be seen."""
        if self.alert_written is not None:
            return self.alert_written
        return self.server.alert[1] if self.server.alert else None

    def evidence(self, ending: Ending | None) -> TlsEvidence:
        """Sum up what is known, for classification.

        Args:
            ending: How the peer went away, None if it did not.
        """
        hello = self.server.server_hello
        error = self.error
        received = self.received_alert
        return TlsEvidence(
            first_bytes=self.client.first_bytes,
            not_tls=self.not_tls,
            hello=self.hello,
            hello_malformed=self.hello_error is not None,
            server_hello_sent=hello is not None and not hello.is_hello_retry_request,
            certificate_sent=self.certificate_sent,
            received_alert=received,
            error_reason=error.reason if error and received is None else None,
            verify_code=getattr(error, "verify_code", None),
            alpn_mismatch=self.alpn_mismatch,
            ending=ending,
            server_key=self.chain.leaf.public_key_algorithm if self.chain else "",
        )

    def resumed_certificate_fault(self) -> str | None:
        """Judge the client certificate of a resumed session again, which OpenSSL verified once, in the first session.

        Returns:
            ``expired``, ``not_yet_valid``, ``revoked``, ``missing`` or ``invalid``; None if nothing is wrong with it.
        """
        if self.chain is None or not self.chain.asks_for_certificate or not self.resumed:
            return None
        peer = self._verified_peer()
        if peer is None:
            return "missing" if self.chain.context.verify_mode is ssl.CERT_REQUIRED else None
        try:
            return self.chain.refuses_again(certificate_facts(peer))
        except CertificateError:
            return "invalid"  # it can not be judged

    def _verified_peer(self) -> bytes | None:
        if self.ssl_object is None or self.state is not TlsState.ESTABLISHED:
            return None
        return self.ssl_object.getpeercert(binary_form=True)
