"""``doorlog simulate`` as it is typed."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from doorlog.application.cli import ExitCode
from doorlog.application.simulate_output import share
from doorlog.errors import AddressError
from doorlog.simulation.host import Host
from doorlog.simulation.scenarios import SCENARIOS
from support.commands import doorlog

SMALL = ("--devices", "10", "--days", "1", "--seed", "5")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_tells_how_well_devices_were_named_and_leaves_a_whole_log(folder: Path) -> None:
    said = doorlog("simulate", *SMALL)

    assert (said.code, said.err) == (0, [])
    assert said.out[0] == "mixed: a bit of everything"
    assert ", 1 days before a rotation and 1 after, seed 5: " in said.out[1]
    assert any(line.startswith("of all names, right ") for line in said.out)
    assert said.out[-2:] == ["log:   doorlog-simulation/log/doorlog.jsonl", "truth: doorlog-simulation/truth.jsonl"]
    assert (folder / "doorlog-simulation" / "truth.jsonl").stat().st_size > 0

    verified = doorlog("verify", "--log", "doorlog-simulation/log", "--from-start")
    assert verified.code == 0
    assert verified.out[0] == "doorlog-simulation/log: whole"


def test_the_same_as_json() -> None:
    said = doorlog("simulate", *SMALL, "--scenario", "mtls", "--folder", "here", "--json")

    told = json.loads("\n".join(said.out))
    assert (told["scenario"], told["seed"], told["days"]) == ("mtls", 5, {"before": 1.0, "after": 1.0})
    assert told["attempts"] >= told["per_attempt"]["failures"] >= told["per_device"]["failures"]
    assert told["per_attempt"]["precision"] in {None, 1.0}
    assert told["truth"] == "here/truth.jsonl"


def test_it_can_end_now(folder: Path) -> None:
    began = datetime.now(UTC)
    said = doorlog("simulate", *SMALL, "--until-now", "--json")

    begin = datetime.fromisoformat(json.loads("\n".join(said.out))["begin"])
    assert began <= begin + timedelta(days=2) <= datetime.now(UTC)
    first = json.loads((folder / "doorlog-simulation" / "truth.jsonl").read_text().partition("\n")[0])
    assert begin <= datetime.fromisoformat(first["@timestamp"]) < begin + timedelta(hours=1)


def test_a_folder_that_holds_something_is_left_alone(folder: Path) -> None:
    (folder / "kept").mkdir()
    (folder / "kept" / "mine").write_text("mine")

    said = doorlog("simulate", *SMALL, "--folder", "kept")

    assert said.code == ExitCode.SETTINGS
    assert said.err == ["doorlog: kept: holds something already: choose a new folder"]
    assert [path.name for path in (folder / "kept").iterdir()] == ["mine"]


def test_an_unknown_scenario_is_told_the_known_ones() -> None:
    said = doorlog("simulate", "--scenario", "moon")

    assert said.code == ExitCode.SETTINGS
    assert said.err[0].startswith("doorlog: there is no scenario 'moon': choose one of static, dhcp, ")


def test_the_help_tells_every_scenario() -> None:
    text = " ".join(" ".join(doorlog("simulate", "--help").out).split())
    listed = text.partition("Scenarios: ")[2].partition("docs/simulate.md")[0]

    assert {name for name in SCENARIOS if not re.search(rf"\b{name}\b", listed)} == set()


def test_an_address_that_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    async def start(_host: Host, _chain: int, generation: int) -> None:
        raise AddressError(f"127.0.0.1 is taken, {generation}")

    monkeypatch.setattr(Host, "start", start)
    said = doorlog("simulate", *SMALL)
    assert (said.code, said.err) == (ExitCode.ADDRESS, ["doorlog: 127.0.0.1 is taken, 1"])


@pytest.mark.parametrize(
    ("value", "shown"), [(None, "-"), (1.0, "100.00%"), (0.99999, "99.99%"), (0.5, "50.00%"), (0.0, "0.00%")]
)
def test_almost_all_is_not_all(value: float | None, shown: str) -> None:
    assert share(value) == shown
