"""The files of a log: which ones they are, in which order, and their lines whatever they are compressed with."""

from __future__ import annotations

import gzip
import json
import zlib
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from doorlog.log.segments import (
    closed_segments,
    first_line,
    live_file,
    open_segment,
    plain_name,
    segment_name,
    segments,
    sequence_in,
    sequence_of,
    whole_lines,
)

BEGUN = datetime(2026, 3, 1, 15, 2, 11, tzinfo=UTC)


def record(sequence: int, text: str = "") -> bytes:
    line = {"message": text, "event": {"action": "connect", "sequence": sequence, "id": "a-1"}, "doorlog": {}}
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"


def records(first: int, count: int) -> bytes:
    return b"".join(record(sequence) for sequence in range(first, first + count))


def filled(path: Path, data: bytes = b"") -> Path:
    packed = {".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}.get(path.suffix, bytes)
    path.write_bytes(packed(data))
    return path


def closed(folder: Path, first: int, begun: datetime = BEGUN, live: str = "doorlog.jsonl", ending: str = "") -> Path:
    return filled(folder / (segment_name(folder / live, begun, first) + ending), records(first, 3))


# names and order


def test_a_segment_is_named_by_its_first_record() -> None:
    name = segment_name(Path("logs/doorlog.jsonl"), BEGUN.astimezone(timezone(timedelta(hours=5))), 42)

    assert name == "doorlog-20260301T150211Z-0000000000000000042.jsonl"


@pytest.mark.parametrize("ending", ["", ".zst", ".gz"])
def test_a_name_tells_its_sequence_compressed_or_not(ending: str) -> None:
    name = segment_name(Path("logs/doorlog.jsonl"), BEGUN, 42)

    assert sequence_in(name + ending) == 42
    assert plain_name(Path(name + ending)) == name


@pytest.mark.parametrize("name", ["doorlog.jsonl", "doorlog.jsonl.1", "doorlog.jsonl-20260301.gz", "x-42.jsonl"])
def test_other_names_tell_none(name: str) -> None:
    assert sequence_in(name) is None


@given(st.lists(st.integers(0, 10**18), min_size=2, max_size=8, unique=True))
def test_names_sort_as_their_sequences_do(sequences: list[int]) -> None:
    names = [segment_name(Path("x.jsonl"), BEGUN, sequence) for sequence in sorted(sequences)]

    assert sorted(names) == names


def test_all_files_of_a_log_come_oldest_first_and_the_live_one_last(tmp_path: Path) -> None:
    live = filled(tmp_path / "doorlog.jsonl", records(40, 1))
    rotated = filled(tmp_path / "doorlog.jsonl.1", records(30, 2))
    dated = filled(tmp_path / "doorlog.jsonl-20260228.gz", records(20, 2))
    own = [closed(tmp_path, 10, ending=".zst"), closed(tmp_path, 1, ending=".gz")]
    for stranger in ("doorlog.yaml", "doorlog.jsonl.bak", "doorlog-old.jsonl", "doorlog-1.jsonl", "other.jsonl.1"):
        filled(tmp_path / stranger, records(1, 1))
    (tmp_path / "doorlog.jsonl.2").mkdir()

    assert segments(live) == [own[1], own[0], dated, rotated, live]


def test_the_order_is_that_of_the_records_when_the_clock_went_back(tmp_path: Path) -> None:
    early = closed(tmp_path, 10, BEGUN - timedelta(days=1))
    first = closed(tmp_path, 1, BEGUN)

    assert closed_segments(tmp_path / "doorlog.jsonl") == [first, early]


@pytest.mark.parametrize("ending", [".zst", ".gz"])
def test_a_segment_whose_compression_was_interrupted_is_there_once(tmp_path: Path, ending: str) -> None:
    plain, packed = closed(tmp_path, 1), closed(tmp_path, 1, ending=ending)
    packed.write_bytes(packed.read_bytes()[:10])
    filled(tmp_path / f"{plain.name}.zst.tmp")

    assert closed_segments(tmp_path / "doorlog.jsonl") == [plain]
    assert live_file(tmp_path).name == "doorlog.jsonl"


def test_a_rotated_file_without_a_record_is_no_segment(tmp_path: Path) -> None:
    live = filled(tmp_path / "doorlog.jsonl", records(1, 1))
    filled(tmp_path / "doorlog.jsonl.1")
    filled(tmp_path / "doorlog.jsonl.2", b"half a line")
    filled(tmp_path / "doorlog.jsonl.3", b"{}\n")

    assert segments(live) == [live]


def broken_frame(data: bytes) -> bytes:
    packed = zstandard.ZstdCompressor(write_checksum=True).compress(data)
    return packed[:-1] + bytes([packed[-1] ^ 1])


@pytest.mark.parametrize(
    ("name", "damaged"),
    [
        ("doorlog.jsonl.1.gz", gzip.compress(records(1, 9), mtime=0)[:-20]),
        ("doorlog.jsonl.1.gz", gzip.compress(records(1, 9), mtime=0)[:10] + b"\xff" * 40),
        ("doorlog.jsonl.1.gz", b"no gzip at all"),
        ("doorlog.jsonl.1.zst", zstandard.ZstdCompressor().compress(records(1, 9))[:-20]),
        ("doorlog.jsonl.1.zst", b"no zstd at all"),
    ],
)
def test_a_damaged_file_whose_place_nobody_knows_is_no_secret(tmp_path: Path, name: str, damaged: bytes) -> None:
    live = filled(tmp_path / "doorlog.jsonl", records(1, 1))
    (tmp_path / name).write_bytes(damaged)

    with pytest.raises(OSError):  # noqa: PT011 - gzip's own words, or ours
        segments(live)


# one log in a folder


def test_a_folder_with_one_log_is_that_log(tmp_path: Path) -> None:
    first, live = closed(tmp_path, 1, ending=".zst"), filled(tmp_path / "doorlog.jsonl", records(4, 1))
    filled(tmp_path / "doorlog.yaml", b"log: {}")

    assert segments(tmp_path) == [first, live]


def test_a_live_file_that_is_just_being_rotated(tmp_path: Path) -> None:
    first = closed(tmp_path, 1)
    assert segments(tmp_path) == [first]
    first.unlink()

    rotated = filled(tmp_path / "doorlog.jsonl.1", records(1, 1))
    assert segments(tmp_path) == [rotated]


def test_a_log_with_an_ending_of_its_own(tmp_path: Path) -> None:
    first = closed(tmp_path, 1, live="audit.log")
    filled(tmp_path / "audit.key", b"secret\n")
    live = filled(tmp_path / "audit.log", records(4, 1))

    assert segments(tmp_path) == [first, live]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], r"no log \(\*\.jsonl\) here"),
        (["notes.txt"], r"no log \(\*\.jsonl\) here"),
        (["a.jsonl", "b.jsonl"], r"several logs \(a\.jsonl, b\.jsonl\): name one"),
        (["a.jsonl", "b-20260301T150211Z-0000000000000000001.jsonl.zst"], r"several logs \(a\.jsonl, b\.jsonl\)"),
    ],
)
def test_a_folder_without_one_log(tmp_path: Path, names: list[str], said: str) -> None:
    for name in names:
        filled(tmp_path / name)

    with pytest.raises(FileNotFoundError, match=said):
        segments(tmp_path)


def test_a_log_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        segments(tmp_path / "doorlog.jsonl")


# sequences


@given(st.integers(0, 10**19 - 1), st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_the_sequence_is_that_of_the_record_whatever_a_client_chose(sequence: int, text: str) -> None:
    assert sequence_of(record(sequence, text)) == sequence
    assert sequence_of(record(sequence, f'"sequence":1,{text}"sequence":2}}')) == sequence


@given(st.binary(max_size=100))
def test_any_bytes_have_a_sequence_or_none(line: bytes) -> None:
    assert sequence_of(line) is None
    assert sequence_of(b'{"event":{"sequence":-1}}') is None
    assert sequence_of(b'{"event":{"sequence":12345678901234567890}}') is None
    assert sequence_of(b'{"doorlog":{"gap":{"first_sequence":5}}}') is None


# lines


@pytest.mark.parametrize("ending", ["", ".zst", ".gz"])
def test_lines_are_the_same_however_they_are_kept(tmp_path: Path, ending: str) -> None:
    path = filled(tmp_path / f"doorlog.jsonl{ending}", records(1, 5_000) + b'{"torn":')

    lines = list(whole_lines(path))

    assert lines == [record(sequence) for sequence in range(1, 5_001)]
    assert first_line(path) == record(1)
    with open_segment(path) as file:
        assert file.read() == records(1, 5_000) + b'{"torn":'


@pytest.mark.parametrize("ending", ["", ".zst", ".gz"])
def test_a_file_without_a_whole_line(tmp_path: Path, ending: str) -> None:
    path = filled(tmp_path / f"doorlog.jsonl{ending}", b"x" * 2_000_000)

    assert (first_line(path), list(whole_lines(path))) == (b"", [])


def test_several_frames_are_one_file(tmp_path: Path) -> None:
    path = tmp_path / "doorlog.jsonl.zst"
    path.write_bytes(b"".join(zstandard.ZstdCompressor().compress(records(first, 2)) for first in (1, 3, 5)))

    assert list(map(sequence_of, whole_lines(path))) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("kept", [0.999, 0.5, 0.01])
def test_a_compressed_segment_that_was_cut_off_is_no_shorter_log(tmp_path: Path, kept: float) -> None:
    path = filled(tmp_path / "doorlog.jsonl.zst", records(1, 5_000))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])

    with pytest.raises(zstandard.ZstdError, match="ends in the middle"):
        list(whole_lines(path))


@pytest.mark.parametrize(
    ("name", "damaged", "error"),
    [
        ("a.zst", b"no zstd at all", zstandard.ZstdError),
        ("a.zst", broken_frame(records(1, 9)), zstandard.ZstdError),
        ("a.zst", zstandard.ZstdCompressor().compress(records(1, 9)) + b"more", zstandard.ZstdError),
        ("a.gz", b"no gzip at all", gzip.BadGzipFile),
        ("a.gz", gzip.compress(records(1, 9), mtime=0)[:-9], EOFError),
        ("a.gz", gzip.compress(records(1, 9), mtime=0)[:10] + b"\xff" * 40, zlib.error),
    ],
)
def test_damage_is_an_error(tmp_path: Path, name: str, damaged: bytes, error: type[Exception]) -> None:
    path = tmp_path / name
    path.write_bytes(damaged)

    with pytest.raises(error):
        list(whole_lines(path))


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(whole_lines(tmp_path / "doorlog.jsonl.zst"))
