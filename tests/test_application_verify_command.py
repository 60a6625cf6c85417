"""``doorlog verify`` as an operator calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.audited import make_key, write_log
from support.commands import doorlog, write_yaml


def test_a_whole_log_says_so(tmp_path: Path) -> None:
    key = make_key(tmp_path / "log.key")
    write_log(tmp_path / "doorlog.jsonl", key=key)
    said = doorlog("verify", "--log", tmp_path / "doorlog.jsonl", "--key", key.with_suffix(".pub"))
    assert said.code == 0
    assert said.out[-1] == "whole"
    assert said.out[-2].startswith("vouched for by a signature up to record")


def test_a_changed_log_names_the_place_and_fails(tmp_path: Path) -> None:
    log = tmp_path / "doorlog.jsonl"
    write_log(log)
    log.write_bytes(log.read_bytes().replace(b"pump-17", b"pump-71", 1))
    said = doorlog("verify", "--log", tmp_path)
    assert said.code == 1
    assert said.err[-1].startswith("doorlog: not whole: doorlog.jsonl:")
    told = doorlog("verify", "--log", tmp_path, "--json")
    assert told.code == 1
    assert json.loads("\n".join(told.out))["fault"]["kind"] == "changed"


def test_a_tail_that_is_missing_is_found_by_a_checkpoint_kept_elsewhere(tmp_path: Path) -> None:
    log, kept = tmp_path / "log" / "doorlog.jsonl", tmp_path / "kept.jsonl"
    write_log(log)
    kept.write_bytes(log.read_bytes())
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-2]))
    assert doorlog("verify", "--log", log).code == 0
    assert doorlog("verify", "--log", log, "--checkpoint", kept).code == 1


def test_the_log_of_a_configuration_is_found(tmp_path: Path) -> None:
    write_log(tmp_path / "doorlog.jsonl")
    groups = {"listeners": {"plain": {"bind": "127.0.0.1:0"}}, "auth": {"plugins": {"a.B": {}}}}
    config = write_yaml(tmp_path / "doorlog.yaml", **groups, log={"file": {"path": "doorlog.jsonl"}})
    assert doorlog("verify", "-c", config).out[-1] == "whole"
    config = write_yaml(tmp_path / "doorlog.yaml", **groups, log={"stdout": True})
    said = doorlog("verify", "-c", config)
    assert (said.code, said.err) == (
        3,
        [f"doorlog: {config}: log.file: no log file is configured: name one with --log"],
    )


def test_the_log_of_a_local_broker_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert doorlog("verify").err == ["doorlog: .doorlog: No such file or directory"]
    write_log(tmp_path / ".doorlog" / "log" / "doorlog.jsonl")
    assert doorlog("verify", "--json").code == 0


def test_what_can_not_be_read_is_named(tmp_path: Path) -> None:
    assert doorlog("verify", "--log", tmp_path / "nowhere.jsonl").code == 3
    assert doorlog("verify", "--log", tmp_path, "--key", tmp_path / "nowhere.pub").code == 3


def test_on_a_terminal_it_says_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_log(tmp_path / "doorlog.jsonl")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert doorlog("verify", "--log", tmp_path).code == 0
