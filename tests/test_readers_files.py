"""The files of a log are found, opened in order and read, also while a broker closes, compresses and deletes them."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, BinaryIO

import pytest

from doorlog.errors import LogError
from doorlog.log.segments import closed_segments
from doorlog.readers import files as module
from doorlog.readers.files import open_log, reopening
from doorlog.readers.lines import DamagedFile
from doorlog.readers.verify import verify
from support.chained_logs import ChainedLog, eventful_log, pack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def log() -> ChainedLog:
    return eventful_log()


def contents(path: Path) -> bytes:
    with open_log(path) as opened:
        return b"".join(chunk for file in opened.files for chunk in file.chunks)


@pytest.mark.parametrize("packed", ["", ".zst", ".gz"])
def test_segments_come_in_order_and_the_live_file_last(tmp_path: Path, log: ChainedLog, packed: str) -> None:
    live = log.write(tmp_path, packed)

    for path in (tmp_path, live):
        assert contents(path) == b"".join(log.lines)
    with open_log(tmp_path) as opened:
        assert [file.live for file in opened.files] == [False, False, False, True]
        assert opened.files[0].name.endswith(f"-0000000000000000001.jsonl{packed}")


@pytest.mark.parametrize("packed", ["", ".zst", ".gz"])
def test_progress_adds_up_to_the_size_on_disk(tmp_path: Path, log: ChainedLog, packed: str) -> None:
    log.write(tmp_path, packed)
    steps: list[int] = []

    with open_log(tmp_path, steps.append) as opened:
        assert verify(opened.files).whole
        assert sum(steps) == opened.size == sum(path.stat().st_size for path in tmp_path.iterdir())


def test_one_segment_can_be_read_by_itself(tmp_path: Path, log: ChainedLog) -> None:
    log.write(tmp_path, ".zst")
    (path,) = tmp_path.glob("*-0000000000000000009.jsonl.zst")

    with open_log(path) as opened:
        assert [file.live for file in opened.files] == [False]
    assert contents(path) == b"".join(log.segments[1])


def test_a_log_without_its_live_file_is_read(tmp_path: Path, log: ChainedLog) -> None:
    log.write(tmp_path).unlink()

    assert contents(tmp_path) == b"".join(log.lines[: -len(log.segments[-1])])


# while a broker goes on


def test_a_live_file_that_is_closed_while_it_is_opened_is_read_once(
    tmp_path: Path, log: ChainedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = log.write(tmp_path)

    for packed in ("", ".zst"):

        def rotating(path: Path, packed: str = packed) -> list[Path]:
            closed = tmp_path / f"doorlog-20260301T160000Z-{42:019d}.jsonl{packed}"
            if packed:
                closed.write_bytes(pack(live.read_bytes(), packed))
            else:
                os.link(live, closed)
            segments = closed_segments(path)
            closed.unlink()
            return segments

        monkeypatch.setattr(module, "closed_segments", rotating)
        assert contents(live) == b"".join(log.lines)


def test_a_live_file_that_is_renamed_is_read_to_its_end(tmp_path: Path, log: ChainedLog) -> None:
    live = log.write(tmp_path)

    with open_log(live) as opened:
        live.rename(tmp_path / "elsewhere")
        live.write_bytes(b"another one")
        assert verify(opened.files).records == len(log.lines)


def test_a_segment_that_is_compressed_meanwhile_is_read(tmp_path: Path, log: ChainedLog) -> None:
    log.write(tmp_path)
    with open_log(tmp_path) as opened:
        (path,) = tmp_path.glob("*-0000000000000000009.jsonl")
        path.with_name(path.name + ".zst").write_bytes(pack(path.read_bytes(), ".zst"))
        path.unlink()
        assert verify(opened.files).whole


def test_a_segment_that_is_deleted_meanwhile_is_told(tmp_path: Path, log: ChainedLog) -> None:
    log.write(tmp_path)
    with open_log(tmp_path) as opened:
        (path,) = tmp_path.glob("*-0000000000000000009.jsonl")
        path.unlink()
        with pytest.raises(LogError, match=r"9\.jsonl: No such file .*; if it was deleted just now, try again$"):
            verify(opened.files)


# what can not be read


def test_a_log_that_is_not_there_is_told(tmp_path: Path) -> None:
    for path in (tmp_path / "doorlog.jsonl", tmp_path / "nowhere" / "doorlog.jsonl"):
        with pytest.raises(LogError, match=r"doorlog\.jsonl: is not there: name the log with --log"), open_log(path):
            pass
    with pytest.raises(LogError, match=r"no log \(\*\.jsonl\) here: name the log"), open_log(tmp_path):
        pass
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).touch()
    with pytest.raises(LogError, match=r"several logs \(a\.jsonl, b\.jsonl\): name one"), open_log(tmp_path):
        pass


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(LogError, match="pipe: is neither a file nor a folder"), open_log(tmp_path / "pipe"):
        pass


def test_errors_of_the_system_are_told_with_place_and_remedy(
    tmp_path: Path, log: ChainedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = log.write(tmp_path)
    for number, said in (
        (errno.EACCES, r"jsonl: Permission denied: run this as the user of the broker, or give this one the right"),
        (errno.EIO, r"jsonl: can not be read: Input/output error"),
    ):

        def failing(path: Path, number: int = number) -> BinaryIO:
            raise OSError(number, os.strerror(number), str(path))

        with monkeypatch.context() as patched:
            patched.setattr(module, "open_segment", failing)
            with pytest.raises(LogError, match=said), open_log(live):
                pass


@pytest.mark.parametrize("packed", [".zst", ".gz"])
def test_a_damaged_segment_is_read_as_far_as_it_goes(tmp_path: Path, log: ChainedLog, packed: str) -> None:
    log.write(tmp_path, packed)
    (path,) = tmp_path.glob(f"*-0000000000000000009.jsonl{packed}")
    data = path.read_bytes()

    for spoiled in (data[: len(data) // 2], data[:9] + bytes(len(data) - 9), b"", b"hello" * 100):
        path.write_bytes(spoiled)
        with open_log(tmp_path) as opened:
            report = verify(opened.files)
        assert report.finding is not None
        assert report.records >= len(log.segments[0])
    with pytest.raises(DamagedFile):
        contents(tmp_path)


def test_a_damaged_segment_whose_place_only_its_first_line_tells_is_told(tmp_path: Path, log: ChainedLog) -> None:
    live = log.write(tmp_path)
    for name, data in (("doorlog.jsonl-20260301.gz", b"hello"), ("doorlog.jsonl.2.zst", b"hello")):
        (tmp_path / name).write_bytes(data)
        with (
            pytest.raises(LogError, match=r"is damaged"),
            open_log(live),
        ):
            pass
        (tmp_path / name).unlink()


@pytest.mark.parametrize("packed", [".zst", ".gz"])
def test_a_bomb_is_not_unpacked(tmp_path: Path, packed: str) -> None:
    """A few kilobytes that become 200 MB without a line feed are left after a line's greatest length."""
    log = ChainedLog().start().rotate().connect()
    log.write(tmp_path)
    path = tmp_path / f"doorlog-20260301T160000Z-{3:019d}.jsonl{packed}"
    path.write_bytes(pack(bytes(200_000_000), packed))
    (tmp_path / "doorlog.jsonl").unlink()
    read = 0

    def counted(chunks: Iterator[bytes]) -> Iterator[bytes]:
        nonlocal read
        for chunk in chunks:
            read += len(chunk)
            yield chunk

    with open_log(tmp_path) as opened:
        files = [type(file)(file.name, counted(iter(file.chunks))) for file in opened.files]
        found = verify(files).finding
    assert found is not None
    assert found.sentence == "this is no record: it is longer than 1,048,576 bytes"
    assert read < 3_000_000


def test_whoever_reads_a_log_more_than_once_has_it_open_once(tmp_path: Path, log: ChainedLog) -> None:
    live = log.write(tmp_path)

    with reopening(lambda: open_log(live)) as opened:
        first = opened().live
        second = opened().live
        assert first is not None
        assert second is not None
        assert (first.closed, second.closed) == (True, False)
    assert second.closed
