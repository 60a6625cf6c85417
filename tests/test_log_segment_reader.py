"""One file of a log: whole lines from an offset on, plain and compressed."""

from __future__ import annotations

import gzip
import os
from contextlib import closing
from pathlib import Path

import pytest
import zstandard

from doorlog.log.segment_reader import LONGEST_LINE, SegmentReader

LINES = [b"one\n", b"two\n", b"\n", b"a\rb\n", b"three\n"]


def written(folder: Path, kind: str, data: bytes = b"".join(LINES)) -> Path:
    path = folder / f"x.jsonl{kind}"
    packed = {"": data, ".gz": gzip.compress(data), ".zst": zstandard.ZstdCompressor().compress(data)}
    path.write_bytes(packed[kind])
    return path


each_kind = pytest.mark.parametrize("kind", ["", ".gz", ".zst"])


@each_kind
def test_lines_are_taken_once_and_in_order(tmp_path: Path, kind: str) -> None:
    with closing(SegmentReader(written(tmp_path, kind))) as reader:
        assert reader.has_more
        taken = [reader.take(2, 100) for _ in range(4)]
        assert taken == [LINES[:2], LINES[2:4], LINES[4:], []]
        assert not reader.has_more
        assert reader.offset == sum(map(len, LINES))


@each_kind
def test_it_goes_to_any_line(tmp_path: Path, kind: str) -> None:
    with closing(SegmentReader(written(tmp_path, kind, b"".join(LINES) + b"torn"))) as reader:
        ends = [(line, end) for line, end in reader.each()]
        assert [line for line, _end in ends] == LINES
        for index in (2, 0, 4, 1):
            reader.seek(ends[index][1])
            assert reader.take(9, 100) == LINES[index + 1 :]
        reader.seek(10**6)
        assert reader.take(9, 100) == []


@each_kind
def test_what_is_too_long_is_passed_over(tmp_path: Path, kind: str) -> None:
    data = b"a\n" + b"x" * (2 * LONGEST_LINE) + b"end\nb\nc\n" + b"y" * LONGEST_LINE + b"\n"
    with closing(SegmentReader(written(tmp_path, kind, data))) as reader:
        assert [reader.take(9, 10) for _ in range(3)] == [[b"a\n"], [b"b\n", b"c\n"], []]


@each_kind
def test_the_first_record_names_the_file(tmp_path: Path, kind: str) -> None:
    data = b'torn\n{"event":{"sequence":7,"id":"a-7"}}\n{"event":{"sequence":8,"id":"a-8"}}\n'
    with closing(SegmentReader(written(tmp_path, kind, data))) as reader:
        assert (reader.first_sequence(), reader.offset) == (7, 0)
    with closing(SegmentReader(written(tmp_path, kind, b"torn"))) as reader:
        assert reader.first_sequence() is None


def test_a_file_is_known_when_it_is_renamed(tmp_path: Path) -> None:
    with closing(SegmentReader(path := written(tmp_path, ""))) as reader:
        assert reader.is_at(path)
        path.rename(tmp_path / "other")
        assert not reader.is_at(path)
        written(tmp_path, "")
        assert not reader.is_at(path)
        assert reader.is_at(tmp_path / "other")
    with closing(SegmentReader(path := written(tmp_path, ".zst"))) as reader:
        assert reader.identity is None
        assert not reader.is_at(path)
        assert not reader.is_cut


def test_a_cut_is_seen(tmp_path: Path) -> None:
    with closing(SegmentReader(path := written(tmp_path, ""))) as reader:
        reader.take(9, 100)
        assert not reader.is_cut
        os.truncate(path, 3)
        assert reader.is_cut


@pytest.mark.parametrize("kind", [".gz", ".zst"])
def test_a_damaged_file_ends_where_the_damage_begins(tmp_path: Path, kind: str) -> None:
    path = written(tmp_path, kind, b"".join(os.urandom(500).hex().encode() + b"\n" for _ in range(1000)))
    os.truncate(path, path.stat().st_size // 2)
    with closing(SegmentReader(path)) as reader:
        lines = [line for line, _end in reader.each()]
        assert len(lines) < 1000
        assert all(len(line) == 1001 for line in lines)
        assert reader.take(1, 100) == []
    path.write_bytes(b"no such format")
    with closing(SegmentReader(path)) as reader:
        assert reader.take(1, 100) == []


@pytest.mark.parametrize("size", range(1, 19))
def test_it_goes_to_a_line_near_the_end(tmp_path: Path, size: int) -> None:
    with closing(SegmentReader(written(tmp_path, ""))) as reader:
        whole = b"".join(LINES)
        assert reader.seek_near_end(size) is (size < len(whole))
        taken = list(reader.each())
        assert b"".join(line for line, _end in taken) == whole[len(whole) - sum(len(line) for line, _ in taken) :]
        assert [end for _line, end in taken] == [
            len(whole) - sum(len(line) for line, _ in taken[number + 1 :]) for number in range(len(taken))
        ]
        assert size >= len(whole) or sum(len(line) for line, _ in taken) <= size


@pytest.mark.parametrize("kind", [".gz", ".zst"])
def test_a_compressed_file_has_no_end_to_go_to(tmp_path: Path, kind: str) -> None:
    with closing(SegmentReader(written(tmp_path, kind))) as reader:
        assert not reader.seek_near_end(1)
        assert reader.take(9, 100) == LINES
