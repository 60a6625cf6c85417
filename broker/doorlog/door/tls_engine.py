"""The server side of one TLS connection without any socket: bytes in, bytes out, and evidence of what went by.

Drives ``ssl.SSLObject`` over memory buffers, and watches the record layer in both directions.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from contextlib import suppress

from doorlog.door.classify import is_cut_short
from doorlog.door.client_hello import ClientHello, parse_client_hello
from doorlog.door.ja4 import ja4
from doorlog.door.tls_context import Overheard, ServedChain
from doorlog.door.tls_sessions import session_digest
from doorlog.door.tls_witness import TlsState, TlsWitness
from doorlog.errors import MalformedHello

_READ_BYTES = 65_536
_NO_APPLICATION_PROTOCOL = 120  # RFC 7301, 3.2
_FATAL = 2  # RFC 8446, 6: AlertLevel
_FATAL_ALERT = b"\x15\x03\x03\x00\x02" + bytes((_FATAL,))

ChainPolicy = Callable[[ClientHello | None], ServedChain]
"""Chooses what to serve, after the ClientHello was seen."""


class TlsEngine(TlsWitness):
    """One TLS connection. Feed ``receive``; send what ``take_output`` gives; read the evidence at any time.

    Args:
        policy: Chooses what to serve.

    Attributes:
        closed: Whether the peer said close_notify.
        opening: What came instead of TLS, as far as it was there when that was clear; empty otherwise.
    """

    __slots__ = (
        "_began",
        "_incoming",
        "_keeps_session",
        "_outgoing",
        "_output",
        "_policy",
        "_undecided",
        "closed",
        "opening",
    )

    def __init__(self, policy: ChainPolicy) -> None:
        super().__init__()
        self.closed = False
        self.opening = b""
        self._policy = policy
        self._undecided = bytearray()
        self._output = bytearray()
        self._keeps_session = False
        self._began = 0
        self._incoming: ssl.MemoryBIO | None = None
        self._outgoing: ssl.MemoryBIO | None = None

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
            if self.client.alert is not None and self.client.alert[0] == _FATAL:
                self.state = TlsState.FAILED  # OpenSSL would say the same, in more words and with an exception
                return b""
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

    def _receive_hello(self, data: bytes) -> bytes:
        before = self.client.first_bytes
        self.client.feed(data)
        if self.client.broken and self.client.client_hello is None:
            if not is_cut_short(self.client.first_bytes):
                self.opening = before + data
                self.state = TlsState.FAILED
            return b""
        self._undecided += data
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
        self._keeps_session = self.chain.sessions.begin()
        self.ssl_object = self.chain.context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._incoming.write(self._undecided)
        self._undecided = bytearray()
        self.state = TlsState.HANDSHAKE
        self._began = time.monotonic_ns()
        return self._step()

    def _offers_no_protocol_of_ours(self) -> bool:
        # CPython's server goes on without a protocol where RFC 7301 3.2 asks for a fatal alert.
        ours = self.chain.alpn if self.chain else ()
        offered = self.hello.alpn if self.hello else ()
        if not ours or not offered or set(ours) & set(offered):
            return False
        self.alpn_mismatch = True
        self.state = TlsState.FAILED
        self.alert_written = _NO_APPLICATION_PROTOCOL
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
        self._overhear()  # what was said to other devices of the chain meanwhile
        try:
            self.ssl_object.do_handshake()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self._fail(error)
        else:
            self.state = TlsState.ESTABLISHED
            self.established = True
            self.handshake_duration = time.monotonic_ns() - self._began
            if self._keeps_session:
                self._note_session(self.ssl_object, self.chain)
        heard = self._overhear()
        if heard is not None:
            self.presented = heard.certificate_message or self.presented
            self.alert_written = heard.sent_alert if heard.sent_alert is not None else self.alert_written

    def _note_session(self, ssl_object: ssl.SSLObject, chain: ServedChain | None) -> None:
        session = ssl_object.session
        if session is None or not session.id:  # the device can not resume
            return
        self.ticket = session_digest(session.id)
        if chain is not None and chain.asks_for_certificate and self._verified_peer() is not None:
            chain.sessions.keep_certificates(self.client.total_bytes)

    def _overhear(self) -> Overheard | None:
        if self.chain is None or not self.chain.asks_for_certificate:
            return None
        return self.chain.overheard.take()

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
            self.server.feed(data, until_encrypted=True)
        self._output += data
