"""Chunks become blocks of whole lines, and no more is held than a line may have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from doorlog.readers.lines import LONGEST_LINE, Block, DamagedFile, LogFile, blocks_of

if TYPE_CHECKING:
    from collections.abc import Iterator


def contents(blocks: list[Block]) -> bytes:
    return b"".join(block.data[block.start : block.stop] for block in blocks)


@given(st.lists(st.binary(max_size=8).map(lambda data: data.replace(b"x", b"\n"))))
def test_blocks_hold_all_whole_lines_and_nothing_else(chunks: list[bytes]) -> None:
    blocks = list(blocks_of([LogFile("a", chunks)]))
    whole, _, rest = b"".join(chunks).rpartition(b"\n")

    assert contents(blocks) == (whole + b"\n" if b"\n" in b"".join(chunks) else b"")
    assert all(block.data[block.stop - 1 : block.stop] == b"\n" for block in blocks if not block.flaw)
    flaws = [(block.flaw, block.data) for block in blocks if block.flaw]
    assert flaws == ([("torn", rest)] if rest else [])
    assert [block.first for block in blocks] == [number == 0 for number in range(len(blocks))]


def test_the_end_of_the_live_file_may_be_written_just_now() -> None:
    blocks = list(blocks_of([LogFile("a", [b"1\n2"]), LogFile("b", [b"3\n4"], live=True)]))

    assert [(block.file, block.flaw) for block in blocks] == [
        ("a", None), ("a", "torn"), ("b", None), ("b", "writing"),
    ]  # fmt: skip


def test_a_line_without_end_ends_its_file() -> None:
    chunk = b"x" * (LONGEST_LINE // 2)
    blocks = list(blocks_of([LogFile("a", [b"1\n", *[chunk] * 100]), LogFile("b", [b"2\n"])]))

    assert [block.flaw for block in blocks] == [None, "endless", None]
    assert len(blocks[1].data) < 2 * LONGEST_LINE


def test_a_damaged_file_ends_where_it_is_damaged() -> None:
    def chunks() -> Iterator[bytes]:
        yield b"1\n2"
        raise DamagedFile

    assert [(block.flaw, block.data) for block in blocks_of([LogFile("a", chunks())])] == [
        (None, b"1\n2"), ("damaged", b"2"),
    ]  # fmt: skip
