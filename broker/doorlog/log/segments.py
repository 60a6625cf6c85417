"""The files of one log: closed segments, oldest first, then the live file; and their lines, compressed or not.

``doorlog.jsonl`` is the live file of a log. A closed segment of it is
``doorlog-20260301T150211Z-0000000000000000001.jsonl.zst``: when its first record was written (UTC) and that record's
``event.sequence``, so that names sort by time. What logrotate leaves (``doorlog.jsonl.1``, ``doorlog.jsonl-1.gz``)
belongs to the log as well. The order is that of the sequences, whatever the clock did.
"""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from errno import EIO
from pathlib import Path
from typing import Any, BinaryIO, Final

import zstandard

_CLOSED: Final = re.compile(r"-(?P<time>\d{8}T\d{6}Z)-(?P<sequence>\d{19})\.jsonl(?:\.zst|\.gz)?")
_FOREIGN: Final = re.compile(r"[.-]\d[0-9.-]*(?:\.zst|\.gz)?")
_CLOSED_AT_END: Final = re.compile(_CLOSED.pattern + "$")
_PACKED_AT_END: Final = re.compile(r"\.(?:zst|gz)$")
_ROTATED: Final = re.compile(rf"(?P<live>.+\.jsonl)(?:{_FOREIGN.pattern})")
_SEQUENCE: Final = re.compile(rb'"sequence":(\d{1,19})[,}]')
_LONGEST_LINE: Final = 1_048_576
_CHUNK: Final = 131_072
_COMPRESSED_CHUNK: Final = 4_096
"""Bytes, small since each can become 10,000 times as many."""


def segment_name(live: Path, begun: datetime, first_sequence: int) -> str:
    """Name a closed segment.

    Args:
        live: The live file.
        begun: When its first record was written.
        first_sequence: ``event.sequence`` of that record.
    """
    return f"{live.stem}-{begun.astimezone(UTC):%Y%m%dT%H%M%SZ}-{first_sequence:019d}.jsonl"


def is_closed_segment(live: Path, path: Path) -> bool:
    """Whether a file is a segment that doorlog itself closed."""
    return path.name.startswith(live.stem) and _CLOSED.fullmatch(path.name[len(live.stem) :]) is not None


def sequence_in(name: str) -> int | None:
    """Return ``event.sequence`` of the first record, as the name of a closed segment has it; None for other names."""
    found = _CLOSED.search(name)
    return int(found["sequence"]) if found else None


def plain_name(path: Path) -> str:
    """Return the name that a segment has, or had, before it was compressed."""
    return _PACKED_AT_END.sub("", path.name)


def closed_segments(live: Path) -> list[Path]:
    """Return the closed segments of a live file, oldest first.

    A segment that is there twice (plain and compressed, since a crash came between) is given once, plain.

    Raises:
        OSError: The folder can not be read, or what logrotate left is damaged, so that nobody knows its place.
    """
    found: dict[str, tuple[int, Path]] = {}
    for path in live.parent.iterdir():
        if not path.name.startswith(live.stem) or path == live or not path.is_file():
            continue
        sequence = _first_sequence(live, path)
        plain = plain_name(path)
        if sequence is not None and (plain not in found or path.name == plain):
            found[plain] = (sequence, path)
    return [path for _sequence, path in sorted(found.values())]


def segments(log: Path) -> list[Path]:
    """Return all files of a log in order, the live one last.

    Args:
        log: The live file (which may be absent for a moment while it is rotated), or a folder that holds one log.

    Raises:
        FileNotFoundError: There is no such log.
        OSError: The folder can not be read.
    """
    live = live_file(log) if log.is_dir() else log
    files = [*closed_segments(live), *([live] if live.is_file() else [])]
    if not files:
        raise FileNotFoundError(2, "No such file or directory", str(log))
    return files


def live_file(folder: Path) -> Path:
    """Find the live file of the one log in a folder.

    Raises:
        FileNotFoundError: There is none, or more than one.
    """
    names = {path.name for path in folder.iterdir() if path.is_file()}
    rotated = {match["live"] for name in names if (match := _ROTATED.fullmatch(name))}
    closed = {_CLOSED_AT_END.sub("", name) for name in names if _CLOSED_AT_END.search(name)}
    live = rotated | {name for name in names if name.endswith(".jsonl") and not _CLOSED_AT_END.search(name)}
    live |= {_live_name(folder, stem, names) for stem in closed if f"{stem}.jsonl" not in live}
    candidates = sorted(live)
    if len(candidates) != 1:
        what = f"several logs ({', '.join(candidates)}): name one" if candidates else "no log (*.jsonl) here"
        raise FileNotFoundError(2, what, str(folder))
    return folder / candidates[0]


def open_segment(path: Path) -> io.BufferedReader:
    """Open a file of a log for reading, decompressing it by its name.

    Raises:
        OSError: It can not be opened.
    """
    if path.suffix == ".gz":
        return io.BufferedReader(gzip.open(path))
    file = path.open("rb")
    if path.suffix != ".zst":
        return file
    return io.BufferedReader(_ZstdReader(file), _CHUNK)


def sequence_of(line: bytes) -> int | None:
    """Return ``event.sequence`` of a line without parsing all of it, None where there is none.

    Text that a client chose can not be taken for it: a quote within a JSON string is escaped.
    """
    found = _SEQUENCE.search(line)
    return int(found[1]) if found else None


def first_line(path: Path) -> bytes:
    r"""Return the first whole line of a file of a log with its ``\n``; empty where there is none.

    Raises:
        Exception: As ``whole_lines``.
    """
    with open_segment(path) as file:
        line = file.readline(_LONGEST_LINE)
    return line if line.endswith(b"\n") else b""


def whole_lines(path: Path) -> Iterator[bytes]:
    r"""Yield the whole lines of a file of a log, each with its ``\n``; what a crash left behind the last is left out.

    Raises:
        OSError: The file can not be read.
        zstandard.ZstdError: A compressed segment is damaged.
        EOFError: A ``.gz`` ends too early.
        zlib.error: It is damaged otherwise.
    """
    with open_segment(path) as file:
        for line in file:
            if line.endswith(b"\n"):
                yield line


class _ZstdReader(io.RawIOBase):
    """What is in a compressed file, which may have several frames (RFC 8878, 3.1).

    The library's own stream reader takes a frame that was cut off for the end of the file.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._decompressor: zstandard.ZstdDecompressionObj | None = None
        self._compressed = b""
        self._plain = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._plain:
            self._compressed = self._compressed or self._file.read(_COMPRESSED_CHUNK)
            if not self._compressed:
                if self._decompressor is not None:
                    raise zstandard.ZstdError("the compressed data ends in the middle")
                return 0
            self._plain = memoryview(self._decompressed())
        size = min(len(buffer), len(self._plain))
        buffer[:size], self._plain = self._plain[:size], self._plain[size:]
        return size

    def close(self) -> None:
        self._file.close()
        super().close()

    def _decompressed(self) -> bytes:
        self._decompressor = self._decompressor or zstandard.ZstdDecompressor().decompressobj()
        plain = self._decompressor.decompress(self._compressed)
        self._compressed = self._decompressor.unused_data
        if self._decompressor.eof:
            self._decompressor = None
        return plain


def _live_name(folder: Path, stem: str, names: set[str]) -> str:
    """Name the live file of closed segments: whatever its ending is, it begins with a record."""
    others = (name for name in sorted(names) if Path(name).stem == stem and not _CLOSED_AT_END.search(name))
    return next((name for name in others if sequence_of(first_line(folder / name)) is not None), f"{stem}.jsonl")


def _first_sequence(live: Path, path: Path) -> int | None:
    closed = _CLOSED.fullmatch(path.name[len(live.stem) :])
    if closed is not None:
        return int(closed["sequence"])
    if not path.name.startswith(live.name) or not _FOREIGN.fullmatch(path.name[len(live.name) :]):
        return None
    try:
        return sequence_of(first_line(path))
    except (EOFError, zlib.error, zstandard.ZstdError) as error:
        raise OSError(EIO, f"it is damaged ({error})", str(path)) from error
