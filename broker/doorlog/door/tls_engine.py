"""The server side of one TLS connection without any socket: bytes in, bytes out, and evidence of what went by.

Drives ``ssl.SSLObject`` over memory buffers, and watches the record layer in both directions, so that a
failure can be told from the wire and not from an exception's text (RFC 8446, 4 and 6; RFC 5246, 7).
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import suppress
from enum import Enum

from doorlog.certificates.facts import certificate_facts
from doorlog.door.classify import Ending, TlsEvidence
from doorlog.door.client_hello import ClientHello, parse_client_hello
from doorlog.door.ja4 import ja4
from doorlog.door.tls_context import ServedChain
from doorlog.door.tls_names import alert_of_reason, cipher_suite_name
from doorlog.door.tls_records import RecordObserver, certificates_of
from doorlog.errors import MalformedHello

_READ_BYTES = 65_536
_NO_APPLICATION_PROTOCOL = 120  # RFC 7301, 3.2
_FATAL_ALERT = b"\x15\x03\x03\x00\x02\x02"

ChainPolicy = Callable[[ClientHello | None], ServedChain]
"""Chooses what to serve, after the ClientHello was seen."""


class TlsState(Enum):
    """How far the handshake got."""

    HELLO = "hello"
    HANDSHAKE = "handshake"
    ESTABLISHED = "established"
    FAILED = "failed"


class TlsEngine:
    """One TLS connection. Feed ``receive``; send what ``take_output`` gives; read the evidence at any time.

    Attributes:
        state: How far the handshake got.
        hello: The parsed ClientHello, once it was complete and well formed.
        hello_error: Why it could not be parsed.
        error: The error that OpenSSL ended with.
        not_tls: Whether what came is no TLS at all.
        established: Whether the handshake was completed.
        closed: Whether the peer said close_notify.
        alpn_mismatch: Whether the device offered application protocols, but none of ours.
    """

    __slots__ = (
        "_incoming",
        "_outgoing",
        "_output",
        "_policy",
        "_presented",
        "_sent_alert",
        "_undecided",
        "alpn_mismatch",
        "chain",
        "client",
        "closed",
        "error",
        "established",
        "hello",
        "hello_error",
        "ja4",
        "server",
        "ssl_object",
        "state",
    )

    def __init__(self, policy: ChainPolicy) -> None:
        self.state = TlsState.HELLO
        self.client = RecordObserver()
        self.server = RecordObserver()
        self.chain: ServedChain | None = None
        self.hello: ClientHello | None = None
        self.hello_error: MalformedHello | None = None
        self.ja4: str | None = None
        self.ssl_object: ssl.SSLObject | None = None
        self.error: ssl.SSLError | None = None
        self.closed = False
        self.established = False
        self.alpn_mismatch = False
        self._policy = policy
        self._undecided = bytearray()
        self._output = bytearray()
        self._incoming: ssl.MemoryBIO | None = None
        self._outgoing: ssl.MemoryBIO | None = None
        self._presented: bytes | None = None
        self._sent_alert: int | None = None

    @property
    def not_tls(self) -> bool:
        """Whether the peer's first bytes are no TLS record."""
        return self.client.broken and self.ssl_object is None

    def receive(self, data: bytes) -> bytes:
        """Take bytes from the socket.

        Returns:
            Decrypted bytes, if any.
        """
        if self.state is TlsState.FAILED:
            return b""
        if self.state is TlsState.HELLO:
            return self._receive_hello(data)
        assert self._incoming is not None  # noqa: S101 - set when the hello was complete
        if self.state is TlsState.HANDSHAKE:
            self.client.feed(data)
        self._incoming.write(data)
        return self._step()

    def send(self, data: bytes) -> None:
        """Encrypt bytes; they wait in ``take_output``."""
        if self.ssl_object is None or self.state is not TlsState.ESTABLISHED:
            return
        try:
            self.ssl_object.write(data)
        except ssl.SSLError as error:
            self._fail(error)
        self._flush()

    def close(self) -> None:
        """Say close_notify, if there is somebody to say it to (RFC 8446, 6.1)."""
        if self.ssl_object is None or self.state is not TlsState.ESTABLISHED:
            return
        with suppress(ssl.SSLError):  # it waits for the peer's answer, which we do not need
            self.ssl_object.unwrap()
        self._flush()

    def take_output(self) -> bytes:
        """Hand over the bytes that belong on the socket."""
        if not self._output:
            return b""
        taken = bytes(self._output)
        self._output.clear()
        return taken

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
        if self._presented is not None:
            return certificates_of(self._presented, tls13=self.version == 0x0304)
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
        if self._sent_alert is not None:
            return self._sent_alert
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
        """Judge again the client certificate of a resumed session: ``expired``, ``revoked`` ... or None."""
        if self.chain is None or not self.chain.asks_for_certificate or not self.resumed:
            return None
        peer = self._verified_peer()
        return self.chain.refuses_again(certificate_facts(peer)) if peer else None

    def _receive_hello(self, data: bytes) -> bytes:
        self.client.feed(data)
        self._undecided += data
        if self.client.broken and self.client.client_hello is None:
            self.state = TlsState.FAILED
            return b""
        if self.client.client_hello is None and self.client.alert is None and not self.client.hello_ruled_out:
            return b""
        return self._begin()

    def _begin(self) -> bytes:
        message = self.client.client_hello
        if message is not None:
            try:
                self.hello = parse_client_hello(message)
                self.ja4 = ja4(self.hello)
            except MalformedHello as error:
                self.hello_error = error  # OpenSSL decides; we only note what we could not read
        self.chain = self._policy(self.hello)
        if self._offers_no_protocol_of_ours():
            return b""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.ssl_object = self.chain.context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._incoming.write(self._undecided)
        self._undecided = bytearray()
        self.state = TlsState.HANDSHAKE
        return self._step()

    def _offers_no_protocol_of_ours(self) -> bool:
        # CPython's server goes on without a protocol where RFC 7301 3.2 asks for a fatal alert.
        ours = self.chain.alpn if self.chain else ()
        offered = self.hello.alpn if self.hello else ()
        if not ours or not offered or set(ours) & set(offered):
            return False
        self.alpn_mismatch = True
        self.state = TlsState.FAILED
        self._sent_alert = _NO_APPLICATION_PROTOCOL
        self._output += _FATAL_ALERT + bytes((_NO_APPLICATION_PROTOCOL,))
        return True

    def _step(self) -> bytes:
        if self.state is TlsState.HANDSHAKE:
            self._handshake()
        plaintext = self._read() if self.state is TlsState.ESTABLISHED else b""
        self._flush()
        return plaintext

    def _handshake(self) -> None:
        assert self.ssl_object is not None  # noqa: S101 - set in _begin
        try:
            self.ssl_object.do_handshake()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self._fail(error)
        else:
            self.state = TlsState.ESTABLISHED
            self.established = True
        self._overhear()

    def _overhear(self) -> None:
        if self.chain is None or not self.chain.asks_for_certificate:
            return
        heard = self.chain.overheard.take()
        self._presented = heard.certificate_message or self._presented
        self._sent_alert = heard.sent_alert if heard.sent_alert is not None else self._sent_alert

    def _read(self) -> bytes:
        assert self.ssl_object is not None  # noqa: S101 - set in _begin
        pieces = []
        try:
            while piece := self.ssl_object.read(_READ_BYTES):
                pieces.append(piece)
            self.closed = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.closed = True
        except ssl.SSLError as error:
            self._fail(error)
        return b"".join(pieces)

    def _fail(self, error: ssl.SSLError) -> None:
        self.error = error
        self.state = TlsState.FAILED

    def _flush(self) -> None:
        if self._outgoing is None or not self._outgoing.pending:
            return
        data = self._outgoing.read()
        if self.server.encrypted_records < 1:
            # Once encryption has begun, nothing more can be told from the records.
            self.server.feed(data)
        self._output += data

    def _verified_peer(self) -> bytes | None:
        if self.ssl_object is None or self.state is not TlsState.ESTABLISHED:
            return None
        return self.ssl_object.getpeercert(binary_form=True)
