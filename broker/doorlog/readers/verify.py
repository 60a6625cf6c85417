"""``doorlog verify``: reads all files of a log, in blocks of bounded size, and follows them as an audit trail."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from doorlog.errors import SettingsError
from doorlog.log.chain import key_id
from doorlog.log.segments import open_segment, segments
from doorlog.readers.audit_trail import AuditTrail, checkpoints_of
from doorlog.readers.report import Broken, Finding, Report

if TYPE_CHECKING:
    from typing import BinaryIO

BLOCK: Final = 131_072
"""Bytes that are read at a time: few enough to stay in the processor's cache."""
LONGEST_LINE: Final = 4_194_304
"""Bytes; a longer one is none of ours."""
_DAMAGED: Final = (zstandard.ZstdError, gzip.BadGzipFile, EOFError, zlib.error)


def verify_log(
    log: Path,
    *,
    keys: Mapping[str, Ed25519PublicKey] | None = None,
    elsewhere: Mapping[int, bytes] | None = None,
    on_progress: Callable[[str, int], None] = lambda _name, _records: None,
) -> Report:
    """Look whether a log is whole.

    Args:
        log: The live file, or a folder that holds one log.
        keys: Public keys that may have signed its checkpoints, by their ids.
        elsewhere: Checkpoints that were kept on another machine, see ``load_checkpoints``.
        on_progress: Told now and then the name of the file that is read, and how many records are done.

    Returns:
        What was found; ``fault`` is the first place where the log is not whole.

    Raises:
        OSError: There is no such log, or it can not be read.
    """
    trail = AuditTrail(keys, elsewhere)
    files = segments(log)
    try:
        for path in files:
            trail.begin_file(path.name)
            for lines in _blocks(path, trail, is_live=path is files[-1]):
                trail.read(lines)
                on_progress(path.name, trail.report.records)
        trail.end()
    except Broken as broken:
        trail.report.fault = broken.finding
    return trail.report


def load_keys(paths: Iterable[Path]) -> dict[str, Ed25519PublicKey]:
    """Read public keys in PEM.

    Raises:
        SettingsError: A file can not be read, or is no Ed25519 public key; with the remedy.
    """
    keys = {}
    for path in paths:
        try:
            key = load_pem_public_key(path.read_bytes())
        except OSError as error:
            raise SettingsError(f"--key: {path}: {error.strerror}") from error
        except ValueError as error:
            raise _no_key(path) from error
        if not isinstance(key, Ed25519PublicKey):
            raise _no_key(path)
        keys[key_id(key)] = key
    return keys


def load_checkpoints(path: Path) -> dict[int, bytes]:
    """Read checkpoints that were kept on another machine: records, or what a sink made of them, a line each.

    Raises:
        SettingsError: It can not be read, or holds no checkpoint.
    """
    try:
        with path.open("rb") as file:
            found = checkpoints_of(line for line in file if b"audit_checkpoint" in line)
    except OSError as error:
        raise SettingsError(f"--checkpoint: {path}: {error.strerror}") from error
    if not found:
        raise SettingsError(f"--checkpoint: {path} holds no audit_checkpoint record")
    return found


def _no_key(path: Path) -> SettingsError:
    return SettingsError(
        f"--key: {path} is no Ed25519 public key in PEM: make it with openssl pkey -in log.key -pubout -out log.pub"
    )


def _blocks(path: Path, trail: AuditTrail, *, is_live: bool) -> Iterator[list[bytes]]:
    """Yield whole lines, many at a time; what stands torn behind the last is a note for the live file, else a fault."""
    rest = b""
    try:
        with open_segment(path) as file:
            for block in _read(file):
                *lines, rest = (rest + block).split(b"\n")
                yield lines
                if len(rest) > LONGEST_LINE:
                    raise Broken(_finding(path, trail, "changed", f"has a line of more than {LONGEST_LINE} bytes"))
    except _DAMAGED as error:
        raise Broken(_finding(path, trail, "damaged", "can not be decompressed: it was changed or cut")) from error
    if rest and not is_live:
        raise Broken(_finding(path, trail, "torn", f"ends with {len(rest)} bytes that are no whole record"))
    if rest:
        trail.report.notes.append(f"{path.name} ends with {len(rest)} bytes of a record that is not whole yet")


def _read(file: BinaryIO) -> Iterator[bytes]:
    while block := file.read(BLOCK):
        yield block


def _finding(path: Path, trail: AuditTrail, kind: str, sentence: str) -> Finding:
    return Finding(kind, path.name, trail.line + 1, None, sentence)
