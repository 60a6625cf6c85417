"""Where a reader of the log stands, and the file that remembers it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorlog.errors import SinkError
from doorlog.log.cursor import CursorFile, Position, cursor_path, position_of
from support.log_files import RUN, record_line

PLACE = Position(17, f"{RUN}-17")


def test_a_record_knows_its_place_and_its_run() -> None:
    place = position_of(record_line(17))
    assert place == PLACE
    assert place.run == RUN


@given(st.integers(0, len(record_line(17)) - 2))
def test_a_record_that_lost_its_end_is_none(length: int) -> None:
    assert position_of(record_line(17)[:length] + b"\n") is None


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"7\n",
        b"[]\n",
        b"{}\n",
        b'{"event":7}\n',
        b'{"event":[]}\n',
        b'{"event":{"sequence":1}}\n',
        b'{"event":{"sequence":true,"id":"a"}}\n',
        b'{"event":{"sequence":-1,"id":"a"}}\n',
        b'{"event":{"sequence":1.0,"id":"a"}}\n',
        b'{"event":{"sequence":1,"id":7}}\n',
        b"\xff\n",
    ],
)
def test_what_has_no_place_is_no_record(line: bytes) -> None:
    assert position_of(line) is None


def test_the_cursor_stands_beside_the_log() -> None:
    assert cursor_path(Path("logs/doorlog.jsonl"), "central") == Path("logs/doorlog.jsonl.central.cursor")


def test_a_position_is_remembered(tmp_path: Path) -> None:
    cursor = CursorFile(tmp_path / "c")
    assert cursor.load() is None
    cursor.store(PLACE)
    assert CursorFile(cursor.path).load() == PLACE
    assert cursor.path.stat().st_mode & 0o777 == 0o640 & ~_umask()
    assert list(tmp_path.iterdir()) == [cursor.path]


def _umask() -> int:
    os.umask(mask := os.umask(0))
    return mask


def test_a_position_that_is_there_is_not_written_again(tmp_path: Path) -> None:
    cursor = CursorFile(tmp_path / "c")
    cursor.store(PLACE)
    cursor.path.unlink()
    cursor.store(PLACE)
    assert not cursor.path.exists()


def test_a_crash_while_it_is_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cursor = CursorFile(tmp_path / "c")
    cursor.store(PLACE)

    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SinkError, match=r"^the cursor .*c can not be written \(No space left on device\)$"):
        cursor.store(Position(18, "x"))
    monkeypatch.undo()
    assert CursorFile(cursor.path).load() == PLACE
    cursor.store(Position(18, "x"))
    assert CursorFile(cursor.path).load() == Position(18, "x")


@pytest.mark.parametrize("data", [b"", b"{", b"7", b"{}", b'{"sequence":"1","id":"a"}', b"\x00" * 60, b"[" * 9999])
def test_a_damaged_cursor_is_said_to_be(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "c").write_bytes(data)
    with pytest.raises(SinkError, match=r"^the cursor .*c is damaged$"):
        CursorFile(tmp_path / "c").load()


def test_a_cursor_that_can_not_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"can not be read \(Is a directory\)$"):
        CursorFile(tmp_path).load()


def test_a_link_in_the_place_of_the_new_cursor_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"precious")
    (tmp_path / "c.new").symlink_to("victim")
    with pytest.raises(SinkError):
        CursorFile(tmp_path / "c").store(PLACE)
    assert (tmp_path / "victim").read_bytes() == b"precious"
