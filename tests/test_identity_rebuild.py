"""What is made beside the old directory takes its place as a whole, or leaves it as it was."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from doorlog.errors import DirectoryError
from doorlog.events.codes import Action
from doorlog.events.parts import DevicePart, MqttPart
from doorlog.identity import rebuild
from doorlog.identity.inventory import Imported, store_inventory
from doorlog.identity.learner import Learner
from doorlog.identity.naming import Naming
from doorlog.identity.rebuild import Rebuild
from doorlog.identity.store import open_store, open_to_read
from doorlog.settings.models import DeviceSettings
from support.events import admitted_connect, ended_session, failed_connect, one_of_each

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from doorlog.events.records import ConnectEvent

SETTINGS = DeviceSettings()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory that knows a device and what was imported of another."""
    path = tmp_path / "devices.db"
    with closing(open_store(path)) as connection:
        store_inventory(connection, [Imported("imported", addresses=("192.0.2.1",))], replace=False)
    with Rebuild(path, SETTINGS) as made:
        made.take(admitted("old"))
        made.replace()
    return path


def admitted(name: str) -> ConnectEvent:
    return admitted_connect(mqtt=MqttPart(client_id=name), device=DevicePart(id=name))


def known(directory: Path) -> list[str]:
    with closing(open_to_read(directory)) as connection:
        return [name for (name,) in connection.execute("SELECT id FROM device ORDER BY id")]


def imported(directory: Path) -> list[tuple[str, str]]:
    with closing(open_to_read(directory)) as connection:
        return connection.execute("SELECT id, address FROM inventory_address").fetchall()


def leftovers(directory: Path) -> list[str]:
    return [path.name for path in directory.parent.iterdir() if "rebuild" in path.name]


def test_what_was_learned_takes_the_place_of_what_was_known(directory: Path) -> None:
    with Rebuild(directory, SETTINGS) as made:
        for event in [*one_of_each(), admitted("new"), admitted("new")]:
            made.take(event)
        assert known(directory) == ["old"]
        assert made.replace() == (2, None)
        assert made.sightings == 3

    assert known(directory) == ["new", "pump-17"]
    assert imported(directory) == [("imported", "192.0.2.1")]
    assert leftovers(directory) == []


def test_a_rebuild_that_is_given_up_changes_nothing(directory: Path) -> None:
    def interrupted() -> None:
        with Rebuild(directory, SETTINGS) as made:
            made.take(admitted("new"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert known(directory) == ["old"]
    assert leftovers(directory) == []


def test_a_full_disk_while_learning_is_told_and_changes_nothing(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with Rebuild(directory, SETTINGS) as made:
        made.take(admitted("new"))
        monkeypatch.setattr(Learner, "learn", full)
        with pytest.raises(DirectoryError, match=r"devices.db.rebuild can not be written: database or disk is full"):
            made.take(admitted("newer"))
    assert known(directory) == ["old"]
    assert leftovers(directory) == []


def test_a_failure_in_the_midst_of_the_replacing_changes_nothing(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuild, "_COPY", [*rebuild._COPY[:5], "INSERT INTO kept.nowhere VALUES (1)"])

    with Rebuild(directory, SETTINGS) as made:
        made.take(admitted("new"))
        with pytest.raises(DirectoryError, match="no such table"):
            made.replace()
    assert known(directory) == ["old"]
    assert imported(directory) == [("imported", "192.0.2.1")]
    assert leftovers(directory) == []


def test_a_directory_that_another_program_is_writing_is_waited_for(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("doorlog.identity.store.BUSY_SECONDS", 0.01)

    with closing(open_store(directory)) as other, Rebuild(directory, SETTINGS) as made:
        made.take(admitted("new"))
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DirectoryError, match="locked"):
            made.replace()
        other.execute("ROLLBACK")
    assert known(directory) == ["old"]


@pytest.mark.parametrize("where", [0, 4096 + 8])
def test_a_damaged_directory_is_moved_aside(directory: Path, where: int) -> None:
    with directory.open("r+b") as file:
        file.seek(where)
        file.write(b"\xff" * 4096 * 30)

    with Rebuild(directory, SETTINGS) as made:
        made.take(admitted("new"))
        aside = directory.with_name("devices.db.damaged-1")
        assert made.replace() == (1, aside)
    assert aside.exists()
    assert known(directory) == ["new"]


def test_an_empty_file_becomes_a_directory(directory: Path) -> None:
    directory.write_bytes(b"")

    with Rebuild(directory, SETTINGS) as made:
        made.take(admitted("new"))
        assert made.replace() == (1, None)


def test_two_rebuilds_at_a_time_do_not_mix(directory: Path) -> None:
    with Rebuild(directory, SETTINGS) as one:
        one.take(admitted("one"))
        with Rebuild(directory, SETTINGS) as other:
            other.take(admitted("other"))
            one.take(admitted("one too"))
            assert one.replace() == (2, None)
            assert known(directory) == ["one", "one too"]
            assert other.replace() == (1, None)
    assert known(directory) == ["other"]


def test_a_broker_that_begins_knows_of_no_session_and_of_no_failure_before(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = next(event for event in one_of_each() if event.event.action is Action.AUDIT_STOPPED)
    started = started.model_copy(update={"event": started.event.model_copy(update={"action": Action.AUDIT_STARTED})})
    made_for: list[object] = []

    class Watched(Naming):
        def __init__(self, *given: Any) -> None:
            made_for.append(given)
            super().__init__(*given)

    monkeypatch.setattr(rebuild, "Naming", Watched)
    with Rebuild(directory, SETTINGS) as made:
        made.take(admitted("stays"))
        made.take(failed_connect(device=None))
        made.take(started)
        made.take(admitted("comes"))
        made.take(admitted("goes"))
        made.take(ended_session(mqtt=MqttPart(client_id="goes")))
        made.replace()
    with closing(open_to_read(directory)) as connection:
        assert dict(connection.execute("SELECT id, sessions FROM device")) == {"stays": 0, "comes": 1, "goes": 0}
    assert len(made_for) == 2


def test_long_logs_are_committed_in_between(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuild, "_BETWEEN_COMMITS", 2)

    def beside() -> Iterator[int]:
        with closing(sqlite3.connect(f"{directory}.rebuild")) as connection:
            yield connection.execute("SELECT count(*) FROM device").fetchone()[0]

    with Rebuild(directory, SETTINGS) as made:
        for number in range(4):
            made.take(admitted(str(number)))
        assert list(beside()) == [4]
        assert made.replace() == (4, None)
