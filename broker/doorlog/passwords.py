"""Password files: a line ``user:argon2-hash`` for each user, read strictly and written atomically."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from argon2 import PasswordHasher

from doorlog.errors import SettingsError
from doorlog.files import replace_file

MAX_BYTES = 65_535
"""The longest user name, and the longest password, that CONNECT can carry (MQTT 3.1.1, 1.5.3 and 3.1.3.5)."""

_BOM = b"\xef\xbb\xbf"
_LOOSE_MODE = 0o027  # its group may write the file, or all others may read, write or execute it
_ARGON2 = re.compile(
    r"(?P<costs>\$argon2(?:id|i|d)\$(?:v=1[69]\$)?m=(?P<m>[1-9]\d{0,9}),t=[1-9]\d{0,9},p=(?P<p>[1-9]\d{0,7}))"
    r"\$(?P<salt>[A-Za-z0-9+/]{11,})\$(?P<tag>[A-Za-z0-9+/]{6,})"
)
_OTHER_HASHES = {"$6$": "SHA-512", "$5$": "SHA-256", "$1$": "MD5", "$7$": "PBKDF2", "$y$": "yescrypt", "$2": "bcrypt"}
_REMEDY = "give the user a new password, which is stored as Argon2"
_hasher = PasswordHasher()


class _Shape(NamedTuple):
    """What decides how much work it is to verify a hash."""

    costs: str
    salt_bytes: int
    tag_bytes: int


@dataclass(frozen=True, slots=True)
class Users:
    """What a password file says.

    Attributes:
        hashes: The Argon2 hash of each user.
        stranger: A hash that no password has, at the costs that most hashes of the file have: verifying an
            unknown user's password against it is as much work as a known user's.
        outliers: Users whose hash has other costs, so that their names can be told by the time of the answer.
        is_loose: Whether the file's mode lets its group write it, or everybody read it.
    """

    hashes: Mapping[str, str] = field(repr=False)
    stranger: str = field(repr=False)
    outliers: int
    is_loose: bool


def hash_password(password: str) -> str:
    """Hash a password with Argon2id (RFC 9106) at the costs that argon2-cffi recommends.

    Raises:
        SettingsError: If the password is empty, or is no text that CONNECT can carry.
    """
    try:
        encoded = password.encode()
    except UnicodeEncodeError:
        encoded = b""
    if not 1 <= len(encoded) <= MAX_BYTES:
        raise SettingsError(f"a password has 1 to {MAX_BYTES} bytes of UTF-8")
    return _hasher.hash(encoded)


def read_users(path: Path) -> Users:
    """Read a password file (UTF-8; empty lines and lines that begin with ``#`` are skipped).

    Raises:
        SettingsError: If the file can not be read, or for the first line that is wrong: with the file's path
            and the line's number, and without anything that the line holds.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            lines = _lines(file.read())
    except OSError as error:
        raise SettingsError(f"{path}: the password file can not be read: {error.strerror}") from error
    hashes: dict[str, str] = {}
    shapes: Counter[_Shape] = Counter()
    for number, line in enumerate(lines, start=1):
        place = f"{path}, line {number}"
        if (entry := _entry(line, place)) is None:
            continue
        user, encoded = entry
        if user in hashes:
            raise SettingsError(f"{place}: this user stands in an earlier line too; keep one of them")
        hashes[user] = encoded
        shapes[_shape(encoded, place)] += 1
    (shape, count), *_ = shapes.most_common(1) or [(_default_shape(), 0)]
    return Users(hashes, _stranger(shape), len(hashes) - count, is_loose=bool(mode & _LOOSE_MODE))


def set_password(path: Path, user: str, password: str) -> None:
    """Give a user a password, new or instead of the old one; every other line stays as it is.

    The file is replaced at once (mode 0600, its owner kept where that is permitted): a reader sees the old
    content or the new one, and two calls at the same time lose neither's user.

    Args:
        path: The password file; created if it does not exist.
        user: Not empty, printable, without a colon, not beginning with ``#`` or a space, not ending in a space.
        password: 1 to 65,535 bytes of UTF-8.

    Raises:
        SettingsError: If the user name or the password can not be stored, or the file not be written.
    """
    if not _is_storable(user):
        raise SettingsError("a user name is printable, without a colon, and begins neither with # nor with a space")
    new = f"{user}:{hash_password(password)}".encode()
    path = path.resolve()  # a symbolic link stays one
    try:
        with _folder_locked(path.parent) as folder:
            lines = _lines(path.read_bytes()) if path.exists() else []
            replace_file(path, b"\n".join(_with(lines, user.encode(), new)) + b"\n", keeps_owner=True)
            os.fsync(folder)
    except OSError as error:
        raise SettingsError(f"{path}: the password file can not be written: {error.strerror}") from error


def _lines(content: bytes) -> list[bytes]:
    content = content.removeprefix(_BOM).removesuffix(b"\n")
    return content.split(b"\n") if content else []


def _entry(line: bytes, place: str) -> tuple[str, str] | None:
    """Take a line apart into user and hash; None if it holds neither."""
    try:
        text = line.decode().strip()
    except UnicodeDecodeError:
        raise SettingsError(f"{place}: not UTF-8; write the file in UTF-8") from None
    if not text or text.startswith("#"):
        return None
    user, colon, encoded = text.partition(":")
    if not (user and colon):
        raise SettingsError(f"{place}: expected a user name, a colon and an Argon2 hash")
    return user, encoded


def _shape(encoded: str, place: str) -> _Shape:
    match = _ARGON2.fullmatch(encoded)
    if match is None:
        for prefix, name in _OTHER_HASHES.items():
            if encoded.startswith(prefix):
                raise SettingsError(f"{place}: {name} hashes are not supported; {_REMEDY}")
        raise SettingsError(f"{place}: what follows the user name is no Argon2 hash; {_REMEDY}")
    salt, tag = _unpadded_size(match["salt"]), _unpadded_size(match["tag"])
    if not salt or not tag or int(match["m"]) < 8 * int(match["p"]):  # RFC 9106, 3.1
        raise SettingsError(f"{place}: the Argon2 hash is damaged; {_REMEDY}")
    return _Shape(match["costs"], salt, tag)


def _unpadded_size(text: str) -> int:
    """Give the bytes that base64 without padding stands for; 0 if it is not what an encoder writes."""
    with suppress(ValueError):
        data = b64decode(text + "=" * (-len(text) % 4), validate=True)
        return len(data) if _unpadded(data) == text else 0
    return 0


def _unpadded(data: bytes) -> str:
    return b64encode(data).decode().rstrip("=")


def _default_shape() -> _Shape:
    costs = f"$argon2id$v=19$m={_hasher.memory_cost},t={_hasher.time_cost},p={_hasher.parallelism}"
    return _Shape(costs, _hasher.salt_len, _hasher.hash_len)


def _stranger(shape: _Shape) -> str:
    """Make up a hash: whoever finds its password has broken Argon2."""
    salt, tag = secrets.token_bytes(shape.salt_bytes), secrets.token_bytes(shape.tag_bytes)
    return f"{shape.costs}${_unpadded(salt)}${_unpadded(tag)}"


def _is_storable(user: str) -> bool:
    return (
        user.isprintable()
        and bool(user)
        and user == user.strip()
        and ":" not in user
        and not user.startswith("#")
        and len(user.encode()) <= MAX_BYTES
    )


def _with(lines: list[bytes], user: bytes, new: bytes) -> Iterator[bytes]:
    """Put the new line where the user's first one stood, or at the end."""
    placed = False
    for line in lines:
        if line.strip().partition(b":")[0] != user:
            yield line
        elif not placed:
            placed = True
            yield new
    if not placed:
        yield new


@contextmanager
def _folder_locked(folder: Path) -> Iterator[int]:
    """Keep other calls out; the file itself can not be locked, since it is about to be replaced."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)
