"""A file is replaced as a whole, or stays what it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from doorlog.files import replace_file


def test_a_file_is_made_and_replaced_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    replace_file(path, b"old")
    replace_file(path, b"new")

    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["kept"]


def test_others_may_read_it_where_that_is_wanted(tmp_path: Path) -> None:
    replace_file(tmp_path / "ca.crt", b"", 0o644)

    assert (tmp_path / "ca.crt").stat().st_mode & 0o777 == 0o644


def test_what_can_not_be_written_stays_what_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "kept"
    replace_file(path, b"old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("doorlog.files.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        replace_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["kept"]
    with pytest.raises(FileNotFoundError):
        replace_file(tmp_path / "nowhere" / "kept", b"new")
