"""``doorlog show ID`` as it is typed: the story, the fields, and what is said when there is nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from doorlog.application.cli import ExitCode
from support.broker import ANYBODY
from support.commands import Said, doorlog, write_yaml
from support.device_story import fleet
from support.log_files import WrittenLog
from support.pki import Pki

CONNECTION = "0123456789abcdef"


@pytest.fixture
def log(tmp_path: Path) -> WrittenLog:
    """A log whose first records are in a compressed segment."""
    log = WrittenLog(tmp_path)
    log.append(1, doorlog={"connection_id": CONNECTION, "listener": "tls", "stage": "handshake"})
    log.append(3)
    log.rotate()
    log.compress()
    log.append(2)
    return log


async def test_an_attempt_that_was_explained_later_is_told_from_tcp_to_the_remedy(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async with fleet(tmp_path, Pki(tmp_path_factory.mktemp("pki"))) as story:
        failed = await story.distrust("pump-17")
        await story.log_in("pump-17")
        said = doorlog("show", failed["event"]["id"], "--log", tmp_path / "log")
        plain = doorlog("show", failed["doorlog"]["connection_id"], "--log", tmp_path / "log", "--json")

    assert (said.code, said.err) == (0, [])
    assert said.out[0] == f"connection {failed['doorlog']['connection_id']}"
    names = [line[2:15].strip() for line in said.out[1 : said.out.index("")]]
    assert names[:3] == ["TCP", "TLS", "TLS"]
    assert "explained" in names
    assert "  stopped at    handshake: server_certificate_unknown_ca" in said.out
    assert names.index("stopped at") < names.index("device") < names.index("means")
    assert json.loads("\n".join(said.out[said.out.index("{") : said.out.index("}") + 1])) == failed
    actions = [record["event"]["action"] for record in json.loads("\n".join(plain.out))]
    assert actions == ["connect", "device_confirmed"]


async def test_a_session_is_told_to_its_end(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    async with fleet(tmp_path, Pki(tmp_path_factory.mktemp("pki"))) as story:
        admitted = await story.log_in("pump-17")
        said = doorlog("show", admitted["event"]["id"], "--log", tmp_path / "log")

    names = [line[2:15].strip() for line in said.out[1 : said.out.index("")]]
    steps = [name for name in names if name in {"TCP", "CONNECT", "credentials", "session", "end", "device"}]
    assert list(dict.fromkeys(steps)) == ["TCP", "CONNECT", "credentials", "session", "end", "device"]
    assert "wonderland" not in "\n".join(said.out), "no secret in any output"


def test_compressed_segments_are_searched(log: WrittenLog) -> None:
    said = doorlog("show", CONNECTION, "--log", log.live)

    assert said.code == 0
    assert said.out[:2] == [
        f"connection {CONNECTION}",
        "  TCP           accepted from an unknown address at listener tls",
    ]


def test_a_long_log_is_read_near_the_record_and_all_of_it_where_it_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("doorlog.application.commands_show._NEAR", 1)
    log = WrittenLog(tmp_path)
    log.append(1, doorlog={"connection_id": CONNECTION, "listener": "tls", "stage": "handshake"})
    for _ in range(3):
        log.rotate()
        log.append(1)
    log.rotate()
    explained = {"action": "device_confirmed", "sequence": 5, "id": "6bc2c0eddce3-5"}
    log.append(1, event=explained, doorlog={"confirmed": {"connection_ids": [CONNECTION]}})
    note = ["what came of it much later was not looked for: --all does"]

    by_event = doorlog("show", "6bc2c0eddce3-1", "--log", log.live, "--json")
    by_connection = doorlog("show", CONNECTION, "--log", log.live, "--json")
    of_all = doorlog("show", "6bc2c0eddce3-1", "--log", log.live, "--json", "--all")
    assert [len(json.loads("\n".join(said.out))) for said in (by_event, by_connection, of_all)] == [1, 2, 2]
    assert (by_event.err, by_connection.err, of_all.err) == (note, [], [])
    assert doorlog("show", "nobody", "--log", log.live).code == 1


def test_a_configuration_names_the_log(tmp_path: Path, log: WrittenLog) -> None:
    config = write_yaml(
        tmp_path / "doorlog.yaml",
        listeners={"plain": {"bind": "127.0.0.1:0"}},
        auth={"plugins": {name: {} for name in ANYBODY}},
        log={"file": {"path": str(log.live)}},
    )

    assert doorlog("show", CONNECTION, "-c", config).code == 0
    assert doorlog("show", CONNECTION, "-c", config, "--log", log.live).code == ExitCode.USAGE


def test_a_record_of_no_connection_is_shown(log: WrittenLog) -> None:
    said = doorlog("show", "6bc2c0eddce3-3", "--log", log.live)

    assert said.code == 0
    assert '  "message": "record 3",' in said.out


@pytest.mark.parametrize("name", ["nobody", "", "\x1b[2J", "\udcff", "\n", ".*"])
def test_what_is_not_there_is_told_with_a_remedy(log: WrittenLog, name: str) -> None:
    said = doorlog("show", "--log", log.live, "--", name)

    assert (said.code, said.out) == (ExitCode.FAILED, [])
    (line,) = said.err
    assert "doorlog tail --json shows the ids of the latest records" in line
    assert line.isprintable()


def test_a_log_that_is_not_there(tmp_path: Path) -> None:
    place = tmp_path / "nowhere" / "x"

    assert doorlog("show", "x", "--log", place) == Said(
        ExitCode.SETTINGS,
        [],
        [f"doorlog: {place}: is not there: name the log with --log, or its configuration with -c"],
    )


def test_nothing_in_a_record_reaches_the_terminal_unescaped(log: WrittenLog) -> None:
    hostile = "\x1b[2J\x9b2J\u202e\u2028[red]x[/red]" + "y" * 100_000
    log.append(1, message=hostile, mqtt={"client_id": hostile}, doorlog={"connection_id": "aaaa", "listener": hostile})

    said = doorlog("show", "aaaa", "--log", log.live)

    assert said.code == 0
    assert all(line.isprintable() for line in said.out)
    assert "[red]x[/red]" in "\n".join(said.out)


def test_a_damaged_segment_is_named(log: WrittenLog) -> None:
    log.closed[0].write_bytes(b"no zstd at all")
    log.append(1, doorlog={"connection_id": "aaaa"})

    said = doorlog("show", "aaaa", "--log", log.live, "--all")
    assert said.code == 0
    assert log.closed[0].name in said.err[0]
