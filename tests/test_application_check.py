"""``doorlog check`` looks at everything that a start would use."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from doorlog.application.check import Finding, check_file, check_settings
from doorlog.settings.models import Settings
from support.broker import ANYBODY, FREE, tls
from support.disks import make_read_only, small_disk
from support.pki import Pki


def configuration(**groups: Any) -> Settings:
    return Settings.model_validate(
        {"listeners": {"plain": {"bind": FREE}}, "auth": {"plugins": ANYBODY}, "log": {"stdout": True}, **groups}
    )


def log_findings(**log: Any) -> list[Finding]:
    return check_settings(configuration(log=log))


def test_a_file_that_is_no_configuration_has_a_finding_for_each_fault(tmp_path: Path) -> None:
    path = tmp_path / "doorlog.yaml"
    path.write_text("listeners: {a: {bind: x}}\nauth: {plugins: {a.B: }}\nlog: {stdot: true}", encoding="utf-8")

    assert check_file(path) == [
        Finding("error", "listeners.a.bind", 'expected "address:port", as in "127.0.0.1:8883" or "[::1]:8883"'),
        Finding("error", "log.stdot", 'unknown key; did you mean "stdout"?'),
    ]
    assert [str(finding) for finding in check_file(tmp_path / "missing.yaml")] == [
        "can not be read: No such file or directory"
    ]


def test_problems_of_all_kinds_are_told_at_once_errors_first(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    doors = {
        "plain": {"bind": ":1883"},
        "tls": {"bind": "127.0.0.1:8883", "tls": tls(pki.server_expired(), cafile=str(pki.cafile))},
    }

    found = check_settings(configuration(listeners=doors, acl={"plugins": {"no.Such": {}}}, log={"console": "never"}))

    assert [(finding.severity, finding.place) for finding in found] == [
        ("error", "listeners.plain"),
        ("error", "acl.plugins.no.Such"),
        ("warning", "listeners.plain"),
        ("warning", "listeners.tls.tls.certfile"),
        ("warning", "log"),
        ("info", "listeners.tls.tls.cafile"),
    ]


def test_a_log_that_goes_nowhere() -> None:
    assert [finding.severity for finding in log_findings(console="auto")] == ["warning"]
    assert [finding.severity for finding in log_findings(console="always")] == ["info"]
    assert log_findings(stdout=True) == []


def test_a_log_file_that_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "old.jsonl").touch()

    for name in ("old.jsonl", "new.jsonl", "new/folders/too.jsonl"):
        assert log_findings(file={"path": tmp_path / name}) == []
    assert [path.name for path in tmp_path.iterdir()] == ["old.jsonl"]  # checking creates nothing


def test_a_log_file_that_can_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    (folder,) = log_findings(file={"path": tmp_path})
    (below_a_file,) = log_findings(file={"path": tmp_path / "file" / "doorlog.jsonl"})

    assert folder == Finding("error", "log.file.path", f"{tmp_path} is a folder: name a file in it")
    assert below_a_file.sentence.endswith(f"can not be created, since {tmp_path / 'file'} is no folder")


def test_a_log_file_of_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "theirs.jsonl").touch()
    monkeypatch.setattr(os, "access", lambda *_: False)  # root, who runs many a test suite, may write everywhere

    (theirs,) = log_findings(file={"path": tmp_path / "theirs.jsonl"})
    (new,) = log_findings(file={"path": tmp_path / "new" / "doorlog.jsonl"})

    assert theirs.sentence.endswith("can not be written by this user: correct its owner or its mode")
    assert f"can not be created in {tmp_path} by this user" in new.sentence


def test_a_device_directory_that_can_not_be_written(tmp_path: Path) -> None:
    log = {"file": {"path": tmp_path / "doorlog.jsonl"}}

    def found(**device: Any) -> list[Finding]:
        return check_settings(configuration(log=log, device=device))

    (folder,) = found(directory=tmp_path)
    assert folder == Finding("error", "device.directory", f"{tmp_path} is a folder: name a file in it")
    assert found(directory=tmp_path / "devices.db") == []
    assert found(directory=tmp_path, learn=False) == []


def places(**log: Any) -> list[tuple[str, str]]:
    return [(finding.severity, finding.place) for finding in log_findings(stdout=True, **log)]


def test_sinks_are_looked_at_before_a_start(tmp_path: Path) -> None:
    path = tmp_path / "doorlog.jsonl"
    fine = {"central": {"type": "syslog", "server": "udp://127.0.0.1:514"}}

    assert places(sinks=fine) == []
    assert places(sinks={"a": {"type": "pigeon"}}) == [("error", "log.sinks.a.type")]
    assert places(sinks={"a": {"type": "syslog", "sever": "udp://127.0.0.1"}}) == [
        ("error", "log.sinks.a.server"),
        ("error", "log.sinks.a.sever"),
    ]
    nats = {"fleet": {"type": "nats", "servers": ["nats://127.0.0.1:4222"]}}
    assert places(sinks=nats) == [("error", "log.sinks.fleet.buffer")]
    assert places(sinks=nats, file={"path": path}) == []
    assert places(sinks={"own": {"type": "mqtt", "topic": "a/#"}}) == [("error", "log.sinks.own.topic")] * 2


def test_keys_are_looked_at_before_a_start(tmp_path: Path) -> None:
    nowhere, short = tmp_path / "nowhere", tmp_path / "short"
    short.write_bytes(b"short")
    readable = tmp_path / "readable"
    readable.write_bytes(bytes(32))
    readable.chmod(0o644)

    assert places(checkpoint={"keyfile": nowhere}) == [("error", "log.checkpoint.keyfile")]
    assert places(privacy={"user_name": "hmac", "keyfile": short}) == [("error", "log.privacy.keyfile")]
    assert places(privacy={"user_name": "hmac", "keyfile": readable}) == [("warning", "log.privacy.keyfile")]


def test_a_log_on_a_disk_that_is_read_only(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        make_read_only(disk)
        (finding,) = log_findings(file={"path": disk / "doorlog.jsonl"})

    assert finding.sentence.endswith(f"can not be created, since {disk} is mounted read-only")
