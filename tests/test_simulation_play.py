"""A whole small scenario over the real door: the log, the truth and the score fit together."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import orjson
import pytest

from doorlog.errors import AddressError, SettingsError
from doorlog.events.codes import Action
from doorlog.simulation.host import Host
from doorlog.simulation.namer import Forgetful
from doorlog.simulation.plan import Plan
from doorlog.simulation.play import Order, Played, play
from doorlog.simulation.scenarios import scenario
from doorlog.simulation.scoring import score

WEEKEND = Plan(before=2, after=0.6)


def lines(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


async def played(folder: Path, **changes: Any) -> Played:
    order = Order(scenario(changes.pop("name", "mixed")), changes.pop("devices", 20), WEEKEND, changes.pop("seed", 3))
    return await play(order, folder, namer_in=lambda _folder: Forgetful(), **changes)


async def test_every_attempt_is_in_the_log_and_in_the_truth(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    result = await played(tmp_path / "new", progress=lambda done, total: seen.append((done, total)))

    records = lines(tmp_path / "new" / "log" / "doorlog.jsonl")
    connects = {
        record["doorlog"]["connection_id"]: record for record in records if record["event"]["action"] == Action.CONNECT
    }
    truths = {truth["connection_id"]: truth for truth in lines(tmp_path / "new" / "truth.jsonl")}
    assert set(connects) == set(truths)
    assert len(truths) == result.attempts
    for name, truth in truths.items():
        assert connects[name]["@timestamp"] == truth["@timestamp"]
        assert connects[name]["source"]["ip"] == truth["address"]
        if truth["what"] == "admitted":
            assert connects[name]["mqtt"]["client_id"] == truth["device"]
    assert seen[-1][0] == seen[-1][1] > result.attempts


async def test_sessions_end_once_and_time_goes_on(tmp_path: Path) -> None:
    await played(tmp_path)

    everything = lines(tmp_path / "log" / "doorlog.jsonl")
    records = [record for record in everything if record["event"]["action"] in {"connect", "disconnect"}]
    assert [record["@timestamp"] for record in records] == sorted(record["@timestamp"] for record in records)
    ended = [record["doorlog"]["connection_id"] for record in records if record["event"]["action"] == "disconnect"]
    admitted = [r["doorlog"]["connection_id"] for r in records if r["event"]["code"] == "admitted"]
    assert sorted(ended) == sorted(admitted)


async def test_a_seed_gives_the_same_truth_again(tmp_path: Path) -> None:
    for name in ("one", "two"):
        await played(tmp_path / name)
    one, two = (lines(tmp_path / name / "truth.jsonl") for name in ("one", "two"))

    def without_id(truths: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{key: value for key, value in truth.items() if key != "connection_id"} for truth in truths]

    assert without_id(one) == without_id(two)


async def test_who_learns_nothing_names_nobody_but_those_with_certificates(tmp_path: Path) -> None:
    without, with_ = await played(tmp_path / "1", name="static"), await played(tmp_path / "2", name="mtls")

    assert score(without.failures).coverage == 0
    assert score(without.failures).failures > 0
    assert score(with_.failures).coverage == 1
    assert score(with_.failures).precision == 1


async def test_what_is_announced_is_written(tmp_path: Path) -> None:
    said: list[bool] = []

    def announce(host: Host, is_start: bool) -> tuple[()]:
        assert host.door is not None
        said.append(is_start)
        return ()

    await played(tmp_path, announce=announce)
    assert said == [True, False] * 4  # an upgrade, the rotation and the rollback


@pytest.mark.parametrize("kind", ["file", "full"])
async def test_a_folder_that_holds_something_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "there"
    if kind == "file":
        path.write_text("mine")
    else:
        path.mkdir()
        (path / "mine").write_text("mine")

    with pytest.raises(SettingsError, match="there: holds something already: choose a new folder"):
        await played(path)


async def test_a_folder_that_can_not_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(SettingsError, match="file/new: Not a directory: choose a folder that can be written"):
        await played(tmp_path / "file" / "new")


async def test_more_sockets_than_may_be_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _what: (100, 200))
    with pytest.raises(SettingsError, match="open files are needed, and 200 allowed: take fewer devices"):
        await played(tmp_path / "1")

    monkeypatch.setattr(resource, "getrlimit", lambda _what: (100, 4096))
    monkeypatch.setattr(resource, "setrlimit", lambda _what, wanted: limits.append(wanted))
    await played(tmp_path / "2")
    assert limits
    assert 100 < limits[0][0] < limits[0][1] == 4096


async def test_an_address_that_is_taken_closes_what_was_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def start(_host: Host, _chain: int, generation: int) -> None:
        raise AddressError(f"taken {generation}")

    monkeypatch.setattr(Host, "start", start)
    with pytest.raises(AddressError, match="taken 1"):
        await played(tmp_path)
