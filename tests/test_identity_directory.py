"""The directory of a running broker: lessons from any thread, one that writes, readers that see what is committed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from doorlog.errors import DirectoryError
from doorlog.identity import directory as module
from doorlog.identity.directory import Directory, directory_path
from doorlog.identity.evidence import Departure, Evidence, Failure, Serving, Sighting, Whose
from doorlog.identity.places import place_of
from doorlog.identity.store import hidden_names, open_store, open_to_read
from doorlog.settings.log_models import FileLogSettings, LogSettings
from doorlog.settings.models import DeviceSettings, DoorSettings, ListenerSettings

HERE = place_of("192.0.2.1")
LISTENERS = {"plain": ListenerSettings(bind="127.0.0.1:0")}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "devices.db"


@pytest.fixture
def directory(path: Path) -> Iterator[Directory]:
    with Directory(path) as directory:
        yield directory


def sighting(device: str, moment: float = 0.0) -> Sighting:
    return Sighting(device, "c", Evidence(moment, HERE, "esp", None))


def test_what_is_learned_is_seen_by_the_view(directory: Directory) -> None:
    for number in range(5_000):
        directory.learn(sighting(f"pump-{number}"))
    directory.flush()
    assert directory.statistics.devices == 5_000
    assert directory.view.device("pump-4999", HERE) is not None
    assert directory.dropped == 0


def test_what_waits_is_written_at_the_end(path: Path) -> None:
    with Directory(path) as directory:
        directory.learn(sighting("pump-17"))
    with closing(open_to_read(path)) as connection:
        assert connection.execute("SELECT id FROM device").fetchall() == [("pump-17",)]
    directory.learn(sighting("late"))
    directory.flush()
    assert directory.dropped == 1


def test_it_goes_on_where_it_was(path: Path) -> None:
    with Directory(path) as directory:
        directory.learn(sighting("pump-17"))
    with Directory(path, hidden=("address",)) as directory:
        assert directory.statistics.devices == 1
        assert directory.view.device("pump-17", HERE) is not None
    with closing(open_to_read(path)) as connection:
        assert hidden_names(connection) == ["address"]
        assert connection.execute("SELECT sessions FROM device").fetchall() == [(0,)], "its broker has ended"


def test_a_storm_of_failures_leaves_room_for_what_teaches(directory: Directory, path: Path) -> None:
    failure = Failure("pump-17", 0.0, "bad_password", "likely", "client_id", "c", Whose.CLAIMED)
    with closing(sqlite3.connect(path, isolation_level=None)) as busy:
        busy.execute("BEGIN IMMEDIATE")  # so that nothing can be written meanwhile
        for _ in range(module.MOST_FAILURES_WAITING + 5_000):
            directory.learn(failure)
        assert directory.dropped >= 3_000 - 1
        before = directory.dropped
        directory.learn(sighting("pump-17"))
        assert directory.dropped == before
        busy.execute("ROLLBACK")
    directory.flush()
    assert directory.view.device("pump-17", HERE) is not None


def test_another_programs_change_is_noticed(directory: Directory, path: Path) -> None:
    directory.learn(sighting("pump-17"))
    directory.flush()
    with closing(open_store(path)) as other:
        other.execute("DELETE FROM device")
    directory.learn(Departure("pump-17", 1.0))
    directory.flush()
    assert directory.statistics.devices == 0


def test_a_directory_that_can_not_be_written_is_said_once_and_works_again(
    directory: Directory, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_anything: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(directory._learner, "learn", full)
        for device in ("a", "b"):
            directory.learn(sighting(device))
            directory.flush()
    assert directory.dropped == 2
    directory.learn(sighting("c"))
    directory.flush()
    assert directory.view.device("c", HERE) is not None
    assert directory.view.device("a", HERE) is None
    assert [record.getMessage() for record in caplog.records] == [
        "the device directory can not be written: database or disk is full; devices are learned no more",
        "the device directory is written again; doorlog devices rebuild gives what is missing",
    ]


def test_a_damaged_one_is_moved_aside(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.write_bytes(b"this was a database once" * 100)
    with Directory(path) as directory:
        directory.learn(sighting("pump-17"))
    assert path.with_name("devices.db.damaged-1").exists()
    assert "a new one is begun: doorlog devices rebuild" in caplog.records[0].getMessage()


def test_one_that_can_not_be_used_is_told(tmp_path: Path) -> None:
    with pytest.raises(DirectoryError, match="can not be used"):
        Directory(tmp_path)


def test_one_that_can_not_be_read_is_told(path: Path) -> None:
    with closing(open_store(path)) as connection:
        connection.execute("DROP TABLE device")
    with pytest.raises(DirectoryError, match="can not be read: no such table: device"):
        Directory(path)


def test_where_it_is(tmp_path: Path) -> None:
    log = LogSettings(file=FileLogSettings(path=tmp_path / "doorlog.jsonl"))
    elsewhere = DeviceSettings(directory=tmp_path / "elsewhere.db")
    assert directory_path(DoorSettings(listeners=LISTENERS, log=log)) == tmp_path / "devices.db"
    assert directory_path(DoorSettings(listeners=LISTENERS, log=log, device=elsewhere)) == tmp_path / "elsewhere.db"
    assert directory_path(DoorSettings(listeners=LISTENERS, log=log, device=DeviceSettings(learn=False))) is None
    assert directory_path(DoorSettings(listeners=LISTENERS)) is None, "there is no place for it"


def test_one_that_is_damaged_beyond_its_first_page_is_moved_aside(path: Path) -> None:
    with Directory(path) as directory:
        for number in range(2_000):
            directory.learn(sighting(f"pump-{number}"))
    content = bytearray(path.read_bytes())
    content[3 * 4096 :] = b"\xa5" * (len(content) - 3 * 4096)
    path.write_bytes(content)
    with Directory(path) as directory:
        assert directory.statistics.devices == 0
    assert path.with_name("devices.db.damaged-1").exists()


def test_certificates_of_ours_do_not_crowd_out_what_teaches(
    directory: Directory, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each failed attempt tells of the certificate that it was shown, until that is written down."""
    monkeypatch.setattr(module, "MOST_FAILURES_WAITING", 10)
    monkeypatch.setattr(module, "MOST_WAITING", 20)
    with closing(sqlite3.connect(path, isolation_level=None)) as busy:
        busy.execute("BEGIN IMMEDIATE")
        for number in range(100):
            directory.learn(Serving("AA", float(number)))
        before = directory.dropped
        directory.learn(sighting("pump-17"))
        assert directory.dropped == before
        busy.execute("ROLLBACK")


def test_a_fault_of_ours_does_not_end_its_thread(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty(*_anything: object) -> None:
        raise ValueError("not thought of")

    with monkeypatch.context() as patch:
        patch.setattr(directory._learner, "learn", faulty)
        directory.learn(sighting("a"))
        directory.flush()
    directory.learn(sighting("b"))
    directory.flush()
    assert directory.view.device("b", HERE) is not None
