"""The chain: each line holds the hash of the line before it, and checkpoints are signed.

The bytes of a line are what is hashed, as they stand in the file without their line feed; nothing has to be parsed or
made canonical. ``doorlog`` is the last object of a record, and the chain stands at its end, so that a line ends in
``"previous_sha256":"<64 digits>"}}``, that of a signed checkpoint in ``..."}}`` with ``"signature":"<88 characters>"``
behind it. Signatures are Ed25519 (RFC 8032), hashes SHA-256 (FIPS 180-4).
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

NOTHING_BEFORE: Final = b"0" * 64
"""What the first record of all says of the line before it."""

_PIECE: Final = 2047
"""Bytes that are hashed at a time. For more, hashlib lets go of the interpreter, and beside a busy event loop the log's
thread would wait to get it back for each line."""

_CHAIN: Final = b',"previous_sha256":"'
_SIGNATURE: Final = b',"signature":"'
_END: Final = b'"}}'
_CHAINED_LENGTH: Final = len(_CHAIN) + 64 + len(_END)
_SIGNED_LENGTH: Final = len(_SIGNATURE) + 88 + len(_END)


def line_hash(line: bytes) -> bytes:
    r"""Return the SHA-256 of a line as 64 lower-case hexadecimal digits; a ``\n`` at its end does not count."""
    end = len(line) - line.endswith(b"\n")
    digest = sha256(line[: min(end, _PIECE)])
    for start in range(_PIECE, end, _PIECE):
        digest.update(line[start : min(end, start + _PIECE)])
    return digest.hexdigest().encode()


def chained(line: bytes, previous: bytes) -> bytes:
    r"""Return a line with the hash of the line before it.

    Args:
        line: A record that ends in ``}}\n``, its ``doorlog`` object last.
        previous: The hash of the line before, 64 hexadecimal digits.

    Raises:
        ValueError: The line does not end so.
    """
    if not line.endswith(b"}}\n") or line.endswith(b"{}}\n"):
        raise ValueError("doorlog is not the last object of the record, or says nothing")
    return b"".join((line[:-3], _CHAIN, previous, _END, b"\n"))


def signed(line: bytes, key: Ed25519PrivateKey) -> bytes:
    """Return a chained line with a signature over all of it."""
    signature = b64encode(key.sign(line.removesuffix(b"\n")))
    return line[:-3] + _SIGNATURE + signature + _END + b"\n"


def previous_of(line: bytes) -> bytes | None:
    """Return the hash that a line holds of the line before it, or None where there is none."""
    line = unsigned(line)[0]
    if len(line) < _CHAINED_LENGTH or not line.endswith(_END) or line[-_CHAINED_LENGTH:].find(_CHAIN) != 0:
        return None
    return line[-64 - len(_END) : -len(_END)]


def unsigned(line: bytes) -> tuple[bytes, bytes | None]:
    """Take a line apart: what was signed, and the signature, None for none."""
    line = line.removesuffix(b"\n")
    tail = line[-_SIGNED_LENGTH:]
    if not tail.startswith(_SIGNATURE) or not tail.endswith(_END):
        return line, None
    return line[:-_SIGNED_LENGTH] + b"}}", tail[len(_SIGNATURE) : -len(_END)]


def is_signed_by(line: bytes, key: Ed25519PublicKey) -> bool:
    """Whether a line has a signature, and it is that of the key."""
    body, signature = unsigned(line)
    if signature is None:
        return False
    try:
        raw = b64decode(signature, validate=True)
        key.verify(raw, body)
    except (InvalidSignature, Base64Error):
        return False
    return b64encode(raw) == signature  # four of its bits mean nothing: changed, they are a change all the same


def key_id(key: Ed25519PublicKey) -> str:
    """Name a key: the first 16 hexadecimal digits of the SHA-256 of the raw public key."""
    return sha256(key.public_bytes_raw()).hexdigest()[:16]
