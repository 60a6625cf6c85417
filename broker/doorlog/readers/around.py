"""The lines around a place in a log, for saying what is wrong there."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

from doorlog.readers.lines import Block
from doorlog.readers.record import Line

if TYPE_CHECKING:
    from collections.abc import Iterator

LINES_AROUND: Final = 500
"""Lines that are looked at on each side of a break, to say what it is."""


@dataclass(slots=True)
class Ahead:
    """The rest of a block from some place on, and the blocks behind it."""

    block: Block
    at: int
    number: int
    """Of the line there."""
    blocks: Iterator[Block]

    def lines(self) -> list[Line]:
        """Return the next lines, as many as are looked at; they are gone for anybody else then."""
        return list(islice(self._lines(), LINES_AROUND))

    def _lines(self) -> Iterator[Line]:
        yield from _lines_of(self.block, self.at, self.number)
        number = self.number + self.block.data.count(b"\n", self.at, self.block.stop)
        for block in self.blocks:
            number = 1 if block.first else number
            yield from _lines_of(block, block.start, number)
            number += block.data.count(b"\n", block.start, block.stop)


def until(block: Block, at: int) -> Block:
    """Return the lines of a block that stand before a place."""
    return Block(block.file, block.data, block.start, at)


def last_lines(block: Block, number: int) -> list[Line]:
    """Return the last lines of a block.

    Args:
        block: Some lines of a file.
        number: Of the last of them in the file.
    """
    lines = block.data[block.start : block.stop].split(b"\n")[:-1][-LINES_AROUND:]
    return [Line(block.file, number - len(lines) + index, data) for index, data in enumerate(lines, 1)]


def _lines_of(block: Block, start: int, number: int) -> Iterator[Line]:
    while start < block.stop:
        end = block.data.index(b"\n", start, block.stop)
        yield Line(block.file, number, block.data[start:end])
        start, number = end + 1, number + 1
