"""``doorlog verify`` as it is typed: what it says, on which stream, and with which exit code it ends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from doorlog.application.cli import ExitCode
from support.broker import ANYBODY
from support.chained_logs import ChainedLog, eventful_log, log_key
from support.commands import Said, doorlog, write_yaml

if TYPE_CHECKING:
    from pathlib import Path

LIVE = "doorlog.jsonl"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that commands run in, with the public keys of the log."""
    monkeypatch.chdir(tmp_path)
    for number in (1, 2):
        pem = log_key(number).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (tmp_path / f"{number}.pub").write_bytes(pem)
    return tmp_path


def written(folder: Path, log: ChainedLog) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return log.write(folder)


def test_the_log_of_a_local_broker_is_looked_at_by_itself(folder: Path) -> None:
    written(folder / ".doorlog" / "log", eventful_log(log_key()).connect(3))

    said = doorlog("verify", "--key", "1.pub", "--key", "2.pub")

    assert (said.code, said.err) == (0, [])
    assert said.out[0] == ".doorlog/log: whole"
    assert said.out[1].startswith("  39 records in 4 files (event.sequence 1 to 48, 2026-03-01T15:02:11.250000Z to ")
    assert [line.partition(".jsonl ")[2] for line in said.out[2:5]] == [
        "line 3: more happened than the memory for waiting records holds: 5 records missing (sequence 11 to 15)",
        "line 12: the log file could not be written for a while: 4 records missing (sequence 25 to 28)",
        (
            "line 3: the broker before ended without closing the log: its last records may be missing; "
            "17 bytes of a torn record were moved away"
        ),
    ]
    assert said.out[5:] == [
        (
            "  records 1 to 45 are vouched for by 3 signatures of key 34750f98bd59fcfc, 2 signatures of key "
            "6a3803d5f059902a; the 3 records behind the last checkpoint only by the chain"
        )
    ]


def test_the_log_of_a_configuration_is_looked_at(folder: Path) -> None:
    written(folder / "logs", ChainedLog().start().connect().stop())
    groups = {"listeners": {"plain": {"bind": "127.0.0.1:0"}}, "auth": {"plugins": {name: {} for name in ANYBODY}}}
    config = write_yaml(folder / "doorlog.yaml", **groups, log={"file": {"path": "logs/doorlog.jsonl"}})
    without = write_yaml(folder / "other.yaml", **groups, log={"stdout": True})

    assert doorlog("verify", "-c", config).out[0] == f"{folder / 'logs' / LIVE}: whole"
    said = doorlog("verify", "-c", without)
    assert (said.code, said.err) == (3, [f"doorlog: {without}: log.file: is not set: name the log with --log"])
    assert doorlog("verify", "-c", "nowhere.yaml").code == ExitCode.SETTINGS


def test_a_log_that_is_not_whole_is_named_with_what_to_do(folder: Path) -> None:
    log = ChainedLog().start().connect(5)
    del log.segments[0][3]
    written(folder, log)

    said = doorlog("verify", "--log", LIVE)

    assert said.code == ExitCode.FAILED
    assert said.out[:3] == [
        "doorlog.jsonl: NOT WHOLE",
        "  doorlog.jsonl line 4 (event.sequence 4): removed",
        "    record 4 is missing between doorlog.jsonl line 3 and this line",
    ]
    assert said.out[3].startswith("    to do: see whether a segment is missing")
    assert said.out[4].startswith("  3 records in 1 file up to there (event.sequence 1 to 3, ")
    assert said.err == []


def test_without_a_key_it_is_said_that_only_the_chain_was_checked(folder: Path) -> None:
    written(folder, ChainedLog(log_key()).start().connect().stop())

    said = doorlog("verify", "--log", ".")
    assert said.code == 0
    assert said.out[-1] == (
        "  no --key was given: only the chain was checked, which whoever can write the file can make anew; "
        "1 signature not looked at"
    )


def test_a_key_that_signed_nothing_is_told(folder: Path) -> None:
    written(folder, ChainedLog().start().connect().stop())

    said = doorlog("verify", "--log", ".", "--key", "1.pub")
    assert said.code == ExitCode.FAILED
    assert said.out[1] == "  doorlog.jsonl line 4 (event.sequence 4): signature"
    assert said.out[-1] == "  no record is vouched for by a signature of the keys given"


def test_a_signature_over_all_leaves_nothing_to_say(folder: Path) -> None:
    written(folder, ChainedLog(log_key()).start().connect().stop())

    said = doorlog("verify", "--log", ".", "--key", "1.pub")
    assert said.out[-1] == "  records 1 to 4 are vouched for by 1 signature of key 34750f98bd59fcfc"


def test_a_checkpoint_that_was_kept_elsewhere_shows_a_cut_tail(folder: Path) -> None:
    log = ChainedLog().start().connect(2).checkpoint().connect(2).stop()
    written(folder, log)
    (folder / "kept.jsonl").write_bytes(b"".join(log.lines))
    assert doorlog("verify", "--log", LIVE, "--checkpoint", "kept.jsonl").out[-1] == (
        "  2 checkpoints that were kept elsewhere are all here, byte for byte"
    )

    (folder / LIVE).write_bytes(b"".join(log.lines[:5]))
    said = doorlog("verify", "--log", LIVE, "--checkpoint", "kept.jsonl")
    assert said.code == ExitCode.FAILED
    assert "at least 3 records were cut off at the end" in said.out[2]
    assert doorlog("verify", "--log", LIVE).code == 0


def test_a_log_whose_begin_was_deleted_is_whole_from_there_on(folder: Path) -> None:
    log = ChainedLog().start().rotate().connect(3)
    written(folder, log)
    for path in folder.glob("doorlog-*"):
        path.unlink()

    said = doorlog("verify", "--log", ".")
    assert said.code == 0
    assert said.out[2].startswith("  the log begins with record 3: what was before it was deleted, by log.file's ")
    assert doorlog("verify", "--log", ".", "--from-start").code == ExitCode.FAILED


def test_many_gaps_are_not_all_printed(folder: Path) -> None:
    log = ChainedLog().start()
    for _ in range(25):
        log.overflow(1, 0)
    written(folder, log)

    said = doorlog("verify", "--log", ".")
    assert sum(line.startswith("  gap declared") for line in said.out) == 20
    assert "  and 5 more declared gaps; --json lists up to 1,000" in said.out
    assert len(json.loads("\n".join(doorlog("verify", "--log", ".", "--json").out))["gaps"]) == 25


def test_json_says_the_same(folder: Path) -> None:
    log = ChainedLog(log_key()).start().connect(2).checkpoint().connect()
    written(folder, log)
    said = doorlog("verify", "--log", ".", "--key", "1.pub", "--json")
    report = json.loads("\n".join(said.out))

    assert said.code == 0
    assert (report["whole"], report["finding"], report["records"]) == (True, None, 5)
    assert report["vouched"] == {
        "last_sequence": 4, "time": "2026-03-01T15:02:14.250000Z", "behind": 1, "keys": {"34750f98bd59fcfc": 1},
    }  # fmt: skip

    (folder / LIVE).write_bytes(b"".join(log.lines).replace(b"10.0.0.9", b"10.6.6.6", 1))
    said = doorlog("verify", "--log", ".", "--json")
    report = json.loads("\n".join(said.out))
    assert said.code == ExitCode.FAILED
    assert (report["whole"], report["finding"]["kind"], report["finding"]["line"]) == (False, "changed", 2)


def test_nothing_to_verify_is_told() -> None:
    assert doorlog("verify") == Said(
        ExitCode.SETTINGS,
        [],
        ["doorlog: .doorlog/log: is not there: name the log with --log, or its configuration with -c"],
    )


def test_an_emptied_log_is_not_whole(folder: Path) -> None:
    (folder / LIVE).touch()

    said = doorlog("verify", "--log", ".")
    assert (said.code, said.out[1]) == (ExitCode.FAILED, "  the log: removed")
    assert said.out[4].strip() == "0 records in 0 files up to there"


def test_what_is_no_log_or_no_key_is_told(folder: Path) -> None:
    (folder / LIVE).write_bytes(b"hello\n")

    said = doorlog("verify", "--log", LIVE)
    assert (said.code, said.out) == (ExitCode.SETTINGS, [])
    assert said.err[0].startswith("doorlog: doorlog.jsonl: is no log of doorlog: each line of one is a JSON record")
    assert doorlog("verify", "--log", LIVE, "--key", LIVE).code == ExitCode.SETTINGS
    assert doorlog("verify", "--log", LIVE, "--checkpoint", LIVE).code == ExitCode.SETTINGS


def test_two_logs_are_one_too_many() -> None:
    said = doorlog("verify", "--log", ".", "-c", "doorlog.yaml")

    assert said.code == ExitCode.USAGE
    assert "--config: has no effect with --log" in said.err[-1]


def test_a_terminal_gets_a_bar_and_a_pipe_does_not(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(folder, ChainedLog().start().connect())
    assert doorlog("verify", "--log", ".").err == []

    monkeypatch.setenv("FORCE_COLOR", "1")
    assert any("verifying" in line for line in doorlog("verify", "--log", ".").err)
