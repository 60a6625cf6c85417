"""Watches one direction of a TLS stream go by and keeps what can be seen in the clear (RFC 8446, 4 and 5)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final

MAX_MESSAGE_BYTES: Final = 65_536
"""A handshake message with a longer body is passed over."""

MAX_CERTIFICATES: Final = 16
"""More certificates than any chain has."""

_FIRST_BYTES: Final = 16
_MAX_TYPES: Final = 32
_MAX_RECORD: Final = 16_384 + 2_048  # RFC 5246, 6.2.3
_MAX_BEFORE_HELLO: Final = 2 * MAX_MESSAGE_BYTES

_CHANGE_CIPHER_SPEC: Final = 20
_ALERT: Final = 21
_HANDSHAKE: Final = 22
_APPLICATION_DATA: Final = 23
_CONTENT_TYPES: Final = frozenset({_CHANGE_CIPHER_SPEC, _ALERT, _HANDSHAKE, _APPLICATION_DATA, 24})  # 24: heartbeat
_RECORD_HEADER: Final = 5
_MAJOR_VERSION: Final = 3
_ALERT_BYTES: Final = 2
_FATAL: Final = 2

_HEADER: Final = 4  # of a handshake message
_CLIENT_HELLO: Final = 1
_SERVER_HELLO: Final = 2
_CERTIFICATE: Final = 11

_PRE_SHARED_KEY: Final = 41
_SUPPORTED_VERSIONS: Final = 43
_KEY_SHARE: Final = 51
_TWO_NUMBERS: Final = struct.Struct(">HH")
# SHA-256 of "HelloRetryRequest", which stands where the random bytes would be (RFC 8446, 4.1.3).
_RETRY_RANDOM: Final = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")


@dataclass(frozen=True, slots=True)
class ServerHello:
    """What a server settled on (RFC 8446, 4.1.3; RFC 5246, 7.4.1.3).

    Attributes:
        version: The version, 0x0303 for TLS 1.2, from the supported_versions extension if that is there.
        cipher_suite: The cipher suite.
        group: The key exchange group of TLS 1.3, None where the message does not tell it.
        resumed_psk: Whether a pre-shared key was taken: a TLS 1.3 session is resumed.
        is_hello_retry_request: Whether it only asks for another ClientHello (RFC 8446, 4.1.4).
    """

    version: int
    cipher_suite: int
    group: int | None
    resumed_psk: bool
    is_hello_retry_request: bool


@dataclass(slots=True, repr=False)
class RecordObserver:
    """One direction of a TLS stream, fed in whatever pieces it came, the same result for any; begins empty.

    Keeps at most three messages of 64 KiB whatever the peer does, and raises nothing. It knows the records of
    SSL 3.0 to TLS 1.3; a ClientHello in the form of SSL 2.0 counts as broken.

    Attributes:
        total_bytes: All bytes that were fed.
        first_bytes: The first bytes, up to 16.
        broken: Whether these are no TLS records, or no longer. Only ``total_bytes`` goes on then.
        hello_started: Whether a ClientHello began.
        client_hello: The first ClientHello with its header of 4 bytes, once it is complete.
        server_hello: The last ServerHello or HelloRetryRequest.
        certificate_message: The Certificate message with its header, where it is in the clear: up to TLS 1.2.
        handshake_types: The types of the messages in the clear, in order, at most 32.
        alert: Level and description of an alert in the clear; a fatal one is not replaced.
        encrypted_records: How many records of type application_data began.
        change_cipher_spec: Whether a record of that type began.
    """

    total_bytes: int = 0
    first_bytes: bytes = b""
    broken: bool = False
    hello_started: bool = False
    client_hello: bytes | None = None
    server_hello: ServerHello | None = None
    certificate_message: bytes | None = None
    handshake_types: list[int] = field(default_factory=list)
    alert: tuple[int, int] | None = None
    encrypted_records: int = 0
    change_cipher_spec: bool = False
    _hello_ruled_out: bool = False
    _pending: bytearray = field(default_factory=bytearray)  # of a record header, or of an alert
    _content_type: int = 0
    _length: int = 0  # of the record at hand
    _left: int = 0  # of the record at hand
    _clear: bool = True
    _message: bytearray = field(default_factory=bytearray)
    _wanted: int = _HEADER  # how long _message is to become: its header first, then all of it
    _skip: int = 0  # of a message that is not kept

    @property
    def hello_ruled_out(self) -> bool:
        """Whether no ClientHello will be seen any more: the stream is broken or begins otherwise."""
        if self.client_hello is not None:
            return False
        return self.broken or self._hello_ruled_out or self.total_bytes > _MAX_BEFORE_HELLO

    def feed(self, data: bytes | memoryview, *, until_encrypted: bool = False) -> None:
        """Watch the next bytes of the stream; none of the argument is held on to.

        Args:
            data: The bytes.
            until_encrypted: Leave out what follows the beginning of the first record of type application_data.
        """
        self.total_bytes += len(data)
        if len(self.first_bytes) < _FIRST_BYTES:
            self.first_bytes += bytes(data[: _FIRST_BYTES - len(self.first_bytes)])
        view = memoryview(data)
        while view and not self.broken and not (until_encrypted and self.encrypted_records):
            if self._left:
                part = view[: self._left]
                self._left -= len(part)
                self._watch(part)
                view = view[len(part) :]
            else:
                view = self._take_header(view)

    def _take_header(self, view: memoryview) -> memoryview:
        missing = _RECORD_HEADER - len(self._pending)
        header = self._pending
        header += view[:missing]
        if header[0] not in _CONTENT_TYPES or (len(header) > 1 and header[1] != _MAJOR_VERSION):
            self._break_off()
        elif len(header) == _RECORD_HEADER:
            self._begin_record(header[0], header[3] << 8 | header[4])
            header.clear()
        return view[missing:]

    def _break_off(self) -> None:
        self.broken = True
        self._pending.clear()
        self._end_clear()

    def _end_clear(self) -> None:
        self._clear = False
        self._message.clear()

    def _begin_record(self, content_type: int, length: int) -> None:
        if length > _MAX_RECORD:
            self._break_off()
            return
        self._content_type, self._length, self._left = content_type, length, length
        if content_type == _APPLICATION_DATA:
            self.encrypted_records += 1
            self._end_clear()
        elif content_type == _CHANGE_CIPHER_SPEC:
            self.change_cipher_spec = True
            self._message.clear()
            self._wanted, self._skip = _HEADER, 0
        if content_type not in (_HANDSHAKE, _ALERT):
            self._hello_ruled_out = True

    def _watch(self, part: memoryview) -> None:
        if self._content_type == _HANDSHAKE:
            self._watch_handshake(part)
        elif self._content_type == _ALERT and self._length == _ALERT_BYTES:  # encrypted ones are longer
            self._watch_alert(part)

    def _watch_alert(self, part: memoryview) -> None:
        self._pending += part
        if len(self._pending) < _ALERT_BYTES:
            return
        level, description = self._pending
        self._pending.clear()
        if self.alert is None or (level == _FATAL and self.alert[0] != _FATAL):
            self.alert = (level, description)

    def _watch_handshake(self, part: memoryview) -> None:
        while part and self._clear:
            if self._skip:
                skipped = min(self._skip, len(part))
                self._skip -= skipped
                part = part[skipped:]
                continue
            missing = self._wanted - len(self._message)
            self._message += part[:missing]
            part = part[missing:]
            if self._message[0] == _CLIENT_HELLO and not self.change_cipher_spec:
                self.hello_started = True
            if len(self._message) < self._wanted:
                return
            if self._wanted == _HEADER:
                self._begin_message(self._message[0], int.from_bytes(self._message[1:], "big"))
            else:
                self._end_message()

    def _begin_message(self, kind: int, length: int) -> None:
        if self.change_cipher_spec and not self._is_second_hello(kind, length):
            self._end_clear()
            return
        if len(self.handshake_types) < _MAX_TYPES:
            self.handshake_types.append(kind)
        if 0 < length <= MAX_MESSAGE_BYTES and self._is_kept(kind):
            self._wanted = _HEADER + length
            return
        self._hello_ruled_out = True  # the first message is something else, or too long to keep
        self._message.clear()
        self._skip = length

    def _is_second_hello(self, kind: int, length: int) -> bool:
        # After HelloRetryRequest, TLS 1.3 goes on in the clear behind a change_cipher_spec that means nothing
        # (RFC 8446, D.4). In TLS 1.2 what follows it is encrypted, and fits this form once in 2 ** 31 times.
        return kind in (_CLIENT_HELLO, _SERVER_HELLO) and _HEADER + length == self._length

    def _is_kept(self, kind: int) -> bool:
        if kind == _CLIENT_HELLO:
            return self.client_hello is None and not self._hello_ruled_out
        return kind == _SERVER_HELLO or (kind == _CERTIFICATE and self.certificate_message is None)

    def _end_message(self) -> None:
        message = bytes(self._message)
        self._message.clear()
        self._wanted = _HEADER
        if message[0] == _CLIENT_HELLO:
            self.client_hello = message
        elif message[0] == _SERVER_HELLO:
            self.server_hello = _read_server_hello(message)
        else:
            self.certificate_message = message


def certificates_of(message: bytes, *, tls13: bool) -> tuple[bytes, ...]:
    """Return the certificates in a Certificate message, those before the first fault if it has one.

    Args:
        message: The handshake message with its header of 4 bytes.
        tls13: Whether it has the form of TLS 1.3 (RFC 8446, 4.4.2), else that of RFC 5246, 7.4.2.

    Returns:
        Each certificate as it came, meant to be DER, the peer's own first; at most 16.
    """
    if len(message) < _HEADER + 4 or message[0] != _CERTIFICATE:
        return ()
    position = _HEADER + (1 + message[_HEADER] if tls13 else 0)  # past certificate_request_context
    length, position = _length_at(message, position, 3)
    end = min(position + length, len(message))
    certificates: list[bytes] = []
    while position < end and len(certificates) < MAX_CERTIFICATES:
        length, start = _length_at(message, position, 3)
        position = start + length
        if not length or position > end:
            break
        certificates.append(message[start:position])
        if tls13:
            length, position = _length_at(message, position, 2)
            position += length
    return tuple(certificates)


def _length_at(data: bytes, position: int, width: int) -> tuple[int, int]:
    """Return the length that stands there, and where what it measures begins."""
    return int.from_bytes(data[position : position + width], "big"), position + width


def _read_server_hello(message: bytes) -> ServerHello | None:
    position = 39 + message[38] if len(message) > 38 else len(message)
    if position + 3 > len(message):
        return None
    (cipher_suite,) = struct.unpack_from(">H", message, position)
    bodies = _extension_bodies(message, position + 3)
    version = bodies.get(_SUPPORTED_VERSIONS, message[4:6])
    group = bodies.get(_KEY_SHARE, b"")[:2]
    return ServerHello(
        version=int.from_bytes(version[:2], "big"),
        cipher_suite=cipher_suite,
        group=int.from_bytes(group, "big") if len(group) == 2 else None,
        resumed_psk=_PRE_SHARED_KEY in bodies,
        is_hello_retry_request=message[6:38] == _RETRY_RANDOM,
    )


def _extension_bodies(message: bytes, position: int) -> dict[int, bytes]:
    """Return the extensions as far as they are well formed."""
    bodies: dict[int, bytes] = {}
    position += 2
    while position + 4 <= len(message):
        kind, length = _TWO_NUMBERS.unpack_from(message, position)
        position += 4 + length
        if position <= len(message):
            bodies[kind] = message[position - length : position]
    return bodies
