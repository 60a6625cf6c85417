"""What a log is compared with, read from files: public keys, and checkpoints that were kept elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from doorlog.errors import LogError
from doorlog.events.codes import Action
from doorlog.readers.lines import LONGEST_LINE
from doorlog.readers.record import Line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LARGEST_KEY: Final = 65_536
_MAKE: Final = "openssl pkey -in log.key -pubout -out log.pub"


def read_key(path: Path) -> Ed25519PublicKey:
    """Read a public key.

    Args:
        path: PEM file (RFC 7468) with an Ed25519 public key (RFC 8410).

    Raises:
        LogError: It can not be read, or is something else.
    """
    try:
        with path.open("rb") as file:
            pem = file.read(_LARGEST_KEY)
    except OSError as error:
        raise LogError(f"{path}: can not be read: {error.strerror}") from error
    if b"PRIVATE KEY-----" in pem:
        raise LogError(f"{path}: this is a private key, to be kept where the broker runs; give the public one: {_MAKE}")
    try:
        key = load_pem_public_key(pem)
    except ValueError as error:
        raise LogError(f"{path}: expected a public key in PEM, as from: {_MAKE}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise LogError(f"{path}: expected an Ed25519 key, as from: openssl genpkey -algorithm ed25519 -out log.key")
    return key


def read_checkpoints(path: Path) -> dict[int, frozenset[bytes]]:
    """Read checkpoints that were kept elsewhere: the ``audit_checkpoint`` records among the lines of a file.

    What stands before a record in its line (a syslog header) is no part of it; other lines are left out.

    Args:
        path: What some sink of the log has written.

    Returns:
        Hashes of lines, by their ``event.sequence``.

    Raises:
        LogError: It can not be read, or holds no checkpoint.
    """
    kept: dict[int, frozenset[bytes]] = {}
    try:
        for line in _records(path):
            if line.is_record and line.action == Action.AUDIT_CHECKPOINT and line.sequence is not None:
                kept[line.sequence] = kept.get(line.sequence, frozenset()) | {line.hash}
    except OSError as error:
        raise LogError(f"{path}: can not be read: {error.strerror}") from error
    if not kept:
        raise LogError(f"{path}: holds no audit_checkpoint record, each in a line of its own as the log wrote it")
    return kept


def _records(path: Path) -> Iterator[Line]:
    with path.open("rb") as file:
        number = 0
        while data := file.readline(LONGEST_LINE):
            number += 1
            yield Line(str(path), number, data[max(0, data.find(b"{")) :].rstrip())
