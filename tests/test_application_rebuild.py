"""A directory that is made from the log is the one that was learned while it happened."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from doorlog.application.rebuild import rebuild_directory
from doorlog.errors import DirectoryError, LogError
from doorlog.identity.inventory import Imported, store_inventory
from doorlog.identity.store import open_store, open_to_read
from doorlog.settings.models import DeviceSettings
from support.chained_logs import ChainedLog, pack
from support.device_story import fleet
from support.pki import Pki

if TYPE_CHECKING:
    from pathlib import Path

TABLES = ("device", "sighting", "certificate", "ticket", "failure", "inventory", "inventory_address", "statistic")
SETTINGS = DeviceSettings()


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


def tables(directory: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Return all that a directory holds."""
    with closing(open_to_read(directory)) as connection:
        return {name: sorted(connection.execute(f"SELECT * FROM {name}").fetchall(), key=repr) for name in TABLES}


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def test_a_rebuilt_directory_is_what_was_learned_live(tmp_path: Path, pki: Pki) -> None:
    async with fleet(tmp_path, pki) as story:
        await story.whole()
    log = tmp_path / "log"
    live = tables(log / "devices.db")
    assert {row[1] for row in live["device"]} == {"pump-17", "pump-18", "valve"}
    assert {(row[0], row[1]) for row in live["failure"]} >= {("pump-18", 1), ("meter", 0)}

    done = rebuild_directory(log, tmp_path / "elsewhere" / "made.db", SETTINGS)
    assert (done.devices, done.admissions, done.unreadable, done.damaged, done.aside) == (3, 8, 0, (), None)
    made = tables(tmp_path / "elsewhere" / "made.db")
    # What log.privacy hides stands in no record: a broker says it when it begins.
    assert ("hidden", "[]") in live["statistic"]
    live["statistic"].remove(("hidden", "[]"))
    assert made == live

    rebuild_directory(log / "doorlog.jsonl", log / "devices.db", SETTINGS)
    live["statistic"].append(("hidden", "[]"))
    assert tables(log / "devices.db") == {**live, "statistic": sorted(live["statistic"], key=repr)}


async def test_a_running_broker_goes_on_learning_after_a_rebuild(tmp_path: Path, pki: Pki) -> None:
    directory = tmp_path / "log" / "devices.db"
    async with fleet(tmp_path, pki) as story:
        await story.log_in("pump-17")
        done = rebuild_directory(tmp_path / "log", directory, SETTINGS)
        assert (done.devices, done.admissions) == (1, 1)

        failed = await story.distrust("pump-17")
        assert failed["device"]["id"] == "pump-17"
        await story.log_in("pump-17")
        await story.log_in("pump-18")
    live = tables(directory)
    assert sorted((row[1], row[6], row[-1]) for row in live["device"]) == [("pump-17", 2, 0), ("pump-18", 1, 0)]
    rebuild_directory(tmp_path / "log", directory, SETTINGS)
    assert tables(directory) == live


def test_sessions_of_a_broker_that_was_killed_are_over(tmp_path: Path) -> None:
    log = ChainedLog().start().session()
    log.segments[0].pop()  # its end was never written
    log.write(tmp_path)
    directory = tmp_path / "devices.db"
    rebuild_directory(tmp_path, directory, SETTINGS)
    assert [row[-1] for row in tables(directory)["device"]] == [1]

    log.crash().write(tmp_path)
    rebuild_directory(tmp_path, directory, SETTINGS)
    assert [row[-1] for row in tables(directory)["device"]] == [0]


@pytest.mark.parametrize("packed", ["", ".zst", ".gz"])
def test_segments_are_read_compressed_or_not(tmp_path: Path, packed: str) -> None:
    ChainedLog().start().session().rotate().session().rotate().session().stop().write(tmp_path, packed)

    done = rebuild_directory(tmp_path, tmp_path / "devices.db", SETTINGS)
    assert (done.devices, done.admissions, done.unreadable) == (1, 3, 0)


def test_what_is_damaged_is_left_out_and_told(tmp_path: Path) -> None:
    log = ChainedLog().start().session().rotate().session().rotate().session()
    log.segments[-1] += [b"\n", b"hello\n", b"[]\n", b'{"event":{}}\n', log.last[:200] + b"\n", b"\xff\n", b'{"torn']
    log.write(tmp_path)
    first, second = sorted(tmp_path.glob("doorlog-*"))
    first.write_bytes(first.read_bytes()[:-50])
    whole = second.read_bytes()
    second.unlink()
    second.with_name(second.name + ".zst").write_bytes(pack(whole, ".zst")[:-20])

    done = rebuild_directory(tmp_path, tmp_path / "devices.db", SETTINGS)
    assert (done.unreadable, done.damaged) == (6, (first.name, f"{second.name}.zst"))
    assert (done.devices, done.admissions) == (1, 2)


def test_what_was_imported_stays_and_nothing_else_is_left_behind(tmp_path: Path) -> None:
    directory = tmp_path / "devices.db"
    with closing(open_store(directory)) as connection:
        store_inventory(connection, [Imported("pump-99", site="berlin", addresses=("192.0.2.1",))], replace=False)
        connection.execute("INSERT INTO statistic VALUES ('hidden', '[\"address\"]')")
    (tmp_path / "devices.db.rebuild").write_bytes(b"left by one that was killed")
    (tmp_path / "devices.db.rebuild-wal").write_bytes(b"left by one that was killed")
    ChainedLog().start().session().stop().write(tmp_path)

    rebuild_directory(tmp_path, directory, SETTINGS)
    found = tables(directory)
    assert found["inventory"] == [("pump-99", None, "berlin", None, None, "[]")]
    assert found["inventory_address"] == [("192.0.2.1", "pump-99")]
    assert ("hidden", '["address"]') in found["statistic"]
    assert files_in(tmp_path) == {"doorlog.jsonl", "devices.db"}


@pytest.mark.parametrize("content", [b"", b"hello\n" * 3, b'{"event":{"action":"connect"}}\n'])
def test_a_log_without_records_takes_nothing_away(tmp_path: Path, content: bytes) -> None:
    directory = tmp_path / "devices.db"
    ChainedLog().start().session().stop().write(tmp_path)
    rebuild_directory(tmp_path, directory, SETTINGS)
    before = tables(directory)
    (tmp_path / "doorlog.jsonl").write_bytes(content)

    with pytest.raises(LogError, match=r"holds no record that can be read: .*devices.db stays as it is"):
        rebuild_directory(tmp_path, directory, SETTINGS)
    assert tables(directory) == before
    assert files_in(tmp_path) == {"doorlog.jsonl", "devices.db"}


def test_without_a_log_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="is not there"):
        rebuild_directory(tmp_path / "log", tmp_path / "log" / "devices.db", SETTINGS)
    assert files_in(tmp_path) == set()


def test_a_file_of_another_kind_is_refused_before_the_log_is_read(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.execute("CREATE TABLE precious (value)")
        connection.commit()
    before = (tmp_path / "other.db").read_bytes()
    (tmp_path / "doorlog.jsonl").write_bytes(b"not even read\n")

    with pytest.raises(DirectoryError, match=r"is no device directory of doorlog"):
        rebuild_directory(tmp_path, tmp_path / "other.db", SETTINGS)
    assert (tmp_path / "other.db").read_bytes() == before
