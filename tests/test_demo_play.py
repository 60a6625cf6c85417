"""The demo as a whole: each attempt has the record that it should have, and its device is known."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from doorlog.demo.play import Attempt, Played, play
from doorlog.errors import SettingsError
from support.commands import doorlog


@pytest.fixture(scope="module")
def said() -> list[str]:
    return []


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory, said: list[str]) -> Played:
    return asyncio.run(play(tmp_path_factory.mktemp("demo"), said.append))


@pytest.fixture(scope="module")
def found(played: Played) -> list[tuple[Attempt, dict[str, Any]]]:
    return [(attempt, record) for attempt, record in played.recorded if record is not None]


def test_every_attempt_has_its_record(played: Played, found: list[tuple[Attempt, dict[str, Any]]]) -> None:
    assert len(found) == len(played.before) + len(played.after)
    assert [record["event"]["code"] for _, record in found] == [attempt.code for attempt, _ in found]


def test_devices_that_refuse_the_new_certificate_are_named(found: list[tuple[Attempt, dict[str, Any]]]) -> None:
    refused = {
        attempt.visitor.name: record for attempt, record in found if attempt.visitor.pin and attempt.code != "admitted"
    }

    for name in ("pump-11", "pump-12", "valve-15", "meter-16", "hub-17"):
        assert refused[name]["device"]["id"] == name
        assert refused[name]["doorlog"]["device"]["confidence"] == "likely"


def test_two_that_look_alike_are_candidates_and_none_is_guessed(found: list[tuple[Attempt, dict[str, Any]]]) -> None:
    for attempt, record in found:
        if attempt.visitor.name.startswith("plug-") and attempt.code != "admitted":
            assert "device" not in record
            names = {candidate["id"] for candidate in record["doorlog"]["device"]["candidates"]}
            assert names == {"plug-13", "plug-14"}


def test_it_says_what_goes_on(played: Played, said: list[str]) -> None:
    assert played.after
    assert said == [
        "making certificates and users",
        "16 devices come in",
        "the broker's certificate is rotated",
        "the devices come again, and some strangers",
    ]


def test_the_log_is_whole_and_holds_both_starts(played: Played) -> None:
    lines = (played.log / "doorlog.jsonl").read_text().splitlines()
    actions = Counter(json.loads(line)["event"]["action"] for line in lines)

    assert actions["audit_started"] == actions["audit_stopped"] == 2
    assert "audit_gap" not in actions
    assert doorlog("verify", "--log", played.log, "--from-start").code == 0


def test_nothing_of_it_is_for_other_users_of_the_machine(played: Played) -> None:
    for path in (played.folder / "pki").glob("*.key"):
        assert path.stat().st_mode & 0o077 == 0


async def test_a_folder_that_can_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "pki").write_text("in the way")

    with pytest.raises(SettingsError, match="name a folder that can be written with --folder"):
        await play(tmp_path)
