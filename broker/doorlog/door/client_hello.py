"""Reads what a TLS client offers from its ClientHello (RFC 8446, 4.1.2; RFC 5246, 7.4.1.2)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final

from doorlog.door.tls_sessions import session_digest
from doorlog.errors import MalformedHello

GREASE: Final = frozenset(0x0A0A + 0x1010 * n for n in range(16))
"""Values that a client offers only to see that nobody minds (RFC 8701, 2)."""

MAX_HELLO_BYTES: Final = 4 + 65_536
"""The longest ClientHello that is read, header included. Real ones have 200 to 2,000 bytes."""

_CLIENT_HELLO: Final = 1
_MAX_SESSION_ID: Final = 32  # RFC 5246, 7.4.1.2
_MAX_SERVER_NAME: Final = 255  # RFC 1035, 2.3.4
_MAX_TICKETS: Final = 4
"""Devices offer one, seldom two."""

SERVER_NAME: Final = 0
ALPN: Final = 16
_SUPPORTED_GROUPS: Final = 10
_SIGNATURE_ALGORITHMS: Final = 13
_PRE_SHARED_KEY: Final = 41
_SUPPORTED_VERSIONS: Final = 43
_KEY_SHARE: Final = 51
_READ: Final = frozenset(
    {
        SERVER_NAME,
        ALPN,
        _SUPPORTED_GROUPS,
        _SIGNATURE_ALGORITHMS,
        _PRE_SHARED_KEY,
        _SUPPORTED_VERSIONS,
        _KEY_SHARE,
    }
)

# Message type, length (8 + 16 bits), legacy_version, random (skipped), length of legacy_session_id.
_FIXED_PART: Final = struct.Struct(">BBHH32xB")
_TWO_NUMBERS: Final = struct.Struct(">HH")


@dataclass(frozen=True, slots=True)
class ClientHello:
    r"""What a client offers, each list in the client's order and with its GREASE values.

    Attributes:
        legacy_version: The version field of the message; 0x0303 is TLS 1.2, and the most that it says.
        versions: The supported_versions extension, or ``(legacy_version,)`` without one.
        cipher_suites: Offered suites, never empty, signalling values such as 0x00FF among them.
        groups: Offered key exchange groups (RFC 8446, 4.2.7).
        signature_algorithms: Offered signature schemes (RFC 8446, 4.2.3).
        extensions: The type of every extension.
        alpn: Offered application protocols, as they came: 1 to 255 bytes each (RFC 7301, 3.1).
        server_name: The host name that was asked for (RFC 6066, 3): printable ASCII, at most 255 characters,
            other bytes and the backslash as ``\xNN``. None without one.
        offers_psk: Whether a pre-shared key is offered: in practice to resume a TLS 1.3 session (RFC 8446,
            4.2.11).
        key_share_groups: The groups for which a key share came along (RFC 8446, 4.2.8).
        tickets: Digests of the sessions that it offers to resume: the first four identities of pre-shared keys, or else
            the session id (RFC 8446, 4.2.11; RFC 5246, 7.4.1.2). Not compared: hellos of one build are equal.
    """

    legacy_version: int
    versions: tuple[int, ...]
    cipher_suites: tuple[int, ...]
    groups: tuple[int, ...]
    signature_algorithms: tuple[int, ...]
    extensions: tuple[int, ...]
    alpn: tuple[bytes, ...]
    server_name: str | None
    offers_psk: bool
    key_share_groups: tuple[int, ...]
    tickets: tuple[str, ...] = field(compare=False)


def parse_client_hello(message: bytes) -> ClientHello:
    """Read a ClientHello.

    Whatever a server answers with a ServerHello can be read; what OpenSSL would refuse for its form can not.

    Args:
        message: One complete handshake message with its header of 4 bytes, without record headers.

    Raises:
        MalformedHello: The message is none, is longer than 64 KiB, or breaks the form of RFC 8446, 4.1.2.
    """
    if not _FIXED_PART.size <= len(message) <= MAX_HELLO_BYTES:
        raise MalformedHello("the ClientHello is too short or longer than 64 KiB")
    kind, length_high, length_low, legacy_version, session_id_length = _FIXED_PART.unpack_from(message)
    if kind != _CLIENT_HELLO:
        raise MalformedHello("the first handshake message is no ClientHello")
    if (length_high << 16 | length_low) != len(message) - 4:
        raise MalformedHello("the ClientHello is not as long as it says")
    if session_id_length > _MAX_SESSION_ID:
        raise MalformedHello("the session id in the ClientHello is longer than 32 bytes")
    session_id, position = _vector(message, _FIXED_PART.size - 1, 1)
    suites, position = _vector(message, position, 2)
    compression_methods, position = _vector(message, position, 1)
    if not compression_methods:
        raise MalformedHello("the ClientHello offers no compression method, not even none")
    extensions, bodies = _extensions(message, position)
    versions = bodies.get(_SUPPORTED_VERSIONS)
    return ClientHello(
        legacy_version=legacy_version,
        versions=(legacy_version,) if versions is None else _numbers(_only_vector(versions, 1)),
        cipher_suites=_numbers(suites),
        groups=_listed(bodies.get(_SUPPORTED_GROUPS)),
        signature_algorithms=_listed(bodies.get(_SIGNATURE_ALGORITHMS)),
        extensions=extensions,
        alpn=_protocols(bodies.get(ALPN)),
        server_name=_server_name(bodies.get(SERVER_NAME)),
        offers_psk=_PRE_SHARED_KEY in bodies,
        key_share_groups=_key_share_groups(bodies.get(_KEY_SHARE, b"")),
        tickets=tuple(map(session_digest, _offered_sessions(session_id, bodies.get(_PRE_SHARED_KEY)))),
    )


def without_grease(values: tuple[int, ...]) -> tuple[int, ...]:
    """Return the values in their order, less those of RFC 8701."""
    if GREASE.isdisjoint(values):  # true for every stack but those of browsers, and cheap to find out
        return values
    return tuple(value for value in values if value not in GREASE)


def _vector(data: bytes, position: int, width: int) -> tuple[bytes, int]:
    """Return a vector that is led by its length in ``width`` bytes (RFC 8446, 3.4), and where it ends."""
    start = position + width
    end = start + int.from_bytes(data[position:start], "big")
    if end > len(data) or start > len(data):
        raise MalformedHello("a length in the ClientHello points beyond its end")
    return data[start:end], end


def _only_vector(body: bytes, width: int) -> bytes:
    """Return the vector that fills an extension."""
    if len(body) != width + int.from_bytes(body[:width], "big"):
        raise MalformedHello("an extension in the ClientHello is not as long as what it holds")
    return body[width:]


def _numbers(vector: bytes) -> tuple[int, ...]:
    if not vector or len(vector) % 2:
        raise MalformedHello("a list in the ClientHello is empty or of an odd length")
    return struct.unpack(f">{len(vector) // 2}H", vector)


def _listed(body: bytes | None) -> tuple[int, ...]:
    return () if body is None else _numbers(_only_vector(body, 2))


def _extensions(message: bytes, position: int) -> tuple[tuple[int, ...], dict[int, bytes]]:
    """Return the type of every extension, and each one's body."""
    kinds: list[int] = []
    bodies: dict[int, bytes] = {}
    end = len(message)
    if position == end:  # a client may send none at all up to TLS 1.2
        return (), bodies
    if position + 2 + int.from_bytes(message[position : position + 2], "big") != end:
        raise MalformedHello("the extensions do not fill the ClientHello")
    position += 2
    while position + 4 <= end:
        kind, length = _TWO_NUMBERS.unpack_from(message, position)
        start = position + 4
        position = start + length
        kinds.append(kind)
        bodies[kind] = message[start:position]
    if position != end:
        raise MalformedHello("the last extension is cut short")
    if len(bodies) != len(kinds) and any(kinds.count(kind) > 1 for kind in _READ):
        raise MalformedHello("an extension comes twice in the ClientHello")
    return tuple(kinds), bodies


def _protocols(body: bytes | None) -> tuple[bytes, ...]:
    if body is None:
        return ()
    names: list[bytes] = []
    vector = _only_vector(body, 2)
    position = 0
    while position < len(vector):
        name, position = _vector(vector, position, 1)
        names.append(name)
    if not all(names) or not names:
        raise MalformedHello("an application protocol has no name")
    return tuple(names)


def _server_name(body: bytes | None) -> str | None:
    if body is None:
        return None
    names = _only_vector(body, 2)
    if not names:
        raise MalformedHello("the list of server names is empty")
    host_name = b""
    position = 0
    while position < len(names):
        kind = names[position]
        name, position = _vector(names, position + 1, 2)
        if kind == 0 and not host_name:  # host_name, the only kind there is
            host_name = name
    if len(host_name) > _MAX_SERVER_NAME:
        raise MalformedHello("the server name is longer than 255 bytes")
    return _printable(host_name) or None


def _printable(name: bytes) -> str:
    if name.isascii():
        text = name.decode("ascii")
        if text.isprintable() and "\\" not in text:
            return text
    escaped = "".join(chr(b) if 0x20 <= b < 0x7F and b != 0x5C else f"\\x{b:02x}" for b in name)
    return escaped[:_MAX_SERVER_NAME]


def _key_share_groups(body: bytes) -> tuple[int, ...]:
    # As far as it is well formed: only a server that settles on TLS 1.3 reads it, others do not mind.
    groups: list[int] = []
    position = 2
    while position + 4 <= len(body):
        group, length = _TWO_NUMBERS.unpack_from(body, position)
        position += 4 + length
        if position <= len(body):
            groups.append(group)
    return tuple(groups)


def _offered_sessions(session_id: bytes, pre_shared_keys: bytes | None) -> list[bytes]:
    if pre_shared_keys is None:
        return [session_id] if session_id else []
    # As far as they are well formed, as with the key shares.
    identities: list[bytes] = []
    end = min(2 + int.from_bytes(pre_shared_keys[:2], "big"), len(pre_shared_keys))
    position = 2
    while position + 2 <= end and len(identities) < _MAX_TICKETS:
        start = position + 2
        stop = start + int.from_bytes(pre_shared_keys[position:start], "big")
        position = stop + 4  # past the age, as the client tells it
        if start < stop <= end - 4:
            identities.append(pre_shared_keys[start:stop])
    return identities
