"""``doorlog device ID`` as it is typed: the history of one device, and its id completed by the shell."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from doorlog.application.cli import ExitCode
from doorlog.events.parts import DevicePart, MqttPart
from doorlog.identity.inventory import Imported, store_inventory
from doorlog.identity.store import open_store
from support.broker import ANYBODY
from support.chained_logs import ChainedLog
from support.commands import Said, doorlog, write_yaml
from support.device_story import fleet
from support.events import admitted_connect
from support.pki import Pki

if TYPE_CHECKING:
    from pathlib import Path

LOCAL = ".doorlog/log"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that commands run in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def local(folder: Path) -> Path:
    """The folder of a local broker's log, with its directory."""
    log = folder / LOCAL
    log.mkdir(parents=True)
    ChainedLog().start().session().connect(2).stop().write(log)
    assert doorlog("devices", "rebuild").code == 0
    return log


async def test_what_happened_to_a_device_is_told_in_order(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async with fleet(folder, Pki(tmp_path_factory.mktemp("pki"))) as story:
        await story.log_in("pump-17")
        await story.distrust("pump-17")
        await story.log_in("pump-17", password="guessed", at="127.66.0.6")
        await story.log_in("pump-17")
        said = doorlog("device", "pump-17", "--log", "log")
        plain = json.loads("\n".join(doorlog("device", "pump-17", "--log", "log", "--json").out))

    assert (said.code, said.err) == (0, [])
    assert said.out[:3] == [
        "pump-17: ok",
        "  admitted 2 times, last just now",
        "  last failure server_certificate_unknown_ca just now, likely this device (1 in all)",
    ]
    assert said.out[3] == "  1 refused login wrote its name from where it never was, last bad_password just now"
    assert said.out[4] == "  at 127.1.0.17 2 times within moments, last just now"
    marks = [line[21:].split()[0] for line in said.out if line.startswith("20")]
    assert marks[:4] == ["certain", "certain", "likely", "claimed"]
    assert sorted(marks[4:]) == ["certain", "certain", "likely"]
    assert [line for line in said.out if line != line.rstrip() or not (line.isprintable())] == []

    assert [entry["mark"] for entry in plain["history"]] == marks
    assert (plain["found"], plain["device"]["id"], plain["device"]["connects"]) == (7, "pump-17", 2)
    assert [(place["address"], place["times"]) for place in plain["addresses"]] == [("127.1.0.17", 2)]
    assert "device_confirmed" in {entry["record"]["event"]["action"] for entry in plain["history"]}


async def test_a_failure_that_was_explained_later_is_confirmed(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async with fleet(folder, Pki(tmp_path_factory.mktemp("pki"))) as story:
        failed = await story.distrust("pump-17")
        assert "device" not in failed
        await story.log_in("pump-17")

    plain = json.loads("\n".join(doorlog("device", "pump-17", "--log", "log", "--json").out))
    marks = [entry["mark"] for entry in plain["history"]]
    assert (marks[:2], sorted(marks[2:])) == (["confirmed", "certain"], ["certain", "likely"])
    assert plain["history"][0]["record"]["doorlog"]["connection_id"] == failed["doorlog"]["connection_id"]


def test_the_latest_records_are_told_and_how_many_there_are(local: Path) -> None:
    assert "2 earlier records: --last 3 shows all" in doorlog("device", "pump-17", "--last", "1").out
    assert len([line for line in doorlog("device", "pump-17").out if line.startswith("20")]) == 3
    assert doorlog("device", "pump-17", "--last", "0").code == ExitCode.USAGE
    assert local.exists()


def test_only_what_happened_since_is_told(local: Path) -> None:
    assert len([line for line in doorlog("device", "pump-17", "--since", "52w").out if line.startswith("20")]) == 3
    recent = doorlog("device", "pump-17", "--since", "1s")
    assert (recent.code, [line for line in recent.out if line.startswith("20")]) == (0, [])
    assert doorlog("device", "pump-17", "--since", "yesterday").code == ExitCode.USAGE

    (local / "devices.db").unlink()
    assert "since then: doorlog devices lists" in doorlog("device", "pump-17", "--since", "1s").err[-1]


def test_a_log_without_a_directory_is_enough(local: Path) -> None:
    (local / "devices.db").unlink()

    said = doorlog("device", "pump-17")
    assert said.code == 0
    assert said.err == [f"doorlog: {LOCAL}/devices.db is not there: only what the log holds is told"]
    assert said.out[0] == "pump-17: not in the device directory"
    assert json.loads("\n".join(doorlog("device", "pump-17", "--json").out))["device"] is None


def test_a_configuration_that_remembers_no_device_has_a_log_all_the_same(folder: Path, local: Path) -> None:
    config = write_yaml(
        folder / "doorlog.yaml",
        listeners={"plain": {"bind": "127.0.0.1:0"}},
        auth={"plugins": {name: {} for name in ANYBODY}},
        log={"file": {"path": str(local / "doorlog.jsonl")}},
        device={"learn": False},
    )

    said = doorlog("device", "pump-17", "-c", config)
    assert (said.code, said.err) == (0, ["doorlog: a device directory is not there: only what the log holds is told"])


def test_a_device_that_was_only_imported_is_told(local: Path) -> None:
    with closing(open_store(local / "devices.db")) as connection:
        known = Imported("pump-99", "Pump 99", "berlin", "P2", "A12", tags=("water",))
        store_inventory(connection, [known], replace=False)

    assert doorlog("device", "pump-99") == Said(0, ["pump-99 (Pump 99, P2, A12, berlin, water): silent"], [])


@pytest.mark.parametrize("name", ["pump-1", "", "\x1b[2J", "\udcff", "pump-17\n"])
def test_a_device_that_nobody_knows(local: Path, name: str) -> None:
    said = doorlog("device", "--", name)

    assert (said.code, said.out) == (ExitCode.FAILED, [])
    (line,) = said.err
    assert line.startswith("doorlog: no device '")
    assert line.endswith(f"' in {LOCAL}: doorlog devices lists those that are known")
    assert line.isprintable()
    assert local.exists()


@pytest.mark.parametrize("name", ['a"b', "a\\b", "pümp", "-x", "[red]x[/red]", "a b"])
def test_any_id_can_be_asked_for(folder: Path, name: str) -> None:
    event = admitted_connect(mqtt=MqttPart(client_id=name), device=DevicePart(id=name))
    ChainedLog().start().add(event).write(folder)
    assert doorlog("devices", "rebuild", "--log", ".").code == 0

    said = doorlog("device", "--log", ".", "--", name)
    assert said.out[0] == f"{name}: ok, connected"
    assert said.out[-1].startswith("2026-03-01 15:02:12  certain")


def test_a_log_that_can_not_be_read_to_its_end_is_told(local: Path) -> None:
    torn = local / "doorlog-20260301T150212Z-0000000000000000000.jsonl"
    torn.write_bytes(b'{"torn')

    said = doorlog("device", "pump-17", "--json")
    assert said.err == [f"doorlog: warning: {torn.name}: can not be read to its end: doorlog verify names the place"]
    assert json.loads("\n".join(said.out))["found"] == 3


def test_what_can_not_be_read_is_told(folder: Path, local: Path) -> None:
    assert doorlog("device", "pump-17", "--log", "nowhere").code == ExitCode.SETTINGS
    assert doorlog("device", "pump-17", "--directory", "nowhere.db") == Said(
        ExitCode.SETTINGS,
        [],
        ["doorlog: nowhere.db is not there: a broker makes it with the first admission; or name the log with --log"],
    )
    (folder / "text.db").write_text("hello" * 1_000)
    assert doorlog("device", "pump-17", "--directory", "text.db").code == ExitCode.SETTINGS
    assert doorlog("device", "pump-17", "--log", local, "-c", "doorlog.yaml").code == ExitCode.USAGE


# the shell


def completed(folder: Path, beginning: str) -> list[str]:
    """Return what the shell offers for a device's id."""
    words = {"_DOORLOG_COMPLETE": "complete_bash", "COMP_WORDS": f"doorlog device {beginning}", "COMP_CWORD": "2"}
    finished = subprocess.run(
        [sys.executable, "-m", "doorlog"], env=words, cwd=folder, capture_output=True, text=True, check=False
    )
    assert finished.stderr == ""
    return [line for line in finished.stdout.splitlines() if line]


def test_a_shell_completes_ids_that_mean_nothing_else_to_it(folder: Path, local: Path) -> None:
    hostile = ["pump-$(reboot)", "pump-;reboot", "pump-`reboot`", "pump- x", "pump-\nx", "--log", "pump-*", "pump-'"]
    with closing(open_store(local / "devices.db")) as connection:
        store_inventory(connection, map(Imported, [*hostile, "pump-18", "valve:1"]), replace=False)

    assert completed(folder, "pu") == ["pump-17", "pump-18"]
    assert completed(folder, "valve") == ["valve:1"]


def test_a_shell_completes_nothing_where_nothing_is_known(folder: Path) -> None:
    assert completed(folder, "pu") == []
    (folder / LOCAL).mkdir(parents=True)
    (folder / LOCAL / "devices.db").write_text("hello" * 1_000)
    assert completed(folder, "pu") == []
    with closing(sqlite3.connect(folder / "other.db")) as connection:
        connection.execute("CREATE TABLE x (y)")
    (folder / "other.db").rename(folder / LOCAL / "devices.db")
    assert completed(folder, "pu") == []
