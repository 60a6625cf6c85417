r"""Chunks of bytes to blocks of whole lines: nothing is copied that need not be, and no line is endless."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LONGEST_LINE: Final = 1_048_576
"""Bytes. The longest record that doorlog writes has about 100,000."""


class DamagedFile(Exception):
    """What was compressed can not be decompressed any further; raised by the chunks of a file."""


@dataclass(frozen=True, slots=True)
class LogFile:
    """One file of a log."""

    name: str
    chunks: Iterable[bytes]
    """Its bytes in pieces of any size, decompressed."""
    live: bool = False
    """Whether a broker may be writing it."""


@dataclass(frozen=True, slots=True)
class Block:
    r"""Some lines of one file: those in ``data[start:stop]``, each with its ``\n``."""

    file: str
    data: bytes
    start: int
    stop: int
    first: bool = False
    """Whether it is the first of its file."""
    flaw: Literal["torn", "writing", "endless", "damaged"] | None = None
    r"""No lines, but what the file ends in without ``\n`` (``writing``: the live file), or where reading ends."""


def blocks_of(files: Iterable[LogFile]) -> Iterator[Block]:
    """Yield the lines of all files in order; of a file that ends in a flaw, that comes as its last block."""
    for file in files:
        first = True
        for block in _blocks(file):
            yield Block(file.name, block.data, block.start, block.stop, first, block.flaw)
            first = False


def _blocks(file: LogFile) -> Iterator[Block]:
    rest = b""
    try:
        for chunk in file.chunks:
            stop = chunk.rfind(b"\n") + 1
            start = 0
            if stop and rest:
                start = chunk.find(b"\n") + 1
                line = rest + chunk[:start]
                yield Block(file.name, line, 0, len(line))
            if start < stop:
                yield Block(file.name, chunk, start, stop)
            rest = chunk[stop:] if stop else rest + chunk
            if len(rest) > LONGEST_LINE:
                yield Block(file.name, rest, 0, 0, flaw="endless")
                return
    except DamagedFile:
        yield Block(file.name, rest, 0, 0, flaw="damaged")
        return
    if rest:
        yield Block(file.name, rest, 0, 0, flaw="writing" if file.live else "torn")
