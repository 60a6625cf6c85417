"""``doorlog demo`` as it is typed, and every command that it suggests."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from doorlog.application.cli import ExitCode
from doorlog.demo import knock
from support.commands import Said, doorlog


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "first look"


@pytest.fixture(scope="module")
def told(folder: Path) -> Said:
    return doorlog("demo", "--folder", folder)


def suggested(told: Said) -> list[list[str]]:
    """Return the commands at the end, without the program's name."""
    end = told.out[told.out.index("LOOK AROUND YOURSELF") + 1 :]
    return [shlex.split(line)[1:] for line in end if not line.startswith("#") and " -r " not in line]


def test_it_tells_a_story(told: Said) -> None:
    assert (told.code, told.err) == (0, [])
    titles = [line for line in told.out if line[:1].isdigit() and line.isupper()]
    assert [title[0] for title in titles] == list("1234567")
    assert "16 devices connect over TLS, 48 times in all, and are admitted." in told.out
    assert "Connections that were made: 74. Records of them in the log: 74." in told.out
    verdict = next(line for line in told.out if line.startswith("The new certificate locked out "))
    assert "hub-17, meter-16, pump-11, pump-12, valve-15: likely" in verdict
    refused = [line for line in told.out if "✗ server_certificate_unknown_ca  127.10.2.11  tls  pump-11?" in line]
    assert len(refused) == 1
    assert any("one of plug-13, plug-14?" in line for line in told.out)


def test_a_log_that_begins_with_authentication_shows_none_of_those_that_refused_us(told: Said) -> None:
    begin, end = (next(i for i, line in enumerate(told.out) if line.startswith(number)) for number in "34")
    shown = [line for line in told.out[begin:end] if "✗" in line]

    assert len(shown) == 4
    assert not any("pump" in line or "certificate" in line for line in shown)


def test_every_command_that_it_suggests_works_as_pasted(told: Said, folder: Path) -> None:
    names = []
    for argv in suggested(told):
        names.append(argv[0])
        if argv[0] not in {"web", "run"}:  # they would stay
            said = doorlog(*argv)
            assert said.code == 0
            assert said.out
    assert names == ["web", "summary", "device", "show", "why", "query", "verify", "run"]
    assert doorlog("check", "-c", folder / "doorlog.yaml").code == 0
    assert told.out[-1] == shlex.join(["rm", "-r", str(folder)])


def test_two_that_look_alike_are_not_told_to_be_well(told: Said, folder: Path) -> None:
    assert told.code == 0
    states = {line.split()[0]: line.split()[1] for line in doorlog("devices", "--log", folder / "log").out[1:-1]}

    assert states["plug-13"] == states["plug-14"] == "unclear"
    assert [name for name, state in states.items() if state == "ok"] == [
        "thermostat-04", "lock-03", "sensor-02", "gateway-01"
    ]  # fmt: skip


def test_no_password_is_shown(told: Said, folder: Path) -> None:
    hashed = (folder / "users.txt").read_text().split(":")[1].strip()
    assert hashed not in "\n".join(told.out)


def test_the_same_as_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)

    said = doorlog("demo", "--json")

    assert said.code == 0
    shown = json.loads("\n".join(said.out))
    assert Path(shown["log"]).is_relative_to(tmp_path), "without --folder it is a temporary one, and stays"
    assert Path(shown["config"]).exists()
    by_name = {attempt["name"]: attempt for attempt in shown["attempts"]}
    assert by_name["pump-11"] == {
        "name": "pump-11",
        "source": by_name["pump-11"]["source"],
        "why": "had pinned the old intermediate: it says so with an alert",
        "expected": "server_certificate_unknown_ca",
        "recorded": "server_certificate_unknown_ca",
        "stage": "handshake",
        "device": "pump-11",
        "confidence": "likely",
        "candidates": ["pump-11"],
        "event_id": by_name["pump-11"]["event_id"],
    }
    assert by_name["plug-13"]["candidates"] == ["plug-13", "plug-14"]


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")

    said = doorlog("demo", "--folder", tmp_path)

    assert said.code == ExitCode.SETTINGS
    assert said.err == [f"doorlog: {tmp_path}: holds something already: choose a new folder"]
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_folder_that_can_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    said = doorlog("demo", "--folder", tmp_path / "file" / "folder")

    assert said.code == ExitCode.SETTINGS
    assert "choose a folder that can be written" in said.err[0]


def test_a_machine_without_those_addresses_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(_source: str, _target: tuple[str, int]) -> None:
        raise OSError(99, "Cannot assign requested address")

    monkeypatch.setattr(knock, "dial", refused)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)

    said = doorlog("demo")

    assert said.code == ExitCode.ADDRESS
    assert "Cannot assign requested address" in said.err[0]
    assert list(tmp_path.iterdir()) == []
