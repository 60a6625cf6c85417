"""``doorlog devices`` as it is typed: the list, the import, the rebuild; what goes wrong, and with which exit code."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from doorlog.application.cli import ExitCode
from doorlog.identity.store import open_store
from support.broker import ANYBODY
from support.chained_logs import ChainedLog, pack
from support.commands import Said, doorlog, write_yaml
from support.device_story import fleet
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
    """The folder of a local broker's log, with its directory, which knows pump-17."""
    log = folder / LOCAL
    log.mkdir(parents=True)
    ChainedLog().start().session().stop().write(log)
    assert doorlog("devices", "rebuild").code == 0
    return log


def configured(folder: Path, **groups: Any) -> Path:
    """Return a configuration whose log is in ``logs``."""
    usual: dict[str, Any] = {
        "listeners": {"plain": {"bind": "127.0.0.1:0"}},
        "auth": {"plugins": {name: {} for name in ANYBODY}},
        "log": {"file": {"path": "logs/doorlog.jsonl"}},
    }
    return write_yaml(folder / "doorlog.yaml", **{**usual, **groups})


def failed(said: Said) -> str:
    """Return what was said about a file that is not right."""
    assert (said.code, said.out) == (ExitCode.SETTINGS, [])
    (line,) = said.err
    assert line.startswith("doorlog: ")
    return line.removeprefix("doorlog: ")


# the list


async def test_the_devices_of_a_broker_that_runs(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    async with fleet(folder, Pki(tmp_path_factory.mktemp("pki"))) as story:
        await story.whole()
        await story.log_in("pump-17", password="guessed", at="127.66.0.6")
        story.learned()
        said = doorlog("devices", "--log", "log")

    assert (said.code, said.err) == (0, [])
    assert [line.split() for line in said.out[:-1]] == [
        ["DEVICE", "STATE", "LAST", "ADMITTED", "LAST", "FAILURE", "CODE", "ADDRESS"],
        ["meter", "failing", "never", "just", "now", "client_certificate_expired", "-"],
        ["pump-18", "failing", "just", "now", "just", "now", "server_certificate_unknown_ca?", "127.1.0.18"],
        ["pump-17", "ok", "just", "now", "just", "now", "server_certificate_unknown_ca?", "127.1.0.17"],
        ["valve", "ok", "just", "now", "-", "-", "127.2.0.19"],
    ]
    assert said.out[-1] == "4 devices: 2 failing, 0 silent, 2 ok; ? likely this device, not certain"
    assert [line for line in said.out if line != line.rstrip() or not line.isprintable()] == []

    plain = json.loads("\n".join(doorlog("devices", "--log", "log", "--json").out))
    assert [(one["id"], one["state"]) for one in plain] == [
        ("meter", "failing"), ("pump-18", "failing"), ("pump-17", "ok"), ("valve", "ok"),
    ]  # fmt: skip
    assert plain[2]["last_claim"]["code"] == "bad_password"
    assert plain[1]["last_failure"]["confidence"] == "likely"
    assert "last_success" not in plain[0]


def test_the_list_can_be_narrowed(local: Path) -> None:
    (local / "devices.csv").write_text("id,site\npump-17,berlin\npump-18,rome\n")
    assert doorlog("devices", "import", local / "devices.csv").code == 0

    def ids(*options: str) -> list[str]:
        return [one["id"] for one in json.loads("\n".join(doorlog("devices", "--json", *options).out))]

    assert ids() == ["pump-17", "pump-18"]
    assert ids("--site", "berlin") == ["pump-17"]
    assert ids("--state", "silent") == ["pump-17", "pump-18"]
    assert ids("--state", "ok", "--site", "berlin") == []
    assert doorlog("devices", "--state", "failing").out == ["none of 2 devices is like that"]
    assert doorlog("devices").out[0].endswith("  SITE")


def test_no_device_is_known_yet(folder: Path) -> None:
    open_store(folder / "devices.db").close()

    said = doorlog("devices", "--directory", "devices.db")
    assert said == Said(0, ["no device is known yet: the first one that is admitted will be"], [])
    assert doorlog("devices", "--directory", "devices.db", "--json").out == ["[]"]


def test_what_a_device_chose_as_its_id_can_not_do_anything_to_a_terminal(local: Path) -> None:
    hostile = "\x1b[2J\x1b]0;owned\x07\r\n[red]\u202e"
    with closing(sqlite3.connect(local / "devices.db")) as connection:
        connection.execute("UPDATE device SET id = ?, address = ?", (hostile, hostile))
        connection.commit()

    said = doorlog("devices")
    assert all(line.isprintable() for line in said.out)
    assert said.out[1].startswith("\\u001B[2J\\u001B]0;owned\\u0007\\u000D\\u000A[red]\\u202E  silent")
    text = doorlog("devices", "--json").out
    assert all(line.isascii() and line.isprintable() for line in text)
    assert json.loads("\n".join(text))[0]["id"] == hostile


def test_a_terminal_gets_colours(local: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = doorlog("devices").out
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert any("\x1b[33msilent" in line for line in doorlog("devices").out)
    assert plain[1].startswith("pump-17  silent  ")
    assert local.exists()


# where the directory is


def test_the_directory_is_beside_the_log_where_nothing_else_is_said(folder: Path) -> None:
    log = ChainedLog().start().session().stop()
    for name in ("folder", "file", "packed", "named.log"):
        (folder / name).mkdir()
    log.write(folder / "folder")
    (folder / "file" / "other.log").write_bytes(b"".join(log.lines))
    (folder / "packed" / "doorlog.jsonl.zst").write_bytes(pack(b"".join(log.lines), ".zst"))
    log.write(folder / "named.log")

    for given in ("folder", "folder/doorlog.jsonl", "file/other.log", "packed/doorlog.jsonl.zst", "named.log"):
        beside = f"{given.partition('/')[0]}/devices.db"
        assert doorlog("devices", "rebuild", "--log", given).out == [f"{beside}: 1 device learned from 1 admission"]
        assert doorlog("devices", "--log", given).code == 0


def test_a_configuration_names_the_directory(folder: Path) -> None:
    (folder / "logs").mkdir()
    ChainedLog().start().session().stop().write(folder / "logs")

    assert doorlog("devices", "rebuild", "-c", configured(folder)).code == 0
    assert (folder / "logs" / "devices.db").exists()

    config = configured(folder, device={"directory": "known.db", "id": "user_name"})
    assert doorlog("devices", "rebuild", "-c", config).out == [f"{folder}/known.db: 1 device learned from 1 admission"]
    assert doorlog("devices", "-c", config).out[1].startswith("pump-17")
    assert doorlog("devices", "-c", config, "--directory", "logs/devices.db").code == 0


def test_a_configuration_that_remembers_no_device(folder: Path) -> None:
    config = configured(folder, device={"learn": False})

    for command in (["devices"], ["devices", "rebuild"]):
        assert failed(doorlog(*command, "-c", config)) == (
            f"{config}: device: no device is remembered: set device.learn and log.file"
        )
    assert "nowhere.yaml" in failed(doorlog("devices", "-c", "nowhere.yaml"))


@pytest.mark.parametrize("command", [[], ["rebuild"], ["import", "devices.csv"], ["--directory", "devices.db"]])
def test_a_log_and_a_configuration_are_one_too_many(folder: Path, command: list[str]) -> None:
    (folder / "devices.csv").write_text("id\nx\n")
    said = doorlog("devices", *command, "--log", ".", "-c", "doorlog.yaml")

    assert said.code == ExitCode.USAGE
    assert "--config: has no effect with --log" in said.err[-1]


@pytest.mark.parametrize("option", [["--log", "."], ["--directory", "x.db"], ["--json"], ["--state", "ok"]])
def test_options_before_a_command_of_the_group_are_not_ignored(option: list[str]) -> None:
    said = doorlog("devices", *option, "rebuild")

    assert said.code == ExitCode.USAGE
    assert f"{option[0]}: has no effect here: write it behind rebuild" in said.err[-1]


def test_a_directory_that_is_not_there_is_told() -> None:
    remedy = "is not there: a broker makes it with the first admission; or name the log with --log"
    assert failed(doorlog("devices")) == f"{LOCAL}/devices.db {remedy}"
    assert failed(doorlog("devices", "--directory", "x.db")) == f"x.db {remedy}"


def test_a_directory_that_is_none_is_told(folder: Path) -> None:
    (folder / "empty.db").touch()
    (folder / "text.db").write_text("hello" * 1_000)

    assert "is no device directory of doorlog" in failed(doorlog("devices", "--directory", "empty.db"))
    assert "text.db can not be used: file is not a database" in failed(doorlog("devices", "--directory", "text.db"))
    assert "can not be used: unable to open database file" in failed(doorlog("devices", "--directory", "."))


def test_a_directory_of_a_newer_doorlog_is_told(local: Path) -> None:
    with closing(sqlite3.connect(local / "devices.db")) as connection:
        connection.execute("PRAGMA user_version = 2")
    (local / "devices.csv").write_text("id\nx\n")

    for command in ([], ["rebuild"], ["import", local / "devices.csv"]):
        assert failed(doorlog("devices", *command)).endswith(
            "devices.db was written by a newer doorlog (version 2; this one reads 1)"
        )


def test_a_directory_that_is_damaged_deep_inside_is_told(local: Path) -> None:
    with (local / "devices.db").open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096 * 30)

    said = doorlog("devices")
    assert failed(said).startswith(f"{LOCAL}/devices.db: can not be used: ")
    assert said.err[0].endswith(": doorlog devices rebuild makes it anew")
    again = doorlog("devices", "rebuild")
    assert again.code == 0
    path = f"{LOCAL}/devices.db"
    remedy = "import your devices again, restart the broker"
    assert again.err == [f"doorlog: warning: {path} was damaged, and is now {path}.damaged-1: {remedy}"]
    assert doorlog("devices").code == 0


# import


def test_devices_are_imported_before_a_broker_ever_ran(folder: Path) -> None:
    (folder / "devices.csv").write_text("id;site;addresses\npump-17;berlin;192.0.2.17\npump-18;rome;\n")

    said = doorlog("devices", "import", "devices.csv", "--dry-run")
    assert said == Said(0, ["devices.csv: 2 devices, nothing wrong"], [])
    assert not (folder / ".doorlog").exists()

    said = doorlog("devices", "import", "devices.csv")
    assert said == Said(0, [f"{LOCAL}/devices.db: 2 devices imported, 2 of them new"], [])
    assert (folder / LOCAL / "devices.db").stat().st_mode & 0o777 == 0o600
    assert doorlog("devices").out[-1] == "2 devices: 0 failing, 2 silent, 0 ok"

    (folder / "devices.csv").write_text("id,name\npump-18,Pump\n")
    said = doorlog("devices", "import", "devices.csv", "--replace")
    assert said.out == [f"{LOCAL}/devices.db: 1 device imported, 0 of them new, 1 removed"]


def test_every_fault_of_a_file_is_told_and_nothing_taken(local: Path) -> None:
    (local / "devices.csv").write_text("id,addresses\nnew,192.0.2.300\n,::1\nok,\n")

    said = doorlog("devices", "import", local / "devices.csv")
    assert (said.code, said.out) == (ExitCode.SETTINGS, [])
    assert [line.partition("devices.csv: ")[2][:18] for line in said.err] == [
        "line 2: addresses:",
        "line 3: id: is emp",
    ]
    assert len(doorlog("devices").out) == 3
    assert doorlog("devices", "import", local / "devices.csv", "--dry-run").code == ExitCode.SETTINGS
    assert "can not be read" in failed(doorlog("devices", "import", "nowhere.csv"))


def test_names_that_the_log_hides_can_not_be_imported(local: Path) -> None:
    with closing(open_store(local / "devices.db")) as connection:
        connection.execute("INSERT INTO statistic VALUES ('hidden', '[\"client_id\", \"user_name\"]')")
    (local / "devices.csv").write_text("id\nx\n")

    assert failed(doorlog("devices", "import", local / "devices.csv")) == (
        f"{LOCAL}/devices.db: log.privacy hides client_id, so that no imported device could be recognised"
    )


async def test_an_import_is_noticed_by_a_broker_that_runs(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (folder / "devices.csv").write_text("id,addresses\npump-99,127.3.0.99\n")
    async with fleet(folder, Pki(tmp_path_factory.mktemp("pki"))) as story:
        assert doorlog("devices", "import", "devices.csv", "--log", "log").code == 0
        record = await story.distrust("pump-99", at="127.3.0.99")

    candidates = record["doorlog"]["device"].get("candidates", [])
    assert "pump-99" in {record.get("device", {}).get("id"), *(one["id"] for one in candidates)}


# rebuild


def test_a_rebuild_tells_what_it_left_out(local: Path) -> None:
    live = local / "doorlog.jsonl"
    live.write_bytes(live.read_bytes() + b"hello\n{}\n")
    torn = local / "doorlog-20260301T150212Z-0000000000000000000.jsonl"
    torn.write_bytes(b'{"torn')

    said = doorlog("devices", "rebuild")
    assert said.out == [f"{LOCAL}/devices.db: 1 device learned from 1 admission"]
    assert said.err == [
        "doorlog: warning: left out what is no record, 2 lines: doorlog verify names the first",
        f"doorlog: warning: {torn.name}: can not be read to its end: doorlog verify names the place",
    ]


def test_without_a_log_there_is_nothing_to_learn_from(folder: Path) -> None:
    assert failed(doorlog("devices", "rebuild")).startswith(f"{LOCAL}: is not there: name the log with --log")
    assert list(folder.iterdir()) == []


def test_a_terminal_gets_a_bar(local: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert doorlog("devices", "rebuild", "--log", local).err == []
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert any("learning" in line for line in doorlog("devices", "rebuild").err)
