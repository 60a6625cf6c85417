"""The file of the directory: private, versioned, and replaced when it is damaged."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from doorlog.errors import DirectoryError
from doorlog.identity import store
from doorlog.identity.store import hidden_names, is_damaged, open_store, open_to_read, set_aside


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "devices.db"


def test_it_is_made_for_its_owner_alone(path: Path) -> None:
    """It holds names and addresses."""
    with closing(open_store(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_it_is_opened_again_as_it_was(path: Path) -> None:
    with closing(open_store(path)) as connection:
        connection.execute("INSERT INTO inventory (id) VALUES ('pump-17')")
    with closing(open_store(path)) as connection:
        assert connection.execute("SELECT id FROM inventory").fetchall() == [("pump-17",)]


def test_a_reader_can_not_write(path: Path) -> None:
    open_store(path).close()
    with closing(open_to_read(path)) as connection, pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("DELETE FROM device")


def test_a_reader_of_nothing_is_told_who_makes_it(path: Path) -> None:
    with pytest.raises(DirectoryError, match=r"devices\.db is not there: a broker makes it with the first admission"):
        open_to_read(path)


def test_another_programs_database_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE recipes (name)")
    for use in (open_store, open_to_read):
        with pytest.raises(DirectoryError, match="is no device directory of doorlog: name another file") as caught:
            use(path)
        assert not is_damaged(caught.value)
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_a_newer_doorlogs_directory_is_left_alone(path: Path) -> None:
    with closing(open_store(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(DirectoryError, match="written by a newer doorlog"):
        open_store(path)


def test_a_folder_is_no_directory(tmp_path: Path) -> None:
    with pytest.raises(DirectoryError, match="can not be used"):
        open_store(tmp_path)


def test_a_place_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DirectoryError, match=r"devices\.db can not be used"):
        open_store(tmp_path / "file" / "devices.db")


def test_a_damaged_one_is_known_and_set_aside(path: Path) -> None:
    with closing(open_store(path)) as connection:
        connection.executemany("INSERT INTO inventory (id) VALUES (?)", [(f"{n:0200}",) for n in range(500)])
    data = bytearray(path.read_bytes())
    data[:100] = b"x" * 100
    path.write_bytes(data)
    with pytest.raises(DirectoryError) as caught:
        open_store(path)
    assert is_damaged(caught.value)
    with pytest.raises(DirectoryError):
        open_to_read(path)
    path.with_name("devices.db-wal").write_bytes(b"old")
    aside = set_aside(path)
    assert aside.name == "devices.db.damaged-1"
    assert aside.with_name("devices.db.damaged-1-wal").read_bytes() == b"old"
    open_store(path).close()
    assert set_aside(path).name == "devices.db.damaged-2", "nothing is overwritten"
    with pytest.raises(DirectoryError):
        set_aside(path)


def test_what_privacy_hides_is_told(path: Path) -> None:
    with closing(open_store(path)) as connection:
        assert hidden_names(connection) == []
        connection.execute("INSERT INTO statistic VALUES ('hidden', '[\"client_id\"]')")
        assert hidden_names(connection) == ["client_id"]


def test_a_schema_that_fails_leaves_nothing_half_made(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_SCHEMA", "CREATE TABLE device (id);\nCREATE TABLE device (id)")
    with pytest.raises(DirectoryError):
        open_store(path)
    monkeypatch.undo()
    open_store(path).close()
